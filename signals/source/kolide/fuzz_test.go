package kolide

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// FuzzDeviceSaysOnlyWhatIsThere: whatever Kolide's record, there is no panic; each fact fits the vocabulary and is dated by
// last_seen_at; and a compliant device is never read where auth_state is not Good.
func FuzzDeviceSaysOnlyWhatIsThere(f *testing.F) {
	for _, file := range sourcetest.Files(f, "testdata/*.json") {
		f.Add(sourcetest.Content(f, file))
	}
	f.Add([]byte(`{"AUTH_STATE":"good","last_seen_at":1700000000}`))
	a := &Adapter{opts: Options{Name: "kolide"}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d device
		var loose struct {
			State any `json:"auth_state"`
			Seen  any `json:"last_seen_at"`
		}
		_, _ = a.Points(source.Delivery{Body: raw})
		if source.CheckJSON(raw) != nil || json.Unmarshal(raw, &d) != nil || json.Unmarshal(raw, &loose) != nil {
			return
		}
		o, err := a.observation(context.Background(), "17", &d)
		if err != nil {
			return
		}
		seen, _ := json.Marshal(loose.Seen)
		at, err := source.Instant(seen)
		for _, fact := range o.Facts {
			if sourcetest.Check(&fact) != nil || err != nil || !fact.Observed.Equal(at) {
				t.Fatalf("%q became %+v", raw, fact)
			}
			state, _ := loose.State.(string)
			if fact.Value == signals.Text("compliant") && !strings.EqualFold(state, "good") {
				t.Fatalf("%q became %+v", raw, fact)
			}
		}
	})
}
