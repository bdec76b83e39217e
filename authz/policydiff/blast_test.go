package policydiff_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/signals"
)

// asked is a request of ana for the wiki by a method and host, as Envoy of another table reported it.
func asked(path string) policy.Input {
	window := identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
	posture, _ := signals.Posture{Device: "d1", Revision: 3}.Merge(signals.Observation{Facts: []signals.Fact{
		{Attribute: "edr_healthy", Value: signals.Bool(false), Source: "edr", Observed: noon, Received: noon},
		{Attribute: "ownership", Value: signals.Text("corporate"), Source: "mdm", Observed: noon, Received: noon},
		{Attribute: "platform", Value: signals.Text("macos"), Source: "edr", Observed: noon, Received: noon}}})
	device := signals.Alias{Kind: signals.AliasSerial, Value: "C02"}
	return policy.Input{At: noon, Request: policy.Request{Method: "GET", Host: "app.corp.example", Path: path},
		Subject: identity.Subject{Device: device, Certificate: window,
			User: &identity.User{Issuer: "corp", Name: "ana", Groups: []string{"staff"}, Token: window}},
		Device: policy.Device{Posture: &posture, AsOf: noon}}
}

// TestWhatBecomesOfAnAnswer: each step is told for what it is, with the route's and the subject's names.
func TestWhatBecomesOfAnAnswer(t *testing.T) {
	t.Parallel()
	older := compile(t, world())
	looser := world()
	looser.Tiers[1].Require = demands("lock")
	looser.Tiers[1].Advise = demands("edr")
	looser.Tiers[1].Require = nil
	newer := compile(t, looser)
	in := asked("/admin/x")
	for _, tt := range []struct {
		was, is *policy.Policy
		in      policy.Input
		want    policydiff.Step
	}{
		{older, newer, in, policydiff.DenyToAllow}, {newer, older, in, policydiff.AllowToDeny}, {older, older, in, policydiff.Same},
	} {
		got := policydiff.NewJudge(tt.was, tt.is).Judge(&tt.in)
		if got.Step != tt.want || got.Route != "admin" || got.Subject != "user ana of issuer corp" || got.Device != "serial:C02" {
			t.Errorf("%+v, want %s", got, tt.want)
		}
		if tt.want.Tightened() != (len(got.Unmet) == 1 && got.Unmet[0].Owner == "iam") {
			t.Errorf("unmet %+v", got.Unmet)
		}
	}
}

// TestEnvoyIsTakenToAgree: a choice that Envoy made by the table of then is no mismatch under either policy.
func TestEnvoyIsTakenToAgree(t *testing.T) {
	t.Parallel()
	renamed := world()
	renamed.Routes[1].Meta.Name = "administration"
	in := asked("/admin/x")
	in.Request.Chosen = &policy.Chosen{Route: "long gone"}
	got := policydiff.NewJudge(compile(t, world()), compile(t, renamed)).Judge(&in)
	if got.WasReason != policy.ReasonPosture || got.IsReason != policy.ReasonPosture || got.Step != policydiff.Otherwise {
		t.Errorf("%+v", got)
	}
	if in.Request.Chosen == nil {
		t.Error("the record was changed")
	}
}

// TestARevisionIsNotBelieved: two records of one device and revision with other facts are judged by their own.
func TestARevisionIsNotBelieved(t *testing.T) {
	t.Parallel()
	judge := policydiff.NewJudge(compile(t, world()), compile(t, world()))
	sick, well := asked("/admin/x"), asked("/admin/x")
	facts := slices.Clone(well.Device.Posture.Facts)
	for i := range facts {
		if facts[i].Attribute == "edr_healthy" {
			facts[i].Value = signals.Bool(true)
		}
	}
	posture := *well.Device.Posture
	posture.Facts, well.Device.Posture = facts, &posture
	for range 2 {
		if a, b := judge.Judge(&sick), judge.Judge(&well); a.Was != policy.Deny || b.Was != policy.Allow {
			t.Fatalf("%s and %s", a.Was, b.Was)
		}
	}
}

// TestJudgedAsEvaluated: what a judge keeps of devices changes no answer.
func TestJudgedAsEvaluated(t *testing.T) {
	t.Parallel()
	older := compile(t, world())
	next := world()
	next.Tiers[0].Require = next.Tiers[0].Require[:1]
	newer := compile(t, next)
	judge := policydiff.NewJudge(older, newer)
	for seed := range 3000 {
		in := anyInput().Example(seed)
		was, is, got := older.Evaluate(&in), newer.Evaluate(&in), judge.Judge(&in)
		if got.Was != was.Outcome || got.Is != is.Outcome || got.WasReason != was.Reason || got.IsReason != is.Reason {
			t.Fatalf("%+v, want %+v and %+v", got, was, is)
		}
	}
}

// TestAReportIsBounded: names beyond a bound are not told apart, and long ones do not stay; what is counted by class stays
// exact.
func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	blast := policydiff.NewBlast(3)
	long := strings.Repeat("x", 1<<20)
	judge := policydiff.NewJudge(compile(t, world()), compile(t, world()))
	in := asked("/")
	in.Subject.User.Name = long
	if got := judge.Judge(&in); len(got.Subject) > 200 || !strings.HasPrefix(got.Subject, "user xxx") {
		t.Fatalf("a subject of %d bytes is kept", len(got.Subject))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 3 * policydiff.TellApart
	for i := range n {
		step := policydiff.AllowToDeny
		if i%3 == 0 {
			step = policydiff.DenyToAllow
		}
		blast.Add(fmt.Sprintf("id%d%s", i, long[:4000]), noon.Add(time.Duration(i)), &policydiff.Judged{Class: policydiff.Class{Step: step},
			Route: "r", Subject: fmt.Sprintf("subject %d", i), Device: fmt.Sprintf("device %d", i%7)})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	r := blast.Report()
	if grew := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; grew > 64 {
		t.Errorf("it took %d MiB", grew)
	}
	if r.Judged != n || r.Loosened != n/3 || r.Tightened != n-n/3 || r.Steps[0] != (policydiff.StepCount{Step: policydiff.DenyToAllow, Count: n / 3}) {
		t.Errorf("%d judged, %d loosened, %d tightened, %v", r.Judged, r.Loosened, r.Tightened, r.Steps)
	}
	if s := r.Subjects; !s.AtLeast || s.Distinct != policydiff.TellApart || len(s.Rows) != 3 || s.More != policydiff.TellApart-3 {
		t.Errorf("subjects: %d rows and %d more of %d, at least: %v", len(s.Rows), s.More, s.Distinct, s.AtLeast)
	}
	if d := r.Devices; d.AtLeast || d.Distinct != 7 || d.Rows[0].Step != policydiff.DenyToAllow || d.Rows[0].Loosened < d.Rows[2].Loosened {
		t.Errorf("devices: %+v", d)
	}
}

// TestMostLoosenedFirst: classes and rows are in the order in which a reader must look at them.
func TestMostLoosenedFirst(t *testing.T) {
	t.Parallel()
	blast := policydiff.NewBlast(10)
	order := []policydiff.Step{policydiff.Otherwise, policydiff.AllowToStepUp, policydiff.DenyToStepUp, policydiff.AllowToDeny,
		policydiff.StepUpToAllow, policydiff.Elsewhere, policydiff.DenyToAllow, policydiff.StepUpToDeny, policydiff.Same}
	for i, step := range order {
		blast.Add(fmt.Sprint("id", i), noon, &policydiff.Judged{Class: policydiff.Class{Step: step}, Subject: step.String()})
	}
	blast.Add("id6 again", noon, &policydiff.Judged{Class: policydiff.Class{Step: policydiff.AllowToDeny}, Subject: policydiff.DenyToAllow.String()})
	r := blast.Report()
	var got []string
	for _, c := range r.Classes {
		got = append(got, c.Step.String())
	}
	if want := []string{"deny → allow", "step-up → allow", "deny → step-up", "allow → deny", "step-up → deny", "allow → step-up",
		"allow → another upstream", "same answer, other grounds"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if first := r.Subjects.Rows[0]; first.Name != "deny → allow" || first.Example != "id6" || first.Tightened != 1 {
		t.Errorf("%+v", first)
	}
	if r.Changed != len(order) || r.Denied() != 3 {
		t.Errorf("%d changed, %d denied", r.Changed, r.Denied())
	}
}

// TestMonitoredTiersAreCounted: what they would have refused, by signal and owner, and nothing of other tiers.
func TestMonitoredTiersAreCounted(t *testing.T) {
	t.Parallel()
	spec := world()
	enforced, names := policydiff.Enforced(spec, "")
	if !slices.Equal(names, []string{"guarded"}) || spec.Tiers[0].Mode != policy.ModeMonitor || enforced.Tiers[0].Mode != policy.ModeEnforce {
		t.Fatalf("%v", names)
	}
	if _, names := policydiff.Enforced(spec, "plain"); names != nil {
		t.Errorf("%v", names)
	}
	judge := policydiff.NewJudge(compile(t, spec), compile(t, enforced))
	blast := policydiff.NewBlast(10)
	blast.Watch(names)
	for i, path := range []string{"/x", "/y", "/admin/x"} {
		in := asked(path)
		judged := judge.Judge(&in)
		blast.Add(fmt.Sprint("id", i), in.At, &judged)
	}
	m := blast.Report().Monitored
	if m.Judged != 2 || m.Refused != 2 || m.SteppedUp != 0 || m.Tiers.Rows[0].Name != "guarded" || m.Owners.Rows[0].Tightened != 2 {
		t.Errorf("%+v", m)
	}
	if !slices.ContainsFunc(m.Signals.Rows, func(r policydiff.Row) bool { return r.Name == "edr" && r.Owner == "iam" && r.Tightened == 2 }) {
		t.Errorf("%+v", m.Signals)
	}
}
