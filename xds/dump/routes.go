package dump

import (
	"maps"
	"slices"
)

func routeTable(v Value) RouteTable {
	t := RouteTable{Name: v.Get("name").Text(), Value: v}
	for _, h := range v.Get("virtual_hosts").List() {
		host := VirtualHost{Name: h.Get("name").Text(), Value: h}
		for _, domain := range h.Get("domains").List() {
			host.Domains = append(host.Domains, domain.Text())
		}
		for _, r := range routesOf(h) {
			host.Routes = append(host.Routes, route(r, h, v))
		}
		t.Hosts = append(t.Hosts, host)
	}
	return t
}

// routesOf are the routes of a virtual host: a list, or the leaves of a matcher tree.
func routesOf(host Value) []Value {
	routes := host.Get("routes").List()
	for v := range host.Get("matcher").All() {
		switch action := v.Get("action").Config(); {
		case action.Is("route.v3.Route"):
			routes = append(routes, action)
		case action.Is("route.v3.RouteList"):
			routes = append(routes, action.Get("routes").List()...)
		}
	}
	return routes
}

func route(v, host, table Value) Route {
	action := v.Get("route")
	r := Route{Name: v.Get("name").Text(), Value: v, Match: v.Get("match"), Redirect: v.Get("redirect").Has()}
	r.Direct = v.Get("direct_response").Has() || v.Get("non_forwarding_action").Has()
	named := map[string]bool{}
	name := func(cluster, header Value) {
		if text := cluster.Text(); text != "" {
			named[text] = true
		}
		r.Open = r.Open || header.Text() != ""
	}
	name(action.Get("cluster"), action.Get("cluster_header"))
	for _, weighted := range action.Get("weighted_clusters", "clusters").List() {
		name(weighted.Get("name"), weighted.Get("cluster_header"))
	}
	r.Open = r.Open || action.Get("cluster_specifier_plugin").Has() || action.Get("inline_cluster_specifier_plugin").Has()
	if action.Has() {
		for _, mirror := range mirrors(action, host, table) {
			name(mirror.Get("cluster"), mirror.Get("cluster_header"))
		}
	}
	r.Clusters = slices.Sorted(maps.Keys(named))
	return r
}

// mirrors are the copies that a route's requests are sent as; the most specific list counts.
func mirrors(levels ...Value) []Value {
	for _, level := range levels {
		if list := level.Get("request_mirror_policies").List(); len(list) > 0 {
			return list
		}
	}
	return nil
}
