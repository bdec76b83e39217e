package mapping_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source/mapping"
)

func TestParsePathRefuses(t *testing.T) {
	for _, text := range []string{"", ".", "a.", "a..b", ".a", "a[", "a[]", "a[-1]", "a[01]", "a[1", "a]", "a[b]", "a[b=", "a[b=]",
		"a[=b]", "a b", `a."b`, "$a..", "a[*", "a[*]b", "a[1.5]", "a[99999999999999999999]", strings.Repeat("a.", 16) + "a",
		strings.Repeat("a", 201), "a\x00", "é"} {
		if p, err := mapping.ParsePath(text); err == nil {
			t.Errorf("%q is the path %v", text, p)
		}
	}
	for _, text := range []string{"$", "a", "$.a", "$[0]", "[*]", "[*].id", `a."b.c"[0]`, "@odata.nextLink", `"@odata.nextLink"`,
		"checks[name=firewall].passed", `checks["na me"="fire wall"].passed`, "a[0][1][*]", "urn:x/y"} {
		if _, err := mapping.ParsePath(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzPathNeverInvents: whatever the path and the body, nothing panics, a path that parses prints as it was written and
// parses again, and a reader with that path for a truth says true only if the body has a true, "true" or "yes".
func FuzzPathNeverInvents(f *testing.F) {
	for _, p := range []string{"a", "a.b", "[*]", "a[*].b", "a[b=c].d", "$", `"a b"[0]`, "a[0][*]"} {
		for _, b := range []string{`{"a":{"b":true}}`, `[{"b":"yes"},{}]`, `{"a":[{"b":"c","d":false},{"b":1}]}`, `{"a":null}`} {
			f.Add(p, b)
		}
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		p, err := mapping.ParsePath(path)
		if err != nil {
			return
		}
		if again, err := mapping.ParsePath(p.String()); err != nil || again.String() != path {
			t.Fatalf("%q prints as %q: %v", path, again, err)
		}
		a := adapter(t, mapping.Record{Serial: "serial", Observed: mapping.Observed{Received: true},
			Facts: map[string]mapping.Fact{"disk_encryption": {Path: path}}})
		whole, err := json.Marshal(map[string]any{"serial": "C02XG2JHJG5J", "x": 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(body) > 2 && body[0] == '{' {
			whole = []byte(strings.Replace(string(whole), "{", "{"+body[1:len(body)-1]+",", 1))
		}
		observations, err := a.Observe(delivery(whole))
		if err != nil {
			return
		}
		lower := strings.ToLower(string(whole))
		for _, o := range observations {
			for _, fact := range o.Facts {
				truth, _ := fact.Value.AsBool()
				if truth && !strings.Contains(lower, "true") && !strings.Contains(lower, "yes") && !strings.Contains(lower, `\u`) {
					t.Fatalf("%q in %s is true", path, whole)
				}
			}
		}
	})
}
