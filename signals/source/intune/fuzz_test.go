package intune

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// FuzzDeliverySaysOnlyWhatIsThere: whatever is delivered, or stands in a list, there is no panic; a fact fits the
// vocabulary and is dated, and none is healthy for which the bytes have no word; a dead letter says nothing; what a
// stranger sends is never taken.
func FuzzDeliverySaysOnlyWhatIsThere(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	const state = "made-for-this-test-only"
	a := &Adapter{boot: map[string]signals.Value{"enabled": signals.Bool(true)}, opts: Options{Name: "intune",
		ClientStates: []string{state}, Unreadable: func(string, error) {},
		Forwarder: source.Header{Name: "X-Forwarder-Secret", Values: []string{"secret"}}}}
	words := [][]byte{[]byte("true"), []byte("false"), []byte("yes"), []byte("no"), []byte("managed"), []byte("enabled"), []byte(`\u`)}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := source.Delivery{Source: "intune", Body: raw, Header: http.Header{}}
		escaped := bytes.Contains(raw, []byte(`\u`))
		if _, err := a.Authenticate(d, time.Now()); err == nil && !bytes.Contains(raw, []byte(state)) && !escaped {
			t.Fatalf("a stranger's %q is taken", raw)
		}
		if left, err := a.Redact(raw); err == nil {
			d.Body = left
		}
		said, err := a.read(d)
		if err != nil && len(said.observed)+len(said.points)+len(said.lost) > 0 {
			t.Fatalf("%q: %+v, %v", raw, said, err)
		}
		for _, id := range said.points {
			if _, err := a.Alias(id); err != nil {
				t.Fatalf("%q points at %q", raw, id)
			}
		}
		if source.CheckJSON(raw) == nil {
			if o, err := a.listed(raw); err == nil {
				said.observed = append(said.observed, o)
			}
			of := policy{signals.Attribute{Name: "firewall", Kind: signals.KindBool, Healthy: true}, "1aa3f0f3-0000-4349-885b-c86d273aa14e"}
			if !bytes.Contains(bytes.ToLower(raw), []byte(`"compliant"`)) && !escaped {
				said.observed = append(said.observed, a.status(&of, raw)...)
			}
		}
		for _, o := range said.observed {
			for _, fact := range o.Facts {
				attribute, known := signals.LookupAttribute(fact.Attribute)
				if !known || !attribute.Accepts(fact.Value) || fact.Path == "" || fact.Observed.IsZero() {
					t.Fatalf("%q became %+v", raw, fact)
				}
				there := false
				for _, word := range words {
					there = there || bytes.Contains(bytes.ToLower(raw), word)
				}
				if attribute.Kind == signals.KindBool && fact.Value == signals.Bool(attribute.Healthy) && !there {
					t.Fatalf("%q became %+v", raw, fact)
				}
			}
		}
	})
}
