package policy

import (
	"testing"

	"github.com/tiergate/tiergate/authz/identity"
)

// Whom the provider holds for a risk is refused in every tier, whatever mode it has, and is not told that a login would help.
func TestAUserAtRiskIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{ModeEnforce, ModeMonitor} {
		p := privileged(t, func(s *Spec) {
			for i := range s.Tiers {
				s.Tiers[i].Mode = mode
			}
		})
		in := ana()
		in.Subject.Risk = &identity.Risk{At: in.At, Level: "high", Reason: "risk-level-change", Event: "e1"}
		in.Subject.Ended = &identity.Ended{At: in.At, Reason: "session-revoked", Event: "e2"}
		v := p.Evaluate(&in)
		want := "the risk of the user is high since " + in.At.UTC().Format("2006-01-02T15:04:05Z") + ": risk-level-change (event e1)"
		if v.Outcome != Deny || v.Reason != ReasonUserRisk || v.Detail != want {
			t.Errorf("mode %v: %v %s %q", mode, v.Outcome, v.Reason, v.Detail)
		}
		in.Subject.User = nil
		if v := p.Evaluate(&in); v.Reason == ReasonUserRisk {
			t.Error("nobody is a risk")
		}
	}
}
