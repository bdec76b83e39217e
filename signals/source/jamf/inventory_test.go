package jamf_test

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/jamf"
)

// server answers by path; "" is the answer to what is not named. What has no answer is not there.
type server map[string]string

func (s server) GetJSON(_ context.Context, path string, _ url.Values) ([]byte, error) {
	for _, name := range []string{path, ""} {
		if body, found := s[name]; found {
			return []byte(body), source.CheckJSON([]byte(body))
		}
	}
	return nil, source.ErrGone
}

const (
	computers = "/api/v1/computers-inventory"
	mobiles   = "/api/v2/mobile-devices/detail"
	empty     = `{"totalCount":0,"results":[]}`
)

func TestRecords(t *testing.T) {
	for _, path := range inputs(t, "testdata/records/*.json", 15) {
		record := read(t, path)
		kind, _, _ := strings.Cut(filepath.Base(path), "_")
		id := kind + "-41"
		if kind == jamf.KindMobile {
			id = "mobile-7"
		}
		if strings.HasSuffix(path, "_bad.json") {
			id = map[string]string{"computer": "computer-42", "mobile": "mobile-9"}[kind]
		}
		list := `{"totalCount":1,"results":[` + record + `]}`
		a := adapter(t, server{computers + "/41": record, computers + "/42": record, computers: list, mobiles: list})
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		golden(t, path, show(got))
		cursor := map[string]string{"computer": "", "mobile": "mobile.0.-1.5"}[kind]
		page, err := a.Page(t.Context(), cursor)
		if err != nil || show(page.Observations) != show(got) {
			t.Errorf("%s: a listing says something else: %+v, %v", path, page, err)
		}
	}
}

func TestSettings(t *testing.T) {
	one := func(record string, change func(*jamf.Options)) string {
		t.Helper()
		body := read(t, "testdata/records/"+record+".json")
		a := adapter(t, server{"": body, mobiles: `{"totalCount":1,"results":[` + body + `]}`}, change)
		id := map[bool]string{true: "computer-41", false: "mobile-7"}[strings.HasPrefix(record, "computer")]
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return show(got)
	}
	user := func(reading string) func(*jamf.Options) { return func(o *jamf.Options) { o.User = reading } }
	groups := func(g jamf.Groups) func(*jamf.Options) { return func(o *jamf.Options) { o.ComputerGroups = g } }
	for name, tt := range map[string]struct{ got, want string }{
		"user name":        {one("computer_healthy", user(jamf.UserName)), "enrolled_user = ana (userAndLocation.username"},
		"no address":       {one("computer_unknown_words", user(jamf.UserEmail)), "enrolled_user = unknown"},
		"else the name":    {one("computer_unknown_words", user(jamf.UserEmailOrUsername)), "enrolled_user = ana ("},
		"the address":      {one("computer_healthy", user(jamf.UserEmailOrUsername)), "enrolled_user = ana@acme.example"},
		"in all groups":    {one("computer_healthy", groups(jamf.Groups{Compliant: []string{"12", "30"}})), "= compliant"},
		"not in all":       {one("computer_healthy", groups(jamf.Groups{Compliant: []string{"12", "31"}})), "= noncompliant"},
		"a bad group":      {one("computer_healthy", groups(jamf.Groups{Noncompliant: []string{"30"}})), "= noncompliant"},
		"not in it":        {one("computer_healthy", groups(jamf.Groups{Noncompliant: []string{"31"}})), "= unknown (groupM"},
		"a word of theirs": {one("mobile_unknown_words", own), "ownership = contractor"},
	} {
		if !strings.Contains(tt.got, tt.want) {
			t.Errorf("%s: want %q in\n%s", name, tt.want, tt.got)
		}
	}
	if got := one("computer_healthy", groups(jamf.Groups{})); strings.Contains(got, "config_compliance") {
		t.Errorf("without groups there is a verdict:\n%s", got)
	}
}

func own(o *jamf.Options) {
	o.Ownership = map[string]string{"AccountDrivenDeviceEnrollment": "contractor"}
}

// No answer that is not understood may count as "there is no such device".
func TestGone(t *testing.T) {
	healthy := read(t, "testdata/records/mobile_healthy.json")
	for name, tt := range map[string]struct {
		id   string
		api  server
		gone bool
	}{
		"a computer":              {"computer-41", server{computers: empty}, true},
		"no such API":             {"computer-41", server{}, false},
		"a listing of nothing":    {"computer-41", server{computers: `{}`}, false},
		"another computer":        {"computer-42", server{"": read(t, "testdata/records/computer_healthy.json")}, false},
		"a record without number": {"computer-41", server{"": `{"udid":"x"}`}, false},
		"no record":               {"computer-41", server{"": `[]`}, false},
		"a mobile device":         {"mobile-7", server{mobiles: empty}, true},
		"no such mobile API":      {"mobile-7", server{}, false},
		"results are null":        {"mobile-7", server{mobiles: `{"totalCount":0,"results":null}`}, false},
		"no total":                {"mobile-7", server{mobiles: `{"results":[]}`}, false},
		"a total, and no results": {"mobile-7", server{mobiles: `{"totalCount":1,"results":[]}`}, false},
		"the filter is ignored": {"mobile-7",
			server{mobiles: `{"totalCount":2,"results":[` + healthy + "," + healthy + `]}`}, false},
		"another mobile device": {"mobile-8", server{mobiles: `{"totalCount":1,"results":[` + healthy + `]}`}, false},
	} {
		got, err := adapter(t, tt.api).Device(t.Context(), tt.id)
		if err == nil || errors.Is(err, source.ErrGone) != tt.gone || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// undated is a listing of the record with a time that cannot be read.
func undated(record string) string {
	return `{"totalCount":1,"results":[` + strings.Replace(record, "2026-11-20T06:48:56.307Z", "last week", 1) + `]}`
}

// One record that cannot be dated must not end every listing: the device is there, nothing is known of it, and it
// is told.
func TestUndated(t *testing.T) {
	var told []string
	a := adapter(t, server{mobiles: undated(read(t, "testdata/records/mobile_healthy.json"))}, func(o *jamf.Options) {
		o.Unreadable = func(id string, reason error) { told = append(told, id+": "+reason.Error()) }
	})
	page, err := a.Page(t.Context(), "mobile.0.-1.0")
	if err != nil || len(page.Observations) != 1 || len(page.Observations[0].Aliases) != 3 ||
		page.Observations[0].Facts != nil {
		t.Errorf("%+v, %v", page, err)
	}
	one, err := a.Device(t.Context(), "mobile-7")
	if err != nil || len(one) != 1 || one[0].Facts != nil {
		t.Errorf("%+v, %v", one, err)
	}
	if len(told) != 2 || !strings.Contains(told[0], "mobile-7: general.lastInventoryUpdateDate") {
		t.Errorf("told: %q", told)
	}
}
