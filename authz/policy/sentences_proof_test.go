package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// What cannot be looked up now is told apart from what is not believed, and only where nothing else is in doubt.
func TestUncheckedIsNotDoubted(t *testing.T) {
	t.Parallel()
	unchecked, token := identity.Doubt{Code: identity.DoubtUnchecked}, identity.Doubt{Code: identity.DoubtToken}
	p := privileged(t, func(s *Spec) { s.Tiers[0].Mode = ModeMonitor })
	for _, c := range []struct {
		doubts []identity.Doubt
		want   string
	}{
		{[]identity.Doubt{unchecked}, "identity-unchecked"},
		{[]identity.Doubt{unchecked, unchecked}, "identity-unchecked"},
		{[]identity.Doubt{token}, "identity-doubted"},
		{[]identity.Doubt{unchecked, token}, "identity-doubted"},
		{[]identity.Doubt{token, unchecked}, "identity-doubted"},
		{[]identity.Doubt{{}}, "identity-doubted"}, // of a code that nobody gave
	} {
		in := ana()
		in.Subject.Doubts = c.doubts
		expect(t, c.want, p.Evaluate(&in), c.want)
		in.Request.Host = "nowhere.example"
		expect(t, "no route", p.Evaluate(&in), c.want) // who is in doubt learns nothing of routes
	}
}

// A device that no certificate names counts by a claim that binds it, and by no other.
func TestADeviceWithoutACertificate(t *testing.T) {
	t.Parallel()
	p := privileged(t, nil)
	for name, c := range map[string]struct {
		change func(*identity.Subject)
		want   string
	}{
		"claimed":                 {func(*identity.Subject) {}, "allowed"},
		"a claim that binds not":  {func(s *identity.Subject) { s.User.DeviceBinds = false }, "identity-expired"},
		"a claim of another name": {func(s *identity.Subject) { s.User.Device.Value += "x" }, "identity-expired"},
		"no claim":                {func(s *identity.Subject) { s.User.Device = signals.Alias{} }, "identity-expired"},
		"nobody claims it":        {func(s *identity.Subject) { s.User = nil }, "identity-expired"},
		"the token is over":       {func(s *identity.Subject) { s.User.Token.NotAfter = noon }, "identity-expired"},
		"a certificate is there, and over": {func(s *identity.Subject) {
			s.Certificate = identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon}
		}, "identity-expired"},
	} {
		in := ana()
		in.Subject.Certificate = identity.Validity{}
		in.Subject.User.Device, in.Subject.User.DeviceBinds = in.Subject.Device, true
		c.change(&in.Subject)
		expect(t, name, p.Evaluate(&in), c.want)
	}
}

// A workload that a JWT-SVID named counts while that holds, and while the certificate holds of the peer that sent it.
func TestAWorkloadOfAToken(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		s.Tiers[0] = Tier{Meta: s.Tiers[0].Meta, Identify: IdentifyWorkload, RecheckEvery: 5 * time.Minute}
		s.Routes[0].Audiences = []string{"deployers"}
	})
	until := func(d time.Duration) identity.Validity {
		return identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(d)}
	}
	for _, c := range []struct {
		name               string
		certificate, token identity.Validity
		want               string
		recheck            time.Duration
	}{
		{"token alone", identity.Validity{}, until(time.Minute), "allowed", time.Minute},
		{"token behind a proxy", until(time.Hour), until(time.Minute), "allowed", time.Minute},
		{"the proxy's certificate ends first", until(time.Second), until(time.Minute), "allowed", time.Second},
		{"1 ns before the end", identity.Validity{}, until(tick), "allowed", tick},
		{"at the end", identity.Validity{}, until(0), "identity-expired", 0},
		{"at the end, the certificate goes on", until(time.Hour), until(0), "identity-expired", 0},
		{"the proxy's certificate is over", until(0), until(time.Hour), "identity-expired", 0},
		{"not yet", identity.Validity{}, identity.Validity{NotBefore: noon.Add(tick), NotAfter: noon.Add(day)}, "identity-expired", 0},
		{"neither", identity.Validity{}, identity.Validity{}, "identity-expired", 0},
	} {
		in := ana()
		in.Subject = identity.Subject{Workload: "spiffe://acme.example/ns/ci/deployer", Certificate: c.certificate, WorkloadToken: c.token}
		v := p.Evaluate(&in)
		expect(t, c.name, v, c.want)
		if v.Recheck != c.recheck {
			t.Errorf("%s: a stream may live %s, want %s", c.name, v.Recheck, c.recheck)
		}
	}
}
