package authz

import (
	"testing"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// TestAnExceptionIsUsedOnRecord: where decisions are recorded, one that rests on an exception is answered when it is on the
// disk, and 503 when it cannot be; where none are, it is answered. The replay agrees.
func TestAnExceptionIsUsedOnRecord(t *testing.T) {
	t.Parallel()
	s := guarded(t, false)
	s.SetBook(approvals.NewBook([]signals.Record{approvedFor(t, "loaner", "C02LOANER01")}, nil))
	if _, reason := ask(t, s, request("good", nil)); reason != "allowed" {
		t.Errorf("recorded nowhere: %s", reason)
	}
	recorder, stop := recorded(t)
	s.opts.Evidence = recorder
	if _, reason := ask(t, s, request("good", nil)); reason != "allowed" || recorder.Stats().Written == 0 {
		t.Errorf("%s, %+v", reason, recorder.Stats())
	}
	reasons := replayed(t, s.current.Load().policy, stop())
	if code, reason := ask(t, s, request("good", nil)); code.String() != "Unavailable" || reason != "evidence" {
		t.Errorf("nobody can record it: %s %s", code, reason)
	}
	for id, reason := range reasons {
		if reason != policy.ReasonAllowed {
			t.Errorf("%s: %s", id, reason)
		}
	}
	s.SetBook(nil)
	if _, reason := ask(t, s, request("good", nil)); reason != "posture" {
		t.Errorf("a refusal without it waits for no record: %s", reason)
	}
}
