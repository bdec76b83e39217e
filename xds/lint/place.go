package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

const docs = "https://www.envoyproxy.io/docs/envoy/latest/"

const (
	authzAPI   = "envoy.extensions.filters.http.ext_authz.v3."
	managerAPI = "envoy.extensions.filters.network.http_connection_manager.v3."
)

// placeRules are about where ext_authz stands, and ways around it.
var placeRules = []rule{
	{code: "authz-missing", severity: Hole, source: docs + "configuration/http/http_filters/ext_authz_filter",
		manager: func(m *manager, s say) {
			if len(m.guards) == 0 && len(m.around()) == 0 {
				s(m.http.Value.Get("http_filters"), "requests go on to upstreams and nobody is asked",
					"write envoy.filters.http.ext_authz as the first of http_filters, but for jwt_authn, cors and health_check")
			}
		}},
	{code: "way-around", severity: Hole, source: docs + "intro/arch_overview/security/ext_authz_filter",
		manager: func(m *manager, s say) {
			if len(m.guards) > 0 {
				return
			}
			if names := m.around(); len(names) > 0 {
				s(m.http.Value.Get("http_filters"), fmt.Sprintf("leads to %s without ext_authz; elsewhere every request to it is asked for",
					strings.Join(names, ", ")), "write envoy.filters.http.ext_authz here too, or remove the routes")
			}
		},
		whole: tcpAround},
	{code: "authz-late", severity: Hole, source: docs + "configuration/http/http_conn_man/http_filters",
		manager: func(m *manager, s say) {
			for _, f := range m.before() {
				if m.first >= 0 && f.Config.Is(answering...) {
					s(f.Value, fmt.Sprintf("%s answers before ext_authz is asked", short(f)), "move ext_authz in front of it in http_filters")
				}
			}
		}},
	{code: "code-before-authz", severity: Weak, source: docs + "configuration/http/http_conn_man/http_filters",
		manager: func(m *manager, s say) {
			for _, f := range m.before() {
				if m.first >= 0 && f.Config.Is(programmable...) {
					s(f.Value, fmt.Sprintf("%s may answer, or change who seems to ask, before ext_authz is asked", short(f)),
						"move ext_authz in front of it in http_filters, or remove it")
				}
			}
		}},
	{code: "code-after-authz", severity: Weak, source: docs + "configuration/http/http_conn_man/http_filters",
		manager: func(m *manager, s say) {
			for _, f := range m.behind() {
				changing(f.Value, s)
				for _, upstream := range f.Config.Get("upstream_http_filters").List() { // the router's
					changing(upstream, s)
				}
			}
		},
		cluster: func(_ *dump.Config, c dump.Cluster, s say) {
			for _, options := range c.Value.Get("typed_extension_protocol_options").Fields() {
				for _, upstream := range options.Get("http_filters").List() {
					changing(upstream, s)
				}
			}
		}},
	{code: "route-cleared", severity: Hole, source: authzAPI + "ExtAuthz.clear_route_cache and its like in other filters",
		manager: func(m *manager, s say) {
			for _, f := range m.behind() {
				for v := range f.Config.All() {
					if v.Get("clear_route_cache").Bool() || v.Get("route_cache_action").Enum("DEFAULT", "CLEAR", "RETAIN") == "CLEAR" {
						s(v, fmt.Sprintf("%s, behind ext_authz, has the route chosen anew: another than was decided about", short(f)),
							"write clear_route_cache: false, or route_cache_action: RETAIN")
					}
				}
			}
		}},
	{code: "authz-unseen", severity: Weak, source: "envoy.config.core.v3.ExtensionConfigSource",
		manager: func(m *manager, s say) {
			for _, f := range m.http.Filters {
				if f.Remote && (isGuard(f.Config) || !f.Config.Has()) {
					s(f.Value.Get("config_discovery"), "the filter comes over ECDS: it may change, or be another, without the listener",
						"write typed_config instead of config_discovery")
				}
			}
		}},
	{code: "upgrade-unguarded", severity: Hole, source: managerAPI + "HttpConnectionManager.UpgradeConfig.filters",
		manager: func(m *manager, s say) {
			for _, u := range m.http.Value.Get("upgrade_configs").List() {
				own := u.Get("filters").List()
				if len(own) > 0 && len(m.guards) > 0 && !slices.ContainsFunc(own, func(f dump.Value) bool { return isGuard(f.Config()) }) {
					s(u.Get("filters"), fmt.Sprintf("an upgrade to %s has filters of its own, without ext_authz", u.Get("upgrade_type").Text()),
						"remove filters, so that upgrades pass http_filters, or write ext_authz there as the first")
				}
			}
		}},
}

// answering are filters that send a response from somewhere.
var answering = []string{"router.v3.Router", "cache.v3.CacheConfig", "cache_v2.v3.CacheV2Config", "aws_lambda.v3.Config",
	"file_server.v3.FileServerConfig", "dynamic_forward_proxy.v3.FilterConfig"}

// programmable are filters whose effect their configuration does not show.
var programmable = []string{"lua.v3.Lua", "wasm.v3.Wasm", "ext_proc.v3.ExternalProcessor", "golang.v3alpha.Config",
	"dynamic_modules.v3.DynamicModuleFilter", "composite.v3.Composite", "matching.v3.ExtensionWithMatcher",
	"filter_chain.v3.FilterChainConfig", "transform.v3.TransformConfig"}

// changing reports a filter behind ext_authz by which a request may become another.
func changing(f dump.Value, s say) {
	config := f.Config()
	if config.Is(programmable...) || config.Is("header_mutation.v3.HeaderMutation") &&
		len(config.Get("mutations", "request_mutations").List()) > 0 {
		s(f, fmt.Sprintf("%s may change a request that was decided about, and what tiergate says to upstreams", f.Get("name").Text()),
			"move it in front of ext_authz, or remove it")
	}
}

func short(f dump.Filter) string {
	if f.Name != "" {
		return f.Name
	}
	return f.Config.Type()
}

// around lists the clusters of this manager that another one leads to only by ext_authz, by name or by endpoint.
func (m *manager) around() []string {
	names, endpoints := guarded(m.config)
	var out []string
	for _, r := range m.routes {
		for _, name := range r.route.Clusters {
			if sameUpstream(m.config, name, names, endpoints) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// guarded are the clusters, and their endpoints, that managers with ext_authz lead to.
func guarded(c *dump.Config) (names, endpoints map[string]bool) {
	names, endpoints = map[string]bool{}, map[string]bool{}
	for _, l := range c.Listeners {
		for _, chain := range l.Chains {
			for _, h := range chain.HTTP {
				if !slices.ContainsFunc(h.Filters, func(f dump.Filter) bool { return isGuard(f.Config) }) {
					continue
				}
				for _, t := range c.TablesOf(h) {
					addReached(c, t, names, endpoints)
				}
			}
		}
	}
	return names, endpoints
}

func addReached(c *dump.Config, t dump.RouteTable, names, endpoints map[string]bool) {
	for _, host := range t.Hosts {
		for _, r := range host.Routes {
			for _, name := range r.Clusters {
				names[name] = true
				cluster, _ := c.Cluster(name)
				for _, e := range cluster.Endpoints {
					endpoints[e] = true
				}
			}
		}
	}
}

func sameUpstream(c *dump.Config, name string, names, endpoints map[string]bool) bool {
	cluster, _ := c.Cluster(name)
	return names[name] || slices.ContainsFunc(cluster.Endpoints, func(e string) bool { return endpoints[e] })
}

// tcpAround finds listener and network filters that carry bytes to a guarded upstream.
func tcpAround(c *dump.Config, s say) {
	names, endpoints := guarded(c)
	check := func(filters []dump.Network) {
		for _, f := range filters {
			for _, name := range f.Clusters {
				if sameUpstream(c, name, names, endpoints) {
					s(f.Value, fmt.Sprintf("%s carries bytes to %s, where elsewhere every request is asked for", f.Name, name),
						"remove the filter chain, or lead to the cluster over an http_connection_manager with ext_authz")
				}
			}
		}
	}
	for _, l := range c.Listeners {
		check(l.Filters)
		for _, chain := range l.Chains {
			check(chain.Others)
		}
	}
}
