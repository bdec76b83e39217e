package signals_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

func anyValue() *rapid.Generator[signals.Value] {
	return rapid.OneOf(
		rapid.Just(signals.Unknown),
		rapid.Map(rapid.Bool(), signals.Bool),
		rapid.Map(rapid.String(), signals.Text), // valid UTF-8, control characters included
		rapid.Map(rapid.Float64(), signals.Number),
	)
}

func TestValueSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue().Draw(t, "value")
		raw, err := json.Marshal(struct{ V signals.Value }{v})
		if err != nil {
			t.Fatal(err)
		}
		read := struct{ V signals.Value }{signals.Bool(true)} // so that null has something to overwrite
		if err := json.Unmarshal(raw, &read); err != nil || read.V != v {
			t.Fatalf("%#v became %s and then %#v (%v)", v, raw, read.V, err)
		}
	})
}

func TestValueJSON(t *testing.T) {
	for raw, want := range map[string]signals.Value{
		"true": signals.Bool(true), "false": signals.Bool(false), "null": signals.Unknown, `""`: signals.Text(""),
		` "a" `: signals.Text("a"), "1.5": signals.Number(1.5), "-0": signals.Number(0), `"null"`: signals.Text("null"),
	} {
		var got signals.Value
		if err := json.Unmarshal([]byte(raw), &got); err != nil || got != want {
			t.Errorf("%s reads as %#v (%v), want %#v", raw, got, err, want)
		}
	}
	for _, raw := range []string{`{}`, `[]`, `[true]`, `1e999`, `tru`, ``} {
		var got signals.Value
		if err := json.Unmarshal([]byte(raw), &got); err == nil {
			t.Errorf("%s was read as %#v", raw, got)
		}
	}
}

func TestValueZeroIsUnknown(t *testing.T) {
	var zero signals.Value
	if zero != signals.Unknown || zero.Known() || zero.Kind() != signals.KindUnknown || zero.String() != "unknown" {
		t.Errorf("the zero Value is %#v", zero)
	}
	if b, ok := zero.AsBool(); b || ok {
		t.Error("unknown is not false")
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if signals.Number(f) != signals.Unknown {
			t.Errorf("Number(%v) is known", f)
		}
	}
	if signals.Number(math.Copysign(0, -1)) != signals.Number(0) {
		t.Error("-0 is not 0")
	}
}

func TestValueAccessors(t *testing.T) {
	values := []signals.Value{signals.Unknown, signals.Bool(true), signals.Text("x"), signals.Number(2)}
	for i, v := range values {
		_, isBool := v.AsBool()
		_, isText := v.AsText()
		_, isNumber := v.AsNumber()
		if got := []bool{isBool, isText, isNumber}; !slices.Equal(got, []bool{i == 1, i == 2, i == 3}) {
			t.Errorf("%v is %v of bool, text, number", v, got)
		}
		if v.Known() != (i > 0) {
			t.Errorf("%v known: %v", v, v.Known())
		}
	}
	if got := []string{values[1].String(), values[2].String(), values[3].String()}; !slices.Equal(got, []string{"true", "x", "2"}) {
		t.Errorf("strings %q", got)
	}
}

func TestAttributeTable(t *testing.T) {
	table := signals.Attributes()
	if !slices.IsSortedFunc(table, func(a, b signals.Attribute) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the table is not sorted by name")
	}
	seen := map[string]bool{}
	for _, a := range table {
		if seen[a.Name] {
			t.Errorf("%s stands there twice", a.Name)
		}
		seen[a.Name] = true
		if strings.Trim(a.Name, "abcdefghijklmnopqrstuvwxyz_") != "" || strings.Trim(a.Name, "_") != a.Name || a.Name == "" {
			t.Errorf("%q cannot be written as device.<name>", a.Name)
		}
		if a.Kind == signals.KindUnknown || a.Kind > signals.KindNumber {
			t.Errorf("%s has kind %v", a.Name, a.Kind)
		}
		if len(a.Scale) > 0 && (a.Kind != signals.KindText || len(slices.Compact(slices.Sorted(slices.Values(a.Scale)))) < 2) {
			t.Errorf("%s: the scale %q is none", a.Name, a.Scale)
		}
		if (a.Healthy && a.Kind != signals.KindBool) || (a.HigherIsWorse && a.Kind != signals.KindNumber) {
			t.Errorf("%s: Healthy is of bools, HigherIsWorse of numbers", a.Name)
		}
		if found, ok := signals.LookupAttribute(a.Name); !ok || found.Name != a.Name {
			t.Errorf("%s is not found", a.Name)
		}
		if !a.Accepts(signals.Unknown) {
			t.Errorf("%s must be allowed to be unknown", a.Name)
		}
	}
	for _, absent := range []string{"", "Disk_encryption", "disk_encryption ", "serial"} {
		if _, ok := signals.LookupAttribute(absent); ok {
			t.Errorf("%q was found", absent)
		}
	}
	table[0].Name = "changed"
	if signals.Attributes()[0].Name == "changed" {
		t.Error("a caller can change the vocabulary")
	}
}

func TestAttributeAccepts(t *testing.T) {
	for _, tt := range []struct {
		attribute string
		value     signals.Value
		want      bool
	}{
		{"disk_encryption", signals.Bool(false), true},
		{"disk_encryption", signals.Text("false"), false},
		{"disk_encryption", signals.Number(0), false},
		{"edr_risk_score", signals.Number(7), true},
		{"edr_risk_score", signals.Text("7"), false},
		{"threat_level", signals.Text("low"), true},
		{"threat_level", signals.Text("LOW"), false},
		{"threat_level", signals.Text(""), false},
		{"os_version", signals.Text("anything"), true},
		{"os_version", signals.Bool(true), false},
	} {
		a, ok := signals.LookupAttribute(tt.attribute)
		if !ok || a.Accepts(tt.value) != tt.want {
			t.Errorf("%s accepts %#v: %v", tt.attribute, tt.value, !tt.want)
		}
	}
	for kind, want := range map[signals.Kind]string{signals.KindUnknown: "unknown", signals.KindBool: "bool",
		signals.KindText: "text", signals.KindNumber: "number"} {
		if kind.String() != want {
			t.Errorf("%d is called %s", kind, kind)
		}
	}
}
