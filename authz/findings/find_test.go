package findings_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/signals"
)

func with(d device, attribute string, value signals.Value) device {
	d.facts[attribute] = value
	return d
}

func aged(d device, attribute string, age time.Duration) device {
	d.ages[attribute] = age
	return d
}

// TestFindDevices: what a device must look like for each trouble, and how near to it it may come without one.
func TestFindDevices(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	for _, tt := range []struct {
		name string
		is   device
		want []string
	}{
		{"healthy", healthy("X"), nil},
		{"a signal fails", with(healthy("X"), "disk_encryption", signals.Bool(false)), []string{"drift|device X|disk @endpoint"}},
		{"one source stopped telling", aged(healthy("X"), "edr_healthy", 3*time.Hour), []string{"drift|device X|edr @endpoint"}},
		{"it stopped so long ago that it is no part of the baseline", aged(healthy("X"), "edr_healthy", 31*day), nil},
		{"it cannot be told since", with(healthy("X"), "edr_healthy", signals.Unknown), nil},
		{"of a platform whose owner is another", func() device {
			d := with(healthy("X"), "disk_encryption", signals.Bool(false))
			d.platform = "ios"
			return d
		}(), []string{"drift|device X|disk @phones"}},
		{"never told of", device{id: "X", serial: "CX", platform: "macos", user: "ben"}, nil},
		{"the whole device is silent", healthy("X").silent(3 * day), nil},
		{"for long", healthy("X").silent(15 * day), []string{"stale-device|device X| @endpoint"}},
		{"removed", with(healthy("X"), "lifecycle", signals.Text("removed")).silent(15 * day), nil},
		{"an alarm", with(healthy("X"), "compromised", signals.Bool(true)), []string{"alarm-uncleared|device X|clean @endpoint"}},
		{"an alarm that nobody tells any more", aged(with(healthy("X"), "compromised", signals.Bool(true)), "compromised", 9*day),
			[]string{"alarm-uncleared|device X|clean @endpoint"}},
		{"sources disagree", func() device {
			d := healthy("X")
			d.edr["disk_encryption"] = signals.Bool(false)
			return d
		}(), []string{"conflict|device X|disk @endpoint", "drift|device X|disk @endpoint"}},
		{"sources disagree about what it is", func() device {
			d := healthy("X")
			d.facts["ownership"], d.edr["ownership"] = signals.Text("corporate"), signals.Text("byod")
			return d
		}(), []string{"conflict|device X|ownership @endpoint"}},
		{"of nobody", func() device {
			d := healthy("X")
			d.user = ""
			return d
		}(), []string{"stale-device|device X|enrolled-user @endpoint"}},
	} {
		v := viewOf(p, noon, tt.is)
		if tt.name == "removed" {
			v = viewOf(p, noon, aged(tt.is, "lifecycle", 15*day))
		}
		got := keys(findings.Find(v))
		if diff := cmp.Diff(append([]string{}, tt.want...), got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// TestFindWithdrawn: a source that says that it cannot tell any more takes a device out of its baseline; one that never could
// does not.
func TestFindWithdrawn(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	d := healthy("X").view(p, noon)
	later, _ := d.Posture.Merge(signals.Observation{Facts: []signals.Fact{{Attribute: "disk_encryption", Source: "mdm", Observed: noon, Received: noon}}})
	v := viewOf(p, noon)
	v.Devices = seq([]findings.DeviceView{{Posture: &later, Standing: p.Standing(nil, &later, noon)}})
	if diff := cmp.Diff([]string{"drift|device X|disk @endpoint"}, keys(findings.Find(v))); diff != "" {
		t.Error(diff)
	}
}

// TestFindAudiences: whom a finding concerns, by ownership, by the user that the device is enrolled for, and by the view.
func TestFindAudiences(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	d := with(with(healthy("X"), "disk_encryption", signals.Bool(false)), "ownership", signals.Text("byod"))
	d.user = "boss"
	v := viewOf(p, noon)
	view := d.view(p, noon)
	view.Audiences = []string{"staff", "byod"}
	v.Devices = seq([]findings.DeviceView{view})
	found := findings.Find(v)
	if len(found) != 1 || !slices.Equal(found[0].Audiences, []string{"byod", "executives", "staff"}) {
		t.Errorf("%+v", found)
	}
	if !slices.Equal(view.Audiences, []string{"staff", "byod"}) {
		t.Error("Find changed what it was given")
	}
}

// TestFindPopulation: what is the trouble of many is one finding, under which those of the devices stand.
func TestFindPopulation(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	failing := func(n int) func(i int) device {
		return func(i int) device {
			d := healthy("")
			if d.platform = "macos"; i%2 == 1 {
				d.platform = "windows"
			}
			if i%2 == 0 && i/2 < n {
				d = with(d, "disk_encryption", signals.Bool(false))
			}
			return d
		}
	}
	for _, tt := range []struct {
		failing int // of 50 devices of the platform
		want    int
	}{{0, 0}, {9, 9}, {10, 1}, {50, 1}} {
		found := findings.Find(viewOf(p, noon, fleet(100, failing(tt.failing))...))
		got := keys(found)
		if len(got) != tt.want || tt.want == 1 && got[0] != "drift|population macos|disk @endpoint" {
			t.Errorf("%d failing: %v", tt.failing, got)
		}
		if tt.want == 1 && len(found) != tt.failing+1 {
			t.Errorf("%d failing: %d findings in all", tt.failing, len(found))
		}
	}
	// 10 of 100 is under the default share, and over one of 5 percent.
	all := fleet(200, failing(10))
	if got := keys(findings.Find(viewOf(p, noon, all...))); len(got) != 10 {
		t.Errorf("%v", got)
	}
	strict := spec()
	strict.Monitors[0].Share = 5
	if got := keys(findings.Find(viewOf(compile(t, strict), noon, all...))); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// TestFindPopulationOfAnAudience: an audience is in trouble by itself where no platform is.
func TestFindPopulationOfAnAudience(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	all := fleet(200, func(i int) device {
		d := healthy("")
		if i < 12 {
			d = with(with(d, "disk_encryption", signals.Bool(false)), "ownership", signals.Text("byod"))
		}
		return d
	})
	if diff := cmp.Diff([]string{"drift|audience byod|disk @endpoint"}, keys(findings.Find(viewOf(p, noon, all...)))); diff != "" {
		t.Error(diff)
	}
	for i := range all { // and is a part of its platform's where that is
		if i < 60 {
			all[i].facts["disk_encryption"] = signals.Bool(false)
		}
	}
	if diff := cmp.Diff([]string{"drift|population macos|disk @endpoint"}, keys(findings.Find(viewOf(p, noon, all...)))); diff != "" {
		t.Error(diff)
	}
}

// TestFindSilentSource: a source that tells of nothing is one trouble, not one for each of its devices.
func TestFindSilentSource(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	v := viewOf(p, noon, fleet(30, func(int) device { return healthy("").silent(20 * day) })...)
	v.Heard["mdm"] = noon.Add(-20 * day)
	if diff := cmp.Diff([]string{"stale-device|source mdm| @endpoint"}, keys(findings.Find(v))); diff != "" {
		t.Error(diff)
	}
	v.Heard = nil
	if found := findings.Find(v); len(found) > 0 {
		t.Errorf("nothing is known of the sources, and yet: %v", keys(found))
	}
}

// TestFindOthers: Envoys, contested names, grace.
func TestFindOthers(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	renewal := approvals.Event{At: noon.Add(-30 * time.Minute), By: approvals.Person{Way: approvals.WaySocket, Name: "root"}, Step: approvals.StepApproved}
	serial := signals.Alias{Kind: signals.AliasSerial, Value: "CX"}
	for _, tt := range []struct {
		name   string
		change func(*findings.View)
		want   []string
	}{
		{"an Envoy as intended", func(v *findings.View) { v.Envoys = []findings.EnvoyView{{ID: "edge"}} }, nil},
		{"an Envoy that differs", func(v *findings.View) {
			v.Envoys = []findings.EnvoyView{{ID: "edge", Since: noon, Differences: []string{"route x is missing"}}}
		}, []string{"drift|envoy edge| @iam"}},
		{"a contested name", func(v *findings.View) {
			v.Contested[serial] = []signals.DeviceID{"X", "Y"}
		}, []string{"contested-device|name serial:CX| @endpoint"}},
		{"the last renewal runs", func(v *findings.View) {
			*v = *viewOf(p, noon, healthy("X").silent(4*time.Hour))
			v.Graces = []approvals.Grace{{Device: "X", Renewals: []approvals.Event{renewal}}}
		}, []string{"grace-overrun|device X| @iam"}},
		{"grace is over", func(v *findings.View) {
			*v = *viewOf(p, noon, healthy("X").silent(2*day))
			early := renewal
			early.At = noon.Add(-40 * time.Hour)
			v.Graces = []approvals.Grace{{Device: "X", Renewals: []approvals.Event{early}}}
		}, []string{"grace-overrun|device X| @iam"}},
		{"grace that nobody renewed is over", func(v *findings.View) {
			*v = *viewOf(p, noon, healthy("X").silent(2*day))
			v.Graces = []approvals.Grace{{Device: "X"}}
		}, nil},
		{"the device spoke again", func(v *findings.View) {
			v.Graces = []approvals.Grace{{Device: "X", Renewals: []approvals.Event{renewal}}}
		}, nil},
	} {
		v := viewOf(p, noon, healthy("X"))
		tt.change(v)
		if diff := cmp.Diff(append([]string{}, tt.want...), keys(findings.Find(v))); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
