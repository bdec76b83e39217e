package approvals

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Notice says that an exception is about to end, so that nobody is surprised by the refusals that follow.
type Notice struct {
	Exception string    `json:"exception"`
	Owner     string    `json:"owner"` // the team
	By        Person    `json:"by"`    // who asked for it; of the directory: not known
	Due       time.Time `json:"due"`
	Ends      time.Time `json:"ends"`
}

// noticeBefore is the earliest that somebody is told of an end.
const noticeBefore = 24 * time.Hour

// NoticeAt is when the owner is to be told of the coming end: a third of the exception's length before it, at most 24 h.
func (e *Exception) NoticeAt() time.Time { return noticeAt(&e.Exception) }

func noticeAt(e *policy.Exception) time.Time {
	return e.Until.Add(-min(e.Until.Sub(e.From)/3, noticeBefore))
}

// DueOfDirectory are the notices for exceptions of the policy directory that are in force and end soon, whether they were given
// before or not, the earliest end first.
func DueOfDirectory(p *policy.Policy, at time.Time) []Notice {
	var due []Notice
	all := p.Spec().Exceptions
	for i := range all {
		e := &all[i]
		if e.State(at) == policy.ExceptionInForce && !at.Before(noticeAt(e)) {
			due = append(due, Notice{Exception: e.Meta.Name, Owner: e.Meta.Owner, Due: noticeAt(e), Ends: e.Until})
		}
	}
	sortNotices(due)
	return due
}

func sortNotices(due []Notice) {
	slices.SortFunc(due, func(a, b Notice) int {
		return cmp.Or(a.Ends.Compare(b.Ends), cmp.Compare(a.Exception, b.Exception))
	})
}

// Due are the notices that are to be given at an instant, the earliest end first: of what is in force, and was not told
// before. Whoever gives one says so by Desk.Noticed.
func Due(all []Exception, at time.Time) []Notice {
	var due []Notice
	for i := range all {
		e := &all[i]
		if e.State(at) != StateInForce || at.Before(e.NoticeAt()) ||
			slices.ContainsFunc(e.History, func(h Event) bool { return h.Step == StepNoticed }) {
			continue
		}
		n := Notice{Exception: e.Meta.Name, Owner: e.Meta.Owner, Due: e.NoticeAt(), Ends: e.Until}
		if len(e.History) > 0 {
			n.By = e.History[0].By
		}
		due = append(due, n)
	}
	sortNotices(due)
	return due
}
