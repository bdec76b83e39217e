package policyfile

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	refusal "github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// difference is a class of faults that only one of the two sees.
type difference struct {
	class, reason string
	fits          func(text, message string) bool // the text of the field, and what the loader says
}

// beyond are the classes of faults that the loader's first step finds in a document, and a schema cannot. What fits
// none of them, and only the loader refuses, is a defect of the schema.
var beyond = []difference{
	{"twice", "a schema sees one document at a time", says(`is written twice; first at `)},
	{"century", "a pattern does not add: the limit is on the sum", says(`is longer than a hundred years`)},
	{"calendar", "a pattern knows no lengths of months", func(text, message string) bool {
		return strings.Contains(message, "is no date; write it as") ||
			strings.HasSuffix(message, "is no instant") && dayOfSomeMonth.MatchString(text)
	}},
	{"zero", "a pattern would have to know every way to write none: 0s, 0h0m", says(`which would be taken for none$`)},
	{"notation", "an editor reads 010, 0x10, 1.0, True and a number as a name to a value, and forgets how it was written",
		says(`which readers take for different numbers|wants a whole number, this is the number|` +
			`wants true or false, this is the bool (True|TRUE|False|FALSE)$|a name is wanted, this is`)},
	{"range", "numbers of JavaScript are not exact near 64 bits", says(`is out of range`)},
	{"blank", "dialects differ on which blanks beyond ASCII \\s stands for", func(text, message string) bool {
		return strings.HasSuffix(message, " is empty") && text != "" && strings.Trim(text, " \t\n\v\f\r") != ""
	}},
}

var dayOfSomeMonth = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T`)

// Two more classes are refused by the schema and only by the loader's second step, policy.New: a "words" that is none
// of an enumeration, and an "owner" that is missing.

func says(pattern string) func(string, string) bool {
	re := regexp.MustCompile(pattern)
	return func(_, message string) bool { return re.MatchString(message) }
}

// verdict is what both say of one document.
type verdict struct {
	document *strictyaml.Document
	loader   strictyaml.Problems // of decoding alone
	schema   *jsonschema.ValidationError
}

// verdicts judges the documents of a file. Text that is not YAML as we read it has problems and no documents to
// compare.
func verdicts(
	t testing.TB, c *compiler, schema *jsonschema.Schema, name string, text []byte,
) ([]verdict, strictyaml.Problems) {
	t.Helper()
	documents, problems := strictyaml.Parse(name, text)
	if len(problems) > 0 {
		return nil, problems
	}
	values := asEditorsRead(t, text)
	if len(values) != len(documents) {
		t.Fatalf("%s has %d documents for us and %d for an editor", name, len(documents), len(values))
	}
	all := make([]verdict, 0, len(documents))
	for i, d := range documents {
		before := len(c.problems)
		c.document(d)
		v := verdict{document: d, loader: slices.Clone(c.problems[before:])}
		if err := schema.Validate(values[i]); err != nil {
			invalid, ok := err.(*jsonschema.ValidationError)
			if !ok {
				t.Fatal(err)
			}
			v.schema = invalid
		}
		all = append(all, v)
	}
	return all, nil
}

// judge says how the two agree about a document: "both accept", "both refuse", or the classes by which they may differ.
// ok is false if they differ by none.
func (v verdict) judge() (how string, ok bool) {
	switch {
	case len(v.loader) == 0 && v.schema == nil:
		return "both accept", true
	case len(v.loader) > 0 && v.schema != nil:
		return "both refuse", true
	case v.schema != nil:
		how = known(v.schema)
		return how, how != ""
	}
	var classes []string
	for _, p := range v.loader {
		i := slices.IndexFunc(beyond, func(d difference) bool { return d.fits(v.document.Text(p.Path), p.Message) })
		if i < 0 {
			return "", false
		}
		classes = append(classes, beyond[i].class)
	}
	slices.Sort(classes)
	return strings.Join(slices.Compact(classes), " "), true
}

// known is "words" or "owner" if a refusal comes from these alone, else "".
func known(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *refusal.Enum:
		return "words"
	case *refusal.Required:
		if slices.Equal(k.Missing, []string{"owner"}) && slices.Equal(e.InstanceLocation, []string{"metadata"}) {
			return "owner"
		}
	case *refusal.OneOf: // one of two forms: the other does not count
		for _, form := range e.Causes {
			if class := known(form); class != "" {
				return class
			}
		}
		return ""
	}
	classes := map[string]bool{}
	for _, cause := range e.Causes {
		classes[known(cause)] = true
	}
	switch {
	case len(classes) == 0 || classes[""]:
		return ""
	case classes["words"] && classes["owner"]:
		return "owner words"
	case classes["words"]:
		return "words"
	}
	return "owner"
}

func (v verdict) complain(t testing.TB, name string) {
	t.Helper()
	t.Errorf("%s: the loader says: %v\nthe schema says: %v", name, v.loader.Err(), v.schema)
}

func archive(t testing.TB, name string) []txtar.File {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata/schema", name))
	if err != nil {
		t.Fatal(err)
	}
	return a.Files
}

func newTestCompiler() *compiler { return &compiler{documents: map[string]*document{}} }

// Every policy that we publish, and one with every field of every kind.
func TestSchemaAcceptsGoodPolicies(t *testing.T) {
	schema := compiledSchema(t)
	judged := 0
	check := func(c *compiler, name string, text []byte) {
		all, problems := verdicts(t, c, schema, name, text)
		if len(problems) > 0 {
			t.Error(problems)
		}
		for _, v := range all {
			judged++
			if how, _ := v.judge(); how != "both accept" {
				v.complain(t, name)
			}
		}
	}
	dirs, _ := filepath.Glob("../../examples/*/policy")
	if len(dirs) < 3 {
		t.Errorf("only %d examples", len(dirs))
	}
	for _, dir := range append(dirs, "testdata/good") {
		files, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := newTestCompiler()
		for _, f := range files.files {
			check(c, filepath.Join(dir, f.name), f.data)
		}
	}
	c := newTestCompiler()
	for _, f := range archive(t, "good.txtar") {
		check(c, f.Name, f.Data)
	}
	if judged < 70 {
		t.Errorf("only %d documents", judged)
	}
	if _, faults := policy.New(c.spec, policy.World{}); len(faults) > 0 {
		t.Error("good.txtar is no good policy:", faults)
	}
}

func TestSchemaRefusesFaultsOfShape(t *testing.T) {
	schema := compiledSchema(t)
	for _, f := range archive(t, "bad.txtar") {
		t.Run(f.Name, func(t *testing.T) {
			all, problems := verdicts(t, newTestCompiler(), schema, f.Name, f.Data)
			if len(all) != 1 {
				t.Fatal(len(all), "documents:", problems.Err())
			}
			if how, _ := all[0].judge(); how != "both refuse" {
				all[0].complain(t, f.Name)
			}
		})
	}
}

// A document whose kind is not known yet has one fault, and not the missing fields of every kind.
func TestSchemaSaysLittleWithoutKind(t *testing.T) {
	err := compiledSchema(t).Validate(map[string]any{
		"apiVersion": APIVersion, "metadata": map[string]any{"name": "a"}, "spec": map[string]any{},
	})
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok || len(invalid.Causes) != 1 || !strings.Contains(err.Error(), "missing property 'kind'") {
		t.Error(err)
	}
}

// What only one of the two can see is named class by class; each class happens.
func TestSchemaAndLoaderDifferOnlyByClass(t *testing.T) {
	schema := compiledSchema(t)
	seen := map[string]bool{}
	for _, f := range archive(t, "beyond.txtar") {
		class, _, _ := strings.Cut(f.Name, "/")
		all, problems := verdicts(t, newTestCompiler(), schema, f.Name, f.Data)
		if len(all) == 0 {
			t.Fatal(f.Name, problems.Err())
		}
		seen[class] = true
		last := all[len(all)-1]
		if how, _ := last.judge(); how != class {
			t.Errorf("this is %q", how)
			last.complain(t, f.Name)
		}
	}
	for _, b := range beyond {
		if !seen[b.class] {
			t.Errorf("no example of %s (%s)", b.class, b.reason)
		}
	}
	if !seen["words"] || !seen["owner"] {
		t.Error("no example of what the schema sees first")
	}
}

// The loader's own bad policies: those whose text cannot be compared, those whose shape is wrong, and those that only
// policy.New or the settings can judge.
func TestSchemaOnBadPolicies(t *testing.T) {
	schema := compiledSchema(t)
	entries, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string][]string{}
	for _, entry := range entries {
		class := "settings" // nothing is wrong unless the settings say so
		files, err := Read(filepath.Join("testdata/bad", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := Compile(files, policy.World{}); len(problems) > 0 {
			class = "meaning"
		}
		c := newTestCompiler()
		for _, f := range files.files {
			all, problems := verdicts(t, c, schema, f.name, f.data)
			if len(problems) > 0 {
				class = "text"
			}
			for _, v := range all {
				how, ok := v.judge()
				if !ok {
					v.complain(t, entry.Name())
				}
				if len(v.loader) > 0 && class != "text" {
					class = "shape: " + how
				}
			}
		}
		classes[class] = append(classes[class], entry.Name())
	}
	for class, least := range map[string]int{
		"text": 10, "shape: both refuse": 15, "shape: twice": 1, "shape: zero": 1, "meaning": 8, "settings": 1,
	} {
		t.Logf("%s: %s", class, strings.Join(classes[class], ", "))
		if len(classes[class]) < least {
			t.Errorf("%s: only %d policies", class, len(classes[class]))
		}
		delete(classes, class)
	}
	if len(classes) > 0 {
		t.Errorf("classes that nobody spoke of: %v", classes)
	}
}
