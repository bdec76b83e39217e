package prove

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// ends are endpoints by what they mean: [::ffff:127.0.0.1]:1 is 127.0.0.1:1, and names have no case.
type ends map[string]bool

func endsOf(texts []string) ends {
	e := ends{}
	for _, text := range texts {
		e[meaning(text)] = true
	}
	return e
}

func meaning(text string) string {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
	}
	host, port, ok := strings.Cut(strings.ToLower(text), ":")
	if ok && host == "localhost" {
		return "127.0.0.1:" + port
	}
	return strings.ToLower(text)
}

func (e ends) list() []string { return slices.Sorted(maps.Keys(e)) }

// sharedEndpoints finds endpoints of routes of the audience that are also those of a route that does not list it, by
// whatever upstream. A route that is shared on purpose says so, and why; what it leads to is then no secret of either.
func (p *prover) sharedEndpoints(a *population) {
	shared := p.declaredShared()
	for i := range p.spec.Routes {
		r := &p.spec.Routes[i]
		if r.Shared || !slices.Contains(r.Audiences, a.name) {
			continue
		}
		for j := range p.spec.Routes {
			other := &p.spec.Routes[j]
			if slices.Contains(other.Audiences, a.name) {
				continue
			}
			for _, end := range p.ends[r.Upstream].list() {
				if p.ends[other.Upstream][end] && !shared[end] {
					p.sharedEndpoint(a, r, other, end)
				}
			}
		}
	}
}

// declaredShared are the endpoints of routes that say shared, with a reason.
func (p *prover) declaredShared() ends {
	all := ends{}
	for i := range p.spec.Routes {
		if r := &p.spec.Routes[i]; r.Shared {
			maps.Copy(all, p.ends[r.Upstream])
		}
	}
	return all
}

func (p *prover) sharedEndpoint(a *population, r, other *policy.Route, end string) {
	found := Counterexample{Kind: Shared, Audience: a.name, Route: r.Meta.Name, Also: []string{other.Meta.Name}, Endpoint: end,
		What: fmt.Sprintf("members of %s reach %s by route %s (upstream %s), and so does route %s (upstream %s) of %s, which does "+
			"not list them: behind the wall they share a server", a.name, end, r.Meta.Name, r.Upstream, other.Meta.Name, other.Upstream,
			strings.Join(other.Audiences, ", ")),
		Fix: "give the isolated audience a server of its own; or lead both by one route with shared: true and the reason"}
	p.askedFor(a, r, &found)
	if p.envoy != nil {
		for _, x := range p.envoy.paths {
			if x.named && x.chosen == r.Meta.Name && endsOf(x.path.Endpoints)[end] {
				found.Listener, found.Cluster, found.Where = x.path.Listener, x.path.Cluster, x.path.Where
				break
			}
		}
	}
	p.found(found)
}

// someMember is a member whom the route takes in.
func (p *prover) someMember(a *population, r *policy.Route) (class, bool) {
	if _, ok := p.requests[r.Meta.Name]; !ok {
		return class{}, false
	}
	for i := range p.kinds {
		if k := &p.kinds[i]; slices.ContainsFunc(k.routes, func(x *policy.Route) bool { return x.Meta.Name == r.Meta.Name }) {
			for c := range p.classes(a, k) {
				if a.mayBe(&c) && p.admits(k, &c) {
					return c, true
				}
			}
		}
	}
	return class{}, false
}

// anyMember is the smallest member of whom the route knows enough, for whatever a route of others says to them.
func (p *prover) anyMember(a *population, r *policy.Route) class {
	tier, known := p.tiers[r.Tier], false
	var member class
	take := func(c class) bool {
		if a.mayBe(&c) && (!known || c.bound && c.ownership == member.ownership) {
			member, known = c, true
		}
		return !known || !member.bound && p.looksAtDevice(tier, &member)
	}
	for i := range p.kinds {
		if k := &p.kinds[i]; slices.ContainsFunc(k.routes, func(x *policy.Route) bool { return x.Meta.Name == r.Meta.Name }) {
			p.classes(a, k)(take)
		}
	}
	if e := &a.entries[0]; !known {
		_ = p.joint(e, e, tier, take)
	}
	return member
}
