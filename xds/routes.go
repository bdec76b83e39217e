package xds

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/tiergate/tiergate/authz/policy"
)

// entry is a route under one of its hosts.
type entry struct {
	pattern policy.Pattern
	route   policy.Route
	served  bool // by this listener; otherwise the route stands here only to end
}

// routeConfiguration writes the route table of one listener. Envoy takes the first route that matches, so within a host
// routes stand in the order of policy.Pattern.Compare, and routes of equal host and path are kept together.
//
// A route that the listener does not serve leads nowhere here. It still stands in its place wherever a wider route or a
// wildcard host of the listener would catch its requests: they must not fall through, and Envoy's match stays authz's.
func (b *builder) routeConfiguration(l Listener) *routev3.RouteConfiguration {
	hosts := map[string][]entry{}
	for _, r := range b.in.Routes {
		b.addRoute(hosts, r, b.serves(l, r))
	}
	config := &routev3.RouteConfiguration{Name: l.Name, ValidateClusters: yes(), RequestHeadersToRemove: b.keptFromUpstreams()}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if exists(hosts, host) {
			config.VirtualHosts = append(config.VirtualHosts, b.virtualHost(l, host, hosts[host]))
		}
	}
	return config
}

// exists reports whether anything is served on a host, or on a wildcard that Envoy would take for it.
func exists(hosts map[string][]entry, host string) bool {
	served := func(e entry) bool { return e.served }
	if slices.ContainsFunc(hosts[host], served) {
		return true
	}
	_, parent, more := strings.Cut(strings.TrimPrefix(host, "*."), ".")
	for more {
		if slices.ContainsFunc(hosts["*."+parent], served) {
			return true
		}
		_, parent, more = strings.Cut(parent, ".")
	}
	return false
}

// serves decides isolation: a route exists on an isolated audience's listener if it lists that audience, and on any
// other listener if it lists an audience that is not isolated; and on each only if its tier identifies whom the listener is
// for.
func (b *builder) serves(l Listener, r policy.Route) bool {
	return b.identifies(l, r) && slices.ContainsFunc(r.Audiences, func(audience string) bool {
		isolated, known := b.isolated[audience]
		if !known {
			b.routeFault(r, "spec.audiences", fmt.Sprintf("the policy has no audience %q", audience), "")
			return false
		}
		if l.Audience != "" {
			return audience == l.Audience
		}
		return !isolated
	})
}

func (b *builder) addRoute(hosts map[string][]entry, r policy.Route, served bool) {
	if served {
		b.served[r.Meta.Name] = true
	}
	pattern, err := policy.ParsePattern(r.Path)
	switch {
	case err != nil:
		b.routeFault(r, "spec.path", err.Error(), "")
		return
	case strings.Contains(r.Path, "?"):
		b.routeFault(r, "spec.path", "a question mark begins the query, which no route matches", "leave the query out")
		return
	}
	for i, written := range r.Hosts {
		host, err := normalHost(written)
		if err != nil {
			b.routeFault(r, fmt.Sprintf("spec.hosts[%d]", i), fmt.Sprintf("%q: %v", written, err),
				"write a host name, or *.suffix for one label before it")
			continue
		}
		hosts[host] = append(hosts[host], entry{pattern: pattern, route: r, served: served})
	}
}

func normalHost(written string) (string, error) {
	if suffix, ok := strings.CutPrefix(written, "*."); ok {
		normal, err := policy.NormalHost(suffix)
		return "*." + normal, err
	}
	return policy.NormalHost(written)
}

func (b *builder) virtualHost(l Listener, host string, entries []entry) *routev3.VirtualHost {
	slices.SortFunc(entries, func(x, y entry) int {
		return cmp.Or(x.pattern.Compare(y.pattern), cmp.Compare(x.route.Meta.Name, y.route.Meta.Name))
	})
	vhost := &routev3.VirtualHost{
		Name: host, Domains: []string{host},
		TypedPerFilterConfig: b.contextExtensions(map[string]string{
			ContextListener: l.Name, ContextTable: b.in.TableDigest, ContextRoute: "",
		}),
	}
	if suffix, ok := strings.CutPrefix(host, "*."); ok {
		match := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
		match.Headers = []*routev3.HeaderMatcher{deeperHost(suffix)}
		vhost.Routes = append(vhost.Routes, ending("no route: host", match, 404, ""))
	}
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].pattern.Compare(entries[0].pattern) == 0 {
			n++
		}
		vhost.Routes = append(vhost.Routes, b.samePath(l, host, entries[:n])...)
		entries = entries[n:]
	}
	return vhost
}

// samePath writes the routes of one host and path, which must split the methods. A method that none of them lists ends
// here and never falls through to a wider route.
func (b *builder) samePath(l Listener, host string, entries []entry) []*routev3.Route {
	routes := b.preflights(l, entries)
	taken, complete := map[string]string{}, false
	for _, e := range entries {
		if complete || len(e.route.Methods) == 0 && len(taken) > 0 {
			b.routeFault(e.route, "spec.methods", fmt.Sprintf("another route has host %s and path %s, too", host, e.pattern),
				"let the two list methods that do not overlap")
		}
		for _, m := range e.route.Methods {
			if other, ok := taken[m]; ok {
				b.routeFault(e.route, "spec.methods", fmt.Sprintf("route %s takes %s of host %s and path %s, too", other, m,
					host, e.pattern), "let the two list methods that do not overlap")
			}
			taken[m] = e.route.Meta.Name
		}
		complete = complete || len(e.route.Methods) == 0
		routes = append(routes, b.unanswered(l, e)...)
		for _, match := range pathMatches(e.pattern) {
			if len(e.route.Methods) > 0 {
				match.Headers = []*routev3.HeaderMatcher{methodMatch(slices.Sorted(slices.Values(e.route.Methods)))}
			}
			if e.served {
				routes = append(routes, b.readableAcross(b.proxied(l, e.route, match), e.route))
			} else {
				routes = append(routes, b.absent(e.route, match))
			}
		}
	}
	if complete {
		return routes
	}
	for _, match := range pathMatches(entries[0].pattern) {
		routes = append(routes, ending("no route: method", match, 403, "This method is not served here.\n"))
	}
	return routes
}

// proxied leads to the upstream.
func (b *builder) proxied(l Listener, r policy.Route, match *routev3.RouteMatch) *routev3.Route {
	return &routev3.Route{
		Name: r.Meta.Name, Match: match,
		Action: &routev3.Route_Route{Route: b.action(l, r)},
		TypedPerFilterConfig: b.contextExtensions(map[string]string{
			ContextRoute: r.Meta.Name, ContextUpstream: r.Upstream,
		}),
	}
}

// absent is a route of audiences that this listener does not serve. It is asked for and put on record, and leads
// nowhere.
func (b *builder) absent(r policy.Route, match *routev3.RouteMatch) *routev3.Route {
	route := ending(r.Meta.Name, match, 404, "")
	route.TypedPerFilterConfig = b.contextExtensions(map[string]string{ContextRoute: r.Meta.Name})
	return route
}

// ending proxies nothing, whatever authz says. Its check carries an empty route.
func ending(name string, match *routev3.RouteMatch, status uint32, body string) *routev3.Route {
	response := &routev3.DirectResponseAction{Status: status}
	if body != "" {
		response.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}}
	}
	return &routev3.Route{
		Name: name, Match: match, Action: &routev3.Route_DirectResponse{DirectResponse: response},
	}
}

// contextExtensions are merged by Envoy from virtual host and route; the route's win.
func (b *builder) contextExtensions(values map[string]string) map[string]*anypb.Any {
	return map[string]*anypb.Any{authzFilter: b.pack(&authzv3.ExtAuthzPerRoute{
		Override: &authzv3.ExtAuthzPerRoute_CheckSettings{
			CheckSettings: &authzv3.CheckSettings{ContextExtensions: values},
		},
	})}
}

func (b *builder) routeFault(r policy.Route, field, message, help string) {
	b.faults = append(b.faults, policy.Fault{
		Kind: policy.KindRoute, Name: r.Meta.Name, Field: field, Message: message, Help: help,
	})
}
