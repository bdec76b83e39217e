package policyfile

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// replacements are what a mutation writes in the place of another value: every type, and texts of every form that some
// field has.
var replacements = []any{
	nil, true, json.Number("7"), json.Number("-1"), 1.5, []any{}, []any{"x"}, []any{[]any{}}, map[string]any{},
	map[string]any{"signal": "a"}, map[string]any{"last-known": map[string]any{"for": "1m"}},
	"", " ", "\u00a0", "x", "a-name", "A", "true", "7", "deny", "user", "monitor", "drift", "macos", "2027-03-01",
	"2027-02-29", "2026-11-20T08:00:00Z", "2026-02-30T08:00:00Z", "1h", "0s", "1h5d", "60w", "6000w",
	"Tier", "Route", APIVersion,
}

// mutate changes one thing somewhere in a document: it leaves something out, adds, renames or replaces it. rapid draws
// small numbers more often; they go deeper.
func mutate(t *rapid.T, n any) any {
	below := func(v any) any {
		if rapid.IntRange(0, 9).Draw(t, "how deep") == 9 {
			return rapid.SampledFrom(replacements).Draw(t, "instead")
		}
		return mutate(t, v)
	}
	switch n := n.(type) {
	case map[string]any:
		n = maps.Clone(n)
		keys := slices.Sorted(maps.Keys(n))
		slices.Reverse(keys) // the first are drawn more often: spec and metadata rather than apiVersion
		if len(keys) == 0 {
			n["added"] = "x"
			return n
		}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		switch rapid.IntRange(0, 23).Draw(t, "what") {
		case 21:
			delete(n, key)
		case 22:
			n["colour"] = n[key]
		case 23:
			n[key+"s"] = n[key]
			delete(n, key)
		default:
			n[key] = below(n[key])
		}
		return n
	case []any:
		n = slices.Clone(n)
		if len(n) == 0 {
			return append(n, rapid.SampledFrom(replacements).Draw(t, "added"))
		}
		i := rapid.IntRange(0, len(n)-1).Draw(t, "item")
		switch rapid.IntRange(0, 7).Draw(t, "what") {
		case 6:
			return slices.Delete(n, i, i+1)
		case 7:
			return append(n, n[i])
		}
		n[i] = below(n[i])
		return n
	}
	if rapid.Bool().Draw(t, "another text") {
		return rapid.SampledFrom([]string{"x", "deny", "user", "note", "drift", "macos", "1h", "2027-03-01"}).Draw(t, "text")
	}
	return rapid.SampledFrom(replacements).Draw(t, "instead")
}

// goodDocuments are those of good.txtar.
func goodDocuments(t testing.TB) []any {
	t.Helper()
	var all []any
	for _, f := range archive(t, "good.txtar") {
		all = append(all, asEditorsRead(t, f.Data)...)
	}
	return all
}

// asText writes a document as JSON, which is YAML.
func asText(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Whatever is changed in a good document, schema and decoder agree about it, or differ by a class that is named.
func TestSchemaAndDecoderAgreeOnMutations(t *testing.T) {
	schema, good := compiledSchema(t), goodDocuments(t)
	counts := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		for _, doc := range good {
			for range rapid.IntRange(1, 2).Draw(rt, "changes") {
				doc = mutate(rt, doc)
			}
			text := asText(t, doc)
			all, problems := verdicts(t, newTestCompiler(), schema, "policy.yaml", text)
			if len(problems) > 0 || len(all) != 1 {
				rt.Fatalf("%s: %d documents, %v", text, len(all), problems.Err())
			}
			how, ok := all[0].judge()
			if !ok {
				rt.Fatalf("%s\nthe loader says: %v\nthe schema says: %v", text, all[0].loader.Err(), all[0].schema)
			}
			counts[how]++
		}
	})
	t.Log(counts)
	if counts["both accept"] < 100 || counts["both refuse"] < 100 || counts["words"] == 0 {
		t.Error("the mutations are too wild or too tame:", counts)
	}
}

// leaves yields each text of a value with its path, as Problem has it, and a way to write another.
func leaves(path string, n any, yield func(path string, set func(any))) {
	switch n := n.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			at := strings.TrimPrefix(path+"."+key, ".")
			if _, text := n[key].(string); text {
				yield(at, func(v any) { n[key] = v })
			}
			leaves(at, n[key], yield)
		}
	case []any:
		for i := range n {
			at := fmt.Sprintf("%s[%d]", path, i)
			if _, text := n[i].(string); text {
				yield(at, func(v any) { n[i] = v })
			}
			leaves(at, n[i], yield)
		}
	}
}

// Where the schema knows an enumeration or wants an owner, policy.New refuses anything else at the same place: nothing
// that the loader as a whole accepts is refused by the schema.
func TestWordsOfTheSchemaAreThoseOfThePolicy(t *testing.T) {
	schema := compiledSchema(t)
	total := len(goodDocuments(t))
	tried := 0
	for i := range total {
		leaves("", goodDocuments(t)[i], func(path string, _ func(any)) {
			docs := goodDocuments(t)
			leaves("", docs[i], func(at string, set func(any)) {
				if at == path {
					set("no-such-word")
				}
			})
			tried += onlyPolicyNewRefuses(t, schema, docs, i, path)
		})
		docs := goodDocuments(t)
		delete(docs[i].(map[string]any)["metadata"].(map[string]any), "owner")
		tried += onlyPolicyNewRefuses(t, schema, docs, i, "metadata.owner")
	}
	t.Log(tried, "places")
	if tried < 40 {
		t.Errorf("only %d places", tried)
	}
}

// onlyPolicyNewRefuses returns 1 if the schema refuses a document that the decoder accepts, and checks that policy.New
// then finds the same fault.
func onlyPolicyNewRefuses(t *testing.T, schema *jsonschema.Schema, docs []any, changed int, path string) int {
	t.Helper()
	var text []byte
	for _, doc := range docs {
		text = append(append(text, "---\n"...), append(asText(t, doc), '\n')...)
	}
	all, problems := verdicts(t, newTestCompiler(), schema, "policy.yaml", text)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if v := all[changed]; v.schema == nil || len(v.loader) > 0 {
		return 0
	}
	_, faults := Compile(&Files{files: []file{{name: "policy.yaml", data: text}}}, policy.World{})
	if !slices.ContainsFunc(faults, func(p strictyaml.Problem) bool { return p.Path == path }) {
		t.Errorf("the schema refuses %s of document %d; the loader does not: %v\n%v",
			path, changed, faults.Err(), all[changed].schema)
	}
	return 1
}

// The patterns of texts against the functions that read them, on texts that are nearly right.
func TestPatternsAreWhatTheLoaderReads(t *testing.T) {
	duration := rapid.StringMatching(`([0-9]{0,3}(ms|[wdhmsy])|[0-9]{8,10}(ms|[wdhms])|[ .-]){0,4}`)
	instant := nearly("2026-11-20T08:59:30.25+01:00", "2026-11-20T8:59:30Z", "2026-11-20T23:00:30,5Z",
		"2026-01-31T00:00:00-24:60")
	day := nearly("2027-12-31")
	parseDuration := func(s string) error { _, err := strictyaml.ParseDuration(s); return err }
	unmarshal := func(into encoding.TextUnmarshaler, text string) error { return into.UnmarshalText([]byte(text)) }
	parseDate := func(s string) error {
		err := unmarshal(&policy.Date{}, s)
		if _, calendar := time.Parse(time.DateOnly, s); err != nil && calendar != nil {
			return calendar // says what is wrong with it
		}
		return err
	}
	for name, c := range map[string]struct {
		texts  *rapid.Generator[string]
		read   func(string) error
		beyond string // what a pattern cannot know
	}{
		"Duration": {duration, parseDuration, "longer than a hundred years"},
		"Time":     {instant, func(s string) error { return unmarshal(&time.Time{}, s) }, "day out of range"},
		"Date":     {day, parseDate, "day out of range"},
	} {
		var root node
		if err := json.Unmarshal(schemaText(t), &root); err != nil {
			t.Fatal(err)
		}
		def := root.Defs[name]
		pattern := regexp.MustCompile(def.Pattern)
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				for range 20 {
					text := c.texts.Draw(rt, "text")
					fits, err := pattern.MatchString(text) && len(text) >= def.MinLength, c.read(text)
					if fits != (err == nil) && (!fits || !strings.Contains(err.Error(), c.beyond)) {
						rt.Fatalf("%q: the pattern says %v, the loader says %v", text, fits, err)
					}
				}
			})
		})
	}
}

// nearly generates one of the texts with up to two of its characters replaced, left out or doubled.
func nearly(texts ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		out := []byte(rapid.SampledFrom(texts).Draw(t, "text"))
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			i := rapid.IntRange(0, len(out)-1).Draw(t, "place")
			switch rapid.IntRange(0, 4).Draw(t, "how") {
			case 0:
				out = slices.Delete(out, i, i+1)
			case 1:
				out = slices.Insert(out, i, out[i])
			default:
				out[i] = rapid.SampledFrom([]byte("0123456789-+:.,TtZz \n")).Draw(t, "character")
			}
		}
		return string(out)
	})
}
