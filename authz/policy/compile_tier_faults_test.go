package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func tierOf(change func(*Tier)) func(*Spec) { return func(s *Spec) { change(&s.Tiers[0]) } }

func entryOf(change func(*Stricter)) func(*Spec) {
	return func(s *Spec) { change(&s.Tiers[0].Stricter[0]) }
}

const atTier, atEntry = "Tier/internal spec.", "Tier/internal spec.stricter[0]"

func TestFaultsOfTiers(t *testing.T) {
	t.Parallel()
	refuse(t, []broken{
		{atTier + "identify", `identify is ""`, tierOf(func(t *Tier) { t.Identify = "" })},
		{"Tier/internal metadata.owner", "is no team", tierOf(func(t *Tier) { t.Meta.Owner = "ima" })},
		{atTier + "require[2]", "no baseline defines", tierOf(func(t *Tier) {
			t.Require = append(t.Require,
				Demand{Signal: "screen-locks"})
		})},
		{atTier + "require[2]", "stands twice", tierOf(func(t *Tier) {
			t.Require = append(t.Require,
				Demand{Signal: "edr-healthy"})
		})},
		{atTier + "stepUp.signals[1]", "stands twice", tierOf(func(t *Tier) {
			t.StepUp.Signals = demandsOf("firewall-on",
				"disk-encrypted")
		})},
		{atTier + "denyUnless[1]", "stands twice", tierOf(func(t *Tier) {
			t.DenyUnless = append(t.DenyUnless, DenyUnless{Signal: "not-compromised"})
		})},
		{atTier + "advise[0]", "stands twice", tierOf(func(t *Tier) { t.Advise = demandsOf("edr-healthy") })},
		{atTier + "require[1].maxAge", "does not tighten", tierOf(func(t *Tier) { t.Require[1].MaxAge = 26 * time.Hour })},
		{atTier + "require[1].maxAge", "does not tighten", tierOf(func(t *Tier) { t.Require[1].MaxAge = 27 * time.Hour })},
		{atTier + "require[1].maxAge", "disk_encryption as often as every 59m",
			tierOf(func(t *Tier) { t.Require[1].MaxAge = 59 * time.Minute })},
		{atTier + "denyUnless[0].maxAge", "no source reports compromised",
			tierOf(func(t *Tier) { t.DenyUnless[0].MaxAge = time.Minute })},
		{atTier + "stepUp.signals[0].maxAge", "mdm does so every 24h",
			tierOf(func(t *Tier) { t.StepUp.Signals[0].MaxAge = day - tick })},
		{atTier + "denyUnless[0].onUnknown", "write deny or note", tierOf(func(t *Tier) {
			t.DenyUnless[0].OnUnknown, t.Stricter[0].DenyUnless = "allow", nil
		})},
		{atTier + "mode", "write enforce or monitor", tierOf(func(t *Tier) { t.Mode = "audit" })},
		{atTier + "evidence", "write required", tierOf(func(t *Tier) { t.Evidence = "optional" })},
		{atTier + "recheckEvery", "too often", tierOf(func(t *Tier) { t.RecheckEvery = time.Second - tick })},
		{atTier + "recheckEvery", "too often", tierOf(func(t *Tier) { t.RecheckEvery = -time.Hour })},
		{atTier + "onGap.last-known.for", "says for how long", tierOf(func(t *Tier) { t.OnGap.LastKnown.For = 0 })},
		{atTier + "grace.renewals", "write 0 to 100", tierOf(func(t *Tier) { t.Grace.Renewals = 101 })},
		{atTier + "grace.renewals", "-1 renewals", func(s *Spec) {
			s.Tiers[0].Grace.Renewals,
				s.Tiers[0].Stricter[0].Grace = -1, nil
		}},
		{atTier + "grace.offline", "for how long", func(s *Spec) {
			s.Tiers[0].Grace.Offline,
				s.Tiers[0].Stricter[0].Grace = 0, nil
		}},
		{atTier + "exceptions.maxRenewals", "write 0 to 100", tierOf(func(t *Tier) { t.Exceptions.MaxRenewals = 101 })},
		{atTier + "exceptions.maxDuration", "how long they may be", func(s *Spec) {
			s.Tiers[0].Exceptions.MaxDuration, s.Tiers[0].Stricter[0].Exceptions, s.Exceptions = 0, nil, nil
		}},
		{atTier + "grace", "requires no signal", func(s *Spec) {
			s.Tiers[0].Require, s.Tiers[0].Stricter, s.Exceptions, s.Monitors = nil, nil, nil, nil
			s.Audiences = s.Audiences[:3]
		}},
	})
}

func TestFaultsOfStepUp(t *testing.T) {
	t.Parallel()
	refuse(t, []broken{
		{atTier + "stepUp", "asks for no login", tierOf(func(t *Tier) { t.StepUp.ACR, t.StepUp.MaxAge = nil, 0 })},
		{atTier + "stepUp.maxAge", "no login is as fresh", tierOf(func(t *Tier) { t.StepUp.MaxAge = time.Second - tick })},
		{atTier + "stepUp.maxAge", "no login is as fresh", tierOf(func(t *Tier) { t.StepUp.MaxAge = -time.Minute })},
		{atTier + "stepUp.when", "write always or signals", tierOf(func(t *Tier) { t.StepUp.When = "never" })},
		{atTier + "stepUp.when", "no signal is named", func(s *Spec) { s.Tiers[0].StepUp.Signals, s.Exceptions = nil, nil }},
		{atTier + "stepUp.acr[0]", "cannot be sent", tierOf(func(t *Tier) { t.StepUp.ACR = []string{"p hr"} })},
		{atTier + "stepUp.acr[0]", "cannot be sent", tierOf(func(t *Tier) { t.StepUp.ACR = []string{""} })},
		{atTier + "stepUp.acr[1]", "cannot be sent", tierOf(func(t *Tier) { t.StepUp.ACR = []string{"phr", "p\"hr"} })},
		{atTier + "stepUp.acr[1]", "listed twice", tierOf(func(t *Tier) { t.StepUp.ACR = []string{"phr", "phr"} })},
		{atTier + "stepUp.amr[0]", "cannot be sent", tierOf(func(t *Tier) { t.StepUp.AMR = []string{"hwk\r\n"} })},
		{"Tier/workload spec.stepUp", "no login to step up",
			func(s *Spec) { s.Tiers[2].StepUp = &StepUpDemand{MaxAge: time.Minute} }},
		{"Tier/workload spec.advise[0]", "no device to look at",
			func(s *Spec) { s.Tiers[2].Advise = demandsOf("firewall-on") }},
		{atEntry + ".stepUp", "asks for no login", entryOf(func(e *Stricter) { e.StepUp.AMR = nil })},
		{atEntry + ".stepUp.amr[0]", "cannot be sent", entryOf(func(e *Stricter) { e.StepUp.AMR[0] = "h wk" })},
	})
}

// What stands under stricter never loosens, and says something.
func TestFaultsOfStricter(t *testing.T) {
	t.Parallel()
	only := func(e Stricter) func(*Spec) {
		e.Audience = "executives"
		return func(s *Spec) { s.Tiers[0].Stricter = []Stricter{e} }
	}
	refuse(t, []broken{
		{atEntry + ".audience", "no Audience", entryOf(func(e *Stricter) { e.Audience = "excutives" })},
		{"Tier/internal spec.stricter[1].audience", "has two entries", tierOf(func(t *Tier) {
			t.Stricter = append(t.Stricter, Stricter{Audience: "executives", StepUp: t.Stricter[0].StepUp})
		})},
		{atEntry, "asks for nothing", only(Stricter{})},
		{atEntry + ".require[0]", "no baseline defines", entryOf(func(e *Stricter) { e.Require[0].Signal = "firewall" })},
		{atEntry + ".require[1]", "stands twice", entryOf(func(e *Stricter) {
			e.Require = demandsOf("firewall-on",
				"firewall-on")
		})},
		{atEntry, `already lists signal "disk-encrypted" under require`,
			only(Stricter{Require: demandsOf("disk-encrypted")})},
		{atEntry, `already lists signal "not-compromised" under denyUnless`,
			only(Stricter{Require: demandsOf("not-compromised")})},
		{atEntry, `already lists signal "edr-healthy" under require`, only(Stricter{
			StepUp: &StepUpDemand{ACR: []string{"phr"}, Signals: demandsOf("edr-healthy")}})},
		{atEntry + ".require[0].maxAge", "does not tighten", only(Stricter{Require: []Demand{{Signal: "firewall-on",
			MaxAge: 27 * time.Hour}}})},
		{atEntry + ".require[0].maxAge", "does not tighten", only(Stricter{
			Require: []Demand{{Signal: "disk-encrypted", MaxAge: 25*time.Hour + time.Minute}}})},
		{atEntry + ".denyUnless[0].onUnknown", "write deny or note",
			entryOf(func(e *Stricter) { e.DenyUnless[0].OnUnknown = "allow" })},
		{atEntry, `already lists signal "not-compromised" under denyUnless`,
			func(s *Spec) { // the tier denies, so note would be no stricter
				s.Tiers[0].DenyUnless[0].OnUnknown, s.Tiers[0].Stricter[0].DenyUnless[0].OnUnknown = OnUnknownDeny, OnUnknownNote
			}},
		{atEntry + ".grace", "no shorter", entryOf(func(e *Stricter) { e.Grace.Offline = 9 * time.Hour })},
		{atEntry + ".grace", "no shorter", entryOf(func(e *Stricter) { e.Grace.Renewals = 2 })},
		{atEntry + ".grace", "no shorter", entryOf(func(e *Stricter) { e.Grace.Offline = -1 })},
		{atEntry + ".grace", "no grace to shorten", tierOf(func(t *Tier) { t.Grace = nil })},
		{atEntry + ".exceptions", "no exceptions to shorten", func(s *Spec) {
			s.Tiers[0].Exceptions, s.Exceptions = nil,
				nil
		}},
		{atEntry + ".exceptions.maxDuration", "no shorter",
			entryOf(func(e *Stricter) { e.Exceptions.MaxDuration = 15 * day })},
		{atEntry + ".exceptions.maxDuration", "no shorter", entryOf(func(e *Stricter) { e.Exceptions.MaxDuration = -1 })},
		{atEntry + ".exceptions.maxRenewals", "for the tier as a whole",
			entryOf(func(e *Stricter) { e.Exceptions.MaxRenewals = 1 })},
		{atTier + "stricter", "the limit is 32", tierOf(func(t *Tier) {
			for range 32 {
				t.Stricter = append(t.Stricter, t.Stricter[0])
			}
		})},
	})
}

// What a workload steps up with is a JWT-SVID and nothing else, which the settings must take.
func TestFaultsOfWorkloadsThatStepUp(t *testing.T) {
	t.Parallel()
	ofWorkload := func(d StepUpDemand) func(*Spec) {
		return func(s *Spec) {
			*s = Spec{Governance: s.Governance, Tiers: []Tier{{Meta: s.Tiers[0].Meta, Identify: IdentifyWorkload, StepUp: &d}}}
		}
	}
	svid := func(age time.Duration, audience string) StepUpDemand {
		return StepUpDemand{SVID: &SVIDDemand{age, audience}}
	}
	both, signals := svid(time.Minute, "deploy"), svid(time.Minute, "deploy")
	both.MaxAge, signals.When = time.Hour, StepUpSignals
	world := World{SVIDAudiences: []string{"deploy", "tiergate"}}
	for _, c := range []struct {
		field, message string
		world          World
		change         func(*Spec)
	}{
		{"stepUp", "no login", world, ofWorkload(StepUpDemand{ACR: []string{"phr"}})},
		{"stepUp", "no login", world, ofWorkload(StepUpDemand{})},
		{"stepUp", "no login", world, ofWorkload(both)},
		{"stepUp.when", "no signal is named", world, ofWorkload(signals)},
		{"stepUp.svid.maxAge", "as fresh as", world, ofWorkload(svid(time.Second-1, "deploy"))},
		{"stepUp.svid.audience", "names no audience", world, ofWorkload(svid(time.Minute, ""))},
		{"stepUp.svid.audience", "cannot be sent", world, ofWorkload(svid(time.Minute, `a"b`))},
		{"stepUp.svid.audience", `for audience "deploi"`, world, ofWorkload(svid(time.Minute, "deploi"))},
		{"stepUp.svid", "take no JWT-SVID", World{SVIDAudiences: []string{}}, ofWorkload(svid(time.Minute, "deploy"))},
		{"stepUp.svid", "a user shows a login", World{}, func(s *Spec) { s.Tiers[0].StepUp.SVID = &SVIDDemand{time.Minute, "deploy"} }},
	} {
		spec := wholeSpec()
		c.change(&spec)
		_, faults := New(spec, c.world)
		if len(faults) == 0 || !slices.ContainsFunc(faults, func(f Fault) bool {
			return f.Field == "spec."+c.field && strings.Contains(f.Message, c.message) && f.Help != ""
		}) {
			t.Errorf("%s %s: %+v", c.field, c.message, faults)
		}
	}
	spec := wholeSpec()
	ofWorkload(svid(time.Minute, "deploy"))(&spec)
	for _, w := range []World{world, {}} {
		_, faults := New(spec, w)
		if faults = slices.DeleteFunc(faults, func(f Fault) bool { return f.Field == "metadata.name" }); len(faults) != 0 { // no route
			t.Errorf("a right one: %+v", faults)
		}
	}
}

// Without the settings nothing is said about what they would say; with them, a tier must be able to keep its word.
func TestTheSettingsAreAskedOnlyWhereTheyAreKnown(t *testing.T) {
	t.Parallel()
	if _, faults := New(wholeSpec(), World{}); faults != nil {
		t.Errorf("without settings: %+v", faults)
	}
	recorded := false
	world := wholeWorld()
	world.Evidence = &recorded
	if _, faults := New(wholeSpec(), world); len(faults) != 1 || faults[0].Field != "spec.evidence" {
		t.Errorf("evidence that nobody records: %+v", faults)
	}
	for every, want := range map[time.Duration]int{0: 0, 2 * time.Hour: 0,
		2*time.Hour + tick: 1} { // edr-healthy may be 2h old
		world = wholeWorld()
		for name, source := range world.Sources {
			if source.Every = every; name == "mdm" {
				source.Every = day
			}
			world.Sources[name] = source
		}
		_, faults := New(wholeSpec(), world)
		const at = "spec.signals.edr-healthy.maxAge"
		if len(faults) != want || want == 1 && (faults[0].Kind != KindBaseline || faults[0].Field != at) {
			t.Errorf("the EDR reports every %s: %+v", every, faults)
		}
	}
}
