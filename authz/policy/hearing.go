package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// hearing is the judgement of one request by what its tier demands, once the subject is admitted to the route.
type hearing struct {
	policy     *Policy
	route      *route
	tier       *tier
	in         *Input
	assessment *Assessment // nil: no posture
	at         int64       // ns since 1970

	stricter uint32 // which of the tier's entries for audiences are in force
	grace    GraceBound
	silence  silence

	ends  int64 // ns since 1970: when the first ends of what the answer rests on, besides the proofs
	eased int64 // the same of the signals that spare the login of the entry being judged
}

// applicable finds the entries for audiences that are in force for the subject, and the shortest grace.
func (h *hearing) applicable() {
	h.grace = h.tier.grace
	if len(h.tier.stricter) == 0 {
		return
	}
	bound, identified, owned := h.membershipOf()
	for i := range h.tier.stricter {
		s := &h.tier.stricter[i]
		if h.policy.audiences[s.audience].holds(&h.in.Subject, bound, identified, owned) == outside {
			continue
		}
		h.stricter |= 1 << i
		if s.grace != nil {
			h.grace.Offline = min(h.grace.Offline, s.grace.Offline)
			h.grace.Renewals = min(h.grace.Renewals, s.grace.Renewals)
		}
	}
}

func (h *hearing) membershipOf() (bound, identified bool, owned ownership) {
	if h.assessment != nil {
		owned = h.assessment.owned
	}
	return h.in.Subject.Device != signals.Alias{}, h.tier.identify == IdentifyUserDevice, owned
}

// each yields what is demanded of the subject: the tier's own, then those of the entries in force.
func (h *hearing) each(yield func(*demanded) bool) {
	if !yield(&h.tier.demanded) {
		return
	}
	for i := range h.tier.stricter {
		if h.stricter&(1<<i) != 0 && !yield(&h.tier.stricter[i].demanded) {
			return
		}
	}
}

// judgesDevice tells whether anything is demanded of the device.
func (h *hearing) judgesDevice() bool {
	if h.tier.identify == IdentifyUserDevice {
		return true
	}
	for d := range h.each {
		if len(d.demands) > 0 {
			return true
		}
	}
	return false
}

// judge looks at every demand, keeps all that are not met, and comes to the outcome.
func (h *hearing) judge(v *Verdict) {
	outcome, unknown := Allow, false
	for d := range h.each {
		login := loginGood
		if d.stepUp != nil {
			login = judgeLogin(d.stepUp, h.in)
		}
		good := login == loginGood
		asks := d.stepUp != nil && d.stepUp.When != StepUpSignals
		h.eased = never
		for i := range d.demands {
			asks = h.demand(v, &d.demands[i], good, &outcome) || asks
		}
		h.restsOnLogin(d.stepUp, asks, good)
		switch {
		case !asks || good:
		case login == loginUnknown:
			unknown = true
		default:
			outcome = min(outcome, StepUp)
			v.Challenge = harder(v.Challenge, d.stepUp)
		}
	}
	switch outcome {
	case Deny:
		v.Reason = ReasonPosture
	case StepUp:
		v.Reason, v.Detail = ReasonStepUp, describeLogin(v.Challenge, h.in)
	case Allow:
		v.Reason = ReasonAllowed
		if unknown { // nobody knows whether a login would help
			outcome, v.Reason, v.Detail = Deny, ReasonIdentityUnchecked, loginUnremembered
		}
	}
	v.Outcome = outcome
	h.monitor(v)
	h.bounded(v)
}

// recheck bounds a stream by the tier, and by the proofs of who asks.
func (h *hearing) recheck() time.Duration {
	most := h.tier.recheck
	if most == 0 {
		return 0
	}
	if h.in.Subject.Certificate != (identity.Validity{}) {
		most = min(most, h.in.Subject.Certificate.NotAfter.Sub(h.in.At))
	}
	if h.in.Subject.WorkloadToken != (identity.Validity{}) {
		most = min(most, h.in.Subject.WorkloadToken.NotAfter.Sub(h.in.At))
	}
	if svid := h.in.Subject.SVID; svid != nil {
		most = min(most, svid.Window.NotAfter.Sub(h.in.At))
	}
	if user := h.in.Subject.User; user != nil {
		most = min(most, user.Token.NotAfter.Sub(h.in.At))
	}
	return most
}

// demand judges one signal. It reports whether the signal asks for a login.
func (h *hearing) demand(v *Verdict, d *demand, goodLogin bool, outcome *Outcome) (asks bool) {
	a := h.assessment
	if name := h.policy.signals[d.signal].name; a.disputed(d, h.at) && !slices.Contains(v.Disputed, name) {
		v.Disputed = append(v.Disputed, name)
	}
	status, until := a.standing(d, h.at)
	if status == StatusPassing {
		h.rests(d, until)
		return false
	}
	unmet := h.policy.unmet(d, status, a, h.at)
	switch {
	case d.list == ListAdvise || d.list == ListDenyUnless && status == StatusUnknown && d.noteIfUnknown:
		v.Noted = named(v.Noted, unmet)
		return false
	case d.list == ListRequire || d.list == ListStepUp:
		if waived, ok := h.excuse(d, status); ok {
			waived.Unmet = unmet
			h.rests(d, nanos(waived.Until))
			at := slices.IndexFunc(v.Waived, func(w Waived) bool { return w.Signal == unmet.Signal && w.List == unmet.List })
			switch {
			case at < 0:
				v.Waived = append(v.Waived, waived)
			case cmp.Or(waived.Until.Compare(v.Waived[at].Until), cmp.Compare(v.Waived[at].Status, waived.Status)) < 0:
				v.Waived[at] = waived
			}
			return false
		}
	}
	switch {
	case d.list != ListStepUp:
		*outcome = Deny
	case goodLogin:
		v.Noted = named(v.Noted, unmet)
		return true
	}
	v.Unmet = named(v.Unmet, unmet)
	return d.list == ListStepUp
}

// named adds a demand once: the tier and an entry for an audience may list the same signal.
func named(all []Unmet, unmet Unmet) []Unmet {
	at := slices.IndexFunc(all, func(u Unmet) bool { return u.Signal == unmet.Signal && u.List == unmet.List })
	switch {
	case at < 0:
		return append(all, unmet)
	case unmet.Status > all[at].Status:
		all[at] = unmet
	}
	return all
}

// monitor turns a refusal for posture or login into a record, where the tier only monitors and no denyUnless is unmet.
func (h *hearing) monitor(v *Verdict) {
	if !h.tier.monitor || v.Outcome == Allow {
		return
	}
	for i := range v.Unmet {
		if v.Unmet[i].List == ListDenyUnless {
			return
		}
	}
	v.Monitored = &Monitored{Outcome: v.Outcome, Reason: v.Reason}
	v.Outcome, v.Reason = Allow, ReasonAllowed
}

// monitorGap is monitor where there is no posture: every signal is then unknown.
func (h *hearing) monitorGap(v *Verdict) {
	if v.Reason == ReasonDeviceContested {
		return // two devices under one name: that is identity
	}
	for d := range h.each {
		for i := range d.demands {
			if d.demands[i].list == ListDenyUnless && !d.demands[i].noteIfUnknown {
				return
			}
		}
	}
	h.monitor(v)
	h.bounded(v)
}

// excuse finds what excuses a demand that is not met: an exception, else grace, else the last known state.
func (h *hearing) excuse(d *demand, status Status) (Waived, bool) {
	if waived, ok := h.exception(d); ok {
		return waived, true
	}
	if d.list != ListRequire || status != StatusUnknown || h.grace.Offline == 0 && h.tier.lastKnown == 0 {
		return Waived{}, false
	}
	agedOut, lastGood := h.assessment.lastGood(d)
	if !lastGood {
		return Waived{}, false
	}
	h.findSilence()
	if h.silence.proven {
		if h.grace.Offline > 0 && h.at < h.silence.graceEnds {
			return Waived{By: WaivedByGrace, Until: time.Unix(0, h.silence.graceEnds).UTC()}, true
		}
		return Waived{}, false // what is known last never follows or extends grace
	}
	ends := after(agedOut, h.tier.lastKnown)
	if h.at < ends && nanos(h.in.Device.AsOf) >= agedOut && h.assessment.sourcesSilent(d, h.in.Device.Heard) {
		return Waived{By: WaivedByLastKnown, Until: time.Unix(0, ends).UTC()}, true
	}
	return Waived{}, false
}

// exception finds the exception that excuses a signal: of several the one that lasts longest, then the first by name.
func (h *hearing) exception(d *demand) (Waived, bool) {
	var best *Exception
	better := func(e *Exception) {
		if best == nil || e.Until.After(best.Until) || e.Until.Equal(best.Until) && e.Meta.Name < best.Meta.Name {
			best = e
		}
	}
	for _, e := range h.route.exceptions {
		if e.State(h.in.At) == ExceptionInForce && h.covers(e.Exception, e.devices, d) {
			better(e.Exception)
		}
	}
	for i := range h.in.Granted {
		e := &h.in.Granted[i]
		if e.State(h.in.At) == ExceptionInForce && h.covers(e, devicesOf(e), d) && h.grantable(e) {
			better(e)
		}
	}
	if best == nil {
		return Waived{}, false
	}
	return Waived{By: WaivedByException, Name: best.Meta.Name, Until: best.Until}, true
}
