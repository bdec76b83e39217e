package fleet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/fleet"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const hosts = "/api/v1/fleet/hosts"

// entry is a host as the list has it: without its details.
func entry(id int) json.RawMessage {
	return fmt.Appendf(nil, `{"id":%d,"hardware_serial":"ACME%03d","platform":"darwin","os_version":"macOS 15.6",`+
		`"detail_updated_at":"2026-11-20T07:00:00Z","policy_updated_at":"2026-11-20T07:00:00Z",`+
		`"mdm":{"enrollment_status":"Off"},"policies":[{"id":13,"response":"pass"}]}`, id, id)
}

func alone(id int) string {
	return `{"host":` + strings.TrimSuffix(string(entry(id)), "}") + `,"disk_encryption_enabled":false}}`
}

func fill(t *testing.T, count int) *server {
	t.Helper()
	s := newServer(t)
	for id := 1; id <= count; id++ {
		s.list = append(s.list, entry(id))
		s.add(t, []byte(alone(id)))
	}
	return s
}

// walk goes through the whole list.
func walk(t *testing.T, a *fleet.Adapter) (names, facts string) {
	t.Helper()
	for cursor, pages := "", 0; ; pages++ {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 20 {
			t.Fatalf("page %q: %v", cursor, err)
		}
		for _, o := range page.Observations {
			names += " " + o.Aliases[len(o.Aliases)-1].Value
			facts += sourcetest.Text(t, o)
		}
		if cursor = page.Next; cursor == "" {
			return names, facts
		}
	}
}

func TestPages(t *testing.T) {
	const all = " fleet/1 fleet/2 fleet/3 fleet/4 fleet/5 fleet/6 fleet/7"
	for _, tt := range []struct{ per, most int }{{2, 0}, {7, 0}, {0, 0}, {500, 3}, {7, 7}, {1, 1}} {
		s := fill(t, 7)
		s.most = tt.most // a server that gives fewer than it was asked for must not end the list
		a, _ := adapter(t, s, func(o *fleet.Options) { o.PerPage = tt.per })
		if names, _ := walk(t, a); names != all {
			t.Errorf("%+v: %s", tt, names)
		}
	}
	a, _ := adapter(t, newServer(t), nil)
	if page, err := a.Page(t.Context(), ""); err == nil || page.Next != "" {
		t.Errorf("a list that is null: %+v, %v; nothing may be swept by it", page, err)
	}
}

// The list leaves disk_encryption_enabled out, so each host is asked for, unless the settings say that a policy does.
func TestPageAsksForDetails(t *testing.T) {
	s := fill(t, 2)
	a, _ := adapter(t, s, func(o *fleet.Options) { o.Users = nil })
	_, facts := walk(t, a)
	const field = "disk_encryption = false  (disk_encryption_enabled,"
	if got := s.paths(); got != "~ ~/1 ~/2 ~" || strings.Count(facts, field) != 2 {
		t.Errorf("%s\n%s", got, facts)
	}
	a, _ = adapter(t, s, func(o *fleet.Options) { o.Users, o.ListOnly = nil, true })
	_, facts = walk(t, a)
	const byPolicy = "disk_encryption = true  (policies[id=13].response,"
	if got := s.paths(); got != "~ ~" || strings.Count(facts, byPolicy) != 2 {
		t.Errorf("%s\n%s", got, facts)
	}
}

// A page costs at most 50 questions besides its own, whatever the settings want.
func TestPageIsCutToWhatItCosts(t *testing.T) {
	s := fill(t, 60)
	for _, tt := range []struct {
		listOnly bool
		users    []string
		want     int
	}{{true, nil, 60}, {false, nil, 50}, {true, []string{"custom"}, 50}, {false, []string{"custom"}, 25}} {
		a, _ := adapter(t, s, func(o *fleet.Options) { o.PerPage, o.ListOnly, o.Users = 500, tt.listOnly, tt.users })
		if page, err := a.Page(t.Context(), ""); err != nil || len(page.Observations) != tt.want {
			t.Errorf("%+v: %d hosts, %v", tt, len(page.Observations), err)
		}
	}
}

// A host that nobody can read is there; one that has gone meanwhile is not; one without a name ends the listing.
func TestPageWithOddHosts(t *testing.T) {
	s := fill(t, 3)
	s.list[0] = json.RawMessage(`{"id":1,"hardware_serial":17,"disk_encryption_enabled":true}`)
	s.set(hosts+"/2", "404")
	a, unreadable := adapter(t, s, nil)
	names, facts := walk(t, a)
	if names != " fleet/1 fleet/3" || !strings.HasPrefix(facts, "vendor:fleet/1\nserial:ACME003\n") {
		t.Errorf("%s\n%s", names, facts)
	}
	if !strings.HasPrefix(*unreadable, "1: ") || !strings.Contains(*unreadable, "hardware_serial") {
		t.Errorf("nobody is told what is wrong: %q", *unreadable)
	}
	for _, odd := range []string{`{"hardware_serial":"X"}`, `{"id":0}`, `{"id":"4"}`, `null`, `[]`, `7`} {
		s.list[2] = json.RawMessage(odd)
		if page, err := a.Page(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "entry 2") {
			t.Errorf("%s: %+v, %v", odd, page, err)
		}
	}
}

func TestPageFaults(t *testing.T) {
	for answer, reason := range map[string]string{
		"404": "check api.url", "503": "asked again in 7s", "429": "asked again in 7s", "401": "credentials",
		`{}`: `no array "hosts"`, `{"hosts":null}`: `no array "hosts"`, `{"hosts":{}}`: `no array "hosts"`, `[]`: `no array`,
		`{"hosts":[`: "JSON", `{"hosts":[],"Hosts":[]}`: "more than one reading", ``: "JSON",
	} {
		s := fill(t, 2)
		s.set(hosts, answer)
		a, _ := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), reason) || len(page.Observations) > 0 ||
			errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v; the reason must name %q", answer, page, err, reason)
		}
	}
	a, _ := adapter(t, fill(t, 2), nil)
	for _, cursor := range []string{"0", "-1", "x", "01", "99999999999999999999"} {
		if page, err := a.Page(t.Context(), cursor); err == nil {
			t.Errorf("the cursor %q gives %+v", cursor, page)
		}
	}
}

// A page is whole or not at all: what one host's question meets is what the page meets.
func TestPageMeetsTroubleWithOneHost(t *testing.T) {
	for path, answer := range map[string]string{hosts + "/2": "503", hosts + "/2/device_mapping": "429"} {
		s := fill(t, 3)
		s.set(path, answer)
		a, _ := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After != 7*time.Second || len(page.Observations) > 0 {
			t.Errorf("%s: %+v, %v", path, page, err)
		}
	}
}

func TestDeviceFaults(t *testing.T) {
	for answer, reason := range map[string]string{
		"500": "asked again", "403": "credentials", alone(2): "not about this host", `{}`: "not about this host",
		`{"host":null}`: "not about this host", `{"host":[]}`: "shape", `{"host":{"id":"1"}}`: "shape", `{"host":`: "JSON",
		`{"host":{"id":1,"ID":2}}`: "more than one reading",
	} {
		s := fill(t, 2)
		s.set(hosts+"/1", answer)
		a, _ := adapter(t, s, nil)
		got, err := a.Device(t.Context(), "1")
		if err == nil || got != nil || !strings.Contains(err.Error(), reason) || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v; the reason must name %q", answer, got, err, reason)
		}
	}
	s := fill(t, 1)
	a, _ := adapter(t, s, nil)
	if _, err := a.Device(t.Context(), "9"); !errors.Is(err, source.ErrGone) {
		t.Errorf("a host that is not there: %v", err)
	}
	// The mapping is a question of its own: an older server has none, and another answer is not taken for one.
	s.set(hosts+"/1/device_mapping", "404")
	if got, err := a.Device(t.Context(), "1"); err != nil || len(got) != 1 {
		t.Errorf("without a mapping: %+v, %v", got, err)
	}
	s.set(hosts+"/1/device_mapping", `{"device_mapping":{}}`)
	if got, err := a.Device(t.Context(), "1"); err == nil || !strings.Contains(err.Error(), "users of host 1") {
		t.Errorf("%+v, %v", got, err)
	}
}
