package approvals

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// alarmedOffice has a device of ana's of which one source says that it is compromised, and all tiers are iam's.
func alarmedOffice(t testing.TB) (*office, *signals.Posture) {
	t.Helper()
	o := newOffice(t)
	spec := specOf()
	for i := range spec.Tiers {
		spec.Tiers[i].Meta.Owner = "iam"
	}
	team := spec.Governance[0].Teams["iam"]
	team.Approvers = append(team.Approvers, policy.Approver{Issuer: "corp", User: ana.Name})
	spec.Governance[0].Teams["iam"] = team
	o.p = compiled(t, spec)
	o.store.postures = []signals.Posture{device("sick", "C02SICK0001", noon.Add(-3*time.Hour), "ana@acme.example")}
	sick := &o.store.postures[0]
	say(sick, "edr", signals.Bool(true), noon.Add(-time.Hour))
	return o, sick
}

// say merges what a source says of compromised.
func say(p *signals.Posture, source string, v signals.Value, at time.Time) {
	*p, _ = p.Merge(signals.Observation{Facts: []signals.Fact{{Attribute: "compromised", Value: v, Source: source, Observed: at, Received: at}}})
}

var clearSick = Clearance{Device: "C02SICK0001", Signal: "not-compromised"}

func TestClearances(t *testing.T) {
	t.Parallel()
	o, _ := alarmedOffice(t)
	for name, row := range map[string]struct {
		ask            Clearance
		reason, ticket string
		rule           Rule
	}{
		"no reason":            {clearSick, "", "t", RuleMissing},
		"no ticket":            {clearSick, "r", " ", RuleMissing},
		"no alarm's signal":    {Clearance{Device: "sick", Signal: "firewall-on"}, "r", "t", RuleNothing},
		"no signal":            {Clearance{Device: "sick", Signal: "calm"}, "r", "t", RuleNothing},
		"no device":            {Clearance{Signal: "not-compromised"}, "r", "t", RuleNotFound},
		"nobody's device":      {Clearance{Device: "C02NOBODY01", Signal: "not-compromised"}, "r", "t", RuleNotFound},
		"words without bounds": {clearSick, strings.Repeat("r", maxWords+1), "t", RuleMissing},
	} {
		refused(t, name, second(o.RequestClear(t.Context(), local, row.ask, row.reason, row.ticket)), row.rule)
	}
	asked, err := o.RequestClear(t.Context(), local, clearSick, "reinstalled", "SEC-1")
	if err != nil || asked.Stands != StateRequested || fmt.Sprint(asked.Awaits) != "[iam]" || asked.Device != "sick" || len(asked.Ends) != 1 ||
		asked.Ends[0].Source != "edr" {
		t.Fatalf("%+v, %v", asked, err)
	}
	if in, err := o.ClearancesInForce(t.Context()); err != nil || len(in) != 0 || asked.Cleared(o.now) != nil {
		t.Fatalf("nobody approved, and in force are %+v, %v", in, err)
	}
	refused(t, "local", second(o.ApproveClear(t.Context(), local, asked.Name, "")), RuleUnknown)
	refused(t, "not there", second(o.ApproveClear(t.Context(), cho, "x", "")), RuleNotFound)
	refused(t, "unnamed", second(o.ApproveClear(t.Context(), ben, asked.Name, "")), RuleUnnamed)
	refused(t, "the device's own user", second(o.ApproveClear(t.Context(), ana, asked.Name, "")), RuleSubject)
	done, err := o.ApproveClear(t.Context(), cho, asked.Name, "seen")
	if err != nil || done.Stands != StateInForce || len(done.History) != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	in, err := o.ClearancesInForce(t.Context())
	want := signals.Clearance{Attribute: "compromised", Source: "edr", Until: noon.Add(-time.Hour), Name: asked.Name}
	if err != nil || len(in) != 1 || len(in[0].Cleared(o.now)) != 1 || in[0].Cleared(o.now)[0] != want {
		t.Fatalf("%+v, %v", in, err)
	}
	refused(t, "twice", second(o.ApproveClear(t.Context(), dee, asked.Name, "")), RuleState)
	late, no := o.ask(t, ben, "SEC-2"), o.ask(t, ben, "SEC-3")
	refused(t, "no reason", second(o.RefuseClear(t.Context(), cho, no, "")), RuleMissing)
	if l, err := o.RefuseClear(t.Context(), cho, no, "it is still there"); err != nil || l.Stands != StateRefused {
		t.Fatalf("%+v, %v", l, err)
	}
	o.now = o.now.Add(clearableFor)
	refused(t, "a week later", second(o.ApproveClear(t.Context(), cho, late, "")), RuleTooLate)
	all, err := o.Clearances(t.Context())
	states := map[State]int{}
	for _, c := range all {
		states[c.Stands]++
	}
	if err != nil || fmt.Sprint(states) != "map[ended:1 in force:1 refused:1]" {
		t.Errorf("%v, %v", states, err)
	}
}

// ask asks for a clearance, and returns its name.
func (o *office) ask(t *testing.T, who Caller, ticket string) string {
	t.Helper()
	l, err := o.RequestClear(t.Context(), who, clearSick, "again", ticket)
	if err != nil {
		t.Fatal(err)
	}
	return l.Name
}

// TestClearanceEndsWhatWasSeen: what has been seen since is not cleared, nor approved.
func TestClearanceEndsWhatWasSeen(t *testing.T) {
	t.Parallel()
	o, sick := alarmedOffice(t)
	name := o.ask(t, local, "SEC-1")
	say(sick, "edr", signals.Bool(true), noon.Add(time.Minute))
	o.now = noon.Add(2 * time.Minute)
	refused(t, "a newer alarm", second(o.ApproveClear(t.Context(), cho, name, "")), RuleTooLate)

	say(sick, "mdm", signals.Bool(true), noon.Add(time.Minute))
	two := o.ask(t, local, "SEC-2")
	say(sick, "mdm", signals.Bool(false), noon.Add(2*time.Minute))
	done, err := o.ApproveClear(t.Context(), cho, two, "")
	if err != nil || len(done.Cleared(o.now)) != 2 {
		t.Errorf("one of two was healed meanwhile: %+v, %v", done, err)
	}

	say(sick, "edr", signals.Bool(true), o.now.Add(time.Nanosecond))
	refused(t, "a clock that runs ahead", second(o.RequestClear(t.Context(), local, clearSick, "r", "t")), RuleAhead)
	o.now = o.now.Add(time.Nanosecond)
	gone := o.ask(t, local, "SEC-3")
	*sick = signals.Posture{Device: "sick", Revision: 9}
	refused(t, "part of another device now", second(o.ApproveClear(t.Context(), cho, gone, "")), RuleTooLate)
	o.store.postures = nil
	if _, err := o.ApproveClear(t.Context(), cho, gone, ""); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("a device that cannot be looked at: %v", err)
	}
}
