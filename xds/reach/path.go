package reach

import (
	"slices"

	"github.com/tiergate/tiergate/xds/dump"
)

// Path is one way through an Envoy.
type Path struct {
	Listener  string   `json:"listener"`
	Addresses []string `json:"addresses"` // of the listener: ip:port, unix:PATH or internal:NAME
	Chain     string   `json:"chain"`     // the filter chain's name, or its number from 0
	Match     string   `json:"match"`     // what the chain demands of a connection (filter_chain_match); "": nothing
	Trust     Trust    `json:"trust"`     // who gets past the handshake
	// Host is a domain of a virtual host, in which "*" stands for any text; "" where no HTTP is understood.
	Host       string   `json:"host"`
	Request    string   `json:"request"`    // "path /x", "prefix /x", "under /x", "regex /x.*"; or "any"
	Methods    []string `json:"methods"`    // none: any
	Conditions []string `json:"conditions"` // what else must be so: headers, queries, fractions. All must hold
	Table      string   `json:"table"`      // the route configuration
	Route      string   `json:"route"`
	// Guarded: ext_authz is asked for every request and nothing but its word lets one pass. Unguarded says why not.
	Guarded   bool     `json:"guarded"`
	Unguarded string   `json:"unguarded"`
	Cluster   string   `json:"cluster"`
	Endpoints []string `json:"endpoints"` // sorted: ip:port, host:port, unix:PATH, internal:LISTENER
	// Open says why requests may go elsewhere, too; "": they go to Endpoints alone.
	Open  string `json:"open"`
	Where string `json:"where"` // field path of the route, filter or listener
}

// All lists every path, in the order of the configuration.
func All(c *dump.Config) []Path {
	var all []Path
	for _, l := range c.Listeners {
		all = append(all, listenerPaths(c, l)...)
	}
	return all
}

// From lists the paths that begin at a listener, and those of the listeners of the same Envoy which they lead to.
func From(all []Path, listener string) []Path {
	within, queue := map[string]bool{listener: true}, []string{listener}
	for len(queue) > 0 {
		for _, p := range all {
			if p.Listener != queue[0] {
				continue
			}
			for _, next := range leadsInto(all, p) {
				if !within[next] {
					within[next] = true
					queue = append(queue, next)
				}
			}
		}
		queue = queue[1:]
	}
	return slices.DeleteFunc(slices.Clone(all), func(p Path) bool { return !within[p.Listener] })
}

// Reaches lists the endpoints that somebody may reach who is let in at a listener, sorted, and why there may be more; no
// open: there are no more.
func Reaches(all []Path, listener string) (endpoints, open []string) {
	for _, p := range From(all, listener) {
		endpoints = append(endpoints, p.Endpoints...)
		if p.Open != "" {
			open = append(open, p.Where+": "+p.Open)
		}
	}
	slices.Sort(endpoints)
	slices.Sort(open)
	return slices.Compact(endpoints), slices.Compact(open)
}

// To lists the listeners from which an endpoint may be reached, sorted: by a path that names it, or by one that is open.
func To(all []Path, endpoint string) []string {
	var listeners, found []string
	for _, p := range all {
		listeners = append(listeners, p.Listener)
	}
	slices.Sort(listeners)
	for _, l := range slices.Compact(listeners) {
		if ends, open := Reaches(all, l); len(open) > 0 || slices.ContainsFunc(ends, func(e string) bool { return same(e, endpoint) }) {
			found = append(found, l)
		}
	}
	return found
}
