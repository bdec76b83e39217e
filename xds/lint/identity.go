package lint

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

const xfcc = "x-forwarded-client-cert"

// identityRules are about what Envoy believes of its clients' word on who they and others are.
var identityRules = []rule{
	{code: "xfcc-forwarded", severity: Hole, source: managerAPI + "HttpConnectionManager.forward_client_cert_details",
		manager: func(m *manager, s say) {
			if v := m.http.Value.Get("forward_client_cert_details"); forwarding(v) == "FORWARD_ONLY" ||
				forwarding(v) == "ALWAYS_FORWARD_ONLY" {
				s(v, "a client writes x-forwarded-client-cert itself, in anybody's name", "write forward_client_cert_details: SANITIZE_SET")
			}
		}},
	{code: "xfcc-appended", severity: Weak, source: managerAPI + "HttpConnectionManager.forward_client_cert_details; CVE-2026-26308",
		manager: func(m *manager, s say) {
			if v := m.http.Value.Get("forward_client_cert_details"); forwarding(v) == "APPEND_FORWARD" && !m.keepsXFCC() {
				s(v, "upstreams get what a client says of others before what Envoy says of the client", "write "+
					"forward_client_cert_details: SANITIZE_SET; or, with forwarders in tiergate's settings, request_headers_to_remove: "+
					"[x-forwarded-client-cert] in the route table")
			}
		}},
	{code: "client-address", severity: Weak, source: managerAPI + "HttpConnectionManager.use_remote_address",
		manager: func(m *manager, s say) {
			if v := m.http.Value.Get("use_remote_address"); !v.Bool() {
				s(v, "a client writes its own address, as x-forwarded-for", "write use_remote_address: true")
			}
		}},
	{code: "client-address-told", severity: Note, source: managerAPI + "HttpConnectionManager.xff_num_trusted_hops",
		manager: func(m *manager, s say) {
			hops := m.http.Value.Get("xff_num_trusted_hops")
			if n, ok := hops.Number(); ok && n > 0 {
				s(hops, "as many entries of x-forwarded-for are believed; whoever reaches Envoy past the proxies writes them",
					"write xff_num_trusted_hops: 0, or admit to this address only the proxies")
			}
			if v := m.http.Value.Get("original_ip_detection_extensions"); len(v.List()) > 0 {
				s(v, "a header says the client's address; whoever reaches Envoy past the proxies writes it",
					"remove it, or admit to this address only the proxies")
			}
		}},
	{code: "internal-addresses", severity: Weak, source: managerAPI + "HttpConnectionManager.internal_address_config; CVE-2024-45806",
		manager: func(m *manager, s say) {
			if v := m.http.Value.Get("internal_address_config", "cidr_ranges"); len(v.List()) == 0 {
				s(v, "private addresses count as internal, whose x-envoy-* headers are believed, in Envoys before 1.33",
					"write internal_address_config: {cidr_ranges: [{address_prefix: 0.0.0.0, prefix_len: 32}]}")
			}
		}},
}

func forwarding(v dump.Value) string {
	return v.Enum("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
}

// keepsXFCC reports whether what clients say of others ends at tiergate: no route hands it on.
func (m *manager) keepsXFCC() bool {
	for i := range m.routes {
		kept := slices.ContainsFunc(m.routes[i].levels(), func(level dump.Value) bool {
			return slices.ContainsFunc(level.Get("request_headers_to_remove").List(), func(name dump.Value) bool {
				return strings.EqualFold(name.Text(), xfcc)
			})
		})
		if m.routes[i].route.Leads() && !kept {
			return false
		}
	}
	return len(m.routes) > 0
}
