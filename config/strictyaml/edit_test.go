package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// edited makes one change in a text.
func edited(t *testing.T, text string, change func(*strictyaml.Document) (strictyaml.Change, error)) (string, error) {
	t.Helper()
	documents, problems := strictyaml.Parse("x.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, err := change(documents[len(documents)-1])
	if err != nil {
		return "", err
	}
	return string(strictyaml.Apply([]byte(text), []strictyaml.Change{c})), nil
}

func replace(path, value string) func(*strictyaml.Document) (strictyaml.Change, error) {
	return func(d *strictyaml.Document) (strictyaml.Change, error) { return d.Replace(path, value) }
}

func replaceList(path string, items ...string) func(*strictyaml.Document) (strictyaml.Change, error) {
	return func(d *strictyaml.Document) (strictyaml.Change, error) { return d.ReplaceList(path, items) }
}

func add(path string, fields ...strictyaml.Field) func(*strictyaml.Document) (strictyaml.Change, error) {
	return func(d *strictyaml.Document) (strictyaml.Change, error) { return d.Add(path, fields) }
}

// TestEditTouchesOneValue: everything else stays, byte for byte, in every layout that YAML has.
func TestEditTouchesOneValue(t *testing.T) {
	t.Parallel()
	fields := []strictyaml.Field{{Name: "x", Value: "1"}, {Name: "y", Value: "[z]"}}
	for _, c := range []struct {
		name, text string
		change     func(*strictyaml.Document) (strictyaml.Change, error)
		want       string
	}{
		{"plain in flow", "a: {b: old, c: d} # e\n", replace("a.b", "new"), "a: {b: new, c: d} # e\n"},
		{"plain in block", "a:\n  b: old words # why\n  c: d\n", replace("a.b", "new"), "a:\n  b: new # why\n  c: d\n"},
		{"in quotes", `a: "o\"l'd" # e`, replace("a", "new"), `a: new # e`},
		{"in single quotes", `a: ['o''l"d', b]`, replace("a[0]", "new"), `a: [new, b]`},
		{"beyond ASCII", "ä: {é: \"ü😀\", b: ö}\n", replace("ä.b", "ñ"), "ä: {é: \"ü😀\", b: ñ}\n"},
		{"with a mark and CRLF", "\uFEFFa:\r\n  b: old\r\n  c: d\r\n", replace("a.b", "new"), "\uFEFFa:\r\n  b: new\r\n  c: d\r\n"},
		{"a later document", "a: old\n---\na: old\n", replace("a", "new"), "a: old\n---\na: new\n"},
		{"flow list", "a: [b, 'c]', \"d}\", {e: f}] # g\n", replace("a", "[z]"), "a: [z] # g\n"},
		{"flow list of several lines", "a: [b, # ]\n  c\n  ] # d\n", replace("a", "[z]"), "a: [z] # d\n"},
		{"flow list with a bracket in a comment", "a: [b,\n  c # ]\n  ] # d\n", replace("a", "[z]"), "a: [z] # d\n"},
		{"empty flow list", "a: { b: [ ], c: d}\n", replace("a.b", "[z]"), "a: { b: [z], c: d}\n"},
		{"block list to flow", "a:\n  - b\n  - c\nd: e\n", replace("a", "[]"), "a: []\nd: e\n"},
		{"flow list, item by item", "a: [b, c]\n", replaceList("a", "c", "d"), "a: [c, d]\n"},
		{"block list", "a:\n  - b # why b\n  - c # why c\nd: e\n", replaceList("a", "c", "z"), "a:\n  - c # why c\n  - z\nd: e\n"},
		{"block list under its key", "a:\n- b # why\n- {c: d}\n", replaceList("a", "b", "z"), "a:\n- b # why\n- z\n"},
		{"block list with CRLF", "a:\r\n  - b\r\nc: d\r\n", replaceList("a", "x", "y"), "a:\r\n  - x\r\n  - y\r\nc: d\r\n"},
		{"block list to nothing", "a:\n  - b\nc: d\n", replaceList("a"), "a: []\nc: d\n"},
		{"more in flow", "a: {b: c } # d\n", add("a", fields...), "a: {b: c, x: 1, y: [z] } # d\n"},
		{"first in flow", "a: {}\n", add("a", fields...), "a: {x: 1, y: [z]}\n"},
		{"more in block", "a:\n  b: [c] # d\n\ne: f\n", add("a", fields...), "a:\n  b: [c] # d\n  x: 1\n  y: [z]\n\ne: f\n"},
		{"more in an item", "a:\n  - b: c\n    d: {e: f}\n  - g: h\n", add("a[0]", fields...), "a:\n  - b: c\n    d: {e: f}\n    x: 1\n    y: [z]\n  - g: h\n"},
		{"more at the end", "a:\n  b: c", add("a", fields...), "a:\n  b: c\n  x: 1\n  y: [z]"},
	} {
		got, err := edited(t, c.text, c.change)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n%q, expected\n%q", c.name, err, got, c.want)
		}
	}
}

// TestEditLeavesAlone what belongs to other places too, or spans lines in a way of its own.
func TestEditLeavesAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		change     func(*strictyaml.Document) (strictyaml.Change, error)
	}{
		{"an alias", "a: &x b\nc: *x\n", replace("c", "new")},
		{"an anchor", "a: &x b\nc: *x\n", replace("a", "new")},
		{"below an anchor", "a: &x {b: d}\nc: *x\n", replace("a.b", "new")},
		{"below an alias", "a: &x {b: d}\nc: *x\n", replace("c.b", "new")},
		{"more in an alias", "a: &x {b: d}\nc: *x\n", add("c", strictyaml.Field{Name: "e", Value: "f"})},
		{"around an alias", "a: &x b\nc: [*x]\n", replace("c", "[]")},
		{"a literal", "a: |\n  b\n  c\n", replace("a", "new")},
		{"a folded text", "a: >-\n  b\n  c\n", replace("a", "new")},
		{"a plain text of two lines", "a: b\n  c\n", replace("a", "new")},
		{"a quoted text of two lines", "a: \"b\n  c\"\n", replace("a", "new")},
		{"behind a literal", "a:\n  b: |\n    c\n", add("a", strictyaml.Field{Name: "e", Value: "f"})},
		{"no mapping", "a: [b]\n", add("a", strictyaml.Field{Name: "e", Value: "f"})},
		{"items of several lines", "a:\n  - b: c\n    d: e\n", replaceList("a", "z")},
	} {
		if got, err := edited(t, c.text, c.change); !errors.Is(err, strictyaml.ErrNotEditable) {
			t.Errorf("%s: %v, and\n%s", c.name, err, got)
		}
	}
	if _, err := edited(t, "a: b\n", replace("c", "new")); err == nil || !strings.Contains(err.Error(), "no field c") {
		t.Error(err)
	}
}
