package dump

import "slices"

// Config is what one Envoy is configured with.
type Config struct {
	Origin    string // the file or address it was read from
	Bootstrap Value  // envoy.config.bootstrap.v3.Bootstrap; absent where it was not to be seen
	Listeners []Listener
	Tables    []RouteTable // those that came over RDS; the others stand in HTTP.Inline
	Clusters  []Cluster
	Secrets   []Secret
}

// Listener is one listener (envoy.config.listener.v3.Listener), in force or about to be. One that drains is left out.
type Listener struct {
	Name      string
	Warming   bool     // not in force yet: it waits for something it needs
	Addresses []string // ip:port, or unix:PATH; the additional ones too
	Value     Value
	Filters   []Network // listener filters, in their order
	Chains    []Chain   // the default one last
}

// Chain is one filter chain of a listener.
type Chain struct {
	Name   string
	Value  Value
	Match  Value // filter_chain_match
	TLS    Value // the configuration of the transport socket; absent: plaintext
	HTTP   []HTTP
	Others []Network // network filters that are no HTTP connection manager, in their order
}

// Network is a filter that is no HTTP filter, such as tcp_proxy.
type Network struct {
	Name     string
	Value    Value    // its configuration
	Clusters []string // all that it names
}

// HTTP is an HTTP connection manager.
type HTTP struct {
	Value   Value
	Filters []Filter
	Table   string       // the route table that it gets over RDS
	Inline  []RouteTable // those that are written into it (route_config, or the list of scoped_routes)
	Scoped  bool         // a part of the request chooses among several tables, any of Config.Tables
}

// Filter is one HTTP filter.
type Filter struct {
	Name  string
	Value Value // the whole entry of http_filters
	// Config is the filter's configuration: typed_config, or what is known of one that comes over ECDS.
	Config Value
	Remote bool // it comes over ECDS (config_discovery), and may change without its listener
}

// RouteTable is one envoy.config.route.v3.RouteConfiguration.
type RouteTable struct {
	Name  string
	Value Value
	Hosts []VirtualHost
}

// VirtualHost is the routes of some domains.
type VirtualHost struct {
	Name    string
	Domains []string
	Value   Value
	Routes  []Route // in their order; those of a matcher tree in the order of the tree
}

// Route is where one kind of request goes.
type Route struct {
	Name     string
	Value    Value
	Match    Value
	Clusters []string // where it may go, copies (request_mirror_policies) included; sorted, each once
	Open     bool     // it may also go elsewhere: to a cluster that a header or a plugin names
	Direct   bool     // Envoy answers itself
	Redirect bool
}

// Leads reports whether requests go on to somewhere.
func (r Route) Leads() bool { return r.Open || len(r.Clusters) > 0 }

// Cluster is one envoy.config.cluster.v3.Cluster, with the endpoints that are known of it.
type Cluster struct {
	Name      string
	Value     Value
	Type      string   // STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST, or the name of an extension
	Endpoints []string // ip:port or host:port, unix:PATH, internal:LISTENER; sorted, each once
	TLS       Value    // the configuration of the transport socket; absent: plaintext
}

// Secret is a secret whose content is known in part: what it trusts.
type Secret struct {
	Name  string
	Value Value
}

// Cluster finds a cluster by its name.
func (c *Config) Cluster(name string) (Cluster, bool) {
	for _, cluster := range c.Clusters {
		if cluster.Name == name {
			return cluster, true
		}
	}
	return Cluster{}, false
}

// Secret finds a secret by its name.
func (c *Config) Secret(name string) (Secret, bool) {
	for _, secret := range c.Secrets {
		if secret.Name == name {
			return secret, true
		}
	}
	return Secret{}, false
}

// TablesOf are the route tables by which a connection manager may route: those written into it, and of those over RDS the
// named one, warming ones of that name included, or any, where scopes choose.
func (c *Config) TablesOf(h HTTP) []RouteTable {
	tables := h.Inline[:len(h.Inline):len(h.Inline)]
	for _, table := range c.Tables {
		if h.Scoped || h.Table != "" && table.Name == h.Table {
			tables = append(tables, table)
		}
	}
	return tables
}

// AllTables are the route tables that stand by themselves and those that stand in listeners.
func (c *Config) AllTables() []RouteTable {
	tables := slices.Clone(c.Tables)
	for _, l := range c.Listeners {
		for _, chain := range l.Chains {
			for _, h := range chain.HTTP {
				tables = append(tables, h.Inline...)
			}
		}
	}
	return tables
}
