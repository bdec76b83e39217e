package crowdstrike

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// FuzzHostSaysOnlyWhatIsThere: whatever Falcon's records, there is no panic; each fact fits the vocabulary and is dated by the
// record's own instants; and a healthy sensor or an encrypted disk is never read where the record has no word for it.
func FuzzHostSaysOnlyWhatIsThere(f *testing.F) {
	for _, file := range sourcetest.Files(f, "testdata/host_*.json") {
		f.Add(sourcetest.Content(f, file), sourcetest.Content(f, "testdata/zta_mac.json"))
	}
	a := &Adapter{opts: Options{Name: "falcon", Signals: DefaultSignals, Unreadable: func(string, error) {}}}
	f.Fuzz(func(t *testing.T, raw, assessed []byte) {
		_, _ = a.Points(source.Delivery{Body: raw})
		if source.CheckJSON(raw) != nil || source.CheckJSON(assessed) != nil {
			return
		}
		o, err := a.observation("a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5", raw, assessed)
		if err != nil {
			return
		}
		var host, assessment struct { // two: either may have members of the other
			Seen     any `json:"last_seen"`
			Modified any `json:"modified_time"`
		}
		_, _ = json.Unmarshal(raw, &host), json.Unmarshal(assessed, &assessment)
		for _, fact := range o.Facts {
			by := host.Seen
			if strings.HasPrefix(fact.Path, "assessment") {
				by = assessment.Modified
			}
			text, _ := json.Marshal(by)
			at, err := source.Instant(text)
			if sourcetest.Check(&fact) != nil || err != nil || !fact.Observed.Equal(at) {
				t.Fatalf("%q, %q became %+v", raw, assessed, fact)
			}
			good := fact.Value == signals.Bool(true)
			if fact.Attribute == "edr_healthy" && good && (!strings.Contains(string(raw), "no") || !strings.Contains(string(raw), "true")) ||
				fact.Attribute == "disk_encryption" && good && !strings.Contains(string(assessed), "yes") {
				t.Fatalf("%q, %q became %+v", raw, assessed, fact)
			}
		}
	})
}
