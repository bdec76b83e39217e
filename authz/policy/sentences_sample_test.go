package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// The files sentences_*_test.go go through DESIGN, section 3, sentence by sentence: each name, or the comment above it,
// quotes what it proves. All begin with `privileged`, whose one tier has everything, and with `ana`, whom it admits.

const (
	day  = 24 * time.Hour
	tick = time.Nanosecond
)

// privileged is the sample policy with a tier that uses every list: 26 hours for all signals but edr-healthy, which has
// 2.
func privileged(t testing.TB, change func(*Spec)) *Policy {
	t.Helper()
	return compileSample(t, func(s *Spec) {
		s.Tiers[0] = Tier{
			Meta: Meta{Name: "internal", Owner: "iam"}, Identify: IdentifyUserDevice, Require: demandsOf("edr-healthy",
				"disk-encrypted"),
			DenyUnless: []DenyUnless{{Signal: "not-compromised"}},
			StepUp: &StepUpDemand{When: StepUpSignals, ACR: []string{"phr"}, MaxAge: 15 * time.Minute,
				Signals: demandsOf("firewall-on")},
			Grace:      &GraceBound{Offline: 8 * time.Hour, Renewals: 1},
			Exceptions: &ExceptionBound{MaxDuration: 14 * day, MaxRenewals: 1},
		}
		if change != nil {
			change(s)
		}
	})
}

// ana is an input that privileged allows: her login is strong and of this instant, her device reported a minute ago.
func ana() Input {
	in := employee()
	in.Subject.User.ACR, in.Subject.User.AuthTime = "phr", noon
	in.Device = reported(time.Minute)
	return in
}

// reported is a healthy device whose facts are so old, in a copy of this instant; its source has just told of others.
func reported(age time.Duration) Device {
	facts := healthyFacts()
	for i := range facts {
		facts[i].Observed, facts[i].Received = noon.Add(-age), noon.Add(-age)
	}
	return Device{Posture: postureOf(facts...), AsOf: noon, Heard: map[string]time.Time{"mdm": noon}}
}

// set replaces all that is known of an attribute.
func set(d *Device, attribute string, facts ...signals.Fact) {
	rest := slices.DeleteFunc(slices.Clone(d.Posture.Facts), func(f signals.Fact) bool { return f.Attribute == attribute })
	aliases := d.Posture.Aliases
	d.Posture = postureOf(append(rest, facts...)...)
	d.Posture.Aliases = aliases
}

// at judges an input at another instant; the proofs of who asks hold for ever.
func at(p *Policy, in Input, when time.Time) Verdict {
	in.At = when
	in.Subject.Certificate.NotAfter, in.Subject.User.Token.NotAfter = noon.Add(10_000*time.Hour),
		noon.Add(10_000*time.Hour)
	return p.Evaluate(&in)
}

// brief is a verdict in one line: its reason, then what is unmet, noted and waived.
func brief(v Verdict) string {
	parts := []string{string(v.Reason)}
	for _, list := range []struct {
		mark   string
		demand []Unmet
	}{{"-", v.Unmet}, {"~", v.Noted}} {
		for _, u := range list.demand {
			parts = append(parts, list.mark+u.Signal+":"+u.Status.String())
		}
	}
	for _, w := range v.Waived {
		parts = append(parts, "+"+w.Signal+":"+string(w.By))
	}
	return strings.Join(parts, " ")
}

// expect compares a verdict with its line, and the line with the outcome.
func expect(t *testing.T, name string, v Verdict, want string) {
	t.Helper()
	reason, _, _ := strings.Cut(want, " ")
	outcome := Deny
	switch Reason(reason) {
	case ReasonAllowed:
		outcome = Allow
	case ReasonStepUp:
		outcome = StepUp
	}
	if got := brief(v); got != want || v.Outcome != outcome {
		t.Errorf("%s:\n got %s, %s (%s)\nwant %s, %s", name, v.Outcome, got, v.Detail, outcome, want)
	}
}

// loaner is an exception of the directory for ana on her laptop, in force from an hour before noon until an hour after.
func loaner(signals ...string) Exception {
	return Exception{
		Meta: Meta{Name: "loaner", Owner: "iam"}, Subjects: []ExceptionSubject{{Issuer: "corp", User: "ana"}},
		Devices: []string{laptop.Value}, Routes: []string{"app"}, Signals: signals, Reason: "loaner laptop",
		Approver: "cho@acme.example", Ticket: "IT-4711", From: noon.Add(-time.Hour), Until: noon.Add(time.Hour),
	}
}

func TestAnaIsAllowed(t *testing.T) {
	t.Parallel()
	in := ana()
	expect(t, "ana", privileged(t, nil).Evaluate(&in), "allowed")
}
