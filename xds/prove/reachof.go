package prove

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// reachOf lists all that members can get to.
func (p *prover) reachOf(a *population) Reach {
	reach := Reach{Audience: a.name, Owner: a.owner, Routes: []RouteReach{}, Own: []string{}, Listeners: []string{}, Clusters: []string{},
		Endpoints: []string{}}
	all := ends{}
	for _, r := range p.routesOf(a) {
		one := RouteReach{Route: r.Meta.Name, Hosts: r.Hosts, Path: r.Path, Methods: append([]string{}, r.Methods...),
			Tier: r.Tier, Upstream: r.Upstream, Endpoints: p.ends[r.Upstream].list(), Excused: p.excuses(r)}
		for _, name := range r.Audiences {
			if name != a.name {
				one.SharedWith = append(one.SharedWith, name)
			}
		}
		if r.Shared {
			one.Reason = r.Reason
		}
		for end := range p.ends[r.Upstream] {
			all[end] = true
		}
		reach.Routes = append(reach.Routes, one)
	}
	reach.Endpoints = all.list()
	if p.envoy == nil {
		if reach.Endpoints == nil {
			reach.Endpoints = []string{}
		}
		return reach
	}
	reach.Own = append(reach.Own, p.envoy.own[a.name]...)
	through := ends{}
	for i := range p.envoy.paths {
		w := &p.envoy.paths[i]
		if p.comesIn(a, &w.path) && (!w.path.Guarded || len(p.allowed(a, w)) > 0) {
			reach.Listeners, reach.Clusters = append(reach.Listeners, w.path.Listener), append(reach.Clusters, w.path.Cluster)
			for _, end := range w.path.Endpoints {
				through[meaning(end)] = true
			}
		}
	}
	slices.Sort(reach.Listeners)
	slices.Sort(reach.Clusters)
	reach.Listeners, reach.Clusters = slices.Compact(reach.Listeners), slices.Compact(reach.Clusters)
	reach.Endpoints = append([]string{}, through.list()...)
	return reach
}

// excuses are the ways past a demand of the route's tier, now or later. None of them is a way past the audience.
func (p *prover) excuses(r *policy.Route) []string {
	t, all := p.tiers[r.Tier], []string{}
	for i := range p.spec.Exceptions {
		e := &p.spec.Exceptions[i]
		if slices.Contains(e.Routes, r.Meta.Name) && e.State(p.in.At) != policy.ExceptionEnded {
			all = append(all, fmt.Sprintf("exception %s until %s waives %s", e.Meta.Name, e.Until.UTC().Format(time.RFC3339),
				strings.Join(e.Signals, ", ")))
		}
	}
	if t.Exceptions != nil {
		all = append(all, fmt.Sprintf("exceptions granted at run time, of at most %v", t.Exceptions.MaxDuration))
	}
	if t.Grace != nil && t.Grace.Offline > 0 {
		all = append(all, fmt.Sprintf("grace of %v, %d renewals", t.Grace.Offline, t.Grace.Renewals))
	}
	if t.OnGap.LastKnown != nil {
		all = append(all, fmt.Sprintf("last-known for %v", t.OnGap.LastKnown.For))
	}
	for _, d := range t.DenyUnless {
		if d.OnUnknown == policy.OnUnknownNote {
			all = append(all, d.Signal+" unknown is only noted")
		}
	}
	if t.StepUp != nil {
		all = append(all, "a login that is strong and fresh enough, for what the tier steps up for")
	}
	if t.Mode == policy.ModeMonitor {
		all = append(all, "monitor mode waives all but identity, audience and denyUnless")
	}
	return all
}

// notes are worth knowing; NotProved is what the claim rests on.
func (p *prover) notes() {
	note := func(format string, args ...any) {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf(format, args...))
	}
	if len(p.isolated) == 0 {
		note("no audience is isolated: there is nothing to prove")
	}
	for i := range p.spec.Routes {
		if r := &p.spec.Routes[i]; p.requests[r.Meta.Name] == (policy.Request{}) {
			note("no request was found that the table gives to route %s", r.Meta.Name)
		}
	}
	for i := range p.spec.Exceptions {
		e := &p.spec.Exceptions[i]
		for _, name := range p.uselessFor(e) {
			note("exception %s names routes that do not list %s, to which its subjects belong: it opens nothing for them", e.Meta.Name, name)
		}
	}
	p.report.NotProved = []string{
		"certificates and tokens tell the truth: who holds somebody else's is that somebody",
		"groups are those of the token: who belongs to an audience and is not said to by their issuer is no member",
		"servers keep isolated audiences apart behind their endpoints, and no network leads around Envoy",
	}
	if slices.ContainsFunc(p.isolated, func(a *population) bool {
		return slices.ContainsFunc(a.entries, func(e entry) bool { return e.ownership != "" })
	}) {
		p.report.NotProved = append(p.report.NotProved, "who shows no device belongs to no audience by deviceOwnership"+p.deviceless())
	}
	if p.envoy == nil {
		p.report.NotProved = append(p.report.NotProved,
			"Envoy was not looked at: with --config what tiergate would program is, with --envoy what an Envoy holds")
		return
	}
	p.report.NotProved = append(p.report.NotProved,
		"a workload that one listener shuts out by its certificate holds no certificate of another name",
		"two endpoints of different addresses or names are different servers; DNS says where names lead")
}

// deviceless names the routes where that matters.
func (p *prover) deviceless() string {
	var names []string
	for i := range p.spec.Routes {
		r := &p.spec.Routes[i]
		if p.tiers[r.Tier].Identify == policy.IdentifyUser && !p.looksAtDevice(p.tiers[r.Tier], &class{}) {
			names = append(names, r.Meta.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", and these routes ask for none: " + strings.Join(names, ", ")
}

// uselessFor are the isolated audiences that every subject of an exception belongs to, and none of its routes lists.
func (p *prover) uselessFor(e *policy.Exception) (names []string) {
	for _, a := range p.isolated {
		belong := len(e.Subjects) > 0 && !slices.ContainsFunc(e.Subjects, func(s policy.ExceptionSubject) bool {
			c := class{issuer: s.Issuer, user: anyUser}
			if s.User != "" {
				c.user = s.User
			}
			if s.Group != "" {
				c.groups = []string{s.Group}
			}
			return !slices.ContainsFunc(a.entries, func(x entry) bool { return x.ownership == "" && x.who(&c) })
		})
		listed := slices.ContainsFunc(e.Routes, func(name string) bool {
			r := p.routeNamed(name)
			return r != nil && slices.Contains(r.Audiences, a.name)
		})
		if belong && !listed {
			names = append(names, a.name)
		}
	}
	return names
}
