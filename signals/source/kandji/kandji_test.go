package kandji_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/kandji"
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

// list goes through all pages.
func list(t testing.TB, a *kandji.Adapter) (listed, also []signals.Observation, pages int) {
	t.Helper()
	for cursor, first := "", true; cursor != "" || first; first = false {
		page, err := a.Page(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		listed, also = append(listed, page.Observations...), append(also, page.Also...)
		pages++
		cursor = page.Next
	}
	return listed, also, pages
}

// What a listing reads, without and with what is asked of each device.
func TestListing(t *testing.T) {
	a, unreadable := adapter(t, full(t), nil)
	listed, also, _ := list(t, a)
	sourcetest.Golden(t, "testdata/listing.txt", text(t, listed)+"also\n"+text(t, also)+"unreadable\n"+strings.Join(*unreadable, "\n")+"\n")

	s := full(t)
	a, _ = adapter(t, s, func(o *kandji.Options) {
		o.Tables, o.Details, o.Threats, o.Quiet = []string{}, true, true, true
		o.Items = map[string][]string{"screen_lock": {"4a98cb3d-0000-45bf-829d-000000000001"},
			"firewall":    {"1e4be748-0000-4c1f-b1ff-000000000002"},
			"edr_healthy": {"4a98cb3d-0000-45bf-829d-000000000001", "4a98cb3d-0000-45bf-829d-000000000002"},
			"compromised": {"1e4be748-0000-4c1f-b1ff-000000000003"}, "edr_present": {"4a98cb3d-0000-45bf-829d-000000000003"}, "secure_boot": {"not there"}}
		o.AllItems = true
	})
	listed, also, _ = list(t, a)
	sourcetest.Golden(t, "testdata/each.txt", text(t, listed)+"also\n"+text(t, also))
}

// What one device says when it is asked for.
func TestDevices(t *testing.T) {
	a, _ := adapter(t, full(t), func(o *kandji.Options) { o.Threats, o.Released = true, "low" })
	var all strings.Builder
	for _, id := range []string{mac, ipad, strings.Replace(mac, "001", "003", 1)} {
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("device " + id + "\n" + text(t, got))
	}
	sourcetest.Golden(t, "testdata/device.txt", all.String())
}

// TestCost: a listing of N devices asks ceil(N/300)+1 times for the list, and as often for each table with a row for each.
func TestCost(t *testing.T) {
	s := newServer(t)
	for i := range 650 {
		id := fmt.Sprintf("0a1b2c3d-1111-4111-8111-%012d", i)
		s.lists["/api/v1/devices"] = append(s.lists["/api/v1/devices"], json.RawMessage(fmt.Sprintf(
			`{"device_id":%q,"platform":"Mac","last_check_in":"2026-11-20T08:00:00Z","is_removed":false,"is_missing":false}`, id)))
		s.lists["/api/v1/prism/filevault"] = append(s.lists["/api/v1/prism/filevault"], json.RawMessage(fmt.Sprintf(
			`{"device_id":%q,"status":true,"last_collected_at":"2026-11-20T08:00:00+00:00"}`, id)))
	}
	a, _ := adapter(t, s, func(o *kandji.Options) { o.Tables = []string{kandji.TableFileVault} })
	listed, also, pages := list(t, a)
	if len(listed) != 650 || len(also) != 650 || pages != 4 || s.count() != 8 {
		t.Errorf("%d devices and %d rows on %d pages, by %d questions", len(listed), len(also), pages, s.count())
	}
	// The first page has rows of the tables too: tiergate source check sees what they tell.
	first, err := a.Page(t.Context(), "")
	if err != nil || len(first.Also) != 300 || first.Next != "devices=300 filevault=300" || first.Total != 0 {
		t.Errorf("%d, %q, %v", len(first.Also), first.Next, err)
	}
	s.deaf = true
	if _, err := a.Page(t.Context(), "devices=1000000"); err == nil || !strings.Contains(err.Error(), "has no end") {
		t.Errorf("a list without an end: %v", err)
	}
	for _, cursor := range []string{"devices", "devices=-1", "devices=0", "phones=300", "devices=300 ", "x"} {
		if _, err := a.Page(t.Context(), cursor); err == nil {
			t.Errorf("%q is a place", cursor)
		}
	}
}

// An answer that is not what was asked for says nothing of any device, and least of all that one is gone.
func TestTrouble(t *testing.T) {
	for name, answer := range map[string]string{"object": `{}`, "null": "null", "no id": `[{"serial_number":"X"}]`, "no object": `["x"]`,
		"bad id": `[{"device_id":"../x"}]`, "404": "404", "403": "403", "half": `[{"device_id":`, "elsewhere": "http://192.0.2.1/"} {
		s := full(t)
		s.set("/api/v1/devices", answer)
		a, _ := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	for name, answer := range map[string]string{"object": `{}`, "array": `[]`, "no id": `{"data":[{}]}`, "404": "404", "null": `{"data":null}`} {
		for _, path := range []string{"/api/v1/prism/filevault", "/api/v1/threat-details"} {
			s := full(t)
			s.set(path, strings.ReplaceAll(answer, "data", map[bool]string{true: "results", false: "data"}[strings.HasSuffix(path, "details")]))
			a, _ := adapter(t, s, func(o *kandji.Options) { o.Threats = true })
			page, err := a.Page(t.Context(), "")
			if err == nil || errors.Is(err, source.ErrGone) {
				t.Errorf("%s of %s: %+v, %v", name, path, page, err)
			}
			if got, err := a.Device(t.Context(), mac); err == nil || errors.Is(err, source.ErrGone) {
				t.Errorf("%s of %s: %+v, %v", name, path, got, err)
			}
		}
	}
	for _, status := range []string{"429", "503"} {
		s := full(t)
		s.set("/api/v1/prism/startup_settings", status)
		a, _ := adapter(t, s, nil)
		_, err := a.Page(t.Context(), "")
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < 6*time.Second {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestDeviceThatIsNotTheOne(t *testing.T) {
	other := strings.Replace(mac, "001", "099", 1)
	s := full(t)
	a, _ := adapter(t, s, nil)
	if _, err := a.Device(t.Context(), other); !errors.Is(err, source.ErrGone) {
		t.Errorf("a device that is not there: %v", err)
	}
	s.set("/api/v1/devices", "404") // then the URL is wrong
	if _, err := a.Device(t.Context(), other); err == nil || errors.Is(err, source.ErrGone) {
		t.Errorf("a wrong URL: %v", err)
	}
	for path, answer := range map[string]string{
		"": s.answers["/api/v1/devices/"+ipad], "/details": s.answers["/api/v1/devices/"+ipad+"/details"],
		"/status": `{"device_id":"` + ipad + `","library_items":[],"parameters":[]}`, "/details ": "404", " ": `[]`, "/status ": `{}`,
		"/details  ": `[]`, "/status  ": `{"device_id":"` + mac + `","library_items":[{"item_id":"i","status":"PASS","reported_at":"now"}]}`,
	} {
		s := full(t)
		s.set("/api/v1/devices/"+mac+strings.TrimSpace(path), answer)
		a, _ := adapter(t, s, func(o *kandji.Options) { o.AllItems = true })
		if got, err := a.Device(t.Context(), mac); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s answers %s: %+v, %v", path, answer, got, err)
		}
	}
	s = full(t)
	s.deaf = true // a filter that is not kept gives the rows of others
	if a, _ = adapter(t, s, nil); true {
		if got, err := a.Device(t.Context(), mac); err == nil || !strings.Contains(err.Error(), "another") {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, id := range []string{"", "x", strings.ToUpper(mac), "../" + mac, mac + "/details"} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
}

// A device whose threats are many has the worst of them, as of its last check-in at the earliest.
func TestThreatsAreJoined(t *testing.T) {
	s := full(t)
	for i := range 1100 {
		s.lists["/api/v1/threat-details"] = append(s.lists["/api/v1/threat-details"], json.RawMessage(fmt.Sprintf(
			`{"device_id":%q,"status":"QUARANTINED","detection_date":"2026-01-01T00:00:%02d"}`, ipad, i%60)))
	}
	s.lists["/api/v1/threat-details"] = append(s.lists["/api/v1/threat-details"], json.RawMessage(
		`{"device_id":"`+mac+`","status":"NOT_QUARANTINED","detection_date":"2026-01-01T00:00:00"}`))
	a, _ := adapter(t, s, func(o *kandji.Options) { o.Threats = true })
	listed, _, _ := list(t, a)
	facts := map[string]string{}
	for _, o := range listed {
		for _, fact := range o.Facts {
			if fact.Attribute == "threat_level" {
				facts[o.Aliases[0].Value[len(o.Aliases[0].Value)-1:]] = fact.Value.String() + " " + fact.Observed.Format(time.RFC3339)
			}
		}
	}
	if facts["1"] != "high 2026-11-20T08:20:15Z" || facts["2"] != "high 2026-11-19T21:46:26Z" || len(facts) != 3 {
		t.Error(facts)
	}
}

func TestNothingIsTaken(t *testing.T) {
	a, _ := adapter(t, newServer(t), nil)
	if _, err := a.Authenticate(source.Delivery{}, time.Now()); err == nil {
		t.Error("a delivery was taken")
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://acme.api.kandji.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*kandji.Options){
		func(o *kandji.Options) { o.Name = "" }, func(o *kandji.Options) { o.API = nil },
		func(o *kandji.Options) { o.Tables = []string{"certificates"} },
		func(o *kandji.Options) { o.Tables = []string{"filevault", "filevault"} },
		func(o *kandji.Options) { o.Items = map[string][]string{"os_version": {"1"}} },
		func(o *kandji.Options) { o.Items = map[string][]string{"firewall": nil} },
		func(o *kandji.Options) { o.AllItems, o.Compliance = true, []string{"1"} },
		func(o *kandji.Options) { o.Quiet = true }, func(o *kandji.Options) { o.Released = "low" },
		func(o *kandji.Options) { o.Threats, o.Released = true, "fine" },
	} {
		opts := kandji.Options{Name: "k", API: client}
		change(&opts)
		if _, err := kandji.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
}

// The recorded shapes, where they are there.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "kandji")
	if !ok {
		return
	}
	s := newServer(t)
	var id string
	var details, status []byte // status: of another device
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		switch table, isTable := strings.CutPrefix(name, "prism_"); {
		case isTable && slices.Contains(kandji.Tables(), table):
			s.lists["/api/v1/prism/"+table] = elements(t, file, "data")
		case name == "prism_certificates": // neither fingerprint nor validity: TestNewRefuses
		case name == "api_devices_list":
			s.lists["/api/v1/devices"] = elements(t, file, "")
			id = field(s.lists["/api/v1/devices"][0], "device_id")
			s.answers["/api/v1/devices/"+id] = string(s.lists["/api/v1/devices"][0])
		case name == "api_device_details_mac":
			details = sourcetest.Content(t, file)
		case name == "api_device_status":
			status = sourcetest.Content(t, file)
		case name == "api_threat_details":
			s.lists["/api/v1/threat-details"] = elements(t, file, "results")
		default:
			t.Errorf("nobody reads %s", file)
		}
	}
	if id == "" {
		t.Fatal("there is no list")
	}
	s.answers["/api/v1/devices/"+id+"/details"] = string(details)
	s.answers["/api/v1/devices/"+id+"/status"] = strings.Replace(string(status), field(status, "device_id"), id, 1)
	a, unreadable := adapter(t, s, func(o *kandji.Options) { o.Details, o.AllItems, o.Threats = true, true, true })
	listed, also, _ := list(t, a)
	sourcetest.Golden(t, sourcetest.RecordedGolden, text(t, append(listed, also...)))
	if len(*unreadable) > 0 {
		t.Error(*unreadable)
	}
}
