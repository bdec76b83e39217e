package policy

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// Evaluate judges one input. It is pure: it takes the instant, has no context and returns no error.
func (p *Policy) Evaluate(in *Input) Verdict {
	v, _ := p.evaluate(in)
	return v
}

// evaluate returns the hearing too, as far as it came: Explain tells what it was. By value, because what is written through a
// pointer would put every input on the heap.
func (p *Policy) evaluate(in *Input) (v Verdict, h hearing) {
	if in.Request.Malformed != "" {
		return Verdict{Reason: ReasonMalformed, Detail: in.Request.Malformed}, h
	}
	if p == nil {
		return Verdict{Reason: ReasonNoPolicy, Detail: "no policy has been loaded yet"}, h
	}
	route, refused := p.route(in)
	if route == nil {
		return refused, h
	}
	tier := &p.tiers[route.tier]
	v = Verdict{Route: route.name, Tier: tier.name, Policy: p.digest, Contact: tier.contact, Upstream: leadsTo(in.Request.Chosen, route),
		Evidence: tier.evidence, Token: route.token, Tells: tier.tells}
	assessment := p.assessment(&in.Device)
	h = hearing{policy: p, route: route, tier: tier, in: in, assessment: assessment, at: nanos(in.At), ends: never}
	h.applicable()
	device := h.judgesDevice()
	if v.Reason, v.Detail = identified(tier, in, device); v.Reason != ReasonUndecided {
		return v, h
	}
	if v.Reason, v.Detail = h.revoked(); v.Reason != ReasonUndecided {
		return v, h
	}
	if v.Reason, v.Detail = h.admitted(); v.Reason != ReasonUndecided {
		return v, h
	}
	if device {
		if v.Reason, v.Detail = gap(&in.Device, assessment); v.Reason != ReasonUndecided {
			h.monitorGap(&v)
			h.offer(&v)
			return v, h
		}
		if v.Reason, v.Detail = h.enrolled(); v.Reason != ReasonUndecided {
			return v, h
		}
	}
	h.judge(&v)
	h.offer(&v)
	return v, h
}

// route finds the route, or the refusal. Doubts come first: who shows a false proof learns nothing about routes.
func (p *Policy) route(in *Input) (*route, Verdict) {
	refuse := func(reason Reason, detail string) (*route, Verdict) {
		return nil, Verdict{Reason: reason, Detail: detail, Policy: p.digest}
	}
	path, err := checkPath(in.Request.Path)
	if err != nil {
		return refuse(ReasonPath, err.Error())
	}
	host, err := NormalHost(in.Request.Host)
	if err != nil {
		return refuse(ReasonHost, err.Error())
	}
	if in.Request.Method == "" {
		return refuse(ReasonMalformed, "the request has no method")
	}
	if doubts := in.Subject.Doubts; len(doubts) > 0 {
		return refuse(doubted(doubts), describeDoubts(doubts))
	}
	r, how := p.table.lookup(host, path, in.Request.Method)
	switch how {
	case foundNothing:
		return refuse(ReasonNoRoute, "no route matches this host and path")
	case foundOtherMethods:
		return refuse(ReasonMethod, fmt.Sprintf("route %s does not list method %q", r.name, in.Request.Method))
	case foundRoute:
	}
	if detail := mismatch(in.Request.Chosen, r); detail != "" {
		return refuse(ReasonRouteMismatch, detail)
	}
	if detail, closed := r.closed(in.At); closed {
		return refuse(ReasonNoRoute, detail)
	}
	return r, Verdict{}
}

// mismatch compares Envoy's choice with ours. Envoy may still hold an older table: then its choice must be that table's, and
// what it will connect to must be what the current table says; else, for the moment that a change needs to reach it, the
// older policy must allow what this one does.
func mismatch(chosen *Chosen, current *route) string {
	switch {
	case chosen == nil || chosen.Older == nil && chosen.Route == current.name && leads(chosen, current.upstream):
		return ""
	case chosen.Older == nil && chosen.Route == current.name:
		return fmt.Sprintf("Envoy leads route %q to upstream %q, the policy says %q", chosen.Route, chosen.Upstream, current.upstream)
	case chosen.Older == nil:
		return fmt.Sprintf("Envoy chose route %q, the policy says %q", chosen.Route, current.name)
	case *chosen.Older == (Match{}) || chosen.Older.Route != chosen.Route:
		return fmt.Sprintf("Envoy chose route %q, its own table says %q", chosen.Route, chosen.Older.Route)
	case !leads(chosen, chosen.Older.Upstream):
		return fmt.Sprintf("Envoy leads route %q to upstream %q, its own table says %q", chosen.Route, chosen.Upstream,
			chosen.Older.Upstream)
	case chosen.Older.Upstream != current.upstream && !chosen.OlderAllows:
		return fmt.Sprintf("Envoy would still connect to upstream %q, the policy says %q", chosen.Older.Upstream, current.upstream)
	}
	return ""
}

// leads reports that Envoy's route goes to an upstream, or does not say where it goes.
func leads(chosen *Chosen, upstream string) bool {
	return chosen.Upstream == "" || chosen.Upstream == upstream
}

// leadsTo is the upstream that an allowed request comes to.
func leadsTo(chosen *Chosen, current *route) string {
	if chosen != nil && chosen.Older != nil {
		return chosen.Older.Upstream
	}
	return current.upstream
}

// doubted tells proofs that are not believed from those of which all that is missing is that nobody can look them up now.
func doubted(doubts []identity.Doubt) Reason {
	for i := range doubts {
		if doubts[i].Code != identity.DoubtUnchecked {
			return ReasonIdentityDoubted
		}
	}
	return ReasonIdentityUnchecked
}

func describeDoubts(doubts []identity.Doubt) string {
	text := ""
	for i, d := range doubts {
		if i > 0 {
			text += "; "
		}
		text += string(d.Code) + ": " + d.Detail
	}
	return text
}

// identified checks that the tier knows as much of the subject as it wants, and that the proofs still hold.
func identified(t *tier, in *Input, device bool) (Reason, string) {
	s := &in.Subject
	switch {
	case s.User != nil && s.Risk != nil: // before what ended: no login would help
		return ReasonUserRisk, "the risk of the user is " + s.Risk.Level + " since " + s.Risk.At.UTC().Format(time.RFC3339) + ": " +
			s.Risk.Reason + " (event " + s.Risk.Event + ")"
	case s.User != nil && s.Ended != nil:
		return ReasonSessionRevoked, "the login counts no longer: " + s.Ended.Reason + " of " + s.Ended.At.UTC().Format(time.RFC3339) +
			" (event " + s.Ended.Event + ")"
	case expectsCertificate(s) && !s.Certificate.Covers(in.At):
		return ReasonIdentityExpired, "the peer certificate is valid from " + s.Certificate.String()
	case s.WorkloadToken != identity.Validity{} && !s.WorkloadToken.Covers(in.At):
		return ReasonIdentityExpired, "the JWT-SVID is valid from " + s.WorkloadToken.String()
	case s.SVID != nil && !s.SVID.Window.Covers(in.At):
		return ReasonIdentityExpired, "the JWT-SVID is valid from " + s.SVID.Window.String()
	case s.User != nil && !s.User.Token.Covers(in.At):
		return ReasonIdentityExpired, "the token is valid from " + s.User.Token.String()
	case t.identify == IdentifyWorkload && s.Workload == "":
		return ReasonIdentityMissing, "the tier identifies a workload; the peer showed no X.509-SVID"
	case t.identify != IdentifyWorkload && s.User == nil:
		return ReasonIdentityMissing, "the tier identifies a user; the request has no bearer token"
	case device && s.Device == signals.Alias{}:
		return ReasonIdentityMissing, "the tier looks at a device; the peer showed no device certificate"
	}
	return ReasonUndecided, ""
}

// expectsCertificate: a certificate proved something of the subject, as far as no token did. What neither has proved counts
// as proved by a certificate that is not there, whose zero window covers nothing.
func expectsCertificate(s *identity.Subject) bool {
	claimed := s.User != nil && s.User.DeviceBinds && s.User.Device == s.Device
	return s.Certificate != identity.Validity{} || s.Workload != "" && s.WorkloadToken == identity.Validity{} ||
		s.Device != signals.Alias{} && !claimed
}

// assessment is the one that came with the device if it is of this policy and posture, else a new one.
func (p *Policy) assessment(d *Device) *Assessment {
	device, revision, known := d.Version()
	switch {
	case !known:
		return nil
	case d.Assessment.Fits(p, device, revision):
		return d.Assessment
	case d.Posture == nil:
		return p.Assess(d.Packed.Posture())
	}
	return p.Assess(d.Posture)
}

// admitted judges audiences. Isolation first: a member of an isolated audience, or who may be one, reaches only routes
// that list it, whatever else they belong to.
func (h *hearing) admitted() (Reason, string) {
	bound, identified, owned := h.membershipOf()
	for _, i := range h.policy.isolated {
		a := &h.policy.audiences[i]
		if !listed(h.route.audiences, i) && a.holds(&h.in.Subject, bound, identified, owned) != outside {
			return ReasonIsolated, fmt.Sprintf("the subject belongs to isolated audience %s, which route %s does not list",
				a.name, h.route.name)
		}
	}
	for _, i := range h.route.audiences {
		a := &h.policy.audiences[i]
		membership := a.holds(&h.in.Subject, bound, identified, owned)
		if membership == member || membership == maybe && a.isolated {
			return ReasonUndecided, ""
		}
	}
	return ReasonAudience, "the subject is in none of the audiences of route " + h.route.name
}

func listed(list []int, i int) bool {
	for _, x := range list {
		if x == i {
			return true
		}
	}
	return false
}

func gap(d *Device, a *Assessment) (Reason, string) {
	switch {
	case d.Gap == GapUnknown || d.Gap == GapNone && a == nil:
		return ReasonDeviceUnknown, "no source has reported this device"
	case d.Gap == GapContested:
		return ReasonDeviceContested, "two devices carry this name; a source reports one of them wrongly"
	case d.Gap != GapNone || a == nil:
		return ReasonStoreUnreachable, "the posture of this device cannot be read now"
	case a.empty:
		return ReasonDeviceUnknown, "no source has said anything about this device"
	}
	return ReasonUndecided, ""
}

func (p *Policy) unmet(d *demand, status Status, a *Assessment, at int64) Unmet {
	s := &p.signals[d.signal]
	u := Unmet{Signal: s.name, List: d.list, Status: status, Detail: a.describe(d, at)}
	_, variant := a.of(d.signal)
	by := &s.variants[max(int(variant), 0)] // who defines the signal elsewhere answers for its absence here
	u.Owner, u.Contact, u.Fix = by.owner, by.contact, by.fix
	return u
}
