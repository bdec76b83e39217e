package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tiergate/tiergate/authz/policy"
)

// updating reports the flag -update of compile_test.go.
func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func schemaText(t testing.TB) []byte {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSchemaIsTheGoldenOne(t *testing.T) {
	const golden = "testdata/schema/policy.schema.json"
	got := schemaText(t)
	if !bytes.Equal(got, schemaText(t)) {
		t.Error("two runs, two schemas")
	}
	if updating() {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error("run go test ./config/policyfile -run Schema -update if that is meant\n", diff)
	}
}

// compiledSchema is the schema as a checker of drafts 2020-12 reads it; it has been checked against its meta-schema.
func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// A checker that meets a keyword it does not know says nothing. So every reference leads somewhere, every object is
// closed, and every definition is used.
func TestSchemaHasNoLooseEnd(t *testing.T) {
	var root node
	decoder := json.NewDecoder(bytes.NewReader(schemaText(t)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&root); err != nil {
		t.Fatal(err)
	}
	referred := map[string]bool{}
	var walk func(path string, n any)
	walk = func(path string, n any) {
		switch n := n.(type) {
		case map[string]any:
			if ref, ok := n["$ref"].(string); ok {
				referred[strings.TrimPrefix(ref, "#/$defs/")] = true
			}
			if _, lists := n["properties"]; lists && !strings.HasSuffix(path, "/if") && !strings.HasSuffix(path, "/then") &&
				n["additionalProperties"] != false {
				t.Errorf("%s lets unknown fields pass", path)
			}
			for key, below := range n {
				walk(path+"/"+key, below)
			}
		case []any:
			for _, below := range n {
				walk(path, below)
			}
		}
	}
	var tree any
	if err := json.Unmarshal(schemaText(t), &tree); err != nil {
		t.Fatal(err)
	}
	walk("", tree)
	for name := range referred {
		if root.Defs[name] == nil {
			t.Errorf("nothing is said of %s", name)
		}
	}
	for name := range root.Defs {
		if !referred[name] {
			t.Errorf("%s is described and not used", name)
		}
	}
	if len(root.AllOf) != len(kinds) {
		t.Errorf("%d kinds of %d", len(root.AllOf), len(kinds))
	}
}

// good.txtar writes every field, so that tests which start from it miss none.
func TestGoodPolicyWritesEveryField(t *testing.T) {
	var root node
	if err := json.Unmarshal(schemaText(t), &root); err != nil {
		t.Fatal(err)
	}
	written := map[*node]bool{}
	var walk func(n *node, v any)
	walk = func(n *node, v any) {
		if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
			n = root.Defs[name]
		}
		for _, form := range n.OneOf {
			walk(form, v)
		}
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(n.Items, item)
			}
		case map[string]any:
			of, _ := json.Marshal(n.Additional)
			var value node // of a mapping of names
			_ = json.Unmarshal(of, &value)
			for key, below := range v {
				if property := n.Properties[key]; property != nil {
					written[property] = true
					walk(property, below)
				} else if n.Type == "object" {
					walk(&value, below)
				}
			}
		}
	}
	for _, doc := range goodDocuments(t) {
		for _, branch := range root.AllOf {
			if branch.If.Properties["kind"].Const == doc.(map[string]any)["kind"] {
				walk(branch.Then, doc)
			}
		}
	}
	for name, def := range root.Defs {
		for _, form := range append([]*node{def}, def.OneOf...) {
			for field, property := range form.Properties {
				if !written[property] {
					t.Errorf("testdata/schema/good.txtar does not write %s of %s", field, name)
				}
			}
		}
	}
}

// What the generator does not understand is an error and never a schema that says nothing.
func TestGeneratorRefusesWhatItDoesNotKnow(t *testing.T) {
	type Fix struct{ A int }
	type word string
	for want, v := range map[string]any{
		"nothing says how float64 is written": struct {
			F float64 `yaml:"f"`
		}{},
		"nothing says how chan int is written": struct {
			C []chan int `yaml:"c"`
		}{},
		"F has no yaml tag": struct{ F string }{},
		"no constant of type policyfile.word is known": struct {
			W word `yaml:"w"`
		}{},
		"policy.Fix and policyfile.Fix have one name": struct {
			A policy.Fix `yaml:"a"`
			B Fix        `yaml:"b"`
		}{},
		"policyfile.onlyYes is not written as \"a-name\": only yes": struct {
			Y onlyYes `yaml:"y"`
		}{},
	} {
		g := &generator{defs: map[string]*node{}, of: map[string]reflect.Type{}, met: map[string]bool{}}
		g.object(reflect.TypeOf(v))
		if g.err == nil || !strings.Contains(g.err.Error(), want) {
			t.Errorf("wanted %q, got %v", want, g.err)
		}
	}
}

func TestSchemaRefusesAFieldThatIsGone(t *testing.T) {
	writtenAs["Route.gone"] = func(*node) {}
	defer delete(writtenAs, "Route.gone")
	if _, err := Schema(); err == nil || !strings.Contains(err.Error(), "there is no field Route.gone any more") {
		t.Error(err)
	}
}

var errOnlyYes = errors.New("only yes")

type onlyYes struct {
	A int `yaml:"a"`
}

func (*onlyYes) UnmarshalText(text []byte) error {
	if string(text) != "yes" {
		return errOnlyYes
	}
	return nil
}
