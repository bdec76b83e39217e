package jamf_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source/jamf"
)

// FuzzDeliveriesOnlyPoint: whatever the body, there is no panic; what is taken points at devices that can be asked
// for, and says of no device anything healthy.
func FuzzDeliveriesOnlyPoint(f *testing.F) {
	for _, pattern := range []string{"testdata/deliveries/*.json", "testdata/deliveries/*.xml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range files {
			f.Add(read(f, path))
		}
	}
	a := adapter(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		d := delivery(body)
		if _, err := a.Authenticate(d, now); err != nil {
			return
		}
		points, err := a.Points(d)
		if err != nil {
			return
		}
		for _, id := range points {
			if alias, err := a.Alias(id); err != nil || alias.Value != "jamf/"+id {
				t.Fatalf("%q points at %q: %v, %v", body, id, alias, err)
			}
		}
		observations, err := a.Observe(d)
		if err != nil {
			t.Fatalf("%q points at %v and cannot be read: %v", body, points, err)
		}
		for _, o := range observations {
			for _, fact := range o.Facts {
				if fact.Value != signals.Bool(false) && fact.Value != signals.Text("removed") || fact.Attribute == "compromised" {
					t.Fatalf("%q says %+v", body, fact)
				}
			}
		}
	})
}

// FuzzRecordsSayOnlyWhatIsThere: whatever the record, there is no panic; each fact is one that its attribute
// accepts, once, dated by the record's own inventory, and stands at a path that the record has.
func FuzzRecordsSayOnlyWhatIsThere(f *testing.F) {
	files, err := filepath.Glob("testdata/records/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		f.Add(read(f, path), strings.Contains(path, "mobile"))
	}
	f.Fuzz(func(t *testing.T, record string, mobile bool) {
		if !json.Valid([]byte(record)) {
			return
		}
		list := server{"": `{"totalCount":1,"results":[` + record + `]}`}
		cursor := map[bool]string{true: "mobile.0.-1.0", false: ""}[mobile]
		page, err := adapter(t, list, func(o *jamf.Options) { o.User = jamf.UserEmailOrUsername }).Page(t.Context(), cursor)
		if err != nil {
			return
		}
		var seen []string
		for _, fact := range page.Observations[0].Facts {
			attribute, known := signals.LookupAttribute(fact.Attribute)
			if !known || !attribute.Accepts(fact.Value) || slices.Contains(seen, fact.Attribute) || fact.Observed.IsZero() {
				t.Fatalf("%q says %+v", record, fact)
			}
			seen = append(seen, fact.Attribute)
			if !stands(record, strings.Split(fact.Path, ".")) {
				t.Fatalf("%q says %+v, which does not stand there", record, fact)
			}
		}
	})
}

// stands reports whether the record has a value at the path.
func stands(record string, path []string) bool {
	var at any
	if json.Unmarshal([]byte(record), &at) != nil {
		return false
	}
	for _, name := range path {
		members, _ := at.(map[string]any)
		at = members[name]
	}
	return at != nil
}
