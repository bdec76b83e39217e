package workspaceone

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// FuzzEventsPointAndRecordsAreDated: whatever comes, as an event or as a record, there is no panic; an event points at one device
// whose number stands in it; each fact fits the vocabulary and has an instant; and nobody is compliant, or not compromised, without
// the word for it.
func FuzzEventsPointAndRecordsAreDated(f *testing.F) {
	files, err := filepath.Glob("testdata/*[nl]")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		var search struct{ Devices []json.RawMessage }
		if json.Unmarshal(raw, &search) == nil {
			for _, one := range search.Devices {
				f.Add([]byte(one))
			}
		}
	}
	a := &Adapter{opts: Options{Name: "uem", Encryption: EncryptionYN, Unreadable: func(string, error) {}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		points, err := a.Points(source.Delivery{Body: raw})
		if err == nil && (len(points) != 1 || !isID(points[0]) ||
			!bytes.Contains(raw, []byte(points[0])) && !bytes.ContainsAny(raw, `\&`)) {
			t.Fatalf("%q points at %q", raw, points)
		}
		if source.CheckJSON(raw) != nil {
			return
		}
		o, err := a.listed(raw)
		if err != nil {
			return
		}
		var loose struct {
			Word  any `json:"ComplianceStatus"`
			Truth any `json:"CompromisedStatus"`
		}
		_ = json.Unmarshal(raw, &loose)
		for _, fact := range o.Facts {
			attribute, known := signals.LookupAttribute(fact.Attribute)
			if !known || !attribute.Accepts(fact.Value) || fact.Path == "" || fact.Observed.IsZero() {
				t.Fatalf("%q became %+v", raw, fact)
			}
			word, _ := loose.Word.(string)
			if fact.Value == signals.Text("compliant") && !bytes.EqualFold(bytes.ReplaceAll([]byte(word), []byte(" "), nil), []byte("compliant")) ||
				fact.Attribute == "compromised" && fact.Value == signals.Bool(false) && (loose.Truth == nil || loose.Truth == "") {
				t.Fatalf("%q became %+v", raw, fact)
			}
		}
	})
}
