package xds

import (
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

// endpoints checks that every cluster has endpoints from this process: those over EDS an assignment that begins with their name,
// and every assignment a cluster; all others their endpoints in themselves.
func (c *checker) endpoints() {
	wanted := map[string]bool{}
	for _, cluster := range c.snapshot.resources.clusters {
		name := cluster.GetName()
		if cluster.GetType() != clusterv3.Cluster_EDS {
			if len(cluster.GetLoadAssignment().GetEndpoints()) == 0 {
				c.fail("cluster %s: has no endpoints", name)
			}
			continue
		}
		eds := cluster.GetEdsClusterConfig()
		wanted[eds.GetServiceName()] = true
		if eds.GetEdsConfig().GetAds() == nil || !strings.HasPrefix(eds.GetServiceName(), name+assignmentMark) {
			c.fail("cluster %s: does not take its own endpoints from this process", name)
		}
	}
	for _, r := range c.snapshot.resources.endpoints {
		c.valid("endpoints", r.GetClusterName(), r)
		if !wanted[r.GetClusterName()] {
			c.fail("endpoints %s: no cluster takes them", r.GetClusterName())
		}
		delete(wanted, r.GetClusterName())
	}
	for name := range wanted {
		c.fail("endpoints %s are missing", name)
	}
}
