package okta

import (
	"encoding/json"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// FuzzDeviceSaysOnlyWhatIsThere: whatever Okta's record, there is no panic; each fact fits the vocabulary and is dated by
// lastUpdated; and a good value is never read where the record has another word.
func FuzzDeviceSaysOnlyWhatIsThere(f *testing.F) {
	for _, file := range sourcetest.Files(f, "testdata/*.json") {
		f.Add(sourcetest.Content(f, file))
	}
	f.Add([]byte(`{"id":"guo1","STATUS":"ACTIVE","lastUpdated":1700000000,"_embedded":{"users":[{},{"screenLockType":"NONE"}]}}`))
	a := &Adapter{opts: Options{Name: "okta", Encrypted: DefaultEncrypted, User: UserLogin}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ids, err := a.Points(source.Delivery{Body: raw}); err != nil && ids != nil {
			t.Fatalf("%v and %v", ids, err)
		}
		var d device
		if source.CheckJSON(raw) != nil || json.Unmarshal(raw, &d) != nil {
			return
		}
		o, err := a.observed(&d)
		if err != nil {
			return
		}
		at, err := source.Instant(d.LastUpdated)
		for i := range o.Facts {
			fact := &o.Facts[i]
			if bad := sourcetest.Check(fact); bad != nil || err != nil || !fact.Observed.Equal(at) || len(o.Aliases) == 0 {
				t.Fatalf("%q became %+v: %v", raw, fact, bad)
			}
			if fact.Value == signals.Text("enrolled") && d.Status != "ACTIVE" ||
				fact.Attribute == "disk_encryption" && fact.Value == signals.Bool(true) && *d.Profile.Encryption == notEncrypted ||
				fact.Attribute == "compromised" && fact.Value == signals.Bool(false) && source.Platform(d.Profile.Platform) == signals.Text("macos") {
				t.Fatalf("%q became %+v", raw, fact)
			}
			if fact.Attribute == "screen_lock" && fact.Value == signals.Bool(true) {
				for _, user := range *d.Embedded.Users {
					if user.ScreenLock != nil && *user.ScreenLock != "PASSCODE" && *user.ScreenLock != "BIOMETRIC" {
						t.Fatalf("%q became %+v", raw, fact)
					}
				}
			}
		}
	})
}
