package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

// alarmed is the sample with one more signal that a tier denies unless it holds.
func alarmed(t testing.TB, expression string) *Policy {
	t.Helper()
	spec := sampleSpec()
	spec.Baselines[0].Signals["calm"] = Signal{Expr: expression, MaxAge: 26 * time.Hour, Fix: Fix{Text: "Look at it."}}
	spec.Tiers[1].Identify = IdentifyUserDevice
	spec.Tiers[1].DenyUnless = []DenyUnless{{Signal: "calm"}}
	p, faults := New(spec, World{})
	if faults != nil {
		t.Fatalf("%+v", faults)
	}
	return p
}

func TestAlarmFacts(t *testing.T) {
	t.Parallel()
	yes, no := signals.Bool(true), signals.Bool(false)
	macos := report("mdm", "platform", signals.Text("macos"), time.Hour)
	high := report("mdm", "threat_level", signals.Text("high"), time.Hour)
	sick := report("mdm", "edr_healthy", no, time.Hour)
	old := report("mdm", "os_version", signals.Text("15.1"), time.Hour)
	for name, row := range map[string]struct {
		expression string
		facts      []signals.Fact
		want       string
	}{
		"one value":            {"!device.compromised", []signals.Fact{macos, report("mdm", "compromised", yes, 900*time.Hour)}, "compromised of mdm"},
		"none fails":           {"!device.compromised", []signals.Fact{macos, report("mdm", "compromised", no, time.Hour)}, ""},
		"nobody says anything": {"!device.compromised", []signals.Fact{macos}, ""},
		"each source by itself": {"!device.compromised", []signals.Fact{macos, report("mdm", "compromised", yes, time.Hour),
			report("edr", "compromised", yes, 2*time.Hour), report("mdm2", "compromised", no, 0)}, "compromised of edr, compromised of mdm"},
		"a withdrawn word": {"!device.compromised", []signals.Fact{macos, report("mdm", "compromised", yes, time.Hour),
			report("mdm", "compromised", signals.Unknown, 0)}, "compromised of mdm"},
		"the one of two that fails": {`device.edr_healthy && device.threat_level != "high"`, []signals.Fact{macos, high,
			report("mdm", "edr_healthy", yes, time.Hour)}, "threat_level of mdm"},
		"both that fail": {`device.edr_healthy && device.threat_level != "high"`, []signals.Fact{macos, high, sick}, "edr_healthy of mdm, threat_level of mdm"},
		"the two of three that fail": {`device.edr_healthy && device.threat_level != "high" && device.firewall`, []signals.Fact{macos, high, sick,
			report("mdm", "firewall", yes, 0)}, "edr_healthy of mdm, threat_level of mdm"},
		"both that fail in or": {`device.edr_healthy || device.threat_level != "high"`, []signals.Fact{macos, high, sick}, "edr_healthy of mdm, threat_level of mdm"},
		"tangled": {`(device.edr_healthy || device.threat_level != "high") && (device.firewall || device.screen_lock)`, []signals.Fact{macos, high, sick,
			report("mdm", "firewall", no, 0), report("mdm", "screen_lock", no, 0)},
			"edr_healthy of mdm, firewall of mdm, screen_lock of mdm, threat_level of mdm"},
		"never the platform where it need not be": {`device.platform == "macos" ? version(device.os_version) >= version("15.6") : device.secure_boot`,
			[]signals.Fact{macos, old}, "os_version of mdm"},
		"the platform where nothing else is": {`device.platform != "macos"`, []signals.Fact{macos}, "platform of mdm"},
		"of no baseline's platform": {"!device.compromised", []signals.Fact{report("mdm", "platform", signals.Text("linux"), 0),
			report("mdm", "compromised", yes, time.Hour)}, "compromised of mdm"},
		"what another would lend": {`device.edr_healthy && device.threat_level != "high"`, []signals.Fact{macos, sick, report("mdm", "threat_level",
			signals.Text("none"), 0), report("edr", "threat_level", signals.Text("low"), time.Hour)}, "edr_healthy of mdm"},
		"a word that may not be said": {"!device.compromised", []signals.Fact{macos, report("stranger", "compromised", yes, 0)}, ""},
	} {
		p, posture := alarmed(t, row.expression), postureOf(row.facts...)
		p.attests = map[string]map[string]bool{}
		for _, source := range []string{"mdm", "mdm2", "edr"} {
			p.attests[source] = map[string]bool{}
			for _, a := range signals.Attributes() {
				p.attests[source][a.Name] = true
			}
		}
		facts := p.AlarmFacts(posture, "calm")
		said := make([]string, 0, len(facts))
		for _, f := range facts {
			said = append(said, f.Attribute+" of "+f.Source)
			if !slices.Contains(posture.Facts, f) {
				t.Errorf("%s: %+v is no fact of the posture", name, f)
			}
		}
		if got := strings.Join(said, ", "); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
	if got := alarmed(t, "!device.compromised").AlarmFacts(postureOf(high), "nothing"); got != nil {
		t.Errorf("of a signal that is none: %+v", got)
	}
}

// TestAlarmFactsAreEnough: whatever is known, an alarm that decisions see has facts, and with these gone they see none.
func TestAlarmFactsAreEnough(t *testing.T) {
	t.Parallel()
	var policies []*Policy
	for _, expression := range []string{"!device.compromised", `device.edr_healthy && device.threat_level != "high"`,
		`(device.edr_healthy || device.firewall) && (!device.compromised || device.screen_lock)`,
		`device.platform == "macos" ? device.edr_healthy : !device.compromised`, `device.platform != "windows" && device.firewall`} {
		p := alarmed(t, expression)
		policies = append(policies, p)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(policies).Draw(t, "policy")
		posture := signals.Posture{Device: "d"}
		for i := range rapid.IntRange(0, 8).Draw(t, "facts") {
			attribute := rapid.SampledFrom([]string{"edr_healthy", "firewall", "compromised", "screen_lock", "threat_level", "platform"}).Draw(t, fmt.Sprint(i))
			value := rapid.SampledFrom([]signals.Value{signals.Bool(true), signals.Bool(false), signals.Unknown}).Draw(t, "value")
			switch attribute {
			case "threat_level":
				value = rapid.SampledFrom([]signals.Value{signals.Text("high"), signals.Text("low"), signals.Unknown}).Draw(t, "level")
			case "platform":
				value = rapid.SampledFrom([]signals.Value{signals.Text("macos"), signals.Text("windows"), signals.Text("linux")}).Draw(t, "platform")
			}
			posture, _ = posture.Merge(signals.Observation{Facts: []signals.Fact{report(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source"),
				attribute, value, time.Duration(rapid.IntRange(0, 3).Draw(t, "age"))*time.Hour)}})
		}
		calm := slices.IndexFunc(p.signals, func(s signal) bool { return s.name == "calm" })
		alarm := func() bool {
			votes, _ := p.Assess(&posture).of(calm)
			return slices.ContainsFunc(votes, func(v vote) bool { return v.alarm })
		}
		before, facts := alarm(), p.AlarmFacts(&posture, "calm")
		if before != (len(facts) > 0) {
			t.Fatalf("alarm %t, facts %+v of %+v", before, facts, posture.Facts)
		}
		var o signals.Observation
		for _, f := range facts {
			o.Clearances = append(o.Clearances, signals.Clearance{Attribute: f.Attribute, Source: f.Source, Until: f.Observed})
		}
		if posture, _ = posture.Merge(o); alarm() {
			t.Fatalf("an alarm is left of %+v after clearing %+v", posture.Facts, facts)
		}
	})
}

// TestClearanceConcernsWhoReadsTheSame: the owner of a tier whose alarm would end too is asked too.
func TestClearanceConcernsWhoReadsTheSame(t *testing.T) {
	t.Parallel()
	p := alarmed(t, "!device.compromised && device.edr_healthy")
	if got := p.AlarmTiers("not-compromised"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if got := p.AlarmTiers("not-compromised", "compromised"); len(got) != 2 || got[0].Tier != "internal" || got[1].Tier != "person" {
		t.Errorf("%+v", got)
	}
	if got := p.AlarmTiers("not-compromised", "firewall"); len(got) != 1 {
		t.Errorf("a signal that is only advised is no alarm: %+v", got)
	}
}
