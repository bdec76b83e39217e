package dump

import (
	"errors"
	"slices"
)

// sections gather the parts of a configuration before they are related to each other.
type sections struct {
	listeners, warming, tables, clusters, assignments, secrets, filters []Value
}

func (c *Config) collect(root Value) error {
	if _, mapping := root.raw.(map[string]any); !mapping {
		return errors.New("it is no mapping; give a bootstrap or what /config_dump answers")
	}
	s := &sections{}
	switch {
	case root.Get("configs").Has():
		s.dumped(c, root)
	case root.Get("resources").Has():
		for _, r := range root.Get("resources").List() {
			s.resource(r)
		}
	case slices.ContainsFunc([]string{"static_resources", "dynamic_resources", "admin", "node", "layered_runtime"},
		func(field string) bool { return root.Get(field).Has() }):
		c.Bootstrap = root
		s.static(root)
	default:
		s.listeners, s.clusters = root.Get("listeners").List(), root.Get("clusters").List()
		s.tables, s.secrets = root.Get("route_configurations").List(), root.Get("secrets").List()
	}
	s.relate(c)
	if !c.Bootstrap.Has() && len(c.Listeners)+len(c.Clusters)+len(c.Tables) == 0 {
		return errors.New("neither a bootstrap (static_resources, dynamic_resources, admin) nor a config_dump (configs) " +
			"with anything in it; give one, or what /config_dump answers")
	}
	return nil
}

func (s *sections) static(bootstrap Value) {
	static := bootstrap.Get("static_resources")
	s.listeners = append(s.listeners, static.Get("listeners").List()...)
	s.clusters = append(s.clusters, static.Get("clusters").List()...)
	s.secrets = append(s.secrets, static.Get("secrets").List()...)
}

// dumped reads an envoy.admin.v3.ConfigDump. What the bootstrap holds stands again in the parts about listeners and
// clusters, and counts once.
func (s *sections) dumped(c *Config, root Value) {
	listeners, clusters := false, false
	for _, part := range root.Get("configs").List() {
		switch {
		case part.Is("BootstrapConfigDump"):
			c.Bootstrap = part.Get("bootstrap")
		case part.Is("ListenersConfigDump"):
			listeners = true
			s.listenerDump(part)
		case part.Is("ClustersConfigDump"):
			clusters = true
			for _, field := range []string{"static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"} {
				s.clusters = append(s.clusters, inner(part.Get(field), "cluster")...)
			}
		case part.Is("RoutesConfigDump"): // the static ones stand in their listeners
			s.tables = append(s.tables, inner(part.Get("dynamic_route_configs"), "route_config")...)
		case part.Is("ScopedRoutesConfigDump"): // tables that scopes name come with the others
		case part.Is("EndpointsConfigDump"):
			for _, field := range []string{"static_endpoint_configs", "dynamic_endpoint_configs"} {
				s.assignments = append(s.assignments, inner(part.Get(field), "endpoint_config")...)
			}
		case part.Is("SecretsConfigDump"):
			for _, field := range []string{"static_secrets", "dynamic_active_secrets", "dynamic_warming_secrets"} {
				s.secrets = append(s.secrets, inner(part.Get(field), "secret")...)
			}
		case part.Is("EcdsConfigDump"):
			s.filters = append(s.filters, inner(part.Get("ecds_filters"), "ecds_filter")...)
		default:
			s.one(part)
		}
	}
	static := &sections{}
	static.static(c.Bootstrap)
	if !listeners {
		s.listeners = append(s.listeners, static.listeners...)
	}
	if !clusters {
		s.clusters = append(s.clusters, static.clusters...)
	}
	if len(s.secrets) == 0 {
		s.secrets = static.secrets
	}
}

func (s *sections) listenerDump(part Value) {
	s.listeners = append(s.listeners, inner(part.Get("static_listeners"), "listener")...)
	for _, dynamic := range part.Get("dynamic_listeners").List() {
		s.dynamicListener(dynamic)
	}
}

func (s *sections) dynamicListener(dynamic Value) {
	if active := dynamic.Get("active_state", "listener"); active.Has() {
		s.listeners = append(s.listeners, active)
	}
	if warming := dynamic.Get("warming_state", "listener"); warming.Has() {
		s.warming = append(s.warming, warming)
	}
}

// one reads an entry of an answer to /config_dump?resource=…, whose parts come one by one.
func (s *sections) one(part Value) {
	switch {
	case part.Is("ListenersConfigDump.StaticListener"):
		s.listeners = append(s.listeners, part.Get("listener"))
	case part.Is("ListenersConfigDump.DynamicListener"):
		s.dynamicListener(part)
	case part.Is("ClustersConfigDump.StaticCluster", "ClustersConfigDump.DynamicCluster"):
		s.clusters = append(s.clusters, part.Get("cluster"))
	case part.Is("RoutesConfigDump.DynamicRouteConfig"):
		s.tables = append(s.tables, part.Get("route_config"))
	case part.Is("EndpointsConfigDump.StaticEndpointConfig", "EndpointsConfigDump.DynamicEndpointConfig"):
		s.assignments = append(s.assignments, part.Get("endpoint_config"))
	case part.Is("SecretsConfigDump.StaticSecret", "SecretsConfigDump.DynamicSecret"):
		s.secrets = append(s.secrets, part.Get("secret"))
	}
}

// resource reads one of a discovery response (envoy.service.discovery.v3), as files for Envoy hold them.
func (s *sections) resource(r Value) {
	switch {
	case r.Is("listener.v3.Listener"):
		s.listeners = append(s.listeners, r)
	case r.Is("route.v3.RouteConfiguration"):
		s.tables = append(s.tables, r)
	case r.Is("cluster.v3.Cluster"):
		s.clusters = append(s.clusters, r)
	case r.Is("endpoint.v3.ClusterLoadAssignment"):
		s.assignments = append(s.assignments, r)
	case r.Is("tls.v3.Secret"):
		s.secrets = append(s.secrets, r)
	}
}

func inner(list Value, field string) []Value {
	var out []Value
	for _, entry := range list.List() {
		if v := entry.Get(field); v.Has() {
			out = append(out, v)
		}
	}
	return out
}

func (s *sections) relate(c *Config) {
	for _, v := range s.listeners {
		c.Listeners = append(c.Listeners, s.listener(v, false))
	}
	for _, v := range s.warming {
		c.Listeners = append(c.Listeners, s.listener(v, true))
	}
	for _, v := range s.tables {
		c.Tables = append(c.Tables, routeTable(v))
	}
	for _, v := range s.clusters {
		c.Clusters = append(c.Clusters, s.cluster(v))
	}
	for _, v := range s.secrets {
		c.Secrets = append(c.Secrets, Secret{Name: v.Get("name").Text(), Value: v})
	}
}
