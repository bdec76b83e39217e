package engine

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// TestAudiencesFromDecisions: the device of somebody whom only the groups of a token make an executive has the executives'
// monitor and deadline, from the next look after a sidecar saw it used, and loses them when others use it for long. What
// somebody else wrote under its name, and audiences that the policy has not, say nothing.
func TestAudiencesFromDecisions(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		s := spec()
		s.Audiences = append(s.Audiences, policy.Audience{Meta: policy.Meta{Name: "executives", Owner: "iam"},
			Members: []policy.Member{{Issuer: "corp", Group: "executives"}}})
		s.Monitors = append(s.Monitors, policy.Monitor{Meta: policy.Meta{Name: "executives", Owner: "secops"}, Watch: []string{"drift"},
			Severity: policy.SeverityCritical, CloseWithin: 4 * time.Hour, After: time.Minute, Assign: "secops", Audiences: []string{"executives"}})
		s.Routes[0].Audiences = append(s.Routes[0].Audiences, "executives")
		r.policy = compile(t, s)
		e, _ := r.engine("a")
		r.put("a", true)
		r.look(e)
		r.put("a", false)
		r.look(e)
		r.pass(2 * time.Minute)
		r.look(e)
		judge := func(severity policy.Severity, within time.Duration) {
			t.Helper()
			if c := r.only(); c.State != findings.Open || c.Severity != severity || c.Deadline.Sub(c.Counts) != within {
				t.Fatalf("%s, %s, to be closed within %s", c.State, c.Severity, c.Deadline.Sub(c.Counts))
			}
		}
		judge(policy.SeverityHigh, 24*time.Hour)
		revision := signals.Revision(0)
		write := func(value []byte) {
			t.Helper()
			record := signals.Record{Kind: inventory.KindDeviceUse, Key: "a", Revision: revision + 1, Value: value}
			if err := r.raw.PutRecord(t.Context(), record, revision); err != nil {
				t.Fatal(err)
			}
			revision++
			eventually(t, "the copy shows it", func() bool {
				held, ok := e.world.observed.Get(inventory.KindDeviceUse, "a")
				return ok && held.Revision == revision
			})
			r.look(e)
		}
		use := inventory.DeviceUse{Device: "a", Audiences: map[string]time.Time{"executives": r.now(), "gone": r.now()}}
		other := use
		other.Device = "b"
		write(other.JSON())
		judge(policy.SeverityHigh, 24*time.Hour)
		write(use.JSON())
		judge(policy.SeverityCritical, 4*time.Hour)
		if c := r.only(); len(c.Finding.Audiences) != 1 || c.Finding.Audiences[0] != "executives" {
			t.Errorf("%v", c.Finding.Audiences)
		}
		use.Merge(&inventory.DeviceUse{Device: "a", Audiences: map[string]time.Time{"staff": r.now().Add(inventory.Recent + time.Hour)}})
		write(use.JSON())
		judge(policy.SeverityHigh, 24*time.Hour)
	})
}
