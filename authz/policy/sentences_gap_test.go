package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// "A Gap is judged only by tiers that identify a device or list signals. Unknown device or absent posture: 403 with how
// to enrol; unreachable store: 503." Which status code a reason has is authz's to say.
func TestWhoJudgesAGap(t *testing.T) {
	t.Parallel()
	gaps := map[Gap]string{GapUnknown: "device-unknown", GapContested: "device-contested",
		GapUnreachable: "store-unreachable",
		GapNone:        "device-unknown", "new": "store-unreachable"}
	strict := func(s *Spec) {
		s.Tiers[1].Stricter = []Stricter{{Audience: "employees", Require: demandsOf("disk-encrypted")}}
	}
	for name, c := range map[string]struct {
		change func(*Spec)
		path   string
		judges bool
	}{
		"identifies a device, lists signals": {nil, "/reports", true},
		"identifies a device, lists none": {func(s *Spec) {
			s.Tiers[0] = Tier{Meta: s.Tiers[0].Meta,
				Identify: IdentifyUserDevice}
		}, "/reports", true},
		"identifies a user, lists none": {nil, "/handbook/pets", false},
		"identifies a user, advises a signal": {func(s *Spec) { s.Tiers[1].Advise = demandsOf("disk-encrypted") },
			"/handbook/pets", true},
		"identifies a user, steps up by a signal": {func(s *Spec) { s.Tiers[1].StepUp = s.Tiers[0].StepUp },
			"/handbook/pets", true},
		"identifies a user, steps up always": {func(s *Spec) {
			s.Tiers[1].StepUp = &StepUpDemand{ACR: []string{"phr"}}
		}, "/handbook/pets", false},
		"lists signals for this audience": {strict, "/handbook/pets", true},
	} {
		p := privileged(t, c.change)
		for gap, want := range gaps {
			in := ana()
			in.Request.Path, in.Device = c.path, Device{Gap: gap, AsOf: noon, Heard: in.Device.Heard}
			if !c.judges {
				want = "allowed"
			}
			expect(t, name+", "+string(gap), p.Evaluate(&in), want)
		}
	}
}

// A posture beside a gap is none; a posture without a fact is an unknown device.
func TestAPostureBesideAGapIsNone(t *testing.T) {
	t.Parallel()
	for gap, want := range map[Gap]string{GapUnknown: "device-unknown", GapContested: "device-contested",
		GapUnreachable: "store-unreachable"} {
		in := ana()
		in.Device.Gap = gap
		expect(t, string(gap), privileged(t, nil).Evaluate(&in), want)
	}
	in := ana()
	in.Device.Posture = postureOf()
	expect(t, "no facts", privileged(t, nil).Evaluate(&in), "device-unknown")
}

// lastKnown is a tier that waits out an outage of its source for ten minutes and has grace of eight hours, or not.
func lastKnown(grace bool) func(*Spec) {
	return func(s *Spec) {
		required(s)
		s.Tiers[0].OnGap.LastKnown = &LastKnown{For: 10 * time.Minute}
		if !grace {
			s.Tiers[0].Grace = nil
		}
	}
}

// "A source silent for all its devices is a Gap of that source: last-known then covers its require signals. … onGap:
// last-known states for:, …" The one source of the device was heard last, of any device, when it reported this one.
func TestLastKnownCoversTheOutageOfASource(t *testing.T) {
	t.Parallel()
	const out, lives = "posture -edr-healthy:unknown", "allowed +edr-healthy:last-known"
	agedOut := noon // two hours after the device reported
	for _, c := range []struct {
		name   string
		change func(*Input)
		when   time.Duration // after the signal aged out
		want   string
	}{
		{"before it is needed", func(*Input) {}, 0, "allowed"},
		{"from the ns at which the signal ages out", func(*Input) {}, tick, lives},
		{"1 ns before its end", func(*Input) {}, 10*time.Minute - tick, lives},
		{"at its end", func(*Input) {}, 10 * time.Minute, out},
		{"1 ns after its end", func(*Input) {}, 10*time.Minute + tick, out},
		{"the source was heard when the signal aged out", func(in *Input) { in.Device.Heard["mdm"] = agedOut }, tick, lives},
		{"the source was heard 1 ns after: this device alone is silent", func(in *Input) {
			in.Device.Heard["mdm"] = agedOut.Add(tick)
		}, 2 * tick, out},
		{"the source was never heard", func(in *Input) { in.Device.Heard = nil }, tick, lives},
		{"the copy is from when the signal aged out", func(in *Input) { in.Device.AsOf = agedOut }, tick, lives},
		{"the copy is 1 ns older: nobody knows whether the source is silent", func(in *Input) {
			in.Device.AsOf = agedOut.Add(-tick)
		}, tick, out},
		{"the copy has no instant", func(in *Input) { in.Device.AsOf = time.Time{} }, tick, out},
		{"another source of the device goes on", func(in *Input) {
			in.Device.Posture = postureOf(append(in.Device.Posture.Facts, report("edr", "compromised", signals.Bool(false),
				0))...)
			in.Device.Heard["edr"] = noon
		}, tick, lives},
		{"another source of the signal says bad", func(in *Input) {
			in.Device.Posture = postureOf(append(in.Device.Posture.Facts, report("edr", "edr_healthy", signals.Bool(false),
				0))...)
		}, tick, "posture -edr-healthy:failing"},
		{"the last known state is bad", func(in *Input) {
			set(&in.Device, "edr_healthy", report("mdm", "edr_healthy", signals.Bool(false), 2*time.Hour))
		}, tick, out},
		{"the source could not tell", func(in *Input) {
			set(&in.Device, "edr_healthy", report("mdm", "edr_healthy", signals.Unknown, 2*time.Hour))
		}, tick, out},
		{"never serves an unknown device", func(in *Input) { in.Device = Device{Gap: GapUnknown, AsOf: noon} }, tick,
			"device-unknown"},
		{"never serves what the store cannot tell", func(in *Input) {
			in.Device = Device{Gap: GapUnreachable, AsOf: noon}
		}, tick, "store-unreachable"},
		{"never serves a contested device", func(in *Input) { in.Device.Gap = GapContested }, tick, "device-contested"},
	} {
		for _, grace := range []bool{false, true} {
			in := silentFrom(2 * time.Hour)
			in.Device.Heard["mdm"], in.Device.AsOf = noon.Add(-2*time.Hour), noon.Add(time.Hour)
			c.change(&in)
			want := c.want
			if grace && c.name == "the source was heard 1 ns after: this device alone is silent" {
				want = "allowed +edr-healthy:grace"
			}
			expect(t, c.name, at(privileged(t, lastKnown(grace)), in, agedOut.Add(c.when)), want)
		}
	}
}

// "last-known then covers its require signals": no other list's.
func TestLastKnownCoversNoOtherList(t *testing.T) {
	t.Parallel()
	move := map[string]func(*Tier){
		"posture -edr-healthy:unknown": func(t *Tier) { t.DenyUnless = []DenyUnless{{Signal: "edr-healthy"}} },
		"allowed ~edr-healthy:unknown": func(t *Tier) {
			t.DenyUnless = []DenyUnless{{Signal: "edr-healthy",
				OnUnknown: OnUnknownNote}}
		},
		"step-up -edr-healthy:unknown": func(t *Tier) {
			t.StepUp = &StepUpDemand{ACR: []string{"hw"},
				Signals: demandsOf("edr-healthy")}
		},
	}
	for want, change := range move {
		in := silentFrom(2*time.Hour + tick)
		in.Device.Heard["mdm"] = noon.Add(-2 * time.Hour)
		p := privileged(t, func(s *Spec) {
			lastKnown(false)(s)
			s.Tiers[0].Require = demandsOf("disk-encrypted")
			change(&s.Tiers[0])
		})
		expect(t, want, p.Evaluate(&in), want)
	}
}

// "never follows or extends grace": the device is silent and its grace over; then the source falls silent as well.
func TestLastKnownNeverFollowsGrace(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Spec){
		"grace of eight hours": lastKnown(true),
		"last-known is longer than grace": func(s *Spec) {
			lastKnown(true)(s)
			s.Tiers[0].OnGap.LastKnown.For = 100 * time.Hour
		},
		"two signals, the second ages out after the source fell silent": func(s *Spec) {
			lastKnown(true)(s)
			s.Tiers[0].OnGap.LastKnown.For, s.Tiers[0].Require[1].MaxAge = 100*time.Hour, 3*time.Hour
		},
	} {
		p := privileged(t, change)
		for _, heard := range []time.Duration{tick, 30 * time.Minute, 7 * time.Hour} { // after its grace started at noon
			in := silentFrom(2 * time.Hour)
			in.Device.Heard["mdm"], in.Device.AsOf = noon.Add(heard), noon.Add(100*time.Hour)
			for _, when := range []time.Duration{8 * time.Hour, 8*time.Hour + 5*time.Minute, 20 * time.Hour} {
				v := at(p, in, noon.Add(when))
				stale := when > time.Hour && strings.HasPrefix(name, "two signals")
				if fateOf(v, "edr-healthy") != "deny" || stale && fateOf(v, "disk-encrypted") != "deny" {
					t.Errorf("%s, heard until %s, after %s: %s", name, heard, when, brief(v))
				}
			}
			if v := at(p, in, noon.Add(8*time.Hour-tick)); fateOf(v, "edr-healthy") != "grace" {
				t.Errorf("%s, heard until %s, 1 ns before its end: %s", name, heard, brief(v))
			}
		}
	}
}

// "While the replica holds a copy, a store outage is ageing, not a Gap."
func TestAStoreOutageIsAgeing(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) { s.Tiers[0].Grace = nil })
	in := ana()
	in.Device = reported(time.Hour)
	in.Device.AsOf, in.Device.Heard["mdm"] = noon.Add(-time.Hour), noon.Add(-time.Hour)
	for when, want := range map[time.Duration]string{
		0: "allowed", time.Hour: "allowed", time.Hour + tick: "posture -edr-healthy:unknown",
	} {
		in.Subject.User.AuthTime = noon.Add(when)
		expect(t, when.String(), at(p, in, noon.Add(when)), want)
	}
}

// "Certificate validity is identity: never graced, never waived."
func TestCertificateValidityIsNeverExcused(t *testing.T) {
	t.Parallel()
	all := func(s *Spec) { // everything that could excuse something, and a tier that refuses nothing else
		lastKnown(true)(s)
		s.Tiers[0].Mode = ModeMonitor
		s.Exceptions = []Exception{loaner("edr-healthy", "disk-encrypted")}
	}
	over, begun := identity.Validity{NotBefore: noon.Add(-day), NotAfter: noon}, identity.Validity{NotBefore: noon,
		NotAfter: noon.Add(tick)}
	for _, c := range []struct {
		name   string
		window identity.Validity
		when   time.Duration
		want   Reason
	}{
		{"1 ns before its end", over, -tick, ReasonAllowed},
		{"at its end", over, 0, ReasonIdentityExpired},
		{"1 ns before its start", begun, -tick, ReasonIdentityExpired},
		{"at its start", begun, 0, ReasonAllowed},
	} {
		for proof, put := range map[string]func(*Input){
			"certificate": func(in *Input) { in.Subject.Certificate = c.window },
			"token":       func(in *Input) { in.Subject.User.Token = c.window },
		} {
			for _, device := range []Device{reported(0), reported(3 * time.Hour)} {
				in := ana()
				in.At, in.Device = noon.Add(c.when), device
				put(&in)
				if v := privileged(t, all).Evaluate(&in); v.Reason != c.want || (v.Outcome == Allow) != (c.want == ReasonAllowed) {
					t.Errorf("%s, %s: %s", proof, c.name, brief(v))
				}
			}
		}
	}
}
