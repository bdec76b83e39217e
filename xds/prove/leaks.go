package prove

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// asker puts classes to Policy.Evaluate.
type asker struct {
	devices map[string]policy.Device // by ownership, assessed
}

// device is what is known of a device of which nothing is known but who owns it.
func (p *prover) device(ownership string) policy.Device {
	if known, ok := p.asked.devices[ownership]; ok {
		return known
	}
	d := policy.Device{Gap: policy.GapUnknown}
	if ownership != "" {
		posture, _ := signals.Posture{Device: "prove", Revision: 1}.Merge(signals.Observation{Facts: []signals.Fact{{
			Attribute: "ownership", Source: p.sourceOf("ownership"), Value: signals.Text(ownership), Observed: p.in.At, Received: p.in.At}}})
		d = policy.Device{Posture: &posture, AsOf: p.in.At, Assessment: p.in.Policy.Assess(&posture)}
	}
	if p.asked.devices == nil {
		p.asked.devices = map[string]policy.Device{}
	}
	p.asked.devices[ownership] = d
	return d
}

// sourceOf is the first source that may attest an attribute.
func (p *prover) sourceOf(attribute string) string {
	first := ""
	for name, s := range p.in.World.Sources {
		if slices.Contains(s.Attests, attribute) && (first == "" || name < first) {
			first = name
		}
	}
	if first == "" {
		return anySource
	}
	return first
}

const anySource = "prove-source"

// boundDevice is the name of the device of a bound asker.
var boundDevice = signals.Alias{Kind: signals.AliasSerial, Value: "PROVE1"}

func (c *class) subject(at time.Time) identity.Subject {
	valid := identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}
	s := identity.Subject{Workload: identity.SPIFFEID(c.workload)}
	if c.user != "" {
		s.User = &identity.User{Issuer: c.issuer, Name: c.user, Subject: c.user, Groups: c.groups, Token: valid}
	}
	if c.bound {
		s.Device = boundDevice
	}
	if c.workload != "" || c.bound {
		s.Certificate = valid
	}
	return s
}

// evaluated asks the policy itself whether a route takes the asker in.
func (p *prover) evaluated(c *class, asked policy.Request) bool {
	in := policy.Input{At: p.in.At, Request: asked, Subject: c.subject(p.in.At)}
	if c.bound {
		in.Device = p.device(c.ownership)
	}
	switch v := p.in.Policy.Evaluate(&in); v.Reason {
	case policy.ReasonIsolated, policy.ReasonAudience, policy.ReasonIdentityMissing:
		return false
	default:
		return true
	}
}

// leaks looks for askers who may be of the audience, and whom a route takes in that does not list it.
func (p *prover) leaks(a *population) {
	for i := range p.kinds {
		k := &p.kinds[i]
		if slices.Contains(k.audiences, a) {
			continue
		}
		leaking, differing, first := false, false, true
		for c := range p.classes(a, k) {
			p.report.Looked.Classes++
			if !a.mayBe(&c) {
				continue
			}
			modelled := p.admits(k, &c)
			if modelled && !leaking {
				leaking = true
				p.admitted(a, k, &c)
			}
			if !differing {
				differing = p.differs(a, k, &c, modelled, first)
				first = false
			}
		}
	}
}

// differs asks the evaluator the same: for one route of a kind with every class, for the others with the first.
func (p *prover) differs(a *population, k *routeKind, c *class, modelled, all bool) bool {
	for _, r := range k.routes {
		asked, ok := p.requests[r.Meta.Name]
		if !ok {
			continue
		}
		if p.evaluated(c, asked) != modelled {
			p.found(Counterexample{Kind: Evaluator, Audience: a.name, Route: r.Meta.Name, Who: c.String(), Request: lineOf(asked),
				What: fmt.Sprintf("by the rules, is this asker taken in by the route? %v; by the evaluator: %v", modelled, !modelled),
				Fix:  "this is a defect of tiergate: report it, with the policy", Case: p.caseOf(a, r, c).text})
			return true
		}
		if !all {
			return false
		}
	}
	return false
}

// reachable is the first route of a kind for which there is a request.
func (p *prover) reachable(k *routeKind) (*policy.Route, bool) {
	for _, r := range k.routes {
		if _, ok := p.requests[r.Meta.Name]; ok {
			return r, true
		}
	}
	return nil, false
}

func (p *prover) admitted(a *population, k *routeKind, c *class) {
	r, ok := p.reachable(k)
	if !ok {
		return
	}
	shown := p.caseOf(a, r, c)
	found := Counterexample{Kind: Admitted, Audience: a.name, Route: r.Meta.Name, Who: shown.who.String(),
		Request: lineOf(p.requests[r.Meta.Name]),
		What: fmt.Sprintf("for all that is known the asker is in %s, and route %s, which does not list it, takes them in; %s: "+
			"nobody reported who owns the device, and %s", a.name, r.Meta.Name, shown.answer, a.whyOutside(k.tier)),
		Fix:  a.fix(),
		Case: shown.text}
	for _, other := range k.routes {
		if other != r {
			found.Also = append(found.Also, other.Meta.Name)
		}
	}
	found.Endpoint = strings.Join(p.ends[r.Upstream].list(), ", ")
	if p.envoy != nil {
		for _, x := range p.envoy.paths {
			if x.named && x.chosen == r.Meta.Name && x.path.Cluster != "" && p.envoy.trust.admits(a, &x.path) {
				found.Listener, found.Cluster, found.Where = x.path.Listener, x.path.Cluster, x.path.Where
				break
			}
		}
	}
	p.found(found)
}

func (p *population) whyOutside(t *policy.Tier) string {
	if p.ownershipOutside {
		return "the audience says ownershipUnknown: outside"
	}
	return "tier " + t.Meta.Name + " identifies no device, so unknown ownership does not count"
}

func (p *population) fix() string {
	if p.ownershipOutside {
		return "remove ownershipUnknown: outside, so that such devices count as " + p.name + " until a source says otherwise; " +
			"or name the members by issuer and group too"
	}
	return "give the route a tier with identify: user+device; or name the members of " + p.name + " by issuer and group too"
}

// String tells who the asker is.
func (c *class) String() string {
	var parts []string
	if c.user != "" {
		text := "user " + c.user + " of issuer " + c.issuer
		if len(c.groups) > 0 {
			text += " in " + strings.Join(c.groups, ", ")
		}
		parts = append(parts, text)
	}
	if c.workload != "" {
		parts = append(parts, "workload "+c.workload)
	}
	switch {
	case c.bound && c.ownership == "":
		parts = append(parts, "on a device of unknown ownership")
	case c.bound:
		parts = append(parts, "on a device with ownership "+c.ownership)
	}
	if len(parts) == 0 {
		return "anybody"
	}
	return strings.Join(parts, ", ")
}
