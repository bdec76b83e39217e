package policy

import (
	"fmt"
	"slices"
	"strings"
)

func (c *compiler) compileRoutes() {
	for i := range c.spec.Routes {
		r := &c.spec.Routes[i]
		c.owner(KindRoute, r.Meta)
		compiled := &route{name: r.Meta.Name, upstream: r.Upstream, methods: c.methods(r), shared: r.Shared, sharedReason: r.Reason}
		pattern, err := ParsePattern(r.Path)
		if err != nil {
			c.fault(KindRoute, r.Meta.Name, "spec.path", err.Error(), "path: /admin/**")
		}
		compiled.pattern = pattern
		hosts := c.routeHosts(r)
		c.webSocket(r)
		compiled.token = c.token(r)
		c.signIn(r)
		c.cors(r)
		c.routeReferences(r, compiled)
		if err == nil {
			c.collisions(compiled, hosts)
		}
		c.hosts[r.Meta.Name] = hosts
		c.routes = append(c.routes, compiled)
	}
	c.table = newTable(c.routes, c.hosts)
	c.shadowed()
	c.loginCircles()
	c.isolationShared()
	c.fallbacks()
}

// shadowed reports routes that can never match: {name} goes before *, so a pattern with * is never reached where one with
// {name} covers all that it does. One path stands for all: segments that no pattern spells out, and longer than any.
func (c *compiler) shadowed() {
	longest := 0
	for _, r := range c.routes {
		longest = max(longest, len(r.pattern))
	}
	for _, r := range c.routes {
		if !slices.ContainsFunc(r.pattern, func(s Segment) bool { return s.Kind == SegmentAny }) {
			continue
		}
		var path []string
		for _, s := range r.pattern {
			switch s.Kind {
			case SegmentExact:
				path = append(path, s.Text)
			case SegmentVariable, SegmentAny:
				path = append(path, "\x00")
			case SegmentRest:
				path = append(path, slices.Repeat([]string{"\x00"}, longest+1)...)
			}
		}
		for _, host := range c.hosts[r.name] {
			root := c.table.hosts[host]
			if suffix, ok := strings.CutPrefix(host, "*."); ok {
				root = c.table.wild[suffix]
			}
			if at := root.find(strings.Join(path, "/"), true); !slices.Contains(at, r) {
				c.fault(KindRoute, r.name, "spec.path", fmt.Sprintf("the route can never match on %s: "+
					"route %q covers the same paths and goes before it", host, at[0].name), "{name} goes before *; remove the route or change its path")
				break
			}
		}
	}
}

func (c *compiler) methods(r *Route) []string {
	for i, m := range r.Methods {
		if m == "" || strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			c.fault(KindRoute, r.Meta.Name, fmt.Sprintf("spec.methods[%d]", i), fmt.Sprintf("%q is no HTTP method", m), "methods: [GET, POST]")
		}
		if slices.Contains(r.Methods[:i], m) {
			c.fault(KindRoute, r.Meta.Name, fmt.Sprintf("spec.methods[%d]", i), fmt.Sprintf("method %s is listed twice", m), "remove one")
		}
	}
	return r.Methods
}

func (c *compiler) routeHosts(r *Route) []string {
	if len(r.Hosts) == 0 {
		c.fault(KindRoute, r.Meta.Name, "spec.hosts", "the route has no host", "hosts: [app.example.org]")
	}
	for i, host := range r.Hosts {
		field := fmt.Sprintf("spec.hosts[%d]", i)
		if message := hostFault(host); message != "" {
			c.fault(KindRoute, r.Meta.Name, field, message, "write a lower-case host name without port, or *.suffix for one label")
		}
		if slices.Contains(r.Hosts[:i], host) {
			c.fault(KindRoute, r.Meta.Name, field, fmt.Sprintf("host %q is listed twice", host), "remove one")
		}
	}
	return r.Hosts
}

func hostFault(host string) string {
	name := strings.TrimPrefix(host, "*.")
	normal, err := NormalHost(name)
	switch {
	case host == "*" || strings.Contains(name, "*"):
		return fmt.Sprintf("host %q: * stands only for the first label, as in *.example.org", host)
	case err != nil:
		return fmt.Sprintf("host %q: %v", host, err)
	case normal != name:
		return fmt.Sprintf("host %q is compared as %q", host, normal)
	case name != host && !strings.Contains(name, "."):
		return fmt.Sprintf("host %q would cover a whole top-level domain", host)
	}
	return ""
}

func (c *compiler) routeReferences(r *Route, compiled *route) {
	if c.refer(KindRoute, r.Meta.Name, "spec.tier", KindTier, r.Tier) {
		compiled.tier = c.tierAt[r.Tier]
	}
	c.refer(KindRoute, r.Meta.Name, "spec.upstream", KindUpstream, r.Upstream)
	if len(r.Audiences) == 0 {
		c.fault(KindRoute, r.Meta.Name, "spec.audiences", "the route lists no audience, so nobody could use it", "audiences: [employees]")
	}
	for i, name := range r.Audiences {
		field := fmt.Sprintf("spec.audiences[%d]", i)
		if slices.Contains(r.Audiences[:i], name) {
			c.fault(KindRoute, r.Meta.Name, field, fmt.Sprintf("audience %q is listed twice", name), "remove one")
		}
		if c.refer(KindRoute, r.Meta.Name, field, KindAudience, name) {
			compiled.audiences = append(compiled.audiences, c.audAt[name])
		}
	}
	c.workloadDemands(r)
}

// workloadDemands reports a tier that wants a user where the audience has only workloads: nobody could ever pass.
func (c *compiler) workloadDemands(r *Route) {
	at, ok := c.tierAt[r.Tier]
	if !ok || c.tiers[at].identify == IdentifyWorkload {
		return
	}
	for i, name := range r.Audiences {
		a, ok := c.audAt[name]
		if ok && len(c.audiences[a].entries) > 0 && !slices.ContainsFunc(c.audiences[a].entries, entry.hasPeople) {
			c.fault(KindRoute, r.Meta.Name, fmt.Sprintf("spec.audiences[%d]", i),
				fmt.Sprintf("audience %q has only workloads, but tier %q identifies a %s", name, r.Tier, c.tiers[at].identify),
				"give the route a tier with identify: workload, or another audience")
		}
	}
}

// hasPeople tells whether a user can be what the entry names.
func (e entry) hasPeople() bool { return e.spiffe == nil || e.issuer != "" }

// collisions reports routes that match the same: equal host and path may only split methods disjointly.
func (c *compiler) collisions(r *route, hosts []string) {
	for _, host := range hosts {
		place := host + r.pattern.shape()
		for _, other := range c.places[place] {
			if len(r.methods) == 0 || len(other.methods) == 0 || overlap(r.methods, other.methods) {
				c.fault(KindRoute, r.name, "spec.path", fmt.Sprintf("route %q already matches this host, path and method", other.name),
					"routes with equal host and path must split the methods between them")
				return
			}
		}
		c.places[place] = append(c.places[place], r)
	}
}

// isolationShared reports a route that an isolated audience would share with another: that is a hole in its wall.
func (c *compiler) isolationShared() {
	for _, r := range c.routes {
		var isolated []string
		for _, a := range r.audiences {
			if c.audiences[a].isolated {
				isolated = append(isolated, c.audiences[a].name)
			}
		}
		mixed := len(isolated) > 0 && len(r.audiences) > 1
		switch {
		case r.shared && !mixed:
			c.fault(KindRoute, r.name, "spec.shared", "no isolated audience shares this route with another", "remove shared")
		case r.shared && strings.TrimSpace(r.sharedReason) == "":
			c.fault(KindRoute, r.name, "spec.shared", "a hole in a wall needs a reason", "reason: why both audiences use this route")
		case !r.shared && r.sharedReason != "":
			c.fault(KindRoute, r.name, "spec.reason", "reason stands beside shared: true", "remove it, or write shared: true")
		}
		if mixed && !r.shared {
			c.fault(KindRoute, r.name, "spec.audiences", fmt.Sprintf("isolated audience %q shares this route with others", isolated[0]),
				"give the isolated audience a route, and an upstream, of its own; or write shared: true with a reason")
		}
	}
	c.isolationUpstreams()
}

// isolationUpstreams reports an upstream that both an isolated audience and somebody else reach.
func (c *compiler) isolationUpstreams() {
	owner := map[string]string{} // upstream → isolated audience
	for _, r := range c.routes {
		for _, a := range r.audiences {
			if c.audiences[a].isolated && !r.shared {
				owner[r.upstream] = c.audiences[a].name
			}
		}
	}
	for _, r := range c.routes {
		name, ok := owner[r.upstream]
		if ok && !slices.ContainsFunc(r.audiences, func(a int) bool { return c.audiences[a].name == name }) {
			c.fault(KindRoute, r.name, "spec.upstream", fmt.Sprintf("upstream %q belongs to isolated audience %q", r.upstream, name),
				"an isolated audience has upstreams of its own; give this route another")
		}
	}
}
