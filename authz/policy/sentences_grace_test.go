package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// required leaves the tier nothing but what it requires, and grace of 8 hours with one renewal.
func required(s *Spec) { s.Tiers[0].DenyUnless, s.Tiers[0].StepUp = nil, nil }

// silentFrom is ana's device that was last heard of then; edr-healthy ages out two hours later, disk-encrypted 26. Its
// source has told of others ever since.
func silentFrom(age time.Duration) Input {
	in := ana()
	in.Device = reported(age)
	return in
}

// "Grace is one clock per device: it starts when its first required signal ages out, lasts offline, each renewal adds
// offline, any fresh fact ends it." The first signal, edr-healthy, ages out at noon; disk-encrypted a day later.
func TestGraceIsOneClock(t *testing.T) {
	t.Parallel()
	const edr, both = "allowed +edr-healthy:grace", "allowed +edr-healthy:grace +disk-encrypted:grace"
	const over, bothOver = "posture -edr-healthy:unknown", "posture -edr-healthy:unknown -disk-encrypted:unknown"
	long := func(s *Spec) { required(s); s.Tiers[0].Grace = &GraceBound{Offline: 30 * time.Hour, Renewals: 2} }
	made := func(after ...time.Duration) (all []Renewal) {
		for _, d := range after {
			all = append(all, Renewal{At: noon.Add(d), By: "cho@acme.example"})
		}
		return all
	}
	const h = time.Hour
	for _, c := range []struct {
		sentence string
		change   func(*Spec)
		renewals []Renewal
		when     time.Duration // after noon
		want     string
	}{
		{"before it starts", required, nil, 0, "allowed"},
		{"starts when its first required signal ages out", required, nil, tick, edr},
		{"1 ns before its end", required, nil, 8*h - tick, edr},
		{"lasts offline", required, nil, 8 * h, over},
		{"1 ns after its end", required, nil, 8*h + tick, over},
		{"one clock: the second signal, before it ages out", long, nil, 24 * h, edr},
		{"one clock: the second signal has no clock of its own", long, nil, 24*h + tick, both},
		{"one clock: both at their last ns", long, nil, 30*h - tick, both},
		{"one clock: both end together", long, nil, 30 * h, bothOver},
		{"a renewal adds offline", required, made(7 * h), 16*h - tick, edr},
		{"and no more", required, made(7 * h), 16 * h, over},
		{"a renewal at its start", required, made(0), 16*h - tick, edr},
		{"a renewal before its start, of this silence", required, made(-tick), 16*h - tick, edr},
		{"a renewal 1 ns after the device's last word", required, made(-2*h + tick), 16*h - tick, edr},
		{"a renewal at the device's last word is for another silence", required, made(-2 * h), 8 * h, over},
		{"a renewal at its end still counts", required, made(8 * h), 16*h - tick, edr},
		{"a renewal 1 ns after its end does not", required, made(8*h + tick), 8*h + 2*tick, over},
		{"a renewal yet to be made", required, made(8 * h), 8*h - tick, edr},
		{"renewed a limited number of times", required, made(h, 2*h), 16 * h, over},
		{"two, where two are allowed", long, made(h, 2*h), 90*h - tick, both},
		{"in any order", long, made(2*h, h), 90*h - tick, both},
		{"a third is not", long, made(h, 2*h, 3*h), 90 * h, bothOver},
		{"the second renewal made within the first", long, made(h, 59*h), 90*h - tick, both},
		{"the second renewal made after the first was over", long, made(h, 60*h+tick), 60*h + 2*tick, bothOver},
		{"no renewals allowed", func(s *Spec) { required(s); s.Tiers[0].Grace.Renewals = 0 }, made(h), 8 * h, over},
		{"no grace stated", func(s *Spec) { required(s); s.Tiers[0].Grace = nil }, made(h), tick, over},
		{"the tier's tighter maxAge moves the start", func(s *Spec) { required(s); s.Tiers[0].Require[1].MaxAge = h },
			nil, 7*h - tick, both},
		{"and so the end", func(s *Spec) { required(s); s.Tiers[0].Require[1].MaxAge = h }, nil, 7 * h, bothOver},
	} {
		in := silentFrom(2 * time.Hour)
		in.Device.Heard["mdm"], in.Device.Renewals = noon.Add(1000*time.Hour), c.renewals
		v := at(privileged(t, c.change), in, noon.Add(c.when))
		expect(t, c.sentence, v, c.want)
		for _, w := range v.Waived {
			yet := c.sentence == "a renewal yet to be made" && !w.Until.Equal(noon.Add(8*h)) // it would last no longer for it
			if !w.Until.After(noon.Add(c.when)) || w.Until.After(noon.Add(90*h)) || yet {
				t.Errorf("%s: waived until %s", c.sentence, w.Until)
			}
		}
	}
}

// A grace that somebody ended is over for every tier until the device is heard of again, whatever is renewed.
func TestEndedGrace(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	const edr, over = "allowed +edr-healthy:grace", "posture -edr-healthy:unknown"
	for _, c := range []struct {
		sentence    string
		ended, when time.Duration // after noon, when the grace starts; the last word was 2 h before
		want        string
	}{
		{"1 ns before somebody ended it", 2 * h, 2*h - tick, edr},
		{"when somebody ended it", 2 * h, 2 * h, over},
		{"and not begun again by the renewal that follows", 2 * h, 7 * h, over},
		{"ended before what the tier requires ages out", -h, tick, over},
		{"ended 1 ns after the last word", -2*h + tick, h, over},
		{"the end of an earlier silence", -2 * h, h, edr},
		{"ended after its end", 17 * h, 16*h - tick, edr},
		{"an end does not make it longer", 17 * h, 16 * h, over},
	} {
		in := silentFrom(2 * h)
		in.Device.Heard["mdm"], in.Device.GraceEnded = noon.Add(1000*h), noon.Add(c.ended)
		in.Device.Renewals = []Renewal{{At: noon.Add(3 * h), By: "cho@acme.example"}}
		p := privileged(t, required)
		v := at(p, in, noon.Add(c.when))
		expect(t, c.sentence, v, c.want)
		for _, w := range v.Waived {
			if c.ended == 2*h && !w.Until.Equal(noon.Add(2*h)) {
				t.Errorf("%s: waived until %s", c.sentence, w.Until)
			}
		}
	}
}

// "any fresh fact ends it": of whatever attribute and from whatever source, as long as that may state it.
func TestAnyFreshFactEndsGrace(t *testing.T) {
	t.Parallel()
	p := privileged(t, required)
	over := "posture -edr-healthy:unknown"
	for _, c := range []struct {
		name string
		fact signals.Fact
		want string
	}{
		{"a fact of the instant at which grace starts", report("mdm", "firewall", signals.Bool(true), time.Hour),
			"allowed +edr-healthy:grace"},
		{"one 1 ns fresher", report("mdm", "firewall", signals.Bool(true), time.Hour-tick), over},
		{"a bad one", report("mdm", "firewall", signals.Bool(false), 0), over},
		{"one that says no more than that it cannot tell", report("mdm", "firewall", signals.Unknown, 0), over},
		{"from another source", report("edr", "compromised", signals.Bool(false), 0), over},
		{"from a source that may not state it", report("edr", "firewall", signals.Bool(true), 0),
			"allowed +edr-healthy:grace"},
		{"from a stranger", report("stranger", "edr_healthy", signals.Bool(true), 0), "allowed +edr-healthy:grace"},
		{"observed now, received before grace started", signals.Fact{Attribute: "firewall", Value: signals.Bool(true),
			Source:   "mdm",
			Observed: noon, Received: noon.Add(-time.Hour)}, "allowed +edr-healthy:grace"},
		{"the very signal, which needs no grace any more", report("mdm", "edr_healthy", signals.Bool(true), 0), "allowed"},
		{"the very signal, bad", report("mdm", "edr_healthy", signals.Bool(false), 0), "posture -edr-healthy:failing"},
	} {
		in := silentFrom(3 * time.Hour) // grace started an hour ago
		in.Device.Heard["edr"] = noon
		in.Device.Posture = postureOf(append(in.Device.Posture.Facts, c.fact)...)
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// "It starts only when every source of a device fell silent while those sources still report others: an outage of a
// source, the store or the replica is not the device's silence."
func TestAnOutageIsNotTheDevicesSilence(t *testing.T) {
	t.Parallel()
	p := privileged(t, required)
	over, living := "posture -edr-healthy:unknown", "allowed +edr-healthy:grace"
	edrToo := func(in *Input) {
		in.Device.Posture = postureOf(append(in.Device.Posture.Facts, report("edr", "compromised", signals.Bool(false),
			3*time.Hour))...)
	}
	start := noon.Add(-time.Hour) // of the clock
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   string
	}{
		{"its one source reports others", func(*Input) {}, living},
		{"1 ns after the start", func(in *Input) { in.Device.Heard["mdm"] = start.Add(tick) }, living},
		{"last at the start: an outage of the source", func(in *Input) { in.Device.Heard["mdm"] = start }, over},
		{"long before", func(in *Input) { in.Device.Heard["mdm"] = start.Add(-day) }, over},
		{"never heard of", func(in *Input) { in.Device.Heard = nil }, over},
		{"only another source, which knows not this device, reports others", func(in *Input) {
			in.Device.Heard = map[string]time.Time{"edr": noon}
		}, over},
		{"both of its sources report others", func(in *Input) { edrToo(in); in.Device.Heard["edr"] = noon }, living},
		{"the second is out", func(in *Input) { edrToo(in); in.Device.Heard["edr"] = start }, over},
		{"the first is out", func(in *Input) {
			edrToo(in)
			in.Device.Heard = map[string]time.Time{"edr": noon, "mdm": start}
		}, over},
		{"a source that may state nothing of it counts not", func(in *Input) {
			in.Device.Posture = postureOf(append(in.Device.Posture.Facts, report("stranger", "compromised",
				signals.Bool(false), 0))...)
		}, living},
		{"an outage of the store: no posture", func(in *Input) {
			in.Device = Device{Gap: GapUnreachable,
				Heard: in.Device.Heard}
		},
			"store-unreachable"},
		{"an outage of the replica: what it heard is as old as its copy", func(in *Input) {
			in.Device.AsOf, in.Device.Heard["mdm"] = start.Add(-time.Minute), start.Add(-time.Minute)
		}, over},
		{"a copy that saw the silence begin", func(in *Input) {
			in.Device.AsOf, in.Device.Heard["mdm"] = start.Add(time.Minute), start.Add(time.Minute)
		}, living},
	} {
		in := silentFrom(3 * time.Hour)
		c.change(&in)
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// "grace excuses: unknown by silence only": what had failed before the silence, what its source cannot tell, and a
// source that was preferred and said so, live in no grace.
func TestGraceKeepsTheLastGoodStateAlone(t *testing.T) {
	t.Parallel()
	const refused = "posture -edr-healthy:unknown"
	edr := func(source string, v signals.Value, age time.Duration) signals.Fact {
		return report(source, "edr_healthy", v, age)
	}
	yes, no := signals.Bool(true), signals.Bool(false)
	for _, c := range []struct {
		name   string
		prefer []string
		facts  []signals.Fact
		want   string
	}{
		{"good", nil, []signals.Fact{edr("mdm", yes, 3*time.Hour)}, "allowed +edr-healthy:grace"},
		{"bad", nil, []signals.Fact{edr("mdm", no, 3*time.Hour)}, refused},
		{"good, then not to be told", nil, []signals.Fact{edr("mdm", yes, 4*time.Hour), edr("mdm", signals.Unknown,
			3*time.Hour)}, refused},
		{"good and bad, of two sources", nil, []signals.Fact{edr("mdm", yes, 3*time.Hour), edr("edr", no, 3*time.Hour)},
			refused},
		{"good and older bad, of two sources", nil, []signals.Fact{edr("mdm", yes, 3*time.Hour), edr("edr", no,
			30*time.Hour)}, refused},
		{"good, of the preferred source", []string{"mdm"}, []signals.Fact{edr("mdm", yes, 3*time.Hour), edr("edr", no,
			3*time.Hour)},
			"allowed +edr-healthy:grace"},
		{"bad, of the preferred source", []string{"edr"}, []signals.Fact{edr("mdm", yes, 3*time.Hour), edr("edr", no,
			3*time.Hour)}, refused},
		{"never reported", nil, nil, refused},
	} {
		p := privileged(t, func(s *Spec) {
			required(s)
			signal := s.Baselines[0].Signals["edr-healthy"]
			signal.Prefer = c.prefer
			s.Baselines[0].Signals["edr-healthy"] = signal
			s.Tiers[0].Require[1].MaxAge = time.Hour // starts the clock two hours ago, whatever is known of edr-healthy
		})
		in := silentFrom(3 * time.Hour)
		in.Device.Heard["edr"] = noon
		set(&in.Device, "edr_healthy", c.facts...)
		v := p.Evaluate(&in)
		if fateOf(v, "disk-encrypted") != "grace" {
			t.Errorf("%s: no clock runs: %s", c.name, brief(v))
		}
		v.Waived = v.Waived[:len(v.Waived)-1]
		expect(t, c.name, v, c.want)
	}
}
