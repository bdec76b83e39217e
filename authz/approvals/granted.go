package approvals

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Granted is the exception as decisions take it (policy.Input.Granted); false: nobody approved it, or it was refused, and
// it says nothing. One that was revoked ended then: it stays in the chain of its renewals, and excuses nothing any more.
// Every reader takes exceptions of run time through this function, so that none sees another end than the others.
func (e *Exception) Granted() (policy.Exception, bool) {
	approved, revoked := e.approvedAt(), e.revokedAt()
	if approved.IsZero() {
		return policy.Exception{}, false
	}
	granted := e.Exception
	if approved.After(granted.From) {
		granted.From = approved
	}
	if !revoked.IsZero() && revoked.Before(granted.Until) {
		granted.Until = revoked
	}
	return granted, true
}

// approvedAt is when the last of those who had to approve did; zero: not yet, or it was refused.
func (e *Exception) approvedAt() time.Time {
	at := time.Time{}
	for i := range e.History {
		switch e.History[i].Step {
		case StepApproved:
			if at.IsZero() {
				at = e.History[i].At
			}
		case StepRefused:
			return time.Time{}
		case StepRequested, StepAgreed, StepRevoked, StepNoticed:
		}
	}
	return at
}

// revokedAt is when it was first revoked; zero: it was not.
func (e *Exception) revokedAt() time.Time {
	at := time.Time{}
	for i := range e.History {
		if e.History[i].Step == StepRevoked && (at.IsZero() || e.History[i].At.Before(at)) {
			at = e.History[i].At
		}
	}
	return at
}
