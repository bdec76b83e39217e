package kandji

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// oneAnswer answers everything alike.
type oneAnswer []byte

func (o oneAnswer) GetJSON(context.Context, string, url.Values) ([]byte, error) {
	return o, source.CheckJSON(o)
}

// FuzzAnswersSayOnlyWhatIsThere: whatever Kandji answers, there is no panic; each fact fits the vocabulary and has the instant of
// its record; and no disk is encrypted, and no firewall on, where nothing in the answer says true or yes.
func FuzzAnswersSayOnlyWhatIsThere(f *testing.F) {
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
	const id = "0a1b2c3d-1111-4111-8111-000000000001"
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := New(Options{Name: "kandji", API: oneAnswer(raw)})
		if err != nil {
			t.Fatal(err)
		}
		var all []signals.Observation
		for _, list := range a.lists() {
			if page, err := a.Page(t.Context(), list+"=1"); err == nil {
				all = append(append(all, page.Observations...), page.Also...)
			}
		}
		if found, err := a.details(t.Context(), id); err == nil {
			all = append(all, found)
		}
		var o signals.Observation
		if a.reported(&o, raw, id, time.Time{}) == nil {
			all = append(all, o)
		}
		threats, err := a.threatsOf(t.Context(), "")
		if err == nil && len(threats) > 0 {
			a.threatened(&o, threats, id, time.Time{})
		}
		for _, o := range all {
			for _, fact := range o.Facts {
				attribute, known := signals.LookupAttribute(fact.Attribute)
				if !known || !attribute.Accepts(fact.Value) || fact.Path == "" || fact.Observed.IsZero() {
					t.Fatalf("%q became %+v", raw, fact)
				}
				if (fact.Attribute == "disk_encryption" || fact.Attribute == "firewall") && fact.Value == signals.Bool(true) && !affirms(raw) {
					t.Fatalf("%q became %+v", raw, fact)
				}
			}
		}
	})
}

// affirms reports whether any member of the answer says true or yes.
func affirms(raw json.RawMessage) bool {
	if value, _ := source.Truth(raw); value == signals.Bool(true) {
		return true
	}
	var list []json.RawMessage
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		for _, one := range list {
			if affirms(one) {
				return true
			}
		}
	} else if json.Unmarshal(raw, &object) == nil {
		for _, one := range object {
			if affirms(one) {
				return true
			}
		}
	}
	return false
}
