package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// fact is a Fact that was checked.
type fact struct {
	attribute signals.Attribute
	path      Path
	as        string
	values    map[string]signals.Value // by lower-case word
	silent    map[string]bool          // words that say nothing
	otherwise string
	factor    float64
	offset    float64
	all       []fact
	always    signals.Value
	observed  *observed
}

// The readings of Fact.As.
var readings = []string{"", "text", "version", "build", "patch", "count"}

func newFact(attribute signals.Attribute, f Fact, part bool) (fact, error) {
	made := fact{attribute: attribute, as: f.As, otherwise: f.Else, factor: f.Factor, offset: f.Offset}
	if made.factor == 0 {
		made.factor = 1
	}
	if err := f.shape(part); err != nil {
		return fact{}, err
	}
	if err := f.suits(attribute); err != nil {
		return fact{}, err
	}
	if f.Always != "" {
		var err error
		made.always, err = ours(attribute, f.Always)
		return made, err
	}
	for i, inner := range f.All {
		p, err := newFact(attribute, inner, true)
		if err != nil {
			return fact{}, fmt.Errorf("all[%d]: %w", i, err)
		}
		made.all = append(made.all, p)
	}
	if len(f.All) > 0 && !worstKnown(attribute) {
		return fact{}, fmt.Errorf("of the parts of %s none is the worst; write a path", attribute.Name)
	}
	return made, made.parse(f)
}

// shape looks at what goes together, whatever the attribute.
func (f *Fact) shape(part bool) error {
	ways := 0
	for _, is := range []bool{f.Path != "", len(f.All) > 0, f.Always != ""} {
		if is {
			ways++
		}
	}
	switch {
	case ways != 1:
		return fmt.Errorf("write one of path, all and always; there are %d", ways)
	case part && (f.Observed != nil || f.Path == ""):
		return errors.New("a part of all has a path, and neither observed nor parts of its own")
	case !slices.Contains(readings, f.As):
		return fmt.Errorf("as is %q; it is text, version, build, patch or count", f.As)
	case !slices.Contains([]string{"", "unknown", "worst", "error"}, f.Else):
		return fmt.Errorf("else is %q; it is unknown, worst or error", f.Else)
	case f.Path == "" && (f.As != "" || len(f.Values) > 0 || f.Else != ""):
		return errors.New("as, values and else go with a path")
	}
	return nil
}

// suits looks at what the attribute can be.
func (f *Fact) suits(attribute signals.Attribute) error {
	if attribute.Kind == signals.KindNumber {
		if len(f.Values) > 0 || f.As != "" {
			return errors.New("a number has neither values nor as")
		}
	} else if f.Factor != 0 || f.Offset != 0 {
		return errors.New("factor and offset are for numbers")
	}
	free := attribute.Kind == signals.KindText && len(attribute.Scale) == 0
	switch {
	case f.As != "" && f.As != "count" && !free:
		return fmt.Errorf("as %s is for free text, such as os_version", f.As)
	case f.Else == "worst" && !worstKnown(attribute):
		return fmt.Errorf("else is worst, and %s has no worst value", attribute.Name)
	case f.Path != "" && len(f.Values) == 0 && needsTable(attribute, f.As):
		return fmt.Errorf("%s needs values: which word of the vendor means %s", attribute.Name, kindOf(attribute))
	}
	return nil
}

func (f *fact) parse(written Fact) (err error) {
	if written.Path != "" {
		if f.path, err = ParsePath(written.Path); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	}
	f.values, f.silent = map[string]signals.Value{}, map[string]bool{}
	for _, word := range slices.Sorted(maps.Keys(written.Values)) {
		if written.Values[word] == "silent" {
			f.silent[folded(word)] = true
			continue
		}
		value, err := ours(f.attribute, written.Values[word])
		if err != nil {
			return fmt.Errorf("values.%.40s: %w", word, err)
		}
		if _, twice := f.values[folded(word)]; twice || f.silent[folded(word)] {
			return fmt.Errorf("values: %.40q stands twice, or differs from another only in case", word)
		}
		f.values[folded(word)] = value
	}
	if written.Observed != nil {
		if f.observed, err = newObserved(*written.Observed); err != nil {
			return fmt.Errorf("observed: %w", err)
		}
	}
	return nil
}

func folded(word string) string { return strings.ToLower(strings.TrimSpace(word)) }

func needsTable(a signals.Attribute, as string) bool {
	return as == "count" || len(a.Scale) > 0 && a.Name != "platform"
}

func worstKnown(a signals.Attribute) bool {
	return a.Kind == signals.KindBool || len(a.Scale) > 0 && a.Name != "platform" && a.Name != "ownership"
}

func kindOf(a signals.Attribute) string {
	if len(a.Scale) > 0 {
		return strings.Join(a.Scale, ", ") + " (or unknown)"
	}
	return "true, false (or unknown)"
}

// ours reads one of our words.
func ours(a signals.Attribute, word string) (signals.Value, error) {
	value := signals.Text(word)
	switch {
	case word == "unknown":
		return signals.Unknown, nil
	case a.Kind == signals.KindBool:
		truth, err := strconv.ParseBool(word)
		if err != nil || word != strconv.FormatBool(truth) {
			return signals.Unknown, fmt.Errorf("%.40q is no value of %s; write true, false or unknown", word, a.Name)
		}
		value = signals.Bool(truth)
	case a.Kind == signals.KindNumber:
		number, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return signals.Unknown, fmt.Errorf("%.40q is no number", word)
		}
		value = signals.Number(number)
	case len(a.Scale) == 0 && !source.Text(word).Known():
		return signals.Unknown, fmt.Errorf("%.40q is no text that a fact can have", word)
	}
	if !a.Accepts(value) {
		return signals.Unknown, fmt.Errorf("%.40q is no value of %s; write %s", word, a.Name, kindOf(a))
	}
	return value, nil
}

// read finds the value in a record; said is false where the record makes no statement.
func (f *fact) read(record any, platform signals.Value) (v signals.Value, said bool, err error) {
	switch {
	case f.always.Known():
		return f.always, true, nil
	case len(f.all) > 0:
		var values []signals.Value
		for i := range f.all {
			part, partSaid, err := f.all[i].read(record, platform)
			if err != nil {
				return signals.Unknown, false, err
			}
			said = said || partSaid
			values = append(values, part) // what is not said is Unknown
		}
		return f.worst(values), said, nil
	}
	found, err := f.path.find(record)
	if err != nil || found == nil {
		return signals.Unknown, false, err
	}
	if f.as == "count" && !f.path.many() {
		list, ok := found[0].([]any)
		if !ok {
			return signals.Unknown, true, nil
		}
		found = []any{json.Number(strconv.Itoa(len(list)))}
	} else if f.as == "count" {
		found = []any{json.Number(strconv.Itoa(len(found)))}
	}
	if len(found) == 0 {
		return signals.Unknown, false, nil
	}
	values := make([]signals.Value, 0, len(found))
	for _, raw := range found {
		if word, _ := wordOf(raw); f.silent[folded(word)] {
			continue
		}
		value, err := f.one(raw, platform)
		if err != nil {
			return signals.Unknown, false, err
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		return signals.Unknown, false, nil
	}
	return f.worst(values), true, nil
}

// one reads one value.
func (f *fact) one(raw any, platform signals.Value) (signals.Value, error) {
	if f.attribute.Kind == signals.KindNumber {
		return f.number(raw), nil
	}
	word, said := wordOf(raw)
	if said && len(f.values) > 0 {
		if value, listed := f.values[folded(word)]; listed {
			return value, nil
		}
	}
	if said && (len(f.values) == 0 || f.attribute.Kind == signals.KindText && len(f.attribute.Scale) == 0) {
		if value := f.plain(raw, word, platform); value.Known() || f.otherwise == "" {
			return value, nil
		}
	}
	if _, lacks := raw.(absent); lacks {
		return signals.Unknown, nil
	}
	switch f.otherwise {
	case "worst":
		return worstOf(f.attribute), nil
	case "error":
		return signals.Unknown, fmt.Errorf("%s: %.40q at %s is in no line of values; add it, or let else be unknown",
			f.attribute.Name, word, f.path)
	}
	return signals.Unknown, nil
}

// plain reads a word without a table.
func (f *fact) plain(raw any, word string, platform signals.Value) signals.Value {
	os := source.SplitOS(platform, word)
	switch {
	case f.attribute.Kind == signals.KindBool:
		if truth, isTruth := raw.(bool); isTruth {
			return signals.Bool(truth)
		}
		if _, isText := raw.(string); isText {
			return source.TruthText(word)
		}
		return signals.Unknown // a number is no truth: 2 may be the worst of three states
	case f.attribute.Name == "platform":
		return source.Platform(word)
	case f.as == "version" || f.as == "" && f.attribute.Name == "os_version":
		return source.Text(os.Version)
	case f.as == "build":
		return source.Text(os.Build)
	case f.as == "patch":
		return source.Text(os.Patch)
	}
	return source.Text(word)
}

// number reads a finite number; a risk score is 0 to 100 or unknown.
func (f *fact) number(raw any) signals.Value {
	literal, ok := raw.(json.Number)
	if !ok {
		return signals.Unknown
	}
	number, err := literal.Float64()
	if err != nil {
		return signals.Unknown
	}
	if number = number*f.factor + f.offset; f.attribute.Name == "edr_risk_score" && (number < 0 || number > 100) {
		return signals.Unknown
	}
	return signals.Number(number)
}

func worstOf(a signals.Attribute) signals.Value {
	if a.Kind == signals.KindBool {
		return signals.Bool(!a.Healthy)
	}
	return signals.Text(a.Scale[len(a.Scale)-1])
}

// worst is what several values come to: the worst of all if one is that, unknown if one is, else the worst of them. Of what
// has no worst, two that differ are unknown.
func (f *fact) worst(values []signals.Value) signals.Value {
	a := f.attribute
	if worstKnown(a) && slices.Contains(values, worstOf(a)) {
		return worstOf(a)
	}
	if slices.ContainsFunc(values, func(v signals.Value) bool { return !v.Known() }) {
		return signals.Unknown
	}
	result := values[0]
	for _, v := range values[1:] {
		switch {
		case v == result:
		case a.Kind == signals.KindNumber:
			x, _ := v.AsNumber()
			y, _ := result.AsNumber()
			if (x > y) == a.HigherIsWorse {
				result = v
			}
		case worstKnown(a):
			x, _ := v.AsText()
			y, _ := result.AsText()
			if slices.Index(a.Scale, x) > slices.Index(a.Scale, y) {
				result = v
			}
		default:
			return signals.Unknown
		}
	}
	return result
}
