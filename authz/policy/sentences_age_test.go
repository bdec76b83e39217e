package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// "The baseline signal states maxAge; a tier may only tighten it. … Older than maxAge → unknown." At the bound a fact
// still counts; 1 ns later nothing is known, whether it was good or bad.
func TestOlderThanMaxAgeIsUnknown(t *testing.T) {
	t.Parallel()
	const baseline, tightened = 26 * time.Hour, 4 * time.Hour
	tighter := func(s *Spec) { s.Tiers[0].Require[1].MaxAge = tightened }
	noGrace := func(change func(*Spec)) func(*Spec) {
		return func(s *Spec) {
			s.Tiers[0].Grace = nil
			if change != nil {
				change(s)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Spec)
		good   bool
		age    time.Duration
		want   string
	}{
		{"good, 1 ns before", nil, true, baseline - tick, "allowed"},
		{"good, at the bound", nil, true, baseline, "allowed"},
		{"good, 1 ns after", nil, true, baseline + tick, "posture -disk-encrypted:unknown"},
		{"bad, at the bound", nil, false, baseline, "posture -disk-encrypted:failing"},
		{"bad, 1 ns after", nil, false, baseline + tick, "posture -disk-encrypted:unknown"},
		{"tightened, at the tier's bound", tighter, true, tightened, "allowed"},
		{"tightened, 1 ns after", tighter, true, tightened + tick, "posture -disk-encrypted:unknown"},
		{"tightened, bad, 1 ns after", tighter, false, tightened + tick, "posture -disk-encrypted:unknown"},
		{"another signal keeps the baseline's bound", func(s *Spec) { s.Tiers[0].Require[0].MaxAge = time.Hour }, true,
			baseline, "allowed"},
	} {
		in := ana()
		set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(c.good), c.age))
		expect(t, c.name, privileged(t, noGrace(c.change)).Evaluate(&in), c.want)
	}
}

// Every list has its own bound on the age of facts.
func TestEveryListTightens(t *testing.T) {
	t.Parallel()
	const bound = 3 * time.Hour
	for list, c := range map[string]struct {
		tighten                 func(*Tier)
		attribute, fresh, after string
	}{
		"require": {func(t *Tier) { t.Require[1].MaxAge = bound }, "disk_encryption", "allowed",
			"posture -disk-encrypted:unknown"},
		"denyUnless": {func(t *Tier) { t.DenyUnless[0].MaxAge = bound }, "compromised", "allowed",
			"posture -not-compromised:unknown"},
		"denyUnless, or note": {func(t *Tier) {
			t.DenyUnless[0].MaxAge, t.DenyUnless[0].OnUnknown = bound, OnUnknownNote
		}, "compromised", "allowed", "allowed ~not-compromised:unknown"},
		"stepUp": {func(t *Tier) { t.StepUp.Signals[0].MaxAge = bound }, "firewall", "allowed",
			"step-up -firewall-on:unknown"},
		"advise": {func(t *Tier) {
			t.StepUp, t.Advise = nil, []Demand{{Signal: "firewall-on", MaxAge: bound}}
		}, "firewall", "allowed", "allowed ~firewall-on:unknown"},
	} {
		p := privileged(t, func(s *Spec) { s.Tiers[0].Grace = nil; c.tighten(&s.Tiers[0]) })
		for age, want := range map[time.Duration]string{bound: c.fresh, bound + tick: c.after} {
			in := ana()
			in.Subject.User.ACR = "pwd"
			set(&in.Device, c.attribute, report("mdm", c.attribute, signals.Bool(c.attribute != "compromised"), age))
			expect(t, list, p.Evaluate(&in), want)
		}
	}
}

// "A fact ages from the earlier of observed and received." So does a bad one, and so does the clock of grace.
func TestFactsAgeFromTheEarlierInstant(t *testing.T) {
	t.Parallel()
	p := privileged(t, nil)
	for _, c := range []struct {
		name               string
		observed, received time.Duration // before noon; edr-healthy may be two hours old
		want               string
	}{
		{"received late", 2*time.Hour + tick, 0, "allowed +edr-healthy:grace"},
		{"observed late", 0, 2*time.Hour + tick, "allowed +edr-healthy:grace"},
		{"observed in the future", -time.Hour, 2 * time.Hour, "allowed"},
		{"observed in the future, received long ago", -time.Hour, 10*time.Hour + tick, "posture -edr-healthy:unknown"},
		{"received long ago: grace is over too", 0, 10*time.Hour + tick, "posture -edr-healthy:unknown"},
		{"1 ns before grace is over", 0, 10*time.Hour - tick, "allowed +edr-healthy:grace"},
	} {
		in := ana()
		in.Device = reported(10*time.Hour + time.Minute)
		set(&in.Device, "edr_healthy", signals.Fact{Attribute: "edr_healthy", Value: signals.Bool(true), Source: "mdm",
			Observed: noon.Add(-c.observed), Received: noon.Add(-c.received)})
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// "An alarm (a failing denyUnless signal) does not age. It survives sweep, re-enrolment …; only a newer explicit
// healthy value from that source … ends it." Here with onUnknown: note, so that nothing but the alarm can refuse.
func TestAnAlarmEndsOnlyByItsOwnSource(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) { s.Tiers[0].DenyUnless[0].OnUnknown = OnUnknownNote })
	alarm := report("edr", "compromised", signals.Bool(true), 1000*day)
	alarmed := "posture -not-compromised:failing"
	for _, c := range []struct {
		name  string
		facts []signals.Fact
		want  string
	}{
		{"a thousand days old", nil, alarmed},
		{"another source says healthy, later", []signals.Fact{report("mdm", "compromised", signals.Bool(false), 0)}, alarmed},
		{"its source cannot tell any more", []signals.Fact{report("edr", "compromised", signals.Unknown, 0)}, alarmed},
		{"its source says healthy of something else", []signals.Fact{report("edr", "edr_healthy", signals.Bool(true), 0)},
			alarmed},
		{"its source had said healthy before", []signals.Fact{report("edr", "compromised", signals.Bool(false),
			1000*day+tick)}, alarmed},
		{"its source says healthy at the same instant", []signals.Fact{report("edr", "compromised", signals.Bool(false),
			1000*day)}, alarmed},
		{"its source says healthy 1 ns later, long ago", []signals.Fact{report("edr", "compromised", signals.Bool(false),
			1000*day-tick)},
			"allowed ~not-compromised:unknown"},
		{"its source says healthy", []signals.Fact{report("edr", "compromised", signals.Bool(false), 0)}, "allowed"},
	} {
		in := ana()
		set(&in.Device, "compromised", append(c.facts, alarm)...)
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// "…It survives … re-enrolment": a device that comes back as one of a platform that no baseline is written for, or
// whose platform nobody reports any more, still carries its alarm.
func TestAnAlarmSurvivesAnotherPlatform(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		s.Tiers[0].Require, s.Tiers[0].Grace, s.Tiers[0].StepUp = nil, nil, nil
		s.Tiers[0].DenyUnless[0].OnUnknown = OnUnknownNote
	})
	for name, platforms := range map[string][]signals.Fact{
		"as it was":             {report("mdm", "platform", signals.Text("macos"), 0)},
		"enrolled anew":         {report("mdm", "platform", signals.Text("linux"), 0)},
		"its platform is unset": {},
	} {
		in := ana()
		set(&in.Device, "compromised", report("edr", "compromised", signals.Bool(true), day))
		set(&in.Device, "platform", platforms...)
		expect(t, name, p.Evaluate(&in), "posture -not-compromised:failing")
	}
}
