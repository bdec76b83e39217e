package lint

import (
	"fmt"

	"github.com/tiergate/tiergate/xds/dump"
)

// transportRules are about the ways by which Envoy gets its configuration and keys.
var transportRules = []rule{
	{code: "xds-plaintext", severity: Hole, source: "envoy.config.core.v3.ApiConfigSource.grpc_services",
		whole: func(c *dump.Config, s say) {
			roots := []dump.Value{c.Bootstrap.Get("dynamic_resources")}
			for _, l := range c.Listeners {
				roots = append(roots, l.Value)
			}
			for _, cluster := range c.Clusters {
				roots = append(roots, cluster.Value)
			}
			for _, root := range roots {
				for v := range root.All() {
					if v.Get("api_type").Has() {
						clearSource(c, v, s)
					}
				}
			}
		}},
	{code: "admin-exposed", severity: Hole, source: docs + "operations/admin",
		cluster: func(c *dump.Config, cluster dump.Cluster, s say) {
			admin := dump.Address(c.Bootstrap.Get("admin", "address"))
			for _, e := range cluster.Endpoints {
				if admin != "" && e == admin && reachable(c, cluster.Name) {
					s(cluster.Value.Get("load_assignment"), "requests reach Envoy's admin interface: whoever gets that far changes Envoy",
						"remove the cluster and what leads to it")
				}
			}
		}},
}

// clearSource finds configuration that comes over plaintext.
func clearSource(c *dump.Config, source dump.Value, s say) {
	var names []string
	for _, service := range source.Get("grpc_services").List() {
		names = append(names, service.Get("envoy_grpc", "cluster_name").Text())
	}
	for _, name := range source.Get("cluster_names").List() {
		names = append(names, name.Text())
	}
	for _, name := range names {
		if cluster, known := c.Cluster(name); known && plaintext(cluster) {
			s(cluster.Value.Get("transport_socket"), fmt.Sprintf("configuration or keys come in the clear over cluster %s: "+
				"who is on the way writes them", name), "lead to a Unix socket (address: {pipe: {path: …}}), or write a transport_socket with mTLS")
		}
	}
}

// reachable reports whether something that Envoy listens on leads to a cluster.
func reachable(c *dump.Config, name string) bool {
	for _, m := range managersOf(c) {
		for _, r := range m.routes {
			for _, cluster := range r.route.Clusters {
				if cluster == name {
					return true
				}
			}
		}
	}
	for _, l := range c.Listeners {
		for _, chain := range l.Chains {
			for _, f := range chain.Others {
				for _, cluster := range f.Clusters {
					if cluster == name {
						return true
					}
				}
			}
		}
	}
	return false
}
