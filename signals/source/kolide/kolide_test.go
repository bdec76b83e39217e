package kolide_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/kolide"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// What each device says.
func TestDevices(t *testing.T) {
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		s := newServer(t)
		id := s.add(t, sourcetest.Content(t, file))
		s.Set("/people/77", `{"id":"77","name":"Ana","email":"ana@acme.example"}`)
		a, _ := adapter(t, s, func(o *kolide.Options) { o.Users = true })
		got, err := a.Device(t.Context(), id)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", file, got, err)
		}
		sourcetest.Golden(t, file, sourcetest.Text(t, got[0]))
	}
}

// The devices that each event points at; none of them says anything itself.
func TestEvents(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	ids := map[string]bool{}
	for _, file := range sourcetest.Files(t, "testdata/event_*.json") {
		d := delivery(sourcetest.Content(t, file))
		id, err := a.Authenticate(d, now)
		if err != nil || ids[id] || !strings.HasPrefix(id, "01KA") {
			t.Errorf("%s: %q, %v", file, id, err)
		}
		ids[id] = true
		points, err := a.Points(d)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		sourcetest.Golden(t, file, strings.Join(append(points, ""), "\n"))
		if got, err := a.Observe(d); err != nil || got != nil {
			t.Errorf("%s was read as data: %+v, %v", file, got, err)
		}
	}
	for _, body := range []string{
		`{"event":"devices.exploded","id":"1","data":{"device_id":1}}`, `{"event":"devices.created","id":"1","data":{}}`,
		`{"event":"devices.created","id":"1","data":{"device_id":-1}}`, `{"event":"devices.created","id":"1","data":{"device_id":1.5}}`,
		`{"event":"issues.new","id":"1","data":{"device":{"id":"x/../2"}}}`, `{"id":"1"}`, `{"event":1}`, `[]`, `{`,
	} {
		if points, err := a.Points(delivery([]byte(body))); err == nil {
			t.Errorf("%s points at %v", body, points)
		}
	}
}

// Only what is signed with one of the secrets, once, and is of today, is let in.
func TestWhoIsLetIn(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	body := sourcetest.Content(t, "testdata/event_created.json")
	refused := func(what string, d source.Delivery, at time.Time, status int) {
		t.Helper()
		id, err := a.Authenticate(d, at)
		refusal, ok := errors.AsType[*source.Refusal](err)
		if !ok || refusal.Status != status || id != "" || strings.Contains(refusal.Detail, secret) {
			t.Errorf("%s: %q, %v", what, id, err)
		}
	}
	with := func(authorization ...string) source.Delivery {
		d := delivery(body)
		d.Header = http.Header{"Authorization": authorization}
		return d
	}
	good := sign(body, secret)
	refused("no signature", with(), now, 401)
	refused("two signatures", with(good, good), now, 401)
	refused("another secret", with(sign(body, "another secret of enough bytes")), now, 401)
	refused("half a signature", with(good[:32]), now, 401)
	refused("with a scheme", with("HMAC "+good), now, 401)
	refused("empty", with(""), now, 401)
	changed := with(good)
	changed.Body = bytes.Replace(body, []byte("4101"), []byte("4102"), 1)
	refused("another body", changed, now, 401)
	refused("a day later", delivery(body), now.Add(24*time.Hour), 400)
	refused("from the future", delivery(body), now.Add(-16*time.Minute), 400)
	if _, err := a.Authenticate(delivery(body), now.Add(23*time.Hour)); err != nil {
		t.Error(err)
	}
	for _, odd := range []string{`{"id":"1","timestamp":null}`, `{"timestamp":"2026-11-20T08:20:00Z"}`, `{"id":"1","timestamp":"now"}`,
		`{"id":"a b","timestamp":"2026-11-20T08:20:00Z"}`, `{"id":"1","id":"2","timestamp":"2026-11-20T08:20:00Z"}`, `[]`, ``} {
		refused(odd, delivery([]byte(odd)), now, 400)
	}
	// Kolide's documented test body has 143 bytes, minified.
	test := `{"event":"webhook.test","id":"01HDVY6MBEYST7797YFFH6QK7C","timestamp":"2023-10-28T20:04:28Z",` +
		`"data":{"message":"This is a test webhook event"}}`
	if id, err := a.Authenticate(delivery([]byte(test)), time.Date(2023, 10, 28, 20, 5, 0, 0, time.UTC)); err != nil || len(test) != 143 {
		t.Errorf("%q (%d bytes): %v", id, len(test), err)
	}
}

// An open issue of a check says no; that there is none says yes only where the settings say that the check always runs.
func TestChecks(t *testing.T) {
	s := newServer(t)
	id := s.add(t, sourcetest.Content(t, "testdata/device_mac.json"))
	ask := func(passing bool) map[string]string {
		t.Helper()
		a, _ := adapter(t, s, func(o *kolide.Options) {
			o.Checks, o.Passing = map[string][]string{"firewall": {"71", "72"}, "disk_encryption": {"9"}}, passing
		})
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for _, fact := range got[0].Facts {
			if fact.Path == "open_issues" {
				said[fact.Attribute] = fact.Value.String() + " " + fact.Observed.Format(time.RFC3339)
			}
		}
		return said
	}
	open := `{"data":[{"id":"1","exempted":true,"resolved_at":null,"detected_at":"2026-11-01T08:00:00Z",` +
		`"last_rechecked_at":"2026-11-20T08:20:00Z","check_information":{"identifier":%s}}],"pagination":{"next_cursor":""}}`
	for _, tt := range []struct {
		issues                                    string
		passing                                   bool
		firewall, encrypted, seen, whenFirewallIs string
	}{
		{issues: fmt.Sprintf(open, `"72"`), firewall: "false 2026-11-20T08:20:00Z", encrypted: "unknown 2026-11-20T08:15:30Z"},
		{issues: fmt.Sprintf(open, `71`), passing: true, firewall: "false 2026-11-20T08:20:00Z",
			encrypted: "true 2026-11-20T08:15:30Z"},
		{issues: fmt.Sprintf(open, `"8"`), firewall: "unknown 2026-11-20T08:15:30Z", encrypted: "unknown 2026-11-20T08:15:30Z"},
		{issues: `{"data":[{"resolved_at":"2026-11-19T08:00:00Z","check_information":{"identifier":71}}],"pagination":{}}`,
			passing: true, firewall: "true 2026-11-20T08:15:30Z", encrypted: "true 2026-11-20T08:15:30Z"},
	} {
		s.Set("/devices/"+id+"/open_issues", tt.issues)
		if said := ask(tt.passing); said["firewall"] != tt.firewall || said["disk_encryption"] != tt.encrypted {
			t.Errorf("%s (passing %v): %v", tt.issues, tt.passing, said)
		}
	}
	// What is not had is an error: no issue must go unseen.
	for _, answer := range []string{"404", "500", `{}`, `{"data":[1]}`, `{"data":[],"pagination":{"next_cursor":"` +
		strings.Repeat("x", 600) + `"}}`} {
		s.Set("/devices/"+id+"/open_issues", answer)
		a, _ := adapter(t, s, func(o *kolide.Options) { o.Checks, o.Passing = map[string][]string{"firewall": {"71"}}, true })
		got, err := a.Device(t.Context(), id)
		if err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%.40s: %+v, %v", answer, got, err)
		}
	}
}

// The list is gone through to its end; a device that cannot be read is there without facts; what cannot be had, or does
// not end, ends the listing.
func TestListing(t *testing.T) {
	s := newServer(t)
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	s.list = append(s.list, json.RawMessage(`{"id":"4199","serial":7}`))
	a, unreadable := adapter(t, s, nil)
	devices, pages := 0, 0
	for cursor := ""; ; pages++ {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 10 {
			t.Fatal(pages, err)
		}
		devices += len(page.Observations)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if devices != 6 || pages != 2 || len(*unreadable) != 1 || !strings.HasPrefix((*unreadable)[0], "4199: ") {
		t.Errorf("%d devices on %d pages; unreadable: %v", devices, pages+1, *unreadable)
	}
	s.stuck = true
	if _, err := a.Page(t.Context(), "c2"); err == nil {
		t.Error("a list that points at itself is no list")
	}
	for _, answer := range []string{`{}`, `{"data":[{"serial":"X"}]}`, `{"data":["x"]}`, "404", "200"} {
		s.Set("/devices", answer)
		if page, err := a.Page(t.Context(), ""); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, page, err)
		}
	}
	s.Set("/devices", "429")
	_, err := a.Page(t.Context(), "")
	if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < 6*time.Second {
		t.Error(err)
	}
}

func TestDeviceThatIsNotTheOne(t *testing.T) {
	s := newServer(t)
	s.Set("/devices/7", `{"id":"8","last_seen_at":"2026-11-20T08:00:00Z"}`)
	s.Set("/devices/6", `{"id":"6","last_seen_at":"yesterday"}`)
	a, _ := adapter(t, s, nil)
	for _, id := range []string{"7", "6", "0", "x", "07", "../7"} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	if _, err := a.Device(t.Context(), "5"); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://api.kolide.example"})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{secret}
	for i, opts := range []kolide.Options{
		{Name: "k", Client: client}, {Name: "k", Secrets: secrets}, {Secrets: secrets, Client: client},
		{Name: "k", Secrets: []string{"short"}, Client: client}, {Name: "k", Secrets: secrets, Client: client, Window: time.Second},
		{Name: "k", Secrets: secrets, Client: client, Window: 97 * time.Hour},
		{Name: "k", Secrets: secrets, Client: client, Checks: map[string][]string{"os_version": {"1"}}},
		{Name: "k", Secrets: secrets, Client: client, Checks: map[string][]string{"firewall": {"x"}}},
		{Name: "k", Secrets: secrets, Client: client, Checks: map[string][]string{"firewall": nil}},
	} {
		if _, err := kolide.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}

// The recorded shapes, where they are there.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "kolide")
	if !ok {
		return
	}
	var said strings.Builder
	for _, file := range files {
		body := sourcetest.Content(t, file)
		name := filepath.Base(file)
		said.WriteString("== " + name + "\n")
		switch {
		case strings.HasPrefix(name, "api_device"):
			s := newServer(t)
			id := s.add(t, body)
			a, _ := adapter(t, s, nil)
			got, err := a.Device(t.Context(), id)
			if err != nil || len(got) != 1 {
				t.Fatalf("%s: %+v, %v", name, got, err)
			}
			said.WriteString(sourcetest.Text(t, got[0]))
		case strings.HasSuffix(name, ".headers.json") || name == "ssf_configuration.json":
		default:
			a, _ := adapter(t, newServer(t), nil)
			points, err := a.Points(delivery(body))
			if err != nil || (len(points) == 1) == (name == "webhook_test.json") {
				t.Errorf("%s: %v, %v", name, points, err)
			}
			fmt.Fprintln(&said, "points at", points)
		}
	}
	sourcetest.Golden(t, sourcetest.RecordedGolden, said.String())
}
