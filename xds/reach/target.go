package reach

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

// maxNested bounds aggregate clusters of aggregate clusters.
const maxNested = 8

// target is where a cluster leads: its endpoints, and why there may be others; "": there are none.
func target(c *dump.Config, name string, depth int) (endpoints []string, open string) {
	versions := 0
	for _, cluster := range c.Clusters { // one name may stand twice, in force and warming
		if cluster.Name != name {
			continue
		}
		versions++
		more, why := targetOf(c, cluster, depth)
		endpoints = append(endpoints, more...)
		if why != "" {
			open = why
		}
	}
	if versions == 0 {
		return nil, fmt.Sprintf("cluster %s is not in what was read", name)
	}
	slices.Sort(endpoints)
	return slices.Compact(endpoints), open
}

func targetOf(c *dump.Config, cluster dump.Cluster, depth int) (endpoints []string, open string) {
	at := cluster.Value.Path()
	if config := cluster.Value.Get("transport_socket").Config(); config.Is("Http11ProxyUpstreamTransport") {
		return cluster.Endpoints, at + ".transport_socket: the endpoint is a proxy that leads elsewhere"
	}
	if cluster.Value.Get("load_balancing_policy").Has() || cluster.Value.Get("lb_policy").Text() == "CLUSTER_PROVIDED" {
		for v := range cluster.Value.Get("load_balancing_policy").All() {
			if strings.Contains(v.Type(), "override_host") || strings.Contains(v.Type(), "dynamic_modules") {
				return cluster.Endpoints, at + ".load_balancing_policy: " + v.Type() + " takes hosts from elsewhere"
			}
		}
	}
	switch cluster.Type {
	case "STATIC":
		return cluster.Endpoints, ""
	case "EDS":
		if len(cluster.Endpoints) == 0 {
			return nil, at + ": its endpoints come over EDS and are not in what was read (config_dump?include_eds)"
		}
		return cluster.Endpoints, ""
	case "STRICT_DNS", "LOGICAL_DNS", "envoy.cluster.strict_dns", "envoy.cluster.logical_dns", "envoy.clusters.dns":
		return cluster.Endpoints, at + ": DNS says which addresses " + strings.Join(cluster.Endpoints, ", ") + " are"
	case "envoy.clusters.aggregate":
		return aggregate(c, cluster, depth)
	case "ORIGINAL_DST":
		return cluster.Endpoints, at + ": ORIGINAL_DST leads to whatever address the client meant"
	}
	return cluster.Endpoints, at + ": a cluster of type " + cluster.Type + " finds its endpoints in a way that is not known here"
}

func aggregate(c *dump.Config, cluster dump.Cluster, depth int) (endpoints []string, open string) {
	members := cluster.Value.Get("cluster_type").Config().Get("clusters").List()
	if len(members) == 0 || depth >= maxNested {
		return nil, cluster.Value.Path() + ".cluster_type: the members of the aggregate are not known"
	}
	for _, member := range members {
		more, why := target(c, member.Text(), depth+1)
		endpoints = append(endpoints, more...)
		if why != "" {
			open = why
		}
	}
	return endpoints, open
}
