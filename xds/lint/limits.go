package lint

import (
	"fmt"

	"github.com/tiergate/tiergate/xds/dump"
)

const edge = docs + "configuration/best_practices/edge"

// limitRules are about what slow and large clients may take.
var limitRules = []rule{
	{code: "connections-unlimited", severity: Weak, source: edge, whole: connectionLimit},
	{code: "buffer-unlimited", severity: Weak, source: "envoy.config.listener.v3.Listener.per_connection_buffer_limit_bytes; " + edge,
		whole: func(c *dump.Config, s say) {
			for _, l := range c.Listeners {
				v := l.Value.Get("per_connection_buffer_limit_bytes")
				if n, ok := v.Number(); carriesHTTP(l) && (!ok || n > maxBuffer) {
					s(v, "each connection may take a mebibyte of memory, or what is written",
						"write per_connection_buffer_limit_bytes: 65536")
				}
			}
		}},
	{code: "time-unlimited", severity: Weak, source: edge, manager: timeLimits},
	{code: "streams-unlimited", severity: Weak, source: "envoy.config.core.v3.Http2ProtocolOptions.max_concurrent_streams; CVE-2023-44487",
		manager: func(m *manager, s say) {
			v := m.http.Value.Get("http2_protocol_options", "max_concurrent_streams")
			if n, ok := v.Number(); !ok || n > maxStreams {
				s(v, "one connection may have more than a thousand requests at once", "write max_concurrent_streams: 100")
			}
		}},
}

// What is still a limit. Envoy's defaults are 1 MiB and 1,024 (2^31 - 1 before 1.36).
const (
	maxBuffer  = 256 << 10
	maxStreams = 1000
)

func carriesHTTP(l dump.Listener) bool {
	for _, chain := range l.Chains {
		if len(chain.HTTP) > 0 && leadsAnywhere(chain) {
			return true
		}
	}
	return false
}

// connectionLimit wants a bound for all connections together, where the bootstrap is to be seen.
func connectionLimit(c *dump.Config, s say) {
	monitors := c.Bootstrap.Get("overload_manager", "resource_monitors")
	if !c.Bootstrap.Has() || len(c.Listeners) == 0 && !c.Bootstrap.Get("dynamic_resources").Has() {
		return
	}
	for _, m := range monitors.List() {
		if m.Config().Is("DownstreamConnectionsConfig") {
			return
		}
	}
	for v := range c.Bootstrap.Get("layered_runtime").All() {
		if v.Get("overload.global_downstream_max_connections").Has() {
			return
		}
	}
	s(monitors, "clients may open connections until Envoy has no file or memory left",
		"add envoy.resource_monitors.global_downstream_max_connections with max_active_downstream_connections")
}

func timeLimits(m *manager, s say) {
	for _, limit := range []struct {
		fields []string
		free   bool // absent is no limit
		fix    string
	}{
		{[]string{"request_headers_timeout"}, true, "10s"},
		{[]string{"stream_idle_timeout"}, false, "300s"},
		{[]string{"common_http_protocol_options", "idle_timeout"}, false, "900s"},
	} {
		v := m.http.Value.Get(limit.fields...)
		if d, ok := v.Duration(); !v.Has() && limit.free || v.Has() && (!ok || d <= 0) {
			field := limit.fields[len(limit.fields)-1]
			s(v, "a client that sends nothing more is waited for without end", fmt.Sprintf("write %s: %s", field, limit.fix))
		}
	}
}
