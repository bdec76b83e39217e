package workspaceone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/workspaceone"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// text writes observations down, one after the other.
func text(t testing.TB, all []signals.Observation) string {
	t.Helper()
	var b strings.Builder
	for _, o := range all {
		b.WriteString(sourcetest.Text(t, o))
	}
	return b.String()
}

func list(t testing.TB, a *workspaceone.Adapter) (all []signals.Observation, pages int) {
	t.Helper()
	for cursor, first := "", true; cursor != "" || first; first = false {
		page, err := a.Page(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Observations...)
		pages++
		cursor = page.Next
	}
	return all, pages
}

// What each device says, by default and with the settings that say what words mean.
func TestDevices(t *testing.T) {
	a, unreadable := adapter(t, full(t), nil)
	all, _ := list(t, a)
	sourcetest.Golden(t, "testdata/search.txt", text(t, all)+"unreadable\n"+strings.Join(*unreadable, "\n")+"\n")
	for _, o := range all {
		id := strings.TrimPrefix(o.Aliases[0].Value, "uem/")
		one, err := a.Device(t.Context(), id)
		if (err != nil) != (id == "5716") || err == nil && text(t, one) != text(t, []signals.Observation{o}) {
			t.Errorf("%s alone is %+v, %v", id, one, err)
		}
	}
	a, _ = adapter(t, full(t), func(o *workspaceone.Options) {
		o.User, o.Encryption = workspaceone.UserName, workspaceone.EncryptionYN
		o.Ownership = map[string]string{"S": "shared", "Undefined": "byod", "C": "contractor"}
	})
	all, _ = list(t, a)
	sourcetest.Golden(t, "testdata/search_set.txt", text(t, all))
}

// The device that each event points at; none of them says anything itself.
func TestEvents(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	ids := map[string]string{}
	var said strings.Builder
	files, err := filepath.Glob("testdata/event_*")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		d := delivery(sourcetest.Content(t, file))
		id, err := a.Authenticate(d, now)
		points, fault := a.Points(d)
		if err != nil || fault != nil {
			t.Errorf("%s: %v, %v", file, err, fault)
		}
		fmt.Fprintln(&said, filepath.Base(file), points)
		// The old server's spelling of the same event is the same event.
		if other := ids[id]; (other != "") != strings.HasSuffix(file, "compromised_old.xml") {
			t.Errorf("%s and %s are the same delivery: %s", file, other, id)
		}
		ids[id] = file
		if got, err := a.Observe(d); err != nil || got != nil {
			t.Errorf("%s was read as data: %+v, %v", file, got, err)
		}
	}
	sourcetest.Golden(t, "testdata/events.txt", said.String())
	again := delivery([]byte(`{"EventType":"Device MCC","DeviceId":7}`))
	first, _ := a.Authenticate(again, now)
	again.Received = now.Add(time.Second)
	if second, err := a.Authenticate(again, now); err != nil || first == second {
		t.Error("an event without its time is taken for a repetition")
	}
	for _, body := range []string{
		`{"EventType":"Device MCC"}`, `{"DeviceId":7}`, `{"EventType":"Device MCC","DeviceId":-7}`, `{"EventType":"Device MCC","DeviceId":0}`,
		`{"EventType":"Device MCC","DeviceId":"7/../8"}`, `{"EventType":"Device MCC","DeviceId":7.5}`, `{"eventtype":"Device MCC","DeviceId":7}`,
		`{"EventType":"Device MCC","DeviceId":7,"EventTime":"now"}`, `{"EventType":["Device MCC"],"DeviceId":7}`, `{}`, `[]`, `null`, `{`, ``,
		`<Eventlog/>`, `<JSSEvent><EventType>x</EventType><DeviceId>7</DeviceId></JSSEvent>`,
		`<Eventlog><EventType>x</EventType><DeviceId><b>7</b></DeviceId></Eventlog>`,
		`<Eventlog><EventType>x</EventType><DeviceId>7</DeviceId><DeviceId>8</DeviceId></Eventlog>`,
	} {
		if points, err := a.Points(delivery([]byte(body))); err == nil {
			t.Errorf("%s points at %v", body, points)
		}
		if got, err := a.Observe(delivery([]byte(body))); err == nil {
			t.Errorf("%s says %v", body, got)
		}
	}
}

// Only who has the password is let in, to deliver and to try the way.
func TestWhoIsLetIn(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	good := delivery(sourcetest.Content(t, "testdata/event_compliance.json"))
	for what, header := range map[string]http.Header{
		"nothing": {}, "twice": {"Authorization": {good.Header.Get("Authorization"), good.Header.Get("Authorization")}},
		"another": {"Authorization": {"Basic dWVtOndyb25n"}}, "a bearer": {"Authorization": {"Bearer " + password}},
	} {
		d := good
		d.Header = header
		_, err := a.Authenticate(d, now)
		_, greeted, greeting := a.Greet(http.MethodGet, d)
		for _, err := range []error{err, greeting} {
			if refusal, ok := errors.AsType[*source.Refusal](err); !ok || refusal.Status != 401 || strings.Contains(refusal.Detail, password) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if greeted {
			t.Errorf("%s is greeted", what)
		}
	}
	if g, ok, err := a.Greet(http.MethodGet, good); !ok || err != nil || g.Status != 200 || len(g.Body) != 0 {
		t.Errorf("Test Connection is answered %+v, %v, %v", g, ok, err)
	}
	if _, ok, err := a.Greet(http.MethodPost, good); ok || err != nil {
		t.Errorf("a delivery is a greeting: %v", err)
	}
	for _, body := range []string{`[]`, ``, `{"DeviceId":7,"deviceid":8}`, `<Eventlog><!-- x --></Eventlog>`, "\xff"} {
		d := good
		d.Body = []byte(body)
		_, err := a.Authenticate(d, now)
		if refusal, ok := errors.AsType[*source.Refusal](err); !ok || refusal.Status != 400 {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// A listing goes on over an expired token, and ends by the total or, without one, by the 204.
func TestPaging(t *testing.T) {
	s := newServer(t)
	for i := range 7 {
		s.devices = append(s.devices, json.RawMessage(fmt.Sprintf(`{"Id":{"Value":%d},"LastSeen":"2026-11-20T08:00:00","EnrollmentStatus":"Enrolled"}`, i+1)))
	}
	s.left = 2
	a, _ := adapter(t, s, func(o *workspaceone.Options) { o.PageSize, o.Group = 3, "570" })
	all, pages := list(t, a)
	if len(all) != 7 || pages != 3 || s.issued < 2 || !strings.Contains(s.asked[0], "lgid=570") {
		t.Errorf("%d devices on %d pages with %d tokens: %v", len(all), pages, s.issued, s.asked)
	}
	first, err := a.Page(t.Context(), "")
	if err != nil || first.Total != 7 || first.Next != "1" {
		t.Errorf("%+v, %v", first, err)
	}
	s.silent = true
	if all, pages = list(t, a); len(all) != 7 || pages != 4 {
		t.Errorf("without a total: %d devices on %d pages", len(all), pages)
	}
	s.devices = nil
	if all, pages = list(t, a); len(all) != 0 || pages != 1 {
		t.Errorf("without a device: %d devices on %d pages", len(all), pages)
	}
	for _, cursor := range []string{"-1", "0", "x", "1000000"} {
		if _, err := a.Page(t.Context(), cursor); err == nil {
			t.Errorf("%q is a page", cursor)
		}
	}
}

// An answer that is not what was asked for says nothing of any device, and least of all that one is gone.
func TestTrouble(t *testing.T) {
	for name, answer := range map[string]string{"object": `{}`, "array": `[]`, "null": `{"Devices":null}`, "no id": `{"Devices":[{"SerialNumber":"X"}]}`,
		"no object": `{"Devices":["x"]}`, "bad id": `{"Devices":[{"Id":{"Value":-1}}]}`, "404": "404", "403": "403", "half": `{"Devices":[`,
		"another page": `{"Devices":[],"Page":3,"PageSize":500}`, "another size": `{"Devices":[],"Page":0,"PageSize":10}`,
		"elsewhere": "http://192.0.2.1/"} {
		s := full(t)
		s.set("/api/mdm/devices/search", answer)
		a, _ := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
		if _, err := a.Device(t.Context(), "1"); !strings.Contains("no id, no object, bad id", name) && (err == nil || errors.Is(err, source.ErrGone)) {
			t.Errorf("%s: a device that is not there: %v", name, err)
		}
	}
	for _, status := range []string{"429", "503"} {
		s := full(t)
		s.set("/api/mdm/devices/search", status)
		a, _ := adapter(t, s, nil)
		_, err := a.Page(t.Context(), "")
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < 6*time.Second {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestDeviceThatIsNotTheOne(t *testing.T) {
	s := full(t)
	a, _ := adapter(t, s, nil)
	for _, answer := range []string{"404", "204"} {
		s.set("/api/mdm/devices/9", answer)
		if _, err := a.Device(t.Context(), "9"); !errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %v", answer, err)
		}
	}
	for _, answer := range []string{`{"Id":{"Value":8}}`, `[]`, `{}`, `{"Id":{"Value":9},"LastSeen":"now"}`, `{"Id":9}`, "403"} {
		s.set("/api/mdm/devices/9", answer)
		if got, err := a.Device(t.Context(), "9"); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
	for _, id := range []string{"", "0", "07", "x", "../9", "9/apps"} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://as1.awmdm.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*workspaceone.Options){
		func(o *workspaceone.Options) { o.Name = "" }, func(o *workspaceone.Options) { o.API = nil },
		func(o *workspaceone.Options) { o.Auth = nil }, func(o *workspaceone.Options) { o.PageSize = 501 },
		func(o *workspaceone.Options) { o.Group = "acme" }, func(o *workspaceone.Options) { o.User = "name" },
		func(o *workspaceone.Options) { o.Encryption = "Encrypted" },
		func(o *workspaceone.Options) { o.Ownership = map[string]string{"S": "ours"} },
	} {
		opts := workspaceone.Options{Name: "k", API: client, Auth: source.Basic{User: "a", Passwords: []string{"b"}}}
		change(&opts)
		if _, err := workspaceone.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}

// The recorded shapes, where they are there.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "workspace_one")
	if !ok {
		return
	}
	want := map[string]string{"webhook_compromised_status_changed.json": "10000", "webhook_compliance_status_changed.json": "10000",
		"webhook_compromised_status_changed_old.xml": "133", "webhook_compromised_status_changed_2.xml": "639",
		"webhook_enterprise_wipe_requested_old.json": "280"}
	for _, file := range files {
		name := filepath.Base(file)
		s := newServer(t)
		a, unreadable := adapter(t, s, nil)
		switch {
		case strings.HasSuffix(name, ".headers.json"):
		case strings.HasPrefix(name, "webhook_"):
			d := delivery(sourcetest.Content(t, file))
			_, err := a.Authenticate(d, now)
			points, fault := a.Points(d)
			if err != nil || fault != nil || len(points) != 1 || points[0] != want[name] {
				t.Errorf("%s: %v, %v, %v", name, points, err, fault)
			}
		case name == "api_devices_search.json":
			s.set("/api/mdm/devices/search", string(sourcetest.Content(t, file)))
			all, _ := list(t, a)
			said := text(t, all)
			sourcetest.Golden(t, sourcetest.RecordedGolden, said)
			if len(all) != 2 || len(*unreadable) > 0 || strings.Contains(said, "= compliant") { // it was never checked
				t.Errorf("%v\n%s", *unreadable, said)
			}
		default:
			t.Errorf("nobody reads %s", file)
		}
	}
}
