package approvals

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// device is a posture whose facts are of an instant.
func device(id, serial string, at time.Time, user string) signals.Posture {
	var facts []signals.Fact
	for attribute, v := range map[string]signals.Value{"platform": signals.Text("macos"), "disk_encryption": signals.Bool(true),
		"firewall": signals.Bool(true), "compromised": signals.Bool(false), "enrolled_user": signals.Text(user)} {
		facts = append(facts, signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Observed: at, Received: at})
	}
	p, _ := signals.Posture{Device: signals.DeviceID(id), Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: serial}}}.Merge(
		signals.Observation{Facts: facts})
	return p
}

// silentOffice has a device that fell silent three hours ago, whose grace runs since one hour, and one that reports.
func silentOffice(t testing.TB) *office {
	o := newOffice(t)
	o.store.postures = []signals.Posture{device("quiet", "C02QUIET001", noon.Add(-3*time.Hour), "ana@acme.example"),
		device("loud", "C02LOUD0001", noon, "ben@acme.example")}
	return o
}

func TestWhoRenewsGrace(t *testing.T) {
	t.Parallel()
	o := silentOffice(t)
	for name, tt := range map[string]struct {
		who    Caller
		device string
		rule   Rule
	}{
		"a local user":        {local, "quiet", RuleUnknown},
		"named by nobody":     {ben, "quiet", RuleUnnamed},
		"the device's user":   {ana, "quiet", RuleSubject},
		"not silent":          {cho, "loud", RuleNoGrace},
		"no such device":      {cho, "C02NOBODY01", RuleNotFound},
		"an alias of nothing": {cho, "serial:", RuleNotFound},
	} {
		refused(t, name, second(o.RenewGrace(t.Context(), tt.who, tt.device, "r", "t")), tt.rule)
	}
	refused(t, "no ticket", second(o.RenewGrace(t.Context(), cho, "quiet", "r", "")), RuleMissing)
	if len(o.store.records) > 0 || len(o.acts) > 0 {
		t.Error("something was written")
	}
	l, err := o.RenewGrace(t.Context(), fay, "C02QUIET001", "at sea", "IT-1") // who owns the baseline
	if err != nil || !l.Running() || l.Tiers[0].Counted != 1 || !l.Tiers[0].Ends.Equal(noon.Add(15*time.Hour)) || len(l.History) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	o.now = noon.Add(time.Minute)
	if l, err = o.RenewGrace(t.Context(), cho, "serial:C02QUIET001", "at sea", "IT-1"); err != nil || l.Tiers[0].Counted != 2 {
		t.Fatalf("%+v, %v", l, err)
	}
	o.now = noon.Add(2 * time.Minute)
	refused(t, "a third", second(o.RenewGrace(t.Context(), cho, "quiet", "r", "t")), RuleRenewals)
	o.store.postures = append(o.store.postures, device("twin", "C02QUIET001", noon.Add(-3*time.Hour), "x"))
	refused(t, "two of a name", second(o.RenewGrace(t.Context(), cho, "C02QUIET001", "r", "t")), RuleContested)
	o.store.postures = o.store.postures[:2]
	refused(t, "ended by a stranger", second(o.EndGrace(t.Context(), ben, "quiet", "r")), RuleUnnamed)
	refused(t, "ended without a reason", second(o.EndGrace(t.Context(), cho, "quiet", " ")), RuleMissing)
	if l, err = o.EndGrace(t.Context(), local, "quiet", "stolen"); err != nil || l.Running() {
		t.Fatalf("%+v, %v", l, err)
	}
	refused(t, "ended", second(o.RenewGrace(t.Context(), cho, "quiet", "r", "t")), RuleNoGrace)
	refused(t, "ended twice", second(o.EndGrace(t.Context(), cho, "quiet", "r")), RuleNoGrace)
	all, err := o.Graces(t.Context())
	if err != nil || len(all) != 1 || all[0].Device != "quiet" || len(all[0].History) != 3 || !strings.Contains(all[0].Tiers[0].Why, "ended") {
		t.Errorf("%+v, %v", all, err)
	}
	o.now = noon.Add(20 * time.Minute) // it speaks, and falls silent again: that is another silence
	o.store.postures[0] = device("quiet", "C02QUIET001", o.now, "ana@acme.example")
	o.now = o.now.Add(3 * time.Hour)
	o.store.postures[1] = device("loud", "C02LOUD0001", o.now, "ben@acme.example")
	if all, err = o.Graces(t.Context()); err != nil || len(all) != 1 || !all[0].Running() || all[0].Tiers[0].Counted != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestGraceHistories plays random silences: grace runs from the first fact's ageing for as long as the tier gives, with as
// many renewals as it allows, each made while it ran, and never after somebody ended it.
func TestGraceHistories(t *testing.T) {
	t.Parallel()
	p := compiled(t, specOf())
	for played, n := 0, histories(t); played < n; {
		before := played
		rapid.Check(t, func(t *rapid.T) {
			played++
			playGrace(t, p)
		})
		if t.Failed() || played == before {
			return
		}
	}
}

func playGrace(t *rapid.T, p *policy.Policy) {
	o := &office{now: noon, p: p, store: &shelf{}}
	o.Desk = &Desk{Records: o.store, Postures: o.store, Policy: func() *policy.Policy { return p }, Now: func() time.Time { return o.now }}
	word := noon // the device's last
	starts, ends, ended, renewals := noon.Add(2*time.Hour), noon.Add(10*time.Hour), false, 0
	for step := range 10 {
		switch rapid.IntRange(0, 5).Draw(t, "step") {
		case 0, 1:
			o.now = o.now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute)
		case 2:
			if edge := rapid.SampledFrom([]time.Time{starts, ends}).Draw(t, "edge").Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "ns"))); edge.After(o.now) {
				o.now = edge
			}
		case 3:
			word = o.now
			starts, ends, ended, renewals = word.Add(2*time.Hour), word.Add(10*time.Hour), false, 0
		default:
		}
		o.now = o.now.Add(time.Nanosecond)
		o.store.postures = []signals.Posture{device("quiet", "C02QUIET001", word, "ana"), device("loud", "C02LOUD0001", o.now, "ben")}
		runs := o.now.After(starts) && o.now.Before(ends) && !ended
		switch rapid.SampledFrom([]string{"renew", "end", "look"}).Draw(t, "act") {
		case "renew":
			_, err := o.RenewGrace(t.Context(), cho, "quiet", "r", "t")
			if want := runs && renewals < 2; (err == nil) != want {
				t.Fatalf("step %d: renewed %d times, runs %t: %v", step, renewals, runs, err)
			}
			if err == nil {
				renewals, ends = renewals+1, ends.Add(8*time.Hour)
			}
		case "end":
			_, err := o.EndGrace(t.Context(), local, "quiet", "r")
			if (err == nil) != runs {
				t.Fatalf("step %d: ended, runs %t: %v", step, runs, err)
			}
			ended = ended || runs
		}
		runs = o.now.After(starts) && o.now.Before(ends) && !ended
		all, err := o.Graces(t.Context())
		if got := len(all) == 1 && all[0].Running(); err != nil || got != runs || got && !all[0].Tiers[0].Ends.Equal(ends) {
			t.Fatalf("step %d at %s: runs %t until %s: %+v, %v", step, o.now, runs, ends, all, err)
		}
	}
}
