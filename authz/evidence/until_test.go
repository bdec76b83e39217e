package evidence

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestRecordsOfBeforeUntil: those that say nothing of how long an answer holds are the same as before; those that say
// something else are not.
func TestRecordsOfBeforeUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	is := policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Until: now}
	was := is
	was.Until = time.Time{}
	if got := Differences(was, is); got != nil {
		t.Errorf("of before: %v", got)
	}
	was.Until = now.Add(1)
	if got := Differences(was, is); len(got) != 1 {
		t.Errorf("another: %v", got)
	}
	if got := Differences(is, policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed}); len(got) != 1 {
		t.Errorf("no more: %v", got)
	}
}
