package policydiff_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
)

// TestEveryFieldHasAWord changes each field of each document, one at a time: each change is told in words of its own, and
// no field of the policy language is left out.
func TestEveryFieldHasAWord(t *testing.T) {
	t.Parallel()
	changed := map[string]bool{}
	w := &fieldWalk{changed: changed, check: func(path string, spec policy.Spec) {
		changes := policydiff.CompareSpecs(withRobots(world()), spec, sources)
		if len(changes) == 0 {
			t.Errorf("%s: nothing is said", path)
		}
		for _, c := range changes {
			if strings.Contains(c.Why, "no word") || !slices.Contains([]policydiff.Direction{policydiff.Loosens, policydiff.Tightens,
				policydiff.Neither, policydiff.CannotTell}, c.Direction) {
				t.Errorf("%s: %+v", path, c)
			}
		}
	}}
	w.spec = reflect.ValueOf(withRobots(world()))
	w.walk("Spec", func(spec reflect.Value) reflect.Value { return spec })
	for _, missing := range unchanged(reflect.TypeFor[policy.Spec](), changed, map[reflect.Type]bool{}) {
		t.Errorf("%s was never changed: give it a value in world()", missing)
	}
}

// fieldWalk changes one place of a fresh copy of the documents after the other.
type fieldWalk struct {
	spec    reflect.Value
	changed map[string]bool // by type and field
	check   func(path string, spec policy.Spec)
}

// at finds a place in a copy, where it can be set.
type at func(spec reflect.Value) reflect.Value

func (w *fieldWalk) try(path string, place at, change func(reflect.Value)) {
	fresh := deepCopy(w.spec)
	change(place(fresh))
	spec, _ := fresh.Interface().(policy.Spec)
	w.check(path, spec)
}

func (w *fieldWalk) walk(path string, place at) {
	v := place(deepCopy(w.spec))
	if _, ok := v.Interface().(time.Time); ok {
		w.try(path, place, func(v reflect.Value) { v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(48 * time.Hour))) })
		return
	}
	switch v.Kind() {
	case reflect.String:
		w.try(path, place, func(v reflect.Value) { v.SetString(v.String() + "x") })
	case reflect.Bool:
		w.try(path, place, func(v reflect.Value) { v.SetBool(!v.Bool()) })
	case reflect.Int, reflect.Int64:
		w.try(path, place, func(v reflect.Value) { v.SetInt(v.Int() + 3600e9) })
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			w.changed[v.Type().Name()+"."+field.Name] = w.changed[v.Type().Name()+"."+field.Name] || reaches(v.Field(i))
			w.walk(path+"."+field.Name, func(spec reflect.Value) reflect.Value { return place(spec).Field(i) })
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.walk(fmt.Sprintf("%s[%d]", path, i), func(spec reflect.Value) reflect.Value { return place(spec).Index(i) })
			w.try(fmt.Sprintf("%s[%d] removed", path, i), place, func(v reflect.Value) {
				v.Set(reflect.AppendSlice(v.Slice(0, i), v.Slice(i+1, v.Len())))
			})
		}
	case reflect.Pointer:
		if !v.IsNil() {
			w.try(path+" removed", place, func(v reflect.Value) { v.SetZero() })
			w.walk(path, func(spec reflect.Value) reflect.Value { return place(spec).Elem() })
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			w.try(path+" removed "+key.String(), place, func(v reflect.Value) { v.SetMapIndex(key, reflect.Value{}) })
			w.element(path+"."+key.String(), place, key, v.Type().Elem())
		}
	default:
		panic(path + " is of a kind that this test does not know")
	}
}

// element walks the fields of a map's element, which cannot be set in its place.
func (w *fieldWalk) element(path string, place at, key reflect.Value, of reflect.Type) {
	for i := range of.NumField() {
		w.changed[of.Name()+"."+of.Field(i).Name] = true
		w.elementField(path+"."+of.Field(i).Name, place, key, i)
	}
}

func (w *fieldWalk) elementField(path string, place at, key reflect.Value, i int) {
	change := func(what string, do func(field reflect.Value)) {
		w.try(what, place, func(m reflect.Value) {
			element := deepCopy(m.MapIndex(key))
			do(element.Field(i))
			m.SetMapIndex(key, element)
		})
	}
	switch v := place(deepCopy(w.spec)).MapIndex(key).Field(i); v.Kind() {
	case reflect.String:
		change(path, func(v reflect.Value) { v.SetString(v.String() + "x") })
	case reflect.Int64:
		change(path, func(v reflect.Value) { v.SetInt(v.Int() + 1e9) })
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct && v.Len() == 0 {
			return // another element has some
		}
		if v.Type().Elem().Kind() == reflect.Struct {
			change(path+" removed", func(v reflect.Value) { v.Set(v.Slice(1, v.Len())) })
			for j := range v.Type().Elem().NumField() {
				field := v.Type().Elem().Field(j).Name
				w.changed[v.Type().Elem().Name()+"."+field] = true
				change(path+"[0]."+field, func(v reflect.Value) { v.Index(0).Field(j).SetString(v.Index(0).Field(j).String() + "x") })
			}
			return
		}
		change(path, func(v reflect.Value) { v.Set(reflect.Append(v, reflect.ValueOf("more"))) })
	case reflect.Struct:
		for j := range v.NumField() {
			w.changed[v.Type().Name()+"."+v.Type().Field(j).Name] = true
			change(path+"."+v.Type().Field(j).Name, func(v reflect.Value) { v.Field(j).SetString(v.Field(j).String() + "x") })
		}
	default:
		panic(path + " is of a kind that this test does not know")
	}
}

// reaches tells whether walking a value changes something.
func reaches(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	case reflect.Pointer:
		return !v.IsNil()
	default:
		return true
	}
}

func unchanged(t reflect.Type, changed map[string]bool, seen map[reflect.Type]bool) (missing []string) {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return unchanged(t.Elem(), changed, seen)
	case reflect.Struct:
		if seen[t] || t == reflect.TypeFor[time.Time]() {
			return nil
		}
		seen[t] = true
		for i := range t.NumField() {
			if name := t.Name() + "." + t.Field(i).Name; !changed[name] {
				missing = append(missing, name)
			}
			missing = append(missing, unchanged(t.Field(i).Type, changed, seen)...)
		}
	default:
	}
	return missing
}

// deepCopy copies what can be set, and shares nothing with it.
func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	if _, ok := v.Interface().(time.Time); ok {
		out.Set(v)
		return out
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		for i := range v.Len() {
			out.Index(i).Set(deepCopy(v.Index(i)))
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMap(v.Type()))
		}
		for key, element := range v.Seq2() {
			out.SetMapIndex(key, deepCopy(element))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(deepCopy(v.Field(i)))
		}
	default:
		out.Set(v)
	}
	return out
}

// withRobots adds what no tier of people has.
func withRobots(spec policy.Spec) policy.Spec {
	spec.Tiers = append(spec.Tiers, policy.Tier{Meta: policy.Meta{Name: "robots", Owner: "iam"}, Identify: policy.IdentifyWorkload,
		StepUp: &policy.StepUpDemand{SVID: &policy.SVIDDemand{MaxAge: time.Hour, Audience: "rollout"}}})
	withFallback(&spec)
	return spec
}

// TestDirectionsOfSVIDs: what a workload has to show, and what it no longer has to.
func TestDirectionsOfSVIDs(t *testing.T) {
	t.Parallel()
	robots := func(spec *policy.Spec) *policy.Tier { return &spec.Tiers[len(spec.Tiers)-1] }
	for _, c := range []struct {
		change      func(*policy.Tier)
		there, back policydiff.Direction
		said        string
	}{
		{func(x *policy.Tier) { x.StepUp = nil }, policydiff.Loosens, policydiff.Tightens,
			"it wanted a JWT-SVID for audience rollout no older than 1h"},
		{func(x *policy.Tier) { x.StepUp.SVID.MaxAge = time.Minute }, policydiff.Tightens, policydiff.Loosens, "no older than 1m"},
		{func(x *policy.Tier) { x.StepUp.SVID.Audience = "else" }, policydiff.CannotTell, policydiff.CannotTell,
			"a JWT-SVID for audience else instead of rollout"},
		{func(x *policy.Tier) { x.StepUp.SVID, x.StepUp.ACR = nil, []string{"phr"} }, policydiff.Loosens, policydiff.Loosens,
			"no longer wants a JWT-SVID for audience rollout"},
	} {
		was, is := withRobots(world()), withRobots(world())
		c.change(robots(&is))
		there, back := policydiff.CompareSpecs(was, is, sources), policydiff.CompareSpecs(is, was, sources)
		if policydiff.Fold(there) != c.there || policydiff.Fold(back) != c.back {
			t.Errorf("%s: %s and back %s", c.said, policydiff.Fold(there), policydiff.Fold(back))
		}
		if !slices.ContainsFunc(there, func(x policydiff.Change) bool { return strings.Contains(x.Text, c.said) }) {
			t.Errorf("%q is not said: %+v", c.said, there)
		}
	}
}
