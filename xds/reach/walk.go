package reach

import (
	"strconv"

	"github.com/tiergate/tiergate/xds/dump"
)

// walk collects the paths of one listener.
type walk struct {
	config *dump.Config
	at     Path // what all paths found now have in common
	found  []Path
}

func listenerPaths(c *dump.Config, l dump.Listener) []Path {
	w := &walk{config: c, at: Path{Listener: l.Name, Addresses: l.Addresses}}
	for i := range l.Chains {
		w.chain(l.Chains[i], i)
	}
	w.at = Path{Listener: l.Name, Addresses: l.Addresses, Trust: Trust{Certificate: "none"}}
	w.listener(l)
	return w.found
}

// add ends a path that leads on.
func (w *walk) add(p Path) { w.found = append(w.found, p) }

// open adds a path of which only the beginning is understood.
func (w *walk) open(where dump.Value, why string) {
	p := w.at
	p.Request, p.Open, p.Where = "any", why, where.Path()
	p.Unguarded = "it is not known what happens there"
	w.add(p)
}

// plainListenerFilters look at a connection and lead nowhere.
var plainListenerFilters = []string{"TlsInspector", "HttpInspector", "ProxyProtocol", "OriginalSrc",
	"listener.local_ratelimit.v3.LocalRateLimit"}

// listener looks for what leads past the filter chains.
func (w *walk) listener(l dump.Listener) {
	for _, f := range l.Filters {
		if !f.Value.Is(plainListenerFilters...) {
			w.open(f.Value, "the listener filter "+f.Name+" ("+f.Value.Type()+") may lead elsewhere")
		}
	}
	for _, field := range []string{"use_original_dst", "deprecated_v1"} {
		if v := l.Value.Get(field); v.Bool() || v.Get("bind_to_port").Has() {
			w.open(v, field+" hands connections to whichever listener has the address that they were meant for")
		}
	}
	if udp := l.Value.Get("udp_listener_config"); udp.Has() && !udp.Get("quic_options").Has() {
		w.open(udp, "what arrives over UDP goes where filters say that are not understood")
	}
	if v := l.Value.Get("api_listener"); v.Has() && len(l.Chains) == 0 {
		w.open(v, "an API listener is not understood")
	}
}

// networkFilters are those that end connections or look at them, and lead nowhere.
var networkFilters = []string{"network.rbac.v3.RBAC", "network.ext_authz.v3.ExtAuthz", "ConnectionLimit", "ConnectionLimitFilter",
	"network.ratelimit.v3.RateLimit", "network.local_ratelimit.v3.LocalRateLimit", "network.direct_response.v3.Config", "echo.v3.Echo"}

func (w *walk) chain(c dump.Chain, i int) {
	w.at.Chain = c.Name
	if c.Name == "" {
		w.at.Chain = strconv.Itoa(i)
	}
	w.at.Match, w.at.Trust = chainMatch(c.Match), trustOf(w.config, c.TLS)
	for _, f := range c.Others {
		switch {
		case f.Value.Is(networkFilters...):
		case f.Value.Is("TcpProxy"):
			w.tcp(f)
		default:
			w.open(f.Value, "the network filter "+f.Name+" ("+f.Value.Type()+") is not understood")
		}
	}
	for _, h := range c.HTTP {
		w.http(h)
	}
}

// tcp is a proxy of bytes. It asks no ext_authz that knows a route.
func (w *walk) tcp(f dump.Network) {
	for _, name := range f.Clusters {
		p := w.at
		p.Request, p.Cluster, p.Where, p.Unguarded = "any", name, f.Value.Path(), "tcp_proxy passes bytes on, whatever they say"
		p.Endpoints, p.Open = target(w.config, name, 0)
		w.add(p)
	}
	tunnel := f.Value.Get("tunneling_config").Has()
	if tunnel {
		w.open(f.Value.Get("tunneling_config"), "the upstream is a proxy that leads elsewhere")
	}
	if len(f.Clusters) == 0 && !tunnel {
		w.open(f.Value, "tcp_proxy names no cluster that is understood")
	}
	// A filter before it may name another cluster (sni_cluster, set_filter_state); those are open paths of their own.
}
