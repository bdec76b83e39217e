package defender

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// FuzzMachineSaysOnlyWhatIsThere: whatever Defender's record, there is no panic; each fact fits the vocabulary and is
// dated by the record's own instant; and nothing is healthy, and no threat is none, but of an active sensor that is
// onboarded.
func FuzzMachineSaysOnlyWhatIsThere(f *testing.F) {
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
	a := &Adapter{opts: Options{Name: "mde"}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m machine
		if source.CheckJSON(raw) != nil || json.Unmarshal(raw, &m) != nil {
			return
		}
		o, err := a.observed(&m)
		if err != nil {
			return
		}
		seen, err := source.Instant(m.LastSeen)
		active := strings.EqualFold(m.HealthStatus, "Active") && strings.EqualFold(m.Onboarding, "Onboarded")
		for _, fact := range o.Facts {
			attribute, known := signals.LookupAttribute(fact.Attribute)
			if !known || !attribute.Accepts(fact.Value) || fact.Path == "" || err != nil || !fact.Observed.Equal(seen) {
				t.Fatalf("%q became %+v", raw, fact)
			}
			if !active && (fact.Attribute == "edr_healthy" && fact.Value == signals.Bool(true) ||
				fact.Value == signals.Text("none")) {
				t.Fatalf("%q became %+v", raw, fact)
			}
		}
	})
}
