package dump

import (
	"maps"
	"net"
	"slices"
	"strings"
)

func (s *sections) listener(v Value, warming bool) Listener {
	l := Listener{Name: v.Get("name").Text(), Warming: warming, Value: v}
	if a := Address(v.Get("address")); a != "" {
		l.Addresses = append(l.Addresses, a)
	}
	for _, more := range v.Get("additional_addresses").List() {
		if a := Address(more.Get("address")); a != "" {
			l.Addresses = append(l.Addresses, a)
		}
	}
	for _, f := range v.Get("listener_filters").List() {
		l.Filters = append(l.Filters, network(f))
	}
	for _, chain := range append(v.Get("filter_chains").List(), v.Get("default_filter_chain")) {
		if chain.Has() {
			l.Chains = append(l.Chains, s.chain(chain))
		}
	}
	if api := v.Get("api_listener", "api_listener").Unwrapped(); api.Has() { // Envoy as a library
		l.Chains = append(l.Chains, Chain{Value: v.Get("api_listener"), HTTP: []HTTP{s.http(api)}})
	}
	return l
}

// Address writes an envoy.config.core.v3.Address: ip:port, unix:PATH, internal:LISTENER; "" for another, or none.
func Address(v Value) string {
	if pipe := v.Get("pipe", "path"); pipe.Has() {
		return "unix:" + pipe.Text()
	}
	if internal := v.Get("envoy_internal_address", "server_listener_name"); internal.Has() {
		return "internal:" + internal.Text()
	}
	socket := v.Get("socket_address")
	if !socket.Has() {
		return ""
	}
	port := socket.Get("port_value").Text()
	if port == "" {
		port = socket.Get("named_port").Text()
	}
	if port == "" {
		port = "0"
	}
	return net.JoinHostPort(socket.Get("address").Text(), port)
}

func (s *sections) chain(v Value) Chain {
	c := Chain{Name: v.Get("name").Text(), Value: v, Match: v.Get("filter_chain_match"), TLS: transport(v)}
	for _, f := range v.Get("filters").List() {
		if config := f.Config(); config.Is("v3.HttpConnectionManager", "v2.HttpConnectionManager", "v3.EnvoyMobileHttpConnectionManager") {
			c.HTTP = append(c.HTTP, s.http(config))
			continue
		}
		c.Others = append(c.Others, network(f))
	}
	return c
}

// transport is the TLS context of a filter chain or cluster; absent where it is plaintext. Sockets that wrap another, such as
// those of PROXY protocol, QUIC and tap, are looked through.
func transport(v Value) Value {
	config := v.Get("transport_socket").Config()
	for range 8 {
		switch {
		case config.Is("DownstreamTlsContext", "UpstreamTlsContext"):
			return config
		case config.Is("QuicDownstreamTransport"):
			return config.Get("downstream_tls_context")
		case config.Is("QuicUpstreamTransport"):
			return config.Get("upstream_tls_context")
		case config.Get("transport_socket").Has():
			config = config.Get("transport_socket").Config()
		case config.Is("RawBuffer") || !config.Has():
			return Value{path: v.Get("transport_socket").Path()}
		default:
			return config
		}
	}
	return config
}

func network(f Value) Network {
	n := Network{Name: f.Get("name").Text(), Value: f.Config()}
	if !n.Value.Has() {
		n.Value = f
	}
	named := map[string]bool{}
	for v := range n.Value.All() {
		for _, field := range []string{"cluster", "cluster_name"} {
			if name := v.Get(field).Text(); name != "" {
				named[name] = true
			}
		}
		for _, weighted := range v.Get("weighted_clusters", "clusters").List() {
			if name := weighted.Get("name").Text(); name != "" {
				named[name] = true
			}
		}
	}
	n.Clusters = slices.Sorted(maps.Keys(named))
	return n
}

func (s *sections) http(v Value) HTTP {
	h := HTTP{Value: v, Table: v.Get("rds", "route_config_name").Text()}
	for _, f := range v.Get("http_filters").List() {
		h.Filters = append(h.Filters, s.filter(f))
	}
	if inline := v.Get("route_config"); inline.Has() {
		h.Inline = append(h.Inline, routeTable(inline))
	}
	if scoped := v.Get("scoped_routes"); scoped.Has() {
		h.Scoped = true
		for _, scope := range scoped.Get("scoped_route_configurations_list", "scoped_route_configurations").List() {
			if inline := scope.Get("route_configuration"); inline.Has() {
				h.Inline = append(h.Inline, routeTable(inline))
			}
		}
	}
	return h
}

// filter finds the configuration of an HTTP filter; of one that comes over ECDS, what the dump shows, else its default, else
// at least its type.
func (s *sections) filter(f Value) Filter {
	out := Filter{Name: f.Get("name").Text(), Value: f, Config: f.Config()}
	discovery := f.Get("config_discovery")
	if !discovery.Has() {
		return out
	}
	out.Remote = true
	for _, known := range s.filters {
		if known.Get("name").Text() == out.Name {
			out.Config = known.Config()
			return out
		}
	}
	out.Config = discovery.Get("default_config").Unwrapped()
	if types := discovery.Get("type_urls").List(); !out.Config.Has() && len(types) == 1 {
		out.Config.name = strings.TrimSpace(messageName(types[0].Text()))
	}
	return out
}
