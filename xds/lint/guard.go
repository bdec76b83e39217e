package lint

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/xds/dump"
)

// maxTimeout is more than any decision takes; a client does not wait longer for one that does not come.
const maxTimeout = 2 * time.Second

// guardRules are about what stands in an ext_authz filter.
var guardRules = []rule{
	{code: "authz-fail-open", severity: Hole, source: authzAPI + "ExtAuthz.failure_mode_allow; CVE-2023-27488, CVE-2024-23324",
		guard: truth("failure_mode_allow", "everybody passes while tiergate does not answer, and clients can bring that about",
			"failure_mode_allow: false")},
	{code: "authz-switch", severity: Hole, source: authzAPI + "ExtAuthz.filter_enabled",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("filter_enabled"); v.Has() {
				what := "a part of the requests is not asked for"
				if key := v.Get("runtime_key").Text(); key != "" {
					what = fmt.Sprintf("the runtime key %q decides whether anybody is asked, and deny_at_disable has such a key too", key)
				}
				s(v, what, "remove filter_enabled and deny_at_disable")
			}
		}},
	{code: "authz-metadata-switch", severity: Hole, source: authzAPI + "ExtAuthz.filter_enabled_metadata",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("filter_enabled_metadata"); v.Has() {
				s(v, "another filter's metadata decides whether anybody is asked", "remove filter_enabled_metadata")
			}
		}},
	{code: "authz-disabled", severity: Hole, source: managerAPI + "HttpFilter.disabled",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Value.Get("disabled"); v.Bool() {
				s(v, "nobody is asked but on routes that switch the filter on", "write disabled: false")
			}
		}},
	{code: "authz-optional", severity: Weak, source: managerAPI + "HttpFilter.is_optional",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Value.Get("is_optional"); v.Bool() {
				s(v, "an Envoy that does not know the filter leaves it out without a word", "write is_optional: false")
			}
		}},
	{code: "authz-clears-route", severity: Hole, source: authzAPI + "ExtAuthz.clear_route_cache",
		guard: truth("clear_route_cache", "the route is chosen anew after the decision: another than was decided about",
			"clear_route_cache: false")},
	{code: "authz-shadow", severity: Hole, source: authzAPI + "ExtAuthz.shadow_mode",
		guard: truth("shadow_mode", "refusals are counted, and everybody passes", "shadow_mode: false")},
	{code: "authz-timeout", severity: Weak, source: "envoy.config.core.v3.GrpcService.timeout", guard: guardTimeout},
	{code: "authz-status", severity: Weak, source: authzAPI + "ExtAuthz.status_on_error", guard: guardStatus},
	{code: "authz-body", severity: Weak, source: authzAPI + "ExtAuthz.with_request_body",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("with_request_body"); v.Has() && !v.Get("allow_partial_message").Bool() {
				s(v, "bodies are held back and sent to tiergate, which reads none; a stream never begins",
					"remove with_request_body")
			}
		}},
	{code: "authz-partial-body", severity: Weak, source: authzAPI + "BufferSettings.allow_partial_message",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("with_request_body", "allow_partial_message"); v.Bool() {
				s(v, "who decides by the body sees its beginning only, and what follows passes", "remove with_request_body")
			}
		}},
	{code: "authz-no-token", severity: Weak, source: authzAPI + "ExtAuthz.allowed_headers",
		guard: func(_ *manager, g dump.Filter, s say) {
			allowed, refused := g.Config.Get("allowed_headers"), g.Config.Get("disallowed_headers")
			switch {
			case anyMatches(refused.Get("patterns").List(), "authorization"):
				s(refused, "tiergate does not see who asks: authorization is left out", "leave authorization out of disallowed_headers")
			case allowed.Has() && !anyMatches(allowed.Get("patterns").List(), "authorization"):
				s(allowed, "tiergate does not see who asks: authorization is left out", "add patterns: [{exact: authorization}]")
			}
		}},
	{code: "authz-reserved-header", severity: Weak, source: authzAPI + "ExtAuthz.allowed_headers",
		guard: func(_ *manager, g dump.Filter, s say) {
			for _, p := range g.Config.Get("allowed_headers", "patterns").List() {
				if matches(p, reserved[0]) {
					s(p, "what a client says as x-tiergate-* is asked about as if it meant something",
						"name the headers that a decision reads: [{exact: authorization}, {exact: dpop}]")
				}
			}
		}},
	{code: "authz-joined-headers", severity: Weak, source: authzAPI + "ExtAuthz.encode_raw_headers; CVE-2020-25017",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("encode_raw_headers"); !v.Bool() {
				s(v, "headers that are sent twice arrive as one, and bytes that are no UTF-8 are replaced",
					"write encode_raw_headers: true")
			}
		}},
	{code: "authz-no-certificate", severity: Weak, source: authzAPI + "ExtAuthz.include_peer_certificate",
		guard: func(m *manager, g dump.Filter, s say) {
			if v := g.Config.Get("include_peer_certificate"); !v.Bool() && trustOf(m.config, m.chain.TLS).asked {
				s(v, "clients show certificates and tiergate does not see them: there is no device and no workload",
					"write include_peer_certificate: true")
			}
		}},
	{code: "authz-mutations", severity: Weak, source: authzAPI + "ExtAuthz.decoder_header_mutation_rules",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("decoder_header_mutation_rules", "disallow_all"); !v.Bool() {
				s(v, "an answer may change any header of the request, host and path included",
					"write disallow_all: true and allow_expression: {regex: '^x-tiergate-[a-z0-9-]+$'}")
			}
		}},
	{code: "authz-panic", severity: Weak, source: "envoy.config.cluster.v3.Cluster.CommonLbConfig.healthy_panic_threshold",
		guard: guardPanic},
	{code: "authz-plaintext", severity: Hole, source: authzAPI + "ExtAuthz.grpc_service", guard: guardPlaintext},
	{code: "authz-over-http", severity: Weak, source: authzAPI + "ExtAuthz.http_service",
		guard: func(_ *manager, g dump.Filter, s say) {
			if v := g.Config.Get("http_service"); v.Has() {
				s(v, "tiergate answers over gRPC only: another service decides, or none", "write grpc_service instead of http_service")
			}
		}},
}

// truth finds a field that must not be true.
func truth(field, what, fix string) func(*manager, dump.Filter, say) {
	return func(_ *manager, g dump.Filter, s say) {
		if v := g.Config.Get(field); v.Bool() {
			s(v, what, "write "+fix)
		}
	}
}

// service is where the filter asks.
func service(g dump.Filter) dump.Value {
	if v := g.Config.Get("http_service", "server_uri"); v.Has() {
		return v
	}
	return g.Config.Get("grpc_service")
}

func guardTimeout(_ *manager, g dump.Filter, s say) {
	v := service(g).Get("timeout")
	timeout, written := v.Duration()
	const fix = "write timeout: 0.25s"
	switch {
	case !g.Config.Has() || !service(g).Has():
	case !v.Has():
		s(v, "how long a client waits for a decision is left to Envoy's default, which gateways set to minutes", fix)
	case !written || timeout <= 0:
		s(v, "a client waits for ever for a decision that does not come", fix)
	case timeout > maxTimeout:
		s(v, fmt.Sprintf("a client waits %v for a decision that does not come, and so do all behind it", timeout), fix)
	}
}

func guardStatus(_ *manager, g dump.Filter, s say) {
	v := g.Config.Get("status_on_error", "code")
	switch code := v.Text(); {
	case !g.Config.Has():
	case !v.Has():
		s(v, "an outage of tiergate looks like a refusal: 403", "write status_on_error: {code: ServiceUnavailable}")
	case code != "ServiceUnavailable" && code != "503":
		s(v, fmt.Sprintf("an outage of tiergate looks like something else: %s", code), "write code: ServiceUnavailable")
	}
}

// guardCluster is the cluster that the filter asks, if it is to be seen.
func guardCluster(m *manager, g dump.Filter) (dump.Cluster, bool) {
	name := service(g).Get("envoy_grpc", "cluster_name").Text()
	if name == "" {
		name = service(g).Get("cluster").Text()
	}
	return m.config.Cluster(name)
}

func guardPanic(m *manager, g dump.Filter, s say) {
	c, known := guardCluster(m, g)
	if !known || len(c.Value.Get("health_checks").List()) == 0 && !c.Value.Get("outlier_detection").Has() {
		return // all endpoints count as healthy
	}
	v := c.Value.Get("common_lb_config", "healthy_panic_threshold")
	if percent, written := v.Get("value").Number(); !v.Has() || written && percent != 0 {
		s(v, "checks are sent to a tiergate that is known to be down, and clients wait for the timeout",
			"write healthy_panic_threshold: {value: 0}")
	}
}

func guardPlaintext(m *manager, g dump.Filter, s say) {
	if c, known := guardCluster(m, g); known && plaintext(c) {
		s(c.Value.Get("transport_socket"), "checks and answers cross the network in the clear: who is on the way reads tokens and "+
			"says yes", "lead to tiergate's Unix socket (address: {pipe: {path: …}}), or write a transport_socket with mTLS")
	}
	target := service(g).Get("google_grpc")
	credentials := target.Get("channel_credentials")
	if target.Has() && !credentials.Get("ssl_credentials").Has() && !credentials.Get("google_default").Has() &&
		!localTarget(target.Get("target_uri").Text()) {
		s(target.Get("channel_credentials"), "checks and answers cross the network in the clear",
			"write envoy_grpc with a cluster that leads to tiergate's Unix socket")
	}
}
