package intune_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/intune"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

const (
	devices  = "/beta/deviceManagement/managedDevices"
	statuses = "/beta/deviceManagement/deviceCompliancePolicies/" + policy + "/deviceStatuses"
)

func firewall(o *intune.Options) { o.Policies = map[string][]string{"firewall": {policy}} }

// walk goes through all lists.
func walk(t *testing.T, a *intune.Adapter) (listed, also []signals.Observation, pages int) {
	t.Helper()
	for cursor := ""; ; {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 20 {
			t.Fatal(pages, err)
		}
		listed, also = append(listed, page.Observations...), append(also, page.Also...)
		pages++
		if cursor = page.Next; cursor == "" {
			return listed, also, pages
		}
	}
}

// The devices are gone through to their end, then what each policy says; a token that ends on the way is replaced.
func TestListing(t *testing.T) {
	g := newGraph(t)
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		g.add(t, sourcetest.Content(t, file))
	}
	g.add(t, []byte(`{"id":"11111111-0000-4000-8000-0000000000F1","serialNumber":7}`))
	g.add(t, []byte(`{"id":"11111111-0000-4000-8000-0000000000f2","lastSyncDateTime":"yesterday"}`))
	var list struct{ Value []json.RawMessage }
	if err := json.Unmarshal(sourcetest.Content(t, "testdata/statuses.json"), &list); err != nil {
		t.Fatal(err)
	}
	g.lists[statuses] = list.Value
	g.good = 3
	a, unreadable := adapter(t, g, firewall)
	listed, also, pages := walk(t, a)
	if len(listed) != 10 || pages != 7 || g.tokens != 2 {
		t.Errorf("%d devices on %d pages with %d tokens", len(listed), pages, g.tokens)
	}
	if want := "11111111-0000-4000-8000-0000000000f1 11111111-0000-4000-8000-0000000000f2 other-shape"; strings.Join(*unreadable, " ") != want {
		t.Errorf("unreadable: %v", *unreadable)
	}
	var b strings.Builder
	for _, o := range also {
		b.WriteString(sourcetest.Text(t, o))
	}
	sourcetest.Golden(t, "testdata/statuses.json", b.String())
	for _, o := range listed[8:] {
		if len(o.Aliases) != 1 || len(o.Facts) != 0 {
			t.Errorf("what cannot be read says %+v", o)
		}
	}
}

// A policy that tells something bad (compromised) is turned around: who is compliant does not have it.
func TestPolicyOfAnAlarm(t *testing.T) {
	g := newGraph(t)
	g.set(statuses, string(sourcetest.Content(t, "testdata/statuses.json")))
	a, _ := adapter(t, g, func(o *intune.Options) { o.Policies = map[string][]string{"compromised": {strings.ToUpper(policy)}} })
	page, err := a.Page(t.Context(), "1?")
	if err != nil || len(page.Also) != 3 || page.Also[0].Facts[0].Value != signals.Bool(true) ||
		page.Also[1].Facts[0].Value != signals.Bool(false) || page.Also[2].Facts[0].Value != signals.Unknown {
		t.Errorf("%+v, %v", page, err)
	}
	g.set(statuses, `{"value":[{"id":"001d35fc-0000-4d17-9ffc-000000000001_2aa3f0f3-0000-4349-885b-c86d273aa14e_`+
		`11111111-0000-4000-8000-000000000001","status":"compliant","lastReportedDateTime":"2026-11-19T16:23:55Z"}]}`)
	if page, err = a.Page(t.Context(), "1?"); err != nil || len(page.Also) > 0 {
		t.Errorf("the word of another policy counts: %+v, %v", page, err)
	}
}

// A link to the next page is followed only within the list of this host, and only forward.
func TestNextLinkGoesElsewhere(t *testing.T) {
	for name, next := range map[string]func(string) string{
		"other host":   func(string) string { return "https://graph.evil.example" + devices + "?$skiptoken=2" },
		"other scheme": func(l string) string { return strings.Replace(l, "http:", "https:", 1) },
		"other list":   func(l string) string { return strings.Replace(l, "managedDevices", "managedDeviceX", 1) },
		"other user":   func(l string) string { return strings.Replace(l, "http://", "http://ana@", 1) },
		"other API":    func(l string) string { return strings.Replace(l, "/beta/", "/v1.0/", 1) },
		"no query":     func(l string) string { return l[:strings.Index(l, "?")] },
		"too long":     func(l string) string { return l + "&x=" + strings.Repeat("y", 5000) },
		"broken query": func(l string) string { return l + "&%zz" },
		"no link":      func(string) string { return "http://[" },
	} {
		g := newGraph(t)
		for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
			g.add(t, sourcetest.Content(t, file))
		}
		g.next = next
		a, _ := adapter(t, g, nil)
		if page, err := a.Page(t.Context(), ""); err == nil {
			t.Errorf("%s was followed: %s", name, page.Next)
		}
	}
	g := newGraph(t)
	a, _ := adapter(t, g, nil)
	g.set(devices, fmt.Sprintf(`{"value":[],"@odata.nextLink":"%s%s?%%24skiptoken=2"}`, g.url, devices))
	page, err := a.Page(t.Context(), "")
	if err != nil || page.Next != "0?%24skiptoken=2" { // a page without devices is not the last
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err = a.Page(t.Context(), page.Next); err == nil {
		t.Errorf("the list goes in circles: %+v", page)
	}
}

// What is no list ends the listing, and no device is taken for gone.
func TestNoList(t *testing.T) {
	for _, answer := range []string{`{}`, `[]`, `{"value":null}`, `{"value":{"id":"x"}}`, `{"value":[{}]}`, `{"value":[7]}`,
		`{"value":[],"VALUE":[]}`, `{"value":[`, "404", "403", "410", "https://graph.evil.example/"} {
		for cursor, path := range map[string]string{"": devices, "1?": statuses} {
			if cursor != "" && (strings.Contains(answer, "[7]") || strings.Contains(answer, "[{}]")) {
				continue // an entry that cannot be read is told, and says nothing
			}
			g := newGraph(t)
			g.set(path, answer)
			a, _ := adapter(t, g, firewall)
			if page, err := a.Page(t.Context(), cursor); err == nil || errors.Is(err, source.ErrGone) {
				t.Errorf("%s of %s: %+v, %v", answer, path, page, err)
			}
		}
	}
	for _, status := range []string{"429", "503"} {
		g := newGraph(t)
		g.set(devices, status)
		a, _ := adapter(t, g, nil)
		_, err := a.Page(t.Context(), "")
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After < 6*time.Second || busy.After > 7*time.Second {
			t.Errorf("%s: %v", status, err)
		}
	}
	a, _ := adapter(t, newGraph(t), firewall)
	for _, cursor := range []string{"x", "0?", "0", "2?", "-1?x=1", "0?%zz", "?"} {
		if page, err := a.Page(t.Context(), cursor); err == nil {
			t.Errorf("%q is a place: %+v", cursor, page)
		}
	}
}

func TestDeviceThatIsNotTheOne(t *testing.T) {
	const one = "11111111-0000-4000-8000-000000000001"
	g := newGraph(t)
	a, _ := adapter(t, g, nil)
	for _, answer := range []string{`{"id":"11111111-0000-4000-8000-000000000002"}`, `{}`, `[]`, `{"id":7}`,
		`{"id":"` + one + `","lastSyncDateTime":"yesterday"}`,
		`{"id":"` + one + `","complianceGracePeriodExpirationDateTime":"soon"}`,
		`{"id":"` + one + `","managementCertificateExpirationDate":"next year"}`,
		`{"id":"` + one + `","deviceHealthAttestationState":{"secureBoot":"Enabled","issuedDateTime":"now"}}`} {
		g.set(devices+"/"+one, answer)
		if got, err := a.Device(t.Context(), one); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
	g.set(devices+"/"+one, "404")
	if _, err := a.Device(t.Context(), one); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
	if _, err := a.Device(t.Context(), "user/"+one); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
	for _, id := range []string{"", "1", "user/", "user/1", "../users", one + "/x", "user/user/" + one} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%q: %+v, %v", id, got, err)
		}
		if alias, err := a.Alias(id); err == nil {
			t.Errorf("%q is %s", id, alias)
		}
	}
}

// The devices of a user are asked for to their end, which must come.
func TestDevicesOfAUser(t *testing.T) {
	const user = "5d3c2b1a-0000-4041-8041-00000000000a"
	g := newGraph(t)
	path := "/beta/users/" + user + "/managedDevices"
	for n := range 5 {
		g.lists[path] = append(g.lists[path], json.RawMessage(fmt.Sprintf(
			`{"id":"11111111-0000-4000-8000-%012d","isEncrypted":true,"lastSyncDateTime":"2026-11-20T08:00:00Z"}`, n)))
	}
	a, _ := adapter(t, g, nil)
	got, err := a.Device(t.Context(), "user/"+strings.ToUpper(user))
	if err != nil || len(got) != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	for range 60 {
		g.lists[path] = append(g.lists[path], g.lists[path][0])
	}
	if got, err := a.Device(t.Context(), "user/"+user); err == nil {
		t.Errorf("%d devices", len(got))
	}
	g.set(path, `{"value":[{"id":"x"}]}`)
	if got, err := a.Device(t.Context(), "user/"+user); err == nil {
		t.Errorf("%+v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://graph.microsoft.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i, opts := range []intune.Options{
		{Name: "i"}, {Client: client}, {Name: "i", Client: client, ClientStates: []string{"short"}},
		{Name: "i", Client: client, ClientStates: []string{strings.Repeat("x", 129)}},
		{Name: "i", Client: client, Policies: map[string][]string{"platform": {policy}}},
		{Name: "i", Client: client, Policies: map[string][]string{"nothing": {policy}}},
		{Name: "i", Client: client, Policies: map[string][]string{"firewall": {}}},
		{Name: "i", Client: client, Policies: map[string][]string{"firewall": {"../x"}}},
	} {
		if _, err := intune.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
	if _, err := intune.New(intune.Options{Name: "i", Client: client}); err != nil {
		t.Error(err)
	}
}
