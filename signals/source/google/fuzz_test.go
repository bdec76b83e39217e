package google

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// FuzzDeviceSaysOnlyWhatIsThere: whatever Google's record, there is no panic; each fact fits the vocabulary and is dated by
// the record's own instant; and an encrypted disk or a verified boot is never read where the record has no word for it.
func FuzzDeviceSaysOnlyWhatIsThere(f *testing.F) {
	for _, file := range sourcetest.Files(f, "testdata/*.json") {
		f.Add(sourcetest.Content(f, file))
	}
	a := &Adapter{opts: Options{Name: "google"}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e endpoint
		var c chromebook
		if source.CheckJSON(raw) != nil {
			return
		}
		var all []signals.Fact
		if json.Unmarshal(raw, &e) == nil {
			if o, err := a.observed(context.Background(), "Ei1", &e); err == nil {
				all = append(all, dated(t, raw, o, e.LastSync)...)
			}
		}
		if json.Unmarshal(raw, &c) == nil {
			if o, err := a.seen(&c); err == nil {
				all = append(all, dated(t, raw, o, c.LastSync)...)
			}
		}
		for _, fact := range all {
			if fact.Attribute == "disk_encryption" && fact.Value == signals.Bool(true) && e.Encryption != "ENCRYPTED" ||
				fact.Attribute == "secure_boot" && fact.Value == signals.Bool(true) && c.Boot != "Verified" {
				t.Fatalf("%q became %+v", raw, fact)
			}
		}
	})
}

func dated(t *testing.T, raw []byte, o signals.Observation, by json.RawMessage) []signals.Fact {
	at, err := source.Instant(by)
	for _, fact := range o.Facts {
		if sourcetest.Check(&fact) != nil || err != nil || !fact.Observed.Equal(at) {
			t.Fatalf("%q became %+v", raw, fact)
		}
	}
	return o.Facts
}
