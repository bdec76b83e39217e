package dump

import (
	"maps"
	"slices"
)

// discoveryTypes are envoy.config.cluster.v3.Cluster.DiscoveryType by their numbers.
var discoveryTypes = []string{"STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"}

func (s *sections) cluster(v Value) Cluster {
	c := Cluster{Name: v.Get("name").Text(), Value: v, Type: v.Get("type").Enum(discoveryTypes...), TLS: transport(v)}
	if c.Type == "" {
		c.Type = "STATIC"
	}
	if custom := v.Get("cluster_type", "name").Text(); custom != "" {
		c.Type = custom
	}
	known := map[string]bool{}
	collect := func(assignment Value) {
		for _, locality := range assignment.Get("endpoints").List() {
			for _, e := range locality.Get("lb_endpoints").List() {
				for _, a := range append(e.Get("endpoint", "additional_addresses").List(), e.Get("endpoint")) {
					if address := Address(a.Get("address")); address != "" {
						known[address] = true
					}
				}
			}
		}
	}
	collect(v.Get("load_assignment"))
	service := v.Get("eds_cluster_config", "service_name").Text()
	for _, assignment := range s.assignments {
		if name := assignment.Get("cluster_name").Text(); name != "" && (name == c.Name || name == service) {
			collect(assignment)
		}
	}
	c.Endpoints = slices.Sorted(maps.Keys(known))
	return c
}
