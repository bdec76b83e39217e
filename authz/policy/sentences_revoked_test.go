package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// certified is ana's input with these words on the certificate of her device.
func certified(words ...signals.Fact) Input {
	in := ana()
	set(&in.Device, "certificate_status", words...)
	return in
}

func status(source string, word string, age time.Duration) signals.Fact {
	return report(source, "certificate_status", signals.Text(word), age)
}

// attesting is the sample world in which edr may tell of certificates too.
func attesting(t testing.TB, change func(*Spec)) *Policy {
	t.Helper()
	world := sampleWorld()
	edr := world.Sources["edr"]
	edr.Attests = append(edr.Attests, "certificate_status")
	world.Sources["edr"] = edr
	p, faults := New(privileged(t, change).Spec(), world)
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

// "Certificate status (not yet valid, expired, reported revoked) is never graced, never waived." It is an alarm: only a
// newer "valid" from the source that raised it ends it.
func TestAWithdrawnCertificateIsRefused(t *testing.T) {
	t.Parallel()
	const yes, no = "allowed", "identity-revoked"
	unknown := report("mdm", "certificate_status", signals.Unknown, 0)
	for _, c := range []struct {
		sentence string
		words    []signals.Fact
		want     string
	}{
		{"nobody says", nil, yes},
		{"valid", []signals.Fact{status("mdm", "valid", 0)}, yes},
		{"revoked", []signals.Fact{status("mdm", "revoked", 0)}, no},
		{"expired", []signals.Fact{status("mdm", "expired", 0)}, no},
		{"a word of another version", []signals.Fact{status("mdm", "suspended", 0)}, no},
		{"it does not age", []signals.Fact{status("mdm", "revoked", 1000*day)}, no},
		{"not being able to tell does not end it", []signals.Fact{status("mdm", "revoked", time.Hour), unknown}, no},
		{"nor being unknown for valid", []signals.Fact{status("mdm", "valid", time.Hour), unknown}, yes},
		{"a newer valid ends it", []signals.Fact{status("mdm", "revoked", time.Hour), status("mdm", "valid", 0)}, yes},
		{"an older does not", []signals.Fact{status("mdm", "valid", time.Hour), status("mdm", "revoked", time.Minute)}, no},
		{"another source's does not", []signals.Fact{status("mdm", "revoked", time.Hour), status("edr", "valid", 0)}, no},
		{"one source is enough", []signals.Fact{status("mdm", "valid", 0), status("edr", "revoked", day)}, no},
		{"one that may not attest it has no say", []signals.Fact{status("stranger", "revoked", 0)}, yes},
	} {
		in := certified(c.words...)
		expect(t, c.sentence, attesting(t, nil).Evaluate(&in), c.want)
	}
	in := certified(status("mdm", "revoked", time.Hour), status("edr", "expired", time.Hour))
	want := "edr reports the device's certificate as expired; mdm reports the device's certificate as revoked"
	if v := attesting(t, nil).Evaluate(&in); v.Detail != want || v.Outcome != Deny {
		t.Errorf("%q", v.Detail)
	}
}

// In every tier: who asks is told by a certificate that counts no more. It comes before audiences, and no mode waives
// it.
func TestAWithdrawnCertificateIsRefusedInEveryTier(t *testing.T) {
	t.Parallel()
	monitoring := func(s *Spec) {
		for i := range s.Tiers {
			s.Tiers[i].Mode = ModeMonitor
		}
		s.Exceptions = []Exception{loaner("disk-encrypted")}
	}
	requests := map[string]Request{
		"user+device": {Method: "GET", Host: "app.acme.example", Path: "/reports"},
		"user":        {Method: "GET", Host: "app.acme.example", Path: "/handbook/x"},
		"audience":    {Method: "GET", Host: "contractor.acme.example", Path: "/"},
		"workload":    {Method: "POST", Host: "app.acme.example", Path: "/admin/x"},
	}
	for tier, request := range requests {
		in := certified(status("mdm", "revoked", time.Hour))
		in.Request = request
		if tier == "workload" { // a JWT-SVID behind a laptop's certificate
			in.Subject.Workload, in.Subject.WorkloadToken = "spiffe://acme.example/ns/ci/x", window()
		}
		expect(t, tier, attesting(t, monitoring).Evaluate(&in), "identity-revoked")
		in.Device = Device{Gap: GapUnreachable} // then nobody knows, which is judged where a device is
		if v := attesting(t, monitoring).Evaluate(&in); v.Reason == ReasonIdentityRevoked {
			t.Errorf("%s: %s", tier, brief(v))
		}
	}
	in := certified(status("mdm", "revoked", time.Hour))
	in.Subject.Certificate.NotAfter = noon
	expect(t, "out of its window besides", attesting(t, nil).Evaluate(&in), "identity-expired")
}

// "A device bound by a token's claim alone is not concerned": no certificate of it was shown.
func TestADeviceOfAClaimHasNoCertificateToWithdraw(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*identity.Subject)
		want   string
	}{
		"its certificate": {func(*identity.Subject) {}, "identity-revoked"},
		"its certificate, and the token agrees": {func(s *identity.Subject) {
			s.User.Device, s.User.DeviceBinds = s.Device, true
		}, "identity-revoked"},
		"its certificate, and the token calls it something else": {func(s *identity.Subject) {
			s.User.Device, s.User.DeviceBinds = signals.Alias{Kind: signals.AliasUUID, Value: "x"}, true
			s.Claimed = s.User.Device
		}, "identity-revoked"},
		"a claim": {func(s *identity.Subject) {
			s.User.Device, s.User.DeviceBinds, s.Certificate = s.Device, true, identity.Validity{}
		}, "allowed"},
		"a claim, behind the certificate of a workload": {func(s *identity.Subject) {
			s.User.Device, s.User.DeviceBinds, s.Workload = s.Device, true, "spiffe://acme.example/ns/gateway/x"
		}, "allowed"},
		"a certificate, and a workload's JWT-SVID": {func(s *identity.Subject) {
			s.Workload, s.WorkloadToken = "spiffe://acme.example/ns/gateway/x", window()
		}, "identity-revoked"},
		"a certificate that is said to name both": {func(s *identity.Subject) {
			s.Workload = "spiffe://acme.example/ns/gateway/x"
		}, "identity-revoked"},
	} {
		in := certified(status("mdm", "revoked", time.Hour))
		c.change(&in.Subject)
		expect(t, name, attesting(t, nil).Evaluate(&in), c.want)
	}
}
