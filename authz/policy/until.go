package policy

import (
	"math"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// never is the end of what does not end by itself, and of what nanoseconds since 1970 do not reach (in 2262).
const never = int64(math.MaxInt64)

// bounded completes an answer: an Allow counts until the first of its grounds ends, and no stream outlives it.
func (h *hearing) bounded(v *Verdict) {
	v.Recheck = h.recheck()
	if v.Outcome != Allow {
		return
	}
	if h.route.fallback != nil {
		h.ends = min(h.ends, nanos(h.route.fallback.Until.Time))
	}
	if until := min(h.proofsEnd(), h.ends); until != never {
		v.Until = time.Unix(0, until).UTC()
	}
}

// proofsEnd is when the first of the proofs of who asks is over. All that were offered count, used or not: identified
// refuses when one of them is over.
func (h *hearing) proofsEnd() int64 {
	s, ends := &h.in.Subject, never
	if s.Certificate != (identity.Validity{}) {
		ends = nanos(s.Certificate.NotAfter)
	}
	if s.WorkloadToken != (identity.Validity{}) {
		ends = min(ends, nanos(s.WorkloadToken.NotAfter))
	}
	if s.SVID != nil {
		ends = min(ends, nanos(s.SVID.Window.NotAfter))
	}
	if s.User != nil {
		ends = min(ends, nanos(s.User.Token.NotAfter))
	}
	return ends
}

// rests notes that the answer rests on a demand that is met, or excused, up to an instant. What a tier only notes, and what
// it waives in monitor mode, is no ground: it may end and the answer be the same.
func (h *hearing) rests(d *demand, ends int64) {
	switch {
	case d.list == ListAdvise || d.list == ListDenyUnless && d.noteIfUnknown:
	case d.list != ListDenyUnless && h.tier.monitor:
	case d.list == ListStepUp:
		h.eased = min(h.eased, ends)
	default:
		h.ends = min(h.ends, ends)
	}
}

// restsOnLogin notes up to when a step-up that did not refuse will not: while nothing asks for a login or the login is
// good, whichever is longer. asks: something asks for it now.
func (h *hearing) restsOnLogin(d *StepUpDemand, asks, good bool) {
	if d == nil || h.tier.monitor {
		return
	}
	ends := int64(math.MinInt64)
	if !asks {
		ends = h.eased
	}
	if good {
		ends = max(ends, loginEnds(d, h.in))
	}
	h.ends = min(h.ends, ends)
}

// standing folds the votes of a signal: the worse of the fresh ones. For denyUnless an alarm of any source counts, whatever
// its age. until is the last instant at which a signal that is passing still is: votes only ever age.
func (a *Assessment) standing(d *demand, at int64) (status Status, until int64) {
	votes, earlier := a.counting(d)
	until = math.MinInt64
	for i := range votes {
		v := &votes[i]
		if v.alarm && d.list == ListDenyUnless {
			return StatusFailing, until
		}
		if v.fresh(at+earlier) && status != StatusFailing {
			status = v.status
			until = max(until, v.agesAt)
		}
	}
	if status != StatusPassing || until == never {
		return status, until
	}
	return status, until - earlier
}
