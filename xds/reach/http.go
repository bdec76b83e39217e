package reach

import (
	"slices"

	"github.com/tiergate/tiergate/xds/dump"
)

// httpFilters are those that answer, refuse or change a request, but send it nowhere but where its route says. A change can
// only choose another route of the same connection manager, and all of these are listed.
var httpFilters = []string{
	"router.v3.Router", "ext_authz.v3.ExtAuthz", "JwtAuthentication", "http.rbac.v3.RBAC", "cors.v3.Cors", "csrf.v3.CsrfPolicy",
	"HealthCheck", "Buffer", "Compressor", "Decompressor", "HTTPFault", "GrpcWeb", "grpc_stats.v3.FilterConfig",
	"header_mutation.v3.HeaderMutation", "http.ratelimit.v3.RateLimit", "http.local_ratelimit.v3.LocalRateLimit",
	"HeaderToMetadata", "set_metadata.v3.Config", "BandwidthLimit", "AdmissionControl", "AdaptiveConcurrency",
	"ExternalProcessor", "grpc_http1_bridge.v3.Config", "OAuth2", "CredentialInjector",
}

func (w *walk) http(h dump.HTTP) {
	guards, why := guard(h)
	for _, f := range h.Filters {
		if f.Remote || !f.Config.Is(httpFilters...) {
			w.open(f.Value, "the HTTP filter "+f.Name+" ("+f.Config.Type()+") may send requests elsewhere")
		}
	}
	tables := w.config.TablesOf(h)
	switch {
	case h.Scoped:
		w.open(h.Value.Get("scoped_routes"), "a part of the request chooses among route tables, of which some may not be known")
	case len(tables) == 0:
		w.open(h.Value, "its route table "+h.Table+" is not in what was read")
	}
	for _, upgrade := range h.Value.Get("upgrade_configs").List() {
		if len(upgrade.Get("filters").List()) > 0 { // a chain of its own: it needs a guard of its own
			w.open(upgrade, "requests of upgrade "+upgrade.Get("upgrade_type").Text()+" take filters of their own")
		}
	}
	for _, t := range tables {
		if t.Value.Get("vhds").Has() {
			w.open(t.Value.Get("vhds"), "virtual hosts come over VHDS when they are asked for")
		}
		for _, host := range t.Hosts {
			for _, r := range host.Routes {
				w.route(t, host, r, guards, why)
			}
			if host.Value.Get("matcher").Has() && len(host.Routes) == 0 {
				w.open(host.Value.Get("matcher"), "the matcher of the virtual host is not understood")
			}
		}
	}
}

// route lists a path for each domain and cluster of a route. One that answers by itself leads nowhere.
func (w *walk) route(t dump.RouteTable, host dump.VirtualHost, r dump.Route, guards []string, unguarded string) {
	if !r.Leads() && (r.Direct || r.Redirect) {
		return
	}
	match := wantedBy(r.Match)
	open := openRoute(r)
	clusters := r.Clusters
	if len(clusters) == 0 {
		clusters = []string{""}
	}
	for _, domain := range host.Domains {
		for _, name := range clusters {
			p := w.at
			p.Host, p.Request, p.Methods, p.Conditions = domain, match.request, match.methods, match.conditions
			p.Table, p.Route, p.Cluster, p.Where = t.Name, r.Name, name, r.Value.Path()
			p.Unguarded = unguarded
			if p.Unguarded == "" {
				p.Unguarded = excused(guards, append(weighted(r, name), t.Value, host.Value, r.Value)...)
			}
			p.Guarded = p.Unguarded == ""
			if name != "" {
				p.Endpoints, p.Open = target(w.config, name, 0)
			}
			if open != "" {
				p.Open = open
			}
			w.add(p)
		}
	}
}

// openRoute says why a route may lead elsewhere than to the clusters that it names.
func openRoute(r dump.Route) string {
	action := r.Value.Get("route")
	switch {
	case r.Open:
		return r.Value.Path() + ": a header or a plugin of the request's route names the cluster"
	case !r.Leads():
		return r.Value.Path() + ": the action of the route is not understood"
	case action.Get("internal_redirect_policy").Has() || action.Get("internal_redirect_action").Has():
		return action.Path() + ": internal redirects go where the upstream says"
	case action.Get("host_rewrite_header").Has() || action.Get("host_rewrite_path_regex").Has():
		return action.Path() + ": the client says for which host the upstream answers (host rewrite)"
	}
	return ""
}

// weighted are the entries of a weighted cluster, which may have per-filter configuration of their own.
func weighted(r dump.Route, cluster string) []dump.Value {
	all := r.Value.Get("route", "weighted_clusters", "clusters").List()
	return slices.DeleteFunc(all, func(v dump.Value) bool { return v.Get("name").Text() != cluster })
}
