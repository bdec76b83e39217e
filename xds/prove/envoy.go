package prove

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/reach"
)

// redacted is what a running Envoy shows of a text that its API calls sensitive, as context_extensions are.
const redacted = "[redacted]"

// envoy is every way through an Envoy, with what its routes tell tiergate of themselves.
type envoy struct {
	all       []reach.Path
	paths     []way
	listeners []string
	trust     *trust
	own       map[string][]string // isolated audience → its own listeners
}

// way is a path that leads on.
type way struct {
	path reach.Path
	// named: the route sends its name with each check (context_extensions), and tiergate refuses any other; chosen is that name.
	named  bool
	chosen string
	open   string // why it may lead elsewhere; what DNS decides for a server that proves who it is does not count
}

func (p *prover) readEnvoy() {
	config := p.in.Envoy
	e := &envoy{all: reach.All(config), trust: newTrust(config), own: map[string][]string{}}
	names := chosenNames(config)
	ends := map[string]bool{}
	for _, l := range config.Listeners {
		e.listeners = append(e.listeners, l.Name)
	}
	for _, path := range e.all {
		w := way{path: path, open: path.Open}
		w.chosen, w.named = names[path.Where]
		if cluster, ok := config.Cluster(path.Cluster); ok && cluster.TLS.Has() &&
			strings.HasPrefix(path.Open, cluster.Value.Path()+": DNS says") {
			w.open = ""
		}
		if path.Cluster != "" || path.Open != "" || len(path.Endpoints) > 0 {
			e.paths = append(e.paths, w)
		}
		for _, end := range path.Endpoints {
			ends[meaning(end)] = true
		}
	}
	slices.Sort(e.listeners)
	e.listeners = slices.Compact(e.listeners)
	p.envoy = e
	for _, a := range p.isolated {
		e.own[a.name] = p.ownListeners(a)
	}
	p.report.Envoy, p.report.Looked.Listeners, p.report.Looked.Paths = config.Origin, len(e.listeners), len(e.paths)
	p.report.Looked.Endpoints = len(ends)
}

// chosenNames are, by their place, the routes that tell tiergate their name by themselves. What a virtual host or a table says
// for all of its routes is not looked at: it tells none from another; and a running Envoy withholds all of it.
func chosenNames(config *dump.Config) map[string]string {
	names := map[string]string{}
	for _, t := range config.AllTables() {
		for _, host := range t.Hosts {
			for _, r := range host.Routes {
				for _, v := range r.Value.Get("typed_per_filter_config").Fields() {
					told := v.Unwrapped().Get("check_settings", "context_extensions").Get(policy.ContextRoute)
					if told.Has() && told.Text() != redacted {
						names[r.Value.Path()] = told.Text()
					}
				}
			}
		}
	}
	return names
}

// ownListeners are those that the settings name, as far as they are there; without settings those on which nothing but routes
// of the audience exist.
func (p *prover) ownListeners(a *population) []string {
	var own []string
	for _, l := range p.envoy.listeners {
		if p.in.Own != nil {
			if slices.Contains(p.in.Own[a.name], l) {
				own = append(own, l)
			}
			continue
		}
		theirs, others := 0, 0
		for _, w := range p.envoy.paths {
			if w.path.Listener != l {
				continue
			}
			if r := p.routeNamed(w.chosen); w.named && r != nil && slices.Contains(r.Audiences, a.name) {
				theirs++
			} else {
				others++
			}
		}
		if theirs > 0 && others == 0 {
			own = append(own, l)
		}
	}
	return own
}

func (p *prover) routeNamed(name string) *policy.Route {
	for i := range p.spec.Routes {
		if p.spec.Routes[i].Meta.Name == name {
			return &p.spec.Routes[i]
		}
	}
	return nil
}

// routesOf are the routes that list the audience.
func (p *prover) routesOf(a *population) (all []*policy.Route) {
	for i := range p.spec.Routes {
		if r := &p.spec.Routes[i]; slices.Contains(r.Audiences, a.name) {
			all = append(all, r)
		}
	}
	return all
}

// allowed are the routes of the audience for which tiergate may let a request of a way pass.
func (p *prover) allowed(a *population, w *way) (routes []*policy.Route) {
	for _, r := range p.routesOf(a) {
		if w.named && w.chosen == r.Meta.Name || !w.named && mayMatch(r, w.path.Host, w.path.Request, w.path.Methods) {
			routes = append(routes, r)
		}
	}
	return routes
}

// through judges every listener at which members of the audience may come in.
func (p *prover) through(a *population) {
	meant := ends{}
	for _, r := range p.routesOf(a) {
		for end := range p.ends[r.Upstream] {
			meant[end] = true
		}
	}
	if len(p.envoy.own[a.name]) == 0 && len(p.routesOf(a)) > 0 {
		p.noListener(a)
	}
	for i := range p.envoy.paths {
		w := &p.envoy.paths[i]
		own := slices.ContainsFunc(p.envoy.own[a.name], func(l string) bool { return p.within(l, &w.path) })
		switch comesIn := p.comesIn(a, &w.path); {
		case !w.path.Guarded && (comesIn || overlaps(meant, w.path.Endpoints)):
			p.breach(a, w, Unguarded, firstEnd(w), "no decision is asked for: "+w.path.Unguarded,
				"let ext_authz decide on every request, fail closed; tiergate envoy lint names the field")
		case own || comesIn && len(p.allowed(a, w)) > 0:
			p.judge(a, w, own, meant)
		}
	}
	for _, l := range p.envoy.own[a.name] {
		p.foreignTrust(a, l)
	}
}

// judge looks at a way on which tiergate decides, and may let members pass.
func (p *prover) judge(a *population, w *way, own bool, meant ends) {
	if w.open != "" {
		p.breach(a, w, Open, firstEnd(w), "where the requests go cannot be known: "+w.open,
			"name the cluster, and its endpoints, in the configuration")
		return
	}
	for _, end := range w.path.Endpoints {
		if own && !meant[meaning(end)] {
			p.breach(a, w, Beyond, end, fmt.Sprintf("listener %s is %s's own and has a way to %s, which none of their routes names",
				w.path.Listener, a.name, end), "remove the route or the endpoint from the listener")
			return
		}
		for _, r := range p.allowed(a, w) {
			if !p.ends[r.Upstream][meaning(end)] {
				p.elsewhere(a, w, r, end)
				return
			}
		}
	}
}

// elsewhere: what is allowed for a route of the audience goes to an endpoint that it does not name.
func (p *prover) elsewhere(a *population, w *way, r *policy.Route, end string) {
	c := Counterexample{Kind: Elsewhere, Audience: a.name, Route: r.Meta.Name, Listener: w.path.Listener,
		Cluster: w.path.Cluster, Endpoint: end,
		What: fmt.Sprintf("requests that are allowed for route %s go to %s, and upstream %s of the policy is %s",
			r.Meta.Name, end, r.Upstream, strings.Join(p.ends[r.Upstream].list(), ", ")),
		Where: w.path.Where, Fix: "let Envoy lead the route to its upstream; tiergate envoy diff shows what was changed"}
	p.askedFor(a, r, &c)
	p.found(c)
}

// askedFor says who asks, with the case: a member whom the route takes in, else any.
func (p *prover) askedFor(a *population, r *policy.Route, c *Counterexample) {
	asked, ok := p.requests[r.Meta.Name]
	if !ok {
		return
	}
	asker, ok := p.someMember(a, r)
	if !ok {
		asker = p.anyMember(a, r)
	}
	shown := p.caseOf(a, r, &asker)
	c.Who, c.Request, c.Case = shown.who.String(), lineOf(asked), shown.text
}

// within: is the path one of a listener, or of another that it leads to inside the same Envoy?
func (p *prover) within(listener string, path *reach.Path) bool {
	return path.Listener == listener || slices.ContainsFunc(reach.From(p.envoy.all, listener), func(x reach.Path) bool {
		return x.Listener == path.Listener && x.Where == path.Where
	})
}

// comesIn: can a member get past the handshakes on the way to a path?
func (p *prover) comesIn(a *population, path *reach.Path) bool {
	return slices.ContainsFunc(p.envoy.all, func(x reach.Path) bool {
		return p.envoy.trust.admits(a, &x) && (x.Listener == path.Listener && x.Chain == path.Chain ||
			x.Listener != path.Listener && p.within(x.Listener, path))
	})
}

func overlaps(meant ends, texts []string) bool {
	return slices.ContainsFunc(texts, func(end string) bool { return meant[meaning(end)] })
}

func firstEnd(w *way) string {
	if len(w.path.Endpoints) == 0 {
		return ""
	}
	return w.path.Endpoints[0]
}

// breach is a counterexample that Envoy's configuration makes. Its case is what the policy would say if it were asked, or says
// where it is asked and Envoy then leads elsewhere.
func (p *prover) breach(a *population, w *way, kind Kind, end, what, fix string) {
	c := Counterexample{Kind: kind, Audience: a.name, What: what, Fix: fix, Listener: w.path.Listener, Route: w.path.Route,
		Cluster: w.path.Cluster, Endpoint: end, Where: w.path.Where, Request: w.path.Host + " " + w.path.Request}
	p.illustrate(a, w, &c)
	p.found(c)
}

// illustrate finds a route of the policy for the way, and who asks.
func (p *prover) illustrate(a *population, w *way, c *Counterexample) {
	var of *policy.Route
	for i := range p.spec.Routes {
		r := &p.spec.Routes[i]
		_, asked := p.requests[r.Meta.Name]
		if asked && (w.named && r.Meta.Name == w.chosen ||
			!w.named && w.path.Host != "" && mayMatch(r, w.path.Host, w.path.Request, w.path.Methods)) {
			of = r
			break
		}
	}
	if of == nil { // a way that no route of the policy is about: what it leads to may be
		for i := range p.spec.Routes {
			r := &p.spec.Routes[i]
			if _, asked := p.requests[r.Meta.Name]; asked && (overlaps(p.ends[r.Upstream], w.path.Endpoints) || of == nil) {
				of = r
			}
		}
	}
	if of != nil {
		p.askedFor(a, of, c)
	}
}

func (p *prover) noListener(a *population) {
	r := p.routesOf(a)[0]
	c := Counterexample{Kind: NoListener, Audience: a.name, Route: r.Meta.Name,
		What: "no listener is " + a.name + "'s own: whoever comes in at the same one is kept apart by nothing but the policy",
		Fix:  "add a listener with audience: " + a.name + " to envoy.listeners of the settings"}
	p.askedFor(a, r, &c)
	p.found(c)
}
