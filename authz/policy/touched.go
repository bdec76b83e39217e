package policy

import (
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// Touched is what of a policy one judgement came to: what a golden case proves something about. It holds what Evaluate
// judged and no more: of a request that was refused for its audience no signal was looked at.
type Touched struct {
	Verdict Verdict
	// Audiences are those that decided something (the route's, the isolated ones, those that the tier asks for more), and
	// whether the subject is, or may be, a member.
	Audiences map[string]bool
	Signals   []SignalTouched // every demand of the tier, in the order of its lists
	// Exceptions are those documents that excused a demand, or would have but for one thing.
	Exceptions []ExceptionTouched
	// Grace, LastKnown and Login are empty where the question did not arise. Grace is one clock, and the last known state
	// of each signal has its own.
	Grace     GraceTouched
	LastKnown []GraceTouched
	Login     LoginTouched
}

// SignalTouched is one demand as it was judged.
type SignalTouched struct {
	Signal string
	Status Status
}

// ExceptionTouched is an exception with the cell of its truth table that a judgement fell into.
type ExceptionTouched struct {
	Exception string
	Cell      ExceptionCell
}

// ExceptionCell is how an exception met a demand that was not met.
type ExceptionCell string

// The cells. All but the first differ from it in one thing alone.
const (
	ExceptionExcuses      ExceptionCell = "in force"
	ExceptionTooEarly     ExceptionCell = "before"
	ExceptionTooLate      ExceptionCell = "after"
	ExceptionOtherSubject ExceptionCell = "other subject"
	ExceptionOtherDevice  ExceptionCell = "other device"
	ExceptionOtherRoute   ExceptionCell = "other route"
)

// GraceTouched is where in a device's grace, or in the time of the last known state, a judgement fell.
type GraceTouched string

// The parts of it.
const (
	GraceInside  GraceTouched = "inside"
	GraceRenewed GraceTouched = "renewed" // inside only because of a renewal
	GraceAfter   GraceTouched = "after"
)

// LoginTouched is what came of a demand on the login.
type LoginTouched string

// A login was asked for, or the one that was shown was good enough.
const (
	LoginAsked     LoginTouched = "asked"
	LoginSatisfied LoginTouched = "satisfied"
)

// Touch judges an input as Evaluate does and tells what the judgement came to.
func (p *Policy) Touch(in *Input) Touched {
	t := Touched{Verdict: p.Evaluate(in)}
	if t.Verdict.Route == "" {
		return t
	}
	r, _ := p.route(in)
	tier := &p.tiers[r.tier]
	h := hearing{policy: p, route: r, tier: tier, in: in, assessment: p.assessment(&in.Device), at: nanos(in.At)}
	h.applicable()
	switch t.Verdict.Reason {
	case ReasonIdentityMissing, ReasonIdentityExpired, ReasonSessionRevoked, ReasonUserRisk, ReasonIdentityRevoked:
		return t // before anybody asked for audiences
	default:
		t.Audiences = h.touchedAudiences()
	}
	switch t.Verdict.Reason {
	case ReasonAllowed, ReasonPosture, ReasonStepUp:
	default:
		return t
	}
	if h.judgesDevice() {
		if reason, _ := gap(&in.Device, h.assessment); reason != ReasonUndecided {
			return t // a tier in monitor mode let it pass, without a look at any signal
		}
	}
	h.touchDemands(&t)
	return t
}

func (h *hearing) touchedAudiences() map[string]bool {
	judged := slices.Concat(h.policy.isolated, h.route.audiences)
	for i := range h.tier.stricter {
		judged = append(judged, h.tier.stricter[i].audience)
	}
	bound, identified, owned := h.membershipOf()
	all := map[string]bool{}
	for _, i := range judged {
		a := &h.policy.audiences[i]
		all[a.name] = a.holds(&h.in.Subject, bound, identified, owned) != outside
	}
	return all
}

func (h *hearing) touchDemands(t *Touched) {
	v := &t.Verdict
	for set := range h.each {
		for i := range set.demands {
			d := &set.demands[i]
			status := h.assessment.status(d, h.at)
			t.Signals = append(t.Signals, SignalTouched{h.policy.signals[d.signal].name, status})
			if status == StatusPassing {
				continue
			}
			h.touchExceptions(t, d)
			if d.list == ListRequire && status == StatusUnknown {
				h.touchGrace(t, d)
			}
		}
		if set.stepUp != nil && judgeLogin(set.stepUp, h.in) == loginGood && (set.stepUp.When != StepUpSignals ||
			slices.ContainsFunc(v.Noted, func(u Unmet) bool { return u.List == ListStepUp })) {
			t.Login = LoginSatisfied
		}
	}
	if v.Challenge != nil {
		t.Login = LoginAsked
	}
}

// touchGrace tells where in its grace the device is, as excuse judges it.
func (h *hearing) touchGrace(t *Touched, d *demand) {
	agedOut, lastGood := h.assessment.lastGood(d)
	if _, excused := h.exception(d); excused || !lastGood {
		return
	}
	h.findSilence()
	switch {
	case h.silence.proven && h.grace.Offline > 0:
		t.Grace = h.partOfGrace()
	case !h.silence.proven && h.tier.lastKnown > 0 && nanos(h.in.Device.AsOf) >= agedOut &&
		h.assessment.sourcesSilent(d, h.in.Device.Heard):
		part := GraceInside
		if h.at >= after(agedOut, h.tier.lastKnown) {
			part = GraceAfter
		}
		t.LastKnown = append(t.LastKnown, part)
	}
}

func (h *hearing) partOfGrace() GraceTouched {
	if h.at >= h.silence.graceEnds {
		return GraceAfter
	}
	in := *h.in
	in.Device.Renewals = nil
	without := *h
	without.in, without.silence = &in, silence{}
	if without.findSilence(); h.at >= without.silence.graceEnds {
		return GraceRenewed
	}
	return GraceInside
}

// touchExceptions finds the documents that excuse a demand, or would but for one thing.
func (h *hearing) touchExceptions(t *Touched, d *demand) {
	if d.list != ListRequire && d.list != ListStepUp {
		return
	}
	for i := range h.policy.spec.Exceptions {
		e := &h.policy.spec.Exceptions[i]
		if !slices.Contains(e.Signals, h.policy.signals[d.signal].name) {
			continue
		}
		if cell := h.cell(e, d); cell != "" {
			t.Exceptions = append(t.Exceptions, ExceptionTouched{e.Meta.Name, cell})
		}
	}
}

// cell puts this subject, device and route in the exception's place, one after the other: what it then covers differs in
// that alone.
func (h *hearing) cell(e *Exception, d *demand) ExceptionCell {
	state, devices := e.State(h.in.At), devicesOf(e)
	if h.covers(e, devices, d) {
		return [...]ExceptionCell{ExceptionTooEarly, ExceptionExcuses, ExceptionTooLate}[state]
	}
	if state != ExceptionInForce || h.in.Subject.User == nil {
		return ""
	}
	changed := *e
	changed.Subjects = []ExceptionSubject{{Issuer: h.in.Subject.User.Issuer, User: h.in.Subject.User.Name}}
	if h.covers(&changed, devices, d) {
		return ExceptionOtherSubject
	}
	changed = *e
	changed.Routes = []string{h.route.name}
	if h.covers(&changed, devices, d) {
		return ExceptionOtherRoute
	}
	if h.covers(e, []signals.Alias{h.in.Subject.Device}, d) {
		return ExceptionOtherDevice
	}
	return ""
}
