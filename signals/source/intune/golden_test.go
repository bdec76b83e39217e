package intune_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source/intune"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// What each device says, alone, in the list, and among the devices of its user.
func TestDevices(t *testing.T) {
	for _, file := range sourcetest.Files(t, "testdata/device_*.json") {
		g := newGraph(t)
		raw := sourcetest.Content(t, file)
		id := g.add(t, raw)
		const user = "5d3c2b1a-0000-4041-8041-00000000000a"
		g.set("/beta/users/"+user+"/managedDevices", `{"value":[`+string(raw)+`]}`)
		a, unreadable := adapter(t, g, nil)
		got, err := a.Device(t.Context(), strings.ToUpper(id))
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", file, got, err)
		}
		said := sourcetest.Text(t, got[0])
		sourcetest.Golden(t, file, said)
		page, err := a.Page(t.Context(), "")
		if err != nil || len(page.Observations) != 1 || page.Next != "" || sourcetest.Text(t, page.Observations[0]) != said {
			t.Errorf("%s: the list says something else: %+v, %v", file, page, err)
		}
		if got, err = a.Device(t.Context(), "user/"+user); err != nil || len(got) != 1 || sourcetest.Text(t, got[0]) != said {
			t.Errorf("%s: its user's list says something else: %+v, %v", file, got, err)
		}
		if len(*unreadable) > 0 {
			t.Errorf("%s: %v", file, *unreadable)
		}
	}
}

// Without the words for it secure_boot is not said; enrolled_user comes from where the settings want it.
func TestOptionsOfDevices(t *testing.T) {
	g := newGraph(t)
	id := g.add(t, sourcetest.Content(t, "testdata/device_windows_v1.json"))
	for _, tt := range []struct {
		change      func(*intune.Options)
		has, lacks  string
		versionPath string
	}{
		{func(o *intune.Options) { o.SecureBootOn, o.SecureBootOff, o.Beta = nil, nil, false },
			"enrolled_user = ana.k@acme.example", "secure_boot", "/v1.0/deviceManagement/managedDevices/"},
		{func(o *intune.Options) { o.SecureBootOn, o.Email = []string{"ON"}, true },
			"enrolled_user = ana@acme.example", "secure_boot = true", "/beta/deviceManagement/managedDevices/"},
		{func(o *intune.Options) { o.SecureBootOff = []string{"enabled"} }, "secure_boot = false", "secure_boot = true", "/beta/"},
	} {
		a, _ := adapter(t, g, tt.change)
		got, err := a.Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if said := sourcetest.Text(t, got[0]); !strings.Contains(said, tt.has) || strings.Contains(said, tt.lacks) {
			t.Errorf("wants %s, not %s:\n%s", tt.has, tt.lacks, said)
		}
		if last := g.asked[len(g.asked)-1]; !strings.HasPrefix(last, tt.versionPath) {
			t.Error(last)
		}
	}
}

// What each delivery says: facts, devices to ask for, or that something was lost; or why nobody can tell.
func TestDeliveries(t *testing.T) {
	a, _ := adapter(t, newGraph(t), func(o *intune.Options) { o.Token = func(string, time.Time) error { return nil } })
	for _, file := range sourcetest.Files(t, "testdata/event_*.json") {
		d := delivery(sourcetest.Content(t, file))
		if _, err := a.Authenticate(d, now); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		d.Body = kept(t, a, d.Body)
		var b strings.Builder
		observed, err := a.Observe(d)
		for _, o := range observed {
			b.WriteString(sourcetest.Text(t, o) + "\n")
		}
		ids, bad := a.Points(d)
		for _, id := range ids {
			b.WriteString("ask for " + id + "\n")
		}
		why, worse := a.Relist(d)
		if why != "" {
			b.WriteString("list all: " + why + "\n")
		}
		if err != nil {
			b.WriteString("dead letter: " + err.Error() + "\n")
			if bad == nil || worse == nil || len(observed)+len(ids)+len(why) > 0 {
				t.Errorf("%s: a dead letter says something: %+v %v %q", file, observed, ids, why)
			}
		}
		sourcetest.Golden(t, file, b.String())
	}
}

// The recorded shapes, where they are there.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "intune")
	if !ok {
		return
	}
	g := newGraph(t)
	const devices, statuses = "/beta/deviceManagement/managedDevices", "/beta/deviceManagement/deviceCompliancePolicies/" +
		"1aa3f0f3-d780-4349-885b-c86d273aa14e/deviceStatuses"
	a, unreadable := adapter(t, g, func(o *intune.Options) {
		o.Tenant, o.ClientStates = "a.example", []string{"secretClientValue", "secretClientState"}
		o.Policies = map[string][]string{"firewall": {"1aa3f0f3-d780-4349-885b-c86d273aa14e"}}
	})
	seen := map[string]string{}
	for _, file := range files {
		raw, name := sourcetest.Content(t, file), filepath.Base(file)
		switch {
		case strings.HasPrefix(name, "graph_validation"), strings.HasSuffix(name, "headers.json"): // no bodies
			continue
		case name == "api_managed_devices_page.json", name == "api_compliance_policy_device_statuses.json":
			path, cursor := devices, ""
			if name != "api_managed_devices_page.json" {
				path, cursor = statuses, "1?"
			}
			g.set(path, string(raw))
			page, err := a.Page(t.Context(), cursor)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, o := range append(page.Observations, page.Also...) {
				seen[name] += sourcetest.Text(t, o)
			}
		case name == "api_managed_device_doc_example.json": // the page shows it inside of "value", which no answer has
			whole := strings.TrimSuffix(strings.TrimSpace(strings.SplitN(string(raw), ":", 2)[1]), "}")
			g.set(devices, `{"value":[`+whole+`]}`)
			page, err := a.Page(t.Context(), "")
			if err != nil || len(page.Observations) != 1 {
				t.Fatalf("%s: %v", name, err)
			}
			seen[name] = sourcetest.Text(t, page.Observations[0])
		default:
			d := delivery(raw)
			if _, err := a.Authenticate(d, now); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			d.Body = kept(t, a, raw)
			observed, err := a.Observe(d)
			for _, o := range observed {
				seen[name] += sourcetest.Text(t, o)
			}
			ids, _ := a.Points(d)
			why, _ := a.Relist(d)
			seen[name] += strings.Join(ids, " ") + why
			if err != nil {
				seen[name] += err.Error()
			}
		}
	}
	said := ""
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		said += "== " + name + "\n" + strings.TrimSuffix(seen[name], "\n") + "\n"
	}
	sourcetest.Golden(t, sourcetest.RecordedGolden, said)
	if len(seen) != 8 || len(*unreadable) > 0 {
		t.Errorf("%d bodies; not read: %v", len(seen), *unreadable)
	}
}
