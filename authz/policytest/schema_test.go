package policytest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/tiergate/tiergate/authz/policytest"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := policytest.Schema()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := policytest.Schema()
	if !bytes.Equal(text, again) {
		t.Error("two runs, two schemas")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("cases.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("cases.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asEditorsRead: in YAML 1.2 a date is text.
func asEditorsRead(t *testing.T, text []byte) any {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return plain(root.Content[0])
}

func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, plain(item))
		}
		return list
	case yaml.MappingNode:
		mapping := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			mapping[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return mapping
	}
	switch n.Tag {
	case "!!bool":
		return n.Value == "true"
	case "!!int", "!!float":
		return 1.5
	}
	return n.Value
}

// TestSchemaAcceptsWhatIsRead: every file that we publish, one with every field, and the page.
func TestSchemaAcceptsWhatIsRead(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	texts := map[string][]byte{"README.md": readme(t), "everything": []byte(everything), "laptop": []byte(laptop + "  - {name: x}"),
		"shared": []byte(shared + "  - {name: x, age: 5m, without: [platform], each: [{name: y, expect: {unmet: [{signal: a, status: failing, " +
			"list: advise, owner: o, contact: c, fix: f}, b unknown], route: none, challenge: none, monitored: none, detail: [a], explanation: [b]}}]}")}
	files, err := filepath.Glob("../../examples/*/cases/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		if texts[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range texts {
		if err := schema.Validate(asEditorsRead(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses what the loader refuses and an editor can see.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, text := range []string{
		"people: {}", "cases: 3", "cases: [], case: []", "cases: [3]", "cases: [{expects: deny}]", "cases: [{request: GET h}]",
		"cases: [{expect: 3}]", "cases: [{expect: {outcome: maybe}}]", "cases: [{expect: {reason: postur}}]",
		"cases: [{expect: {unmet: [{owner: a}]}}]", "cases: [{expect: {unmet: [{signal: a, status: odd}]}}]",
		"cases: [{expect: {challenge: {maxAge: 15}}}]", "cases: [{expect: {waived: [{signal: a, by: luck}]}}]", "cases: [{gap: odd}]",
		"cases: [{at: noon}]", "cases: [{age: 1 h}]", "cases: [{heard: {m: soon}}]", "cases: [{attributes: {disk: true}}]",
		"cases: [{attributes: {firewall: maybe}}]", "cases: [{attributes: {platform: mac}}]", "cases: [{without: [disk]}]",
		"cases: [{facts: [{source: m}]}]", "cases: [{who: {name: ana}}]", "cases: [{who: {user: {group: a}}}]", "cases: [{each: [{ech: []}]}]",
		"cases: [{granted: [{name: g}]}]", "cases: [], devices: {a: {}}", "cases: [], defaults: {whom: ana}",
	} {
		if err := schema.Validate(asEditorsRead(t, []byte("{"+text+"}"))); err == nil {
			t.Errorf("%s is taken", text)
		}
		if _, problems := policytest.Parse("x.yaml", []byte("{"+text+"}")); len(problems) == 0 {
			t.Errorf("%s is read", text)
		}
	}
	if raw, _ := policytest.Schema(); strings.Contains(string(raw), "null") {
		t.Error("a definition is left open")
	}
}
