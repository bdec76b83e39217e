package lint

import (
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

// logRules are about what can be told afterwards.
var logRules = []rule{
	{code: "log-without-decision", severity: Note, source: managerAPI + "HttpConnectionManager.access_log",
		manager: func(m *manager, s say) {
			logs := m.http.Value.Get("access_log")
			if len(m.guards) == 0 {
				return
			}
			for _, l := range logs.List() {
				if tellsDecision(l.Config()) {
					return
				}
			}
			s(logs, "no line of an access log can be joined with tiergate's record of the decision", "write in log_format: "+
				"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:decision_id)%")
		}},
}

// tellsDecision reports whether an access log says which decision a request had. Those over gRPC carry all metadata.
func tellsDecision(config dump.Value) bool {
	if config.Is("HttpGrpcAccessLogConfig", "OpenTelemetryAccessLogConfig") {
		return true
	}
	for v := range config.All() {
		text := strings.ToLower(v.Text())
		if strings.Contains(text, "dynamic_metadata(envoy.filters.http.ext_authz") || strings.Contains(text, "x-tiergate-decision-id") {
			return true
		}
	}
	return false
}
