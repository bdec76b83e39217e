package jamf_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/jamf"
)

var update = flag.Bool("update", false, "write the goldens anew; read the difference")

var now = time.Date(2026, 11, 20, 8, 0, 1, 0, time.UTC)

// options are those of most tests; api answers, or nobody does.
func options(api jamf.API) jamf.Options {
	if api == nil {
		api = server(nil)
	}
	return jamf.Options{
		Name: "jamf", API: api, Auth: source.Basic{User: "jamf", Passwords: []string{"old", "new"}},
		ComputerGroups: jamf.Groups{Compliant: []string{"12"}, Noncompliant: []string{"13"}},
		MobileGroups:   jamf.Groups{Compliant: []string{"8"}},
	}
}

func adapter(t testing.TB, api jamf.API, change ...func(*jamf.Options)) *jamf.Adapter {
	t.Helper()
	o := options(api)
	for _, c := range change {
		c(&o)
	}
	a, err := jamf.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func delivery(body string) source.Delivery {
	header := http.Header{}
	header.Set("Authorization", "Basic amFtZjpuZXc=") // jamf:new
	return source.Delivery{Source: "jamf", Header: header, Body: []byte(body), Received: now}
}

func read(t testing.TB, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// golden compares with the file beside the input, or writes it.
func golden(t *testing.T, input, got string) {
	t.Helper()
	path := input + ".golden"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(read(t, path), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}

func show(observations []signals.Observation) string {
	var b strings.Builder
	for _, o := range observations {
		for _, alias := range o.Aliases {
			fmt.Fprintf(&b, "name %s\n", alias)
		}
		for _, f := range o.Facts {
			fmt.Fprintf(&b, "%s = %s (%s, %s)\n", f.Attribute, f.Value, f.Path, f.Observed.Format(time.RFC3339Nano))
		}
	}
	return b.String()
}

func inputs(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < atLeast {
		t.Fatalf("%s: %d files, %v; want at least %d", pattern, len(files), err, atLeast)
	}
	return files
}

func TestDeliveries(t *testing.T) {
	a := adapter(t, nil)
	paths := append(inputs(t, "testdata/deliveries/*.json", 20), inputs(t, "testdata/deliveries/*.xml", 5)...)
	for _, path := range paths {
		d := delivery(read(t, path))
		id, err := a.Authenticate(d, now)
		if err != nil || !source.ValidID(id) {
			t.Errorf("%s: id %q, %v", path, id, err)
		}
		points, err := a.Points(d)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		observations, err := a.Observe(d)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		golden(t, path, fmt.Sprintf("points %s\n%s", strings.Join(points, " "), show(observations)))
	}
}

// Whatever is published of Jamf Pro, where the folder with it lies beside the repository: every webhook is taken, and
// every record of the API read.
func TestPublishedSamples(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "samples", "jamf_pro")
	if _, err := os.Stat(dir); err != nil {
		return // the folder is no part of the repository
	}
	var said strings.Builder
	for _, path := range inputs(t, filepath.Join(dir, "*.*"), 10) {
		name, body := filepath.Base(path), read(t, path)
		a := adapter(t, server{"": body}, func(o *jamf.Options) { o.MobileGroups.Compliant = []string{"8"} })
		d := delivery(body)
		if _, err := a.Authenticate(d, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		switch {
		case strings.HasPrefix(name, "api_pro_"):
			cursor := map[bool]string{true: "", false: "mobile.0.-1.0"}[strings.Contains(name, "computers")]
			page, err := a.Page(t.Context(), cursor)
			if err != nil || len(page.Observations) != 1 {
				t.Errorf("%s: %+v, %v", name, page, err)
			}
			said.WriteString("== " + name + "\n" + show(page.Observations))
		case strings.HasPrefix(name, "api_classic_"): // not asked for: deprecated since Jamf Pro 11.15
			if _, err := a.Observe(d); err == nil {
				t.Errorf("%s was taken for a webhook", name)
			}
		default:
			points, err := a.Points(d)
			if err != nil || (len(points) > 0) != !nudgesNobody[name] {
				t.Errorf("%s: points at %v, %v", name, points, err)
			}
			if observations, err := a.Observe(d); err != nil || observations != nil {
				t.Errorf("%s: %+v, %v", name, observations, err)
			}
			fmt.Fprintf(&said, "== %s\npoints at %v\n", name, points)
		}
	}
	golden(t, "testdata/recorded", said.String())
}

var nudgesNobody = map[string]bool{
	"device_added_to_dep.json": true, "mobile_device_command_completed.json": true,
	"patch_software_title_updated.json": true, "rest_api_operation.json": true,
}

func TestAuthenticate(t *testing.T) {
	a := adapter(t, nil)
	good := read(t, "testdata/deliveries/computer_added.json")
	old := strings.Replace(good, `"eventTimestamp"`, `"nothing"`, 1)
	status := func(d source.Delivery) (string, int) {
		id, err := a.Authenticate(d, now)
		if refusal, ok := errors.AsType[*source.Refusal](err); ok {
			return id, refusal.Status
		}
		return id, 0
	}
	first, code := status(delivery(good))
	if code != 0 {
		t.Fatal(code)
	}
	later := delivery(good)
	later.Received = now.Add(time.Hour)
	if again, _ := status(later); again != first {
		t.Errorf("the same bytes are %q and %q", first, again)
	}
	if other, _ := status(delivery(strings.Replace(good, "41", "42", 1))); other == first {
		t.Error("two devices are one delivery")
	}
	first, _ = status(delivery(old))
	later.Body = []byte(old)
	if again, _ := status(later); again == first {
		t.Error("an event of an old server, which has no time, is taken for a repetition an hour later")
	}
	wrong := delivery(good)
	wrong.Header.Set("Authorization", "Basic amFtZjpuZXg=")
	if _, code := status(wrong); code != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", code)
	}
	for name, body := range map[string]string{
		"empty": "", "a list": `[]`, "a text": `"x"`, "two readings": strings.Replace(good, `"event"`, `"webhook"`, 1),
		"case": strings.Replace(good, `"jssID"`, `"jssid": 9, "jssID"`, 1), "broken XML": `<JSSEvent>`,
		"entities": `<!DOCTYPE x [<!ENTITY a "b">]><JSSEvent>&a;</JSSEvent>`,
		"twice":    `<JSSEvent><event></event><event></event></JSSEvent>`,
	} {
		if _, code := status(delivery(body)); code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
}

// What is authentic and cannot be read becomes a dead letter, whose reason must name the fault.
func TestDeadLetters(t *testing.T) {
	added := read(t, "testdata/deliveries/computer_added.json")
	group := read(t, "testdata/deliveries/smart_group_computer.json")
	xml := read(t, "testdata/deliveries/computer_check_in.xml")
	for name, tt := range map[string]struct{ body, old, new, reason string }{
		"an unknown event":     {added, `"ComputerAdded"`, `"ComputerSoldOff"`, "ComputerSoldOff"},
		"no event name":        {added, `"webhookEvent"`, `"webhookevent"`, "webhookEvent"},
		"a bad time":           {added, `1795161600123`, `"yesterday"`, "eventTimestamp"},
		"no event":             {added, `"event":`, `"happening":`, "event"},
		"an event that is one": {added, `"event": {`, `"event": 1, "x": {`, "event"},
		"no number":            {added, `"jssID": 41`, `"jssID": null`, "jssID"},
		"another case":         {added, `"jssID"`, `"jssId"`, "jssID"},
		"number 0":             {added, `"jssID": 41`, `"jssID": 0`, "jssID"},
		"number -1":            {added, `"jssID": 41`, `"jssID": "-1"`, "jssID"},
		"a fraction":           {added, `"jssID": 41`, `"jssID": 41.0`, "jssID"},
		"a path":               {added, `"jssID": 41`, `"jssID": "41/../42"`, "jssID"},
		"a list of numbers":    {added, `"jssID": 41`, `"jssID": [41]`, "jssID"},
		"a group of none":      {group, `"jssid": 12`, `"jssid": null`, "jssid"},
		"the other kind":       {group, `"computer": true`, `"computer": false`, "computer"},
		"a bad member":         {group, `43,`, `"x",`, "groupRemovedDevicesIds"},
		"a bad member object":  {group, `43,`, `{"jssID": true, "x": {"y": "z"}},`, "groupRemovedDevicesIds"},
		"another root":         {xml, `JSSEvent>`, `Event>`, "JSSEvent"},
		"two numbers in XML":   {xml, `<jssID>41</jssID>`, `<jssID>41</jssID><jssID>42</jssID>`, "jssID"},
		"a text in XML":        {xml, xml[strings.Index(xml, "<webhook>"):strings.Index(xml, "</JSSEvent>")], `x`, "object"},
	} {
		body := strings.ReplaceAll(tt.body, tt.old, tt.new)
		if name == "a bad member object" {
			body = strings.Replace(body, `"jssID": true, `, "", 1)
		}
		if body == tt.body {
			t.Fatalf("%s changes nothing", name)
		}
		points, err := adapter(t, nil).Points(delivery(body))
		observations, err2 := adapter(t, nil).Observe(delivery(body))
		if err == nil || err2 == nil || !strings.Contains(err.Error(), tt.reason) || points != nil || observations != nil {
			t.Errorf("%s: %v, %v, %v; the reason must name %q", name, points, observations, err, tt.reason)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*jamf.Options){
		"name":           func(o *jamf.Options) { o.Name = "" },
		"authenticate":   func(o *jamf.Options) { o.Auth = nil },
		"API":            func(o *jamf.Options) { o.API = nil },
		"computersAPI":   func(o *jamf.Options) { o.ComputersAPI = "v1/../x" },
		"pageSize":       func(o *jamf.Options) { o.PageSize = 2001 },
		"user":           func(o *jamf.Options) { o.User = "realname" },
		"kind of device": func(o *jamf.Options) { o.Kinds = []string{"printer"} },
		"twice":          func(o *jamf.Options) { o.Kinds = []string{jamf.KindMobile, jamf.KindMobile} },
		"ownership":      func(o *jamf.Options) { o.Ownership = map[string]string{"Institutional": "mine"} },
		"computer group": func(o *jamf.Options) { o.ComputerGroups.Noncompliant = []string{"All Macs"} },
		"mobile group":   func(o *jamf.Options) { o.MobileGroups.Compliant = []string{"-1"} },
	} {
		o := options(nil)
		change(&o)
		if _, err := jamf.New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server's computers and mobile devices have numbers of their own, and so have their groups.
func TestKindsStayApart(t *testing.T) {
	a := adapter(t, nil)
	computer, err := a.Alias("computer-17")
	mobile, err2 := a.Alias("mobile-17")
	if err != nil || err2 != nil || computer == mobile || computer.String() != "vendor:jamf/computer-17" {
		t.Errorf("%v %v, %v %v", computer, err, mobile, err2)
	}
	for _, id := range []string{"", "17", "computer-", "computer-0", "computer-017", "computer-1 ", "mobile--1", "tv-1",
		"computer-1/2", "computer-99999999999999999999"} {
		if alias, err := a.Alias(id); err == nil {
			t.Errorf("%q is %v", id, alias)
		}
		if _, err := a.Device(t.Context(), id); err == nil {
			t.Errorf("%q was asked for", id)
		}
	}
	body := read(t, "testdata/deliveries/smart_group_mobile.json") // group 8, which is a mobile group's number
	body = strings.ReplaceAll(body, "SmartGroupMobileDevice", "SmartGroupComputer")
	body = strings.ReplaceAll(body, `"computer": false`, `"computer": true`)
	if points, err := a.Points(delivery(body)); err != nil || points != nil {
		t.Errorf("the computer group 8 is not read from, and points at %v, %v", points, err)
	}
	only := adapter(t, nil, func(o *jamf.Options) { o.Kinds = []string{jamf.KindComputer} })
	enrolled := delivery(read(t, "testdata/deliveries/mobile_device_enrolled.json"))
	if points, err := only.Points(enrolled); err != nil || points != nil {
		t.Errorf("mobile devices are not asked for, and points at %v, %v", points, err)
	}
}
