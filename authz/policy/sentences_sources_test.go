package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

func preferring(list func(*Tier), sources ...string) func(*Spec) {
	return func(s *Spec) {
		for _, name := range []string{"disk-encrypted", "not-compromised"} {
			signal := s.Baselines[0].Signals[name]
			signal.Prefer = sources
			s.Baselines[0].Signals[name] = signal
		}
		s.Tiers[0].Grace = nil
		if list != nil {
			list(&s.Tiers[0])
		}
	}
}

// "Several sources: each that may attest the attribute and reports it is judged by itself …; if fresh ones disagree the
// worse counts, unless the baseline prefers one (never for denyUnless; a stale preferred source is unknown)."
func TestSeveralSources(t *testing.T) {
	t.Parallel()
	disk := func(source string, good bool, age time.Duration) signals.Fact {
		return report(source, "disk_encryption", signals.Bool(good), age)
	}
	for _, c := range []struct {
		name   string
		prefer []string
		facts  []signals.Fact
		want   string
	}{
		{"they agree", nil, []signals.Fact{disk("mdm", true, 0), disk("edr", true, 0)}, "allowed"},
		{"the worse is the older one", nil, []signals.Fact{disk("mdm", true, 0), disk("edr", false, 26*time.Hour)},
			"posture -disk-encrypted:failing"},
		{"the worse is 1 ns too old", nil, []signals.Fact{disk("mdm", true, 0), disk("edr", false, 26*time.Hour+tick)},
			"allowed"},
		{"one cannot tell: it has no say", nil, []signals.Fact{disk("mdm", true, 0), report("edr", "disk_encryption",
			signals.Unknown, 0)},
			"allowed"},
		{"neither can tell", nil, []signals.Fact{report("mdm", "disk_encryption", signals.Unknown, 0),
			report("edr", "disk_encryption", signals.Unknown, 0)}, "posture -disk-encrypted:unknown"},
		{"one that may not attest it", nil, []signals.Fact{disk("mdm", true, 0), disk("stranger", false, 0)}, "allowed"},
		{"only one that may not attest it", nil, []signals.Fact{disk("stranger", true, 0)},
			"posture -disk-encrypted:unknown"},
		{"the preferred one says good", []string{"edr"}, []signals.Fact{disk("mdm", false, 0), disk("edr", true, 0)},
			"allowed"},
		{"the preferred one says bad", []string{"edr"}, []signals.Fact{disk("mdm", true, 0), disk("edr", false, 0)},
			"posture -disk-encrypted:failing"},
		{"a stale preferred source is unknown", []string{"edr"}, []signals.Fact{disk("mdm", true, 0), disk("edr", true,
			26*time.Hour+tick)},
			"posture -disk-encrypted:unknown"},
		{"a preferred source that cannot tell is unknown", []string{"edr"}, []signals.Fact{disk("mdm", true, 0),
			report("edr", "disk_encryption", signals.Unknown, 0)}, "posture -disk-encrypted:unknown"},
		{"a preferred source that never reported it: the others", []string{"edr"}, []signals.Fact{disk("mdm", true, 0)},
			"allowed"},
		{"the first of two preferred ones", []string{"edr", "mdm"}, []signals.Fact{disk("mdm", false, 0), disk("edr", true,
			0)}, "allowed"},
		{"the second of two preferred ones", []string{"edr", "mdm"}, []signals.Fact{disk("mdm", false, 0)},
			"posture -disk-encrypted:failing"},
	} {
		in := ana()
		set(&in.Device, "disk_encryption", c.facts...)
		expect(t, c.name, privileged(t, preferring(nil, c.prefer...)).Evaluate(&in), c.want)
	}
}

// "…unless the baseline prefers one (never for denyUnless…)"
func TestNoSourceIsPreferredForDenyUnless(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		facts []signals.Fact
		want  string
	}{
		{"another source raises an alarm", []signals.Fact{report("mdm", "compromised", signals.Bool(false), 0),
			report("edr", "compromised", signals.Bool(true), 0)}, "posture -not-compromised:failing"},
		{"another source had raised one", []signals.Fact{report("mdm", "compromised", signals.Bool(false), 0),
			report("edr", "compromised", signals.Bool(true), 99*day)}, "posture -not-compromised:failing"},
		{"the preferred one is stale, another is not", []signals.Fact{report("mdm", "compromised", signals.Bool(false),
			99*day),
			report("edr", "compromised", signals.Bool(false), 0)}, "allowed"},
	} {
		in := ana()
		set(&in.Device, "compromised", c.facts...)
		expect(t, c.name, privileged(t, preferring(nil, "mdm")).Evaluate(&in), c.want)
	}
}

// "each that may attest the attribute and reports it is judged by itself (what it does not report, such as platform,
// comes from the merged posture)"
func TestWhatASourceDoesNotReportComesFromTheMergedPosture(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		signal := s.Baselines[0].Signals["disk-encrypted"]
		signal.Expr = `device.disk_encryption && device.platform == "macos"`
		s.Baselines[0].Signals["disk-encrypted"] = signal
		s.Tiers[0].Grace = nil
	})
	edr := func(good bool) signals.Fact { return report("edr", "disk_encryption", signals.Bool(good), 0) }
	for _, c := range []struct {
		name     string
		platform signals.Fact
		facts    []signals.Fact
		want     string
	}{
		{"the platform of another", report("mdm", "platform", signals.Text("macos"), 0), []signals.Fact{edr(true)},
			"allowed"},
		{"which ages too", report("mdm", "platform", signals.Text("macos"), 26*time.Hour+tick), []signals.Fact{edr(true)},
			"posture -disk-encrypted:unknown"},
		{"at the bound", report("mdm", "platform", signals.Text("macos"), 26*time.Hour), []signals.Fact{edr(true)},
			"allowed"},
		{"the good of one never heals the bad of another", report("mdm", "platform", signals.Text("macos"), 0),
			[]signals.Fact{report("mdm", "disk_encryption", signals.Bool(true), 0), edr(false)},
			"posture -disk-encrypted:failing"},
	} {
		in := ana()
		set(&in.Device, "platform", c.platform)
		set(&in.Device, "disk_encryption", c.facts...)
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// "if fresh ones disagree the worse counts": the EDR says now that its agent is ill, which alone makes the signal fail.
// That it has been silent about the firewall for long takes nothing from that; "older than maxAge → unknown", and
// false && unknown is false.
func TestAFreshBadFactCountsBesideAStaleOne(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		signal := s.Baselines[0].Signals["disk-encrypted"]
		signal.Expr = `device.disk_encryption && device.edr_healthy`
		s.Baselines[0].Signals["disk-encrypted"] = signal
		s.Tiers[0].Require, s.Tiers[0].Grace = demandsOf("disk-encrypted"), nil
	})
	for _, stale := range []time.Duration{26 * time.Hour, 26*time.Hour + tick} {
		in := ana() // of whom the MDM says that all is well
		in.Device.Posture = postureOf(append(in.Device.Posture.Facts, report("edr", "disk_encryption", signals.Bool(true),
			stale),
			report("edr", "edr_healthy", signals.Bool(false), 0))...)
		expect(t, stale.String(), p.Evaluate(&in), "posture -disk-encrypted:failing")
	}
}

// "A disagreement is always visible: in the explanation…": whoever is preferred, whatever the outcome, as long as it
// lasts.
func TestADisagreementIsAlwaysVisible(t *testing.T) {
	t.Parallel()
	disk := []signals.Fact{report("mdm", "disk_encryption", signals.Bool(true), 0), report("edr", "disk_encryption",
		signals.Bool(false), time.Hour)}
	advise := func(t *Tier) { t.Require, t.Advise = t.Require[:1], demandsOf("disk-encrypted") }
	stepUp := func(t *Tier) { t.Require, t.StepUp.Signals = t.Require[:1], demandsOf("disk-encrypted") }
	denyUnless := func(t *Tier) { t.Require, t.DenyUnless = t.Require[:1], []DenyUnless{{Signal: "disk-encrypted"}} }
	for name, change := range map[string]func(*Spec){
		"require": preferring(nil), "preferred, passing": preferring(nil, "mdm"), "preferred, failing": preferring(nil,
			"edr"),
		"advise": preferring(advise), "stepUp": preferring(stepUp), "denyUnless": preferring(denyUnless),
	} {
		in := ana()
		set(&in.Device, "disk_encryption", disk...)
		p := privileged(t, change)
		if v := p.Evaluate(&in); !slices.Equal(v.Disputed, []string{"disk-encrypted"}) {
			t.Errorf("%s: disputed is %v", name, v.Disputed)
		}
		for when, disputed := range map[time.Duration]bool{25 * time.Hour: true, 25*time.Hour + tick: false} {
			if v := at(p, in, noon.Add(when)); (len(v.Disputed) > 0) != disputed {
				t.Errorf("%s, %s later: disputed is %v", name, when, v.Disputed)
			}
		}
		for _, u := range slices.Concat(p.Evaluate(&in).Unmet, p.Evaluate(&in).Noted) {
			if !strings.Contains(u.Detail, "mdm says passing") || !strings.Contains(u.Detail, "edr says failing") {
				t.Errorf("%s: the explanation is %q", name, u.Detail)
			}
		}
	}
}
