package policy_test

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// reference is the policy language read slowly: linear searches over the documents as they were written, no
// compilation, no CEL, nothing kept. It is written from the design and from the comments on the types, not from the
// evaluator, so that where both agree two readings of the text agree.
type reference struct {
	spec  policy.Spec
	world policy.World
	cells map[string]int // what was met on the way, and how often; nil: not counted
}

// saw counts a cell of the design that a case came to.
func (r *reference) saw(cell string, came bool) {
	if came && r.cells != nil {
		r.cells[cell]++
	}
}

// asked is one request on its way through the reference.
type asked struct {
	*reference
	in       policy.Input
	route    policy.Route
	tier     policy.Tier
	stricter []policy.Stricter // the entries in force for this subject
	facts    []signals.Fact    // of the sources that may attest them; others do not exist
}

// judge is the whole decision, in the order in which its steps are written down.
func (r *reference) judge(in policy.Input) ruling {
	segments, pathErr := policy.SplitRequestPath(in.Request.Path)
	host, hostErr := policy.NormalHost(in.Request.Host)
	switch {
	case in.Request.Malformed != "":
		return refused(policy.ReasonMalformed)
	case pathErr != nil:
		return refused(policy.ReasonPath)
	case hostErr != nil:
		return refused(policy.ReasonHost)
	case in.Request.Method == "":
		return refused(policy.ReasonMalformed)
	case slices.ContainsFunc(in.Subject.Doubts, lasting):
		return refused(policy.ReasonIdentityDoubted)
	case len(in.Subject.Doubts) > 0:
		return refused(policy.ReasonIdentityUnchecked)
	}
	route, reason := r.find(host, segments, in.Request.Method)
	if reason != "" {
		return refused(reason)
	}
	a := &asked{reference: r, in: in, route: route, tier: r.tierOf(route), facts: r.permitted(in.Device.Posture)}
	a.stricter = a.inForce()
	if a.chosenElsewhere() {
		return refused(policy.ReasonRouteMismatch)
	}
	if a.closed() {
		return refused(policy.ReasonNoRoute)
	}
	return a.offered(a.admitted(ruling{Route: route.Meta.Name, Tier: a.tier.Meta.Name}))
}

// admitted is the decision about a route that was found.
func (a *asked) admitted(ruled ruling) ruling {
	if reason := a.beforePosture(); reason != "" {
		ruled.Reason = reason
		return ruled
	}
	if reason := a.gap(); reason != "" {
		ruled.Reason = reason
		return a.monitored(ruled, reason != policy.ReasonDeviceContested && !a.denyUnlessWantsKnown())
	}
	if a.lentOut() {
		ruled.Reason = policy.ReasonEnrolledUser
		return ruled
	}
	return a.demands(ruled)
}

// lasting: a doubt that a look into the store could not clear.
func lasting(d identity.Doubt) bool { return d.Code != identity.DoubtUnchecked }

// beforePosture are the steps between Envoy's choice of the route and the posture.
func (a *asked) beforePosture() policy.Reason {
	if reason := a.identity(); reason != "" {
		return reason
	}
	if a.withdrawn() {
		return policy.ReasonIdentityRevoked
	}
	return a.outsideAudiences()
}

// outsideAudiences tells why the subject is not for this route.
func (a *asked) outsideAudiences() policy.Reason {
	for _, audience := range a.spec.Audiences {
		m := a.membership(audience)
		if audience.Isolated && m != outside && !slices.Contains(a.route.Audiences, audience.Meta.Name) {
			a.saw("isolated by an ownership that nobody knows", m == maybe)
			return policy.ReasonIsolated
		}
	}
	for _, audience := range a.spec.Audiences {
		m := a.membership(audience)
		if slices.Contains(a.route.Audiences, audience.Meta.Name) && (m == member || m == maybe && audience.Isolated) {
			return ""
		}
	}
	return policy.ReasonAudience
}

// find chooses host, then path, then method; what the method misses never falls through to a wider path.
func (r *reference) find(host string, segments []string, method string) (policy.Route, policy.Reason) {
	_, suffix, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + suffix} {
		elsewhere := func(x policy.Route) bool { return !slices.Contains(x.Hosts, name) }
		here := slices.DeleteFunc(slices.Clone(r.spec.Routes), elsewhere)
		if len(here) == 0 {
			continue
		}
		var best policy.Pattern
		var covering []policy.Route
		for _, route := range here {
			p := pattern(route)
			switch {
			case !p.Match(segments) || len(covering) > 0 && best.Compare(p) < 0:
			case len(covering) > 0 && best.Compare(p) == 0:
				covering = append(covering, route)
			default:
				best, covering = p, []policy.Route{route}
			}
		}
		for _, route := range covering {
			if len(route.Methods) == 0 || slices.Contains(route.Methods, method) {
				return route, ""
			}
		}
		if len(covering) > 0 {
			return policy.Route{}, policy.ReasonMethod
		}
		break // an exact host wins, whatever its paths are
	}
	return policy.Route{}, policy.ReasonNoRoute
}

func pattern(route policy.Route) policy.Pattern {
	p, err := policy.ParsePattern(route.Path)
	if err != nil {
		panic(err)
	}
	return p
}

func (r *reference) tierOf(route policy.Route) policy.Tier {
	for _, t := range r.spec.Tiers {
		if t.Meta.Name == route.Tier {
			return t
		}
	}
	panic("no tier " + route.Tier)
}

// chosenElsewhere compares Envoy's choice with that of the table it chose from, and where both lead.
func (a *asked) chosenElsewhere() bool {
	chosen := a.in.Request.Chosen
	switch {
	case chosen == nil:
		return false
	case chosen.Older == nil:
		return chosen.Route != a.route.Meta.Name || chosen.Upstream != "" && chosen.Upstream != a.route.Upstream
	case chosen.Upstream != "" && chosen.Upstream != chosen.Older.Upstream:
		return true
	}
	a.saw("an upstream that only the older policy leads to", chosen.Older.Upstream != a.route.Upstream && chosen.OlderAllows)
	return chosen.Older.Route != chosen.Route || chosen.Older.Upstream != a.route.Upstream && !chosen.OlderAllows
}

// identity: windows first, then who the tier wants to know, then the device that its signals are about.
func (a *asked) identity() policy.Reason {
	s, at := a.in.Subject, a.in.At
	var none identity.Validity
	certified, told := s.Certificate != none, s.WorkloadToken != none
	claimed := s.User != nil && s.User.DeviceBinds && s.User.Device == s.Device
	a.saw("workload of a JWT-SVID alone", !certified && s.Workload != "" && s.WorkloadToken.Covers(at))
	a.saw("JWT-SVID out of its window", told && !s.WorkloadToken.Covers(at))
	a.saw("device of a claim alone", !certified && a.bound() && claimed)
	switch {
	case s.Risk != nil && s.User != nil:
		return policy.ReasonUserRisk
	case s.Ended != nil && s.User != nil:
		return policy.ReasonSessionRevoked
	case certified && !s.Certificate.Covers(at), told && !s.WorkloadToken.Covers(at):
		return policy.ReasonIdentityExpired
	case !certified && s.Workload != "" && !told, !certified && a.bound() && !claimed: // by nothing that holds
		return policy.ReasonIdentityExpired
	case s.User != nil && !s.User.Token.Covers(at):
		return policy.ReasonIdentityExpired
	case a.tier.Identify == policy.IdentifyWorkload && s.Workload == "",
		a.tier.Identify != policy.IdentifyWorkload && s.User == nil,
		a.looksAtDevice() && !a.bound():
		return policy.ReasonIdentityMissing
	}
	return ""
}

func (a *asked) bound() bool { return a.in.Subject.Device != signals.Alias{} }

// looksAtDevice: the tier identifies a device, or lists signals.
func (a *asked) looksAtDevice() bool {
	listed := len(a.tier.Advise)
	for _, l := range a.lists() {
		listed += len(l.require) + len(l.denyUnless)
		if l.stepUp != nil {
			listed += len(l.stepUp.Signals)
		}
	}
	return a.tier.Identify == policy.IdentifyUserDevice || listed > 0
}

// gap is why nothing can be said of a device that matters.
func (a *asked) gap() policy.Reason {
	switch {
	case !a.looksAtDevice():
		return ""
	case a.in.Device.Gap == policy.GapContested:
		return policy.ReasonDeviceContested
	case a.in.Device.Gap == policy.GapUnreachable:
		return policy.ReasonStoreUnreachable
	case a.in.Device.Gap != policy.GapNone || a.in.Device.Posture == nil || len(a.facts) == 0:
		return policy.ReasonDeviceUnknown
	}
	return ""
}

// lists are what the tier asks of everybody, and what it asks of this subject besides.
type lists struct {
	require    []policy.Demand
	denyUnless []policy.DenyUnless
	stepUp     *policy.StepUpDemand
}

func (a *asked) lists() []lists {
	all := []lists{{a.tier.Require, a.tier.DenyUnless, a.tier.StepUp}}
	for _, s := range a.stricter {
		all = append(all, lists{s.Require, s.DenyUnless, s.StepUp})
	}
	return all
}

// inForce: whoever may be a member of the entry's audience is asked too.
func (a *asked) inForce() []policy.Stricter {
	var entries []policy.Stricter
	for _, entry := range a.tier.Stricter {
		for _, audience := range a.spec.Audiences {
			if audience.Meta.Name == entry.Audience && a.membership(audience) != outside {
				entries = append(entries, entry)
			}
		}
	}
	return entries
}
