package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// "the earliest instant at which its grounds age out (token, certificate, facts, grace, exception)": each ground is once
// the first to end, and what is none ends nothing.
func TestAnAnswerHoldsUntilItsFirstGroundEnds(t *testing.T) {
	t.Parallel()
	const (
		minute, hour = time.Minute, time.Hour
		proofs       = 1000 * hour // how long certificate and token hold
		edr          = 2*hour - minute
		others       = 26*hour - minute
	)
	older := func(attribute string, value int, age time.Duration) func(*Input) {
		return func(in *Input) { set(&in.Device, attribute, report("mdm", attribute, signals.Bool(value == 1), age)) }
	}
	type changes = []func(*Input)
	alone := func(s *Spec) { s.Tiers[0].Require, s.Tiers[0].Grace = nil, nil } // edr and disk are not asked for
	monitored := func(s *Spec) { s.Tiers[0].Mode = ModeMonitor }
	user := func(s *Spec) { s.Tiers[0] = Tier{Meta: s.Tiers[0].Meta, Identify: IdentifyUser} }
	always := func(s *Spec) { s.Tiers[0].StepUp.When = StepUpAlways }
	except := func(s *Spec) { s.Exceptions = []Exception{loaner("disk-encrypted")} }
	for _, c := range []struct {
		name   string
		tier   []func(*Spec)
		inputs changes
		want   time.Duration
	}{
		{"a fact", nil, nil, edr},
		{"a fact that ends at this instant", nil, changes{older("edr_healthy", 1, 2*hour)}, 0},
		{"a tier's own maxAge", []func(*Spec){func(s *Spec) { s.Tiers[0].Require[0].MaxAge = hour }}, nil, hour - minute},
		{"denyUnless", []func(*Spec){alone}, changes{older("compromised", 0, 25*hour)}, hour},
		{"denyUnless that only notes what is unknown", []func(*Spec){alone, func(s *Spec) {
			s.Tiers[0].DenyUnless[0].OnUnknown = OnUnknownNote
		}}, changes{older("compromised", 0, 25*hour)}, others},
		{"the longer of two sources", nil, changes{func(in *Input) {
			set(&in.Device, "edr_healthy", report("mdm", "edr_healthy", signals.Bool(true), hour+50*minute),
				report("edr", "edr_healthy", signals.Bool(true), 30*minute))
		}}, hour + 30*minute},
		{"the certificate", nil, changes{func(in *Input) { in.Subject.Certificate.NotAfter = noon.Add(3 * time.Second) }}, 3 * time.Second},
		{"the token", nil, changes{func(in *Input) { in.Subject.User.Token.NotAfter = noon.Add(minute) }}, minute},
		{"the JWT-SVID", []func(*Spec){user}, changes{func(in *Input) {
			in.Subject.Workload = "spiffe://acme.example/x"
			in.Subject.WorkloadToken = identity.Validity{NotBefore: noon, NotAfter: noon.Add(tick)}
		}}, tick},
		{"the proofs alone", []func(*Spec){user}, nil, proofs},
		{"the login", []func(*Spec){always}, changes{func(in *Input) { login(in, "phr", nil, 14*minute) }}, minute + time.Second},
		{"the login of this instant", []func(*Spec){always}, nil, 15*minute + time.Second},
		{"a login without an age", []func(*Spec){always, func(s *Spec) { s.Tiers[0].StepUp.MaxAge = 0 }}, nil, edr},
		{"a signal that spares a login that is weak", nil, changes{older("firewall", 1, 25*hour),
			func(in *Input) { login(in, "pwd", nil, 0) }}, hour},
		{"a signal that spares a login, which is good for longer", nil, changes{older("firewall", 1, 26*hour-minute)}, 15*minute + time.Second},
		{"a signal that fails, and the login does", nil, changes{older("firewall", 0, 0)}, 15*minute + time.Second},
		{"an exception", []func(*Spec){except}, changes{older("disk_encryption", 0, 0)}, hour},
		{"an exception that nothing needs", []func(*Spec){except}, nil, edr},
		{"grace", nil, changes{func(in *Input) { in.Device = reported(9 * hour); in.Device.Heard["mdm"] = noon }}, hour},
		{"monitor waives what would end", []func(*Spec){monitored, always}, nil, others},
		{"monitor does not waive denyUnless", []func(*Spec){monitored}, changes{older("compromised", 0, 25*hour)}, hour},
		{"monitor, and no posture", []func(*Spec){monitored, func(s *Spec) { s.Tiers[0].DenyUnless = nil }},
			changes{func(in *Input) { in.Device = Device{Gap: GapUnreachable} }}, proofs},
	} {
		p := privileged(t, func(s *Spec) {
			for _, change := range c.tier {
				change(s)
			}
		})
		in := ana()
		in.Subject.Certificate.NotAfter, in.Subject.User.Token.NotAfter = noon.Add(proofs), noon.Add(proofs)
		for _, change := range c.inputs {
			change(&in)
		}
		if v := p.Evaluate(&in); v.Outcome != Allow || !v.Until.Equal(noon.Add(c.want)) {
			t.Errorf("%s: %s, %s, want %s", c.name, brief(v), v.Until.Sub(noon), c.want)
		}
	}
}

// A refusal holds for no time, and what lasts longer than nanoseconds count has no end.
func TestWhatHasNoEnd(t *testing.T) {
	t.Parallel()
	in := failing()
	if v := privileged(t, nil).Evaluate(&in); v.Outcome == Allow || !v.Until.IsZero() {
		t.Errorf("%s holds until %s", brief(v), v.Until)
	}
	p := privileged(t, func(s *Spec) { s.Tiers[0] = Tier{Meta: s.Tiers[0].Meta, Identify: IdentifyUser} })
	for _, ends := range []time.Time{time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		in := ana()
		in.Subject.Certificate.NotAfter, in.Subject.User.Token.NotAfter = ends, ends
		if v := p.Evaluate(&in); v.Outcome != Allow || !v.Until.IsZero() {
			t.Errorf("%s: %s holds until %s", ends, brief(v), v.Until)
		}
	}
}

// A stream under a tier that only monitors is bounded where there is no posture, too.
func TestAStreamWithoutPostureIsBounded(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		s.Tiers[0].RecheckEvery, s.Tiers[0].Mode, s.Tiers[0].DenyUnless = 5*time.Minute, ModeMonitor, nil
	})
	in := ana()
	in.Device = Device{Gap: GapUnknown}
	if v := p.Evaluate(&in); v.Outcome != Allow || v.Recheck != 5*time.Minute {
		t.Errorf("%s, recheck in %s", brief(v), v.Recheck)
	}
}
