package lint

import (
	"slices"

	"github.com/tiergate/tiergate/xds/dump"
)

// manager is an HTTP connection manager with what it may route by.
type manager struct {
	config *dump.Config
	chain  dump.Chain
	listen dump.Listener
	http   dump.HTTP
	tables []dump.RouteTable
	routes []reached
	guards []dump.Filter // its ext_authz filters, in their order
	first  int           // where the first of them stands in http_filters; -1: nowhere
	leads  bool          // some request goes on to somewhere, as far as can be seen
	alone  bool          // only a route table: the listener that uses it was not to be seen
}

// reached is a route with what is around it.
type reached struct {
	table dump.RouteTable
	host  dump.VirtualHost
	route dump.Route
}

// managersOf lists the connection managers, and then the tables that none of them uses.
func managersOf(c *dump.Config) []*manager {
	var out []*manager
	used := map[string]bool{}
	for _, l := range c.Listeners {
		for _, chain := range l.Chains {
			for _, h := range chain.HTTP {
				m := &manager{config: c, listen: l, chain: chain, http: h, first: -1, tables: c.TablesOf(h)}
				for i, f := range h.Filters {
					if isGuard(f.Config) {
						m.guards = append(m.guards, f)
						m.first = max(m.first, 0)
						if len(m.guards) == 1 {
							m.first = i
						}
					}
				}
				for _, t := range m.tables {
					used[t.Value.Path()] = true
				}
				out = append(out, m.laidOut())
			}
		}
	}
	for _, t := range c.Tables {
		if !used[t.Value.Path()] {
			out = append(out, (&manager{config: c, alone: true, first: -1, tables: []dump.RouteTable{t}}).laidOut())
		}
	}
	return out
}

// laidOut lists the routes. A table that is not to be seen may lead anywhere.
func (m *manager) laidOut() *manager {
	m.leads = len(m.tables) == 0 || m.http.Scoped
	for _, t := range m.tables {
		m.leads = m.leads || t.Value.Get("vhds").Has()
		for _, h := range t.Hosts {
			for _, r := range h.Routes {
				m.routes = append(m.routes, reached{t, h, r})
				m.leads = m.leads || r.Leads()
			}
		}
	}
	return m
}

func isGuard(config dump.Value) bool {
	return config.Is("ext_authz.v3.ExtAuthz", "ext_authz.v2.ExtAuthz")
}

// filters before and behind the first ext_authz; all of them count as before where there is none.
func (m *manager) before() []dump.Filter {
	if m.first < 0 {
		return m.http.Filters
	}
	return m.http.Filters[:m.first]
}

func (m *manager) behind() []dump.Filter {
	if m.first < 0 {
		return nil
	}
	return m.http.Filters[m.first+1:]
}

// levels are the messages whose settings count for a route, the widest first, with the weighted clusters at the end.
func (r *reached) levels() []dump.Value {
	return append([]dump.Value{r.table.Value, r.host.Value, r.route.Value},
		r.route.Value.Get("route", "weighted_clusters", "clusters").List()...)
}

// override is what one level says about a filter.
type override struct {
	name     string
	settings dump.Value
	disabled dump.Value // a FilterConfig that switches the filter off; absent otherwise
}

// overrides reads typed_per_filter_config for ext_authz: by the filter's name, or by the type of what stands there.
func (m *manager) overrides(level dump.Value) []override {
	var out []override
	for name, v := range level.Get("typed_per_filter_config").Fields() {
		o := override{name: name, settings: v.Unwrapped()}
		if o.settings.Is("v3.FilterConfig") {
			if off := o.settings.Get("disabled"); off.Bool() {
				o.disabled = off
			}
			o.settings = o.settings.Get("config").Unwrapped()
		}
		named := slices.ContainsFunc(m.guards, func(f dump.Filter) bool { return f.Name == name }) ||
			m.alone && name == "envoy.filters.http.ext_authz"
		if named || o.settings.Is("ExtAuthzPerRoute") {
			out = append(out, o)
		}
	}
	return out
}
