package lint

import (
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

const routeAPI = "envoy.config.route.v3."

// routeRules are about what single routes, hosts and tables do.
var routeRules = []rule{
	{code: "authz-disabled-route", severity: Hole, source: authzAPI + "ExtAuthzPerRoute.disabled", route: routeDisabled},
	{code: "authz-elsewhere", severity: Weak, source: authzAPI + "CheckSettings.grpc_service",
		route: func(m *manager, r *reached, s say) {
			for _, level := range r.levels() {
				for _, o := range m.overrides(level) {
					for _, field := range []string{"grpc_service", "http_service"} {
						if v := o.settings.Get("check_settings", field); v.Has() {
							s(v, "another service than the filter's decides here, with a timeout of its own", "remove "+field)
						}
					}
				}
			}
		}},
	{code: "upstream-of-clients-choice", severity: Hole, source: routeAPI + "RouteAction.cluster_header", route: clientsChoice,
		cluster: func(_ *dump.Config, c dump.Cluster, s say) {
			if v := c.Value.Get("original_dst_lb_config", "use_http_header"); v.Bool() {
				s(v, "a request header names the address that the request goes to", "write use_http_header: false")
			}
			if v := c.Value.Get("cluster_type"); v.Config().Is("dynamic_forward_proxy.v3.ClusterConfig") {
				s(v, "the request goes to whatever host it names", "write a cluster of known endpoints")
			}
		}},
	{code: "host-rewritten", severity: Note, source: routeAPI + "RouteAction.host_rewrite_header",
		route: func(_ *manager, r *reached, s say) {
			for _, field := range []string{"host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header",
				"host_rewrite_path_regex", "host_rewrite"} {
				if v := r.route.Value.Get("route", field); v.Has() && v.Text() != "false" {
					s(v, "the upstream sees another host than was decided about; if it serves several, another application", "remove "+field)
				}
			}
		}},
	{code: "path-rewritten", severity: Note, source: routeAPI + "RouteAction.regex_rewrite",
		route: func(_ *manager, r *reached, s say) {
			for _, field := range []string{"prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite"} {
				if v := r.route.Value.Get("route", field); v.Has() {
					s(v, "the upstream sees another path than was decided about", "remove "+field+", and write policy and upstream in the same paths")
				}
			}
		}},
	{code: "request-resent", severity: Note, source: routeAPI + "RetryPolicy.retry_on",
		route: func(_ *manager, r *reached, s say) {
			for _, level := range []dump.Value{r.table.Value, r.host.Value, r.route.Value.Get("route")} {
				on, hedged := level.Get("retry_policy", "retry_on"), level.Get("hedge_policy", "hedge_on_per_try_timeout")
				if r.route.Leads() && resends(on.Text()) {
					s(on, "a request that was allowed once reaches upstreams several times, perhaps done twice",
						"write retry_on: connect-failure,refused-stream, or remove retry_policy")
				}
				if r.route.Leads() && hedged.Bool() {
					s(hedged, "a request that was allowed once is sent again while the first is under way", "remove hedge_policy")
				}
			}
		}},
	{code: "clusters-unvalidated", severity: Weak, source: routeAPI + "RouteConfiguration.validate_clusters",
		manager: func(m *manager, s say) {
			for _, t := range m.tables {
				v := t.Value.Get("validate_clusters")
				remote := m.http.Table == t.Name && t.Name != "" && len(m.http.Inline) == 0
				if !v.Bool() && (v.Has() || remote) {
					s(v, "a table that names a cluster which does not exist is accepted, and its requests answer 503",
						"write validate_clusters: true")
				}
			}
		}},
	{code: "connect", severity: Hole, source: managerAPI + "HttpConnectionManager.upgrade_configs",
		manager: func(m *manager, s say) {
			for _, u := range m.http.Value.Get("upgrade_configs").List() {
				if tunnels(u) {
					s(u.Get("upgrade_type"), "any route becomes a tunnel: asked for once, and then bytes that nobody reads",
						"remove it from upgrade_configs")
				}
			}
		},
		route: func(_ *manager, r *reached, s say) {
			for _, u := range r.route.Value.Get("route", "upgrade_configs").List() {
				if tunnels(u) {
					s(u.Get("upgrade_type"), "the route is a tunnel: asked for once, and then bytes that nobody reads",
						"remove it from upgrade_configs")
				}
			}
		}},
}

// resends reports conditions under which an upstream may have taken the request already.
func resends(on string) bool {
	for word := range strings.SplitSeq(on, ",") {
		switch strings.TrimSpace(word) {
		case "", "connect-failure", "refused-stream", "reset-before-request":
		default:
			return true
		}
	}
	return false
}

// tunnels reports an upgrade to CONNECT or CONNECT-UDP that is on.
func tunnels(u dump.Value) bool {
	on := u.Get("enabled")
	return strings.HasPrefix(strings.ToUpper(u.Get("upgrade_type").Text()), "CONNECT") && (!on.Has() || on.Bool())
}

func routeDisabled(m *manager, r *reached, s say) {
	if !r.route.Leads() {
		return
	}
	for _, level := range r.levels() {
		for _, o := range m.overrides(level) {
			off := o.settings.Get("disabled")
			if !off.Bool() {
				off = o.disabled
			}
			if off.Has() {
				s(off, fmt.Sprintf("nobody is asked here: host %q, %s", r.host.Name, title(r.route)),
					"remove disabled: true; a route that anybody may use is one of the policy too")
			}
		}
	}
}

func title(r dump.Route) string {
	if r.Name != "" {
		return fmt.Sprintf("route %q", r.Name)
	}
	for _, field := range []string{"path", "prefix", "path_separated_prefix"} {
		if v := r.Match.Get(field); v.Has() {
			return "route of " + v.Text()
		}
	}
	return "a route without a name"
}

func clientsChoice(_ *manager, r *reached, s say) {
	action := r.route.Value.Get("route")
	places := []dump.Value{action}
	places = append(places, action.Get("weighted_clusters", "clusters").List()...)
	for _, level := range []dump.Value{action, r.host.Value, r.table.Value} {
		places = append(places, level.Get("request_mirror_policies").List()...)
	}
	for _, plugin := range []string{"cluster_specifier_plugin", "inline_cluster_specifier_plugin"} {
		if v := action.Get(plugin); v.Has() {
			s(v, "a plugin chooses the cluster that the request goes to", "write cluster: NAME instead")
		}
	}
	for _, place := range places {
		if v := place.Get("cluster_header"); v.Text() != "" {
			s(v, fmt.Sprintf("the request header %s names the cluster that the request goes to", v.Text()), "write cluster: NAME instead")
		}
	}
}
