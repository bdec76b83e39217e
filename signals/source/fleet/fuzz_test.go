package fleet

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// loose is a record as encoding/json reads it by itself.
type loose struct {
	ID             int64 `json:"id"`
	Detail         any   `json:"detail_updated_at"`
	Policy         any   `json:"policy_updated_at"`
	DiskEncryption any   `json:"disk_encryption_enabled"`
	Policies       []struct {
		ID       int64  `json:"id"`
		Response string `json:"response"`
	} `json:"policies"`
}

func (l *loose) response(word string, ids ...int64) bool {
	for _, p := range l.Policies {
		for _, id := range ids {
			if p.ID == id && p.Response == word {
				return true
			}
		}
	}
	return false
}

func again(member any) string {
	raw, _ := json.Marshal(member)
	return string(raw)
}

func loosely(member any) time.Time {
	at, _ := source.Instant(json.RawMessage(again(member)))
	return at
}

// FuzzHostSaysOnlyWhatIsThere: whatever Fleet's record, there is no panic; each fact fits the vocabulary and is dated
// by the record's own instants; and an encrypted disk or a good judgement is never read where the record has no word
// for it, or has one against it.
func FuzzHostSaysOnlyWhatIsThere(f *testing.F) {
	files, err := filepath.Glob("testdata/host_*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		var answer struct{ Host json.RawMessage }
		raw, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(raw, &answer)
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(answer.Host))
	}
	f.Add([]byte(`{"id":1,"DETAIL_UPDATED_AT":1700000000,"policies":[{"id":12,"response":"PASS"}]}`))
	a := &Adapter{opts: Options{
		Name: "fleet", Policies: map[string][]int64{"firewall": {12, 13}, diskEncryption: {13}}, AllPolicies: true,
	}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h host
		var l loose
		if source.CheckJSON(raw) != nil || json.Unmarshal(raw, &h) != nil || json.Unmarshal(raw, &l) != nil {
			return
		}
		o, err := a.observation(context.Background(), &h)
		if err != nil {
			return
		}
		for _, fact := range o.Facts {
			attribute, known := signals.LookupAttribute(fact.Attribute)
			at := loosely(l.Detail)
			if strings.HasPrefix(fact.Path, "policies[") {
				at = loosely(l.Policy)
			}
			if !known || !attribute.Accepts(fact.Value) || fact.Path == "" || at.IsZero() || !fact.Observed.Equal(at) {
				t.Fatalf("%q became %+v", raw, fact)
			}
			if healthyWithoutReason(&l, fact) {
				t.Fatalf("%q became %+v", raw, fact)
			}
		}
	})
}

// healthyWithoutReason is told by the record as it stands.
func healthyWithoutReason(l *loose, fact signals.Fact) bool {
	switch {
	case fact.Path == "disk_encryption_enabled" && fact.Value == signals.Bool(true):
		word := strings.ToLower(strings.Join(strings.Fields(again(l.DiskEncryption)), ""))
		return !strings.Contains(`true "true" "yes"`, word)
	case fact.Attribute == "firewall" && fact.Value == signals.Bool(true):
		return !l.response("pass", 12, 13) || l.response("fail", 12, 13)
	case fact.Attribute == diskEncryption && fact.Value == signals.Bool(true):
		return !l.response("pass", 13) || l.response("fail", 13)
	case fact.Value == signals.Text("compliant"):
		for _, p := range l.Policies {
			if p.Response != "pass" {
				return true
			}
		}
		return len(l.Policies) == 0
	}
	return false
}
