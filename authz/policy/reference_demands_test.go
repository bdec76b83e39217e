package policy_test

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// demands judges every demand and combines the outcomes by the smaller.
func (a *asked) demands(r ruling) ruling {
	r.Outcome, r.Reason = policy.Allow, policy.ReasonAllowed
	alarmed, stepUp := false, false
	for _, l := range a.lists() {
		for _, d := range l.require {
			a.require(&r, d)
		}
		for _, d := range l.denyUnless {
			alarmed = a.denyUnless(&r, d) || alarmed
		}
	}
	denied := len(r.Unmet) > 0
	for _, l := range a.lists() {
		stepUp = a.stepUp(&r, l.stepUp) || stepUp
	}
	for _, d := range a.tier.Advise {
		if status := a.status(d.Signal, d.MaxAge); status != policy.StatusPassing {
			r.Noted = add(r.Noted, named{list: policy.ListAdvise, signal: d.Signal, status: status})
		}
	}
	switch {
	case denied:
		r.Outcome, r.Reason = policy.Deny, policy.ReasonPosture
	case stepUp:
		r.Outcome, r.Reason = policy.StepUp, policy.ReasonStepUp
	}
	return a.monitored(r, !alarmed)
}

func (a *asked) require(r *ruling, d policy.Demand) {
	status := a.status(d.Signal, d.MaxAge)
	if status == policy.StatusPassing {
		return
	}
	if w, ok := a.excuse(d, status); ok {
		r.Waived = add(r.Waived, named{policy.ListRequire, d.Signal, status, w})
		return
	}
	r.Unmet = add(r.Unmet, named{list: policy.ListRequire, signal: d.Signal, status: status})
}

// denyUnless tells whether the demand is unmet; nothing excuses it.
func (a *asked) denyUnless(r *ruling, d policy.DenyUnless) bool {
	switch status := a.alarm(d); {
	case status == policy.StatusPassing:
		return false
	case status == policy.StatusUnknown && d.OnUnknown == policy.OnUnknownNote:
		r.Noted = add(r.Noted, named{list: policy.ListDenyUnless, signal: d.Signal, status: status})
		return false
	default:
		r.Unmet = add(r.Unmet, named{list: policy.ListDenyUnless, signal: d.Signal, status: status})
		return true
	}
}

// denyUnlessWantsKnown: in a gap every signal is unknown, and some denyUnless does not let that pass.
func (a *asked) denyUnlessWantsKnown() bool {
	wants := func(d policy.DenyUnless) bool { return d.OnUnknown != policy.OnUnknownNote }
	return slices.ContainsFunc(a.lists(), func(l lists) bool { return slices.ContainsFunc(l.denyUnless, wants) })
}

// stepUp tells whether a stronger or fresher login is wanted.
func (a *asked) stepUp(r *ruling, d *policy.StepUpDemand) bool {
	if d == nil {
		return false
	}
	strong, wanting := a.loggedIn(d), 0
	for _, s := range d.Signals {
		status := a.status(s.Signal, s.MaxAge)
		if status == policy.StatusPassing {
			continue
		}
		if w, ok := a.exception(s.Signal); ok {
			r.Waived = add(r.Waived, named{policy.ListStepUp, s.Signal, status, w})
			continue
		}
		wanting++
		if strong {
			r.Noted = add(r.Noted, named{list: policy.ListStepUp, signal: s.Signal, status: status})
		} else {
			r.Unmet = add(r.Unmet, named{list: policy.ListStepUp, signal: s.Signal, status: status})
		}
	}
	return !strong && (d.When != policy.StepUpSignals || wanting > 0)
}

// loggedIn: all that the demand states holds of the login.
func (a *asked) loggedIn(d *policy.StepUpDemand) bool {
	user := a.in.Subject.User
	if user == nil {
		return false
	}
	if len(d.ACR) > 0 && !slices.Contains(d.ACR, user.ACR) {
		return false
	}
	shown := func(method string) bool { return slices.Contains(user.AMR, method) }
	if len(d.AMR) > 0 && !slices.ContainsFunc(d.AMR, shown) {
		return false
	}
	if d.MaxAge == 0 {
		return true
	}
	age := time.Duration(a.in.At.Unix()-user.AuthTime.Unix()) * time.Second // a provider counts in whole seconds too
	return !user.AuthTime.IsZero() && !user.AuthTime.After(a.in.At) && age <= d.MaxAge
}
