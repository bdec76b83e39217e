package xds

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Each hole is planted alone in a snapshot that is otherwise good, and must be found.
func TestConsistentFinds(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, r *resources)
		want  string
	}{
		{"fail-open", authzHole(func(a *authzv3.ExtAuthz) { a.FailureModeAllow = true }), "does not fail closed"},
		{"clears the route cache", authzHole(func(a *authzv3.ExtAuthz) { a.ClearRouteCache = true }),
			"does not fail closed"},
		{"shadow mode", authzHole(func(a *authzv3.ExtAuthz) { a.ShadowMode = true }), "does not fail closed"},
		{"asks nobody", authzHole(func(a *authzv3.ExtAuthz) { a.GetGrpcService().GetEnvoyGrpc().ClusterName = "x" }),
			`asks cluster "x"`},
		{"no ext_authz", hcmHole(func(h *hcmv3.HttpConnectionManager) { h.HttpFilters = slices.Delete(h.GetHttpFilters(), 1, 2) }),
			"not ext_authz and then the router"},
		{"disabled filter", hcmHole(func(h *hcmv3.HttpConnectionManager) { h.GetHttpFilters()[1].Disabled = true }),
			"can be switched off"},
		{"another's routes", hcmHole(func(h *hcmv3.HttpConnectionManager) { h.GetRds().RouteConfigName = "ingress" }),
			`takes the routes of "ingress"`},
		{"what clients say of others, as it is", hcmHole(func(h *hcmv3.HttpConnectionManager) {
			h.ForwardClientCertDetails = hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY
		}), "passes a client's x-forwarded-client-cert on as it is (ALWAYS_FORWARD_ONLY)"},
		{"what clients say of others, for upstreams", hcmHole(func(h *hcmv3.HttpConnectionManager) {
			h.ForwardClientCertDetails = hcmv3.HttpConnectionManager_APPEND_FORWARD
		}), "a client's x-forwarded-client-cert would reach upstreams"},
		{"no client certificate", tlsHole(func(c *tlsv3.DownstreamTlsContext) { c.RequireClientCertificate = nil }),
			"does not demand a client certificate"},
		{"another's CA", tlsHole(func(c *tlsv3.DownstreamTlsContext) {
			c.GetCommonTlsContext().GetValidationContextSdsSecretConfig().Name = "ingress/client-ca"
		}), `secret "ingress/client-ca" belongs to another listener`},
		{"no such secret", tlsHole(func(c *tlsv3.DownstreamTlsContext) {
			c.GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs()[0].Name = "contractors/x"
		}), `no secret "contractors/x"`},
		{"plaintext listener", func(_ *testing.T, r *resources) {
			r.listeners[0].GetFilterChains()[0].TransportSocket = nil
		}, "listener contractors"},
		{"no filter chain", func(_ *testing.T, r *resources) { r.listeners[0].FilterChains = nil },
			"has no filter chain"},
		{"two network filters", func(_ *testing.T, r *resources) {
			chain := r.listeners[0].GetFilterChains()[0]
			chain.Filters = append(chain.GetFilters(), chain.GetFilters()[0])
		}, "not exactly one network filter"},
		{"route without cluster", routeHole(func(r *routev3.Route) {
			r.GetRoute().ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: "contractors/x"}
		}), `no cluster "contractors/x"`},
		{"another's cluster", routeHole(func(r *routev3.Route) {
			r.GetRoute().ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: "ingress/payroll"}
		}), `cluster "ingress/payroll" belongs to another listener`},
		{"cluster by header", routeHole(func(r *routev3.Route) {
			r.GetRoute().ClusterSpecifier = &routev3.RouteAction_ClusterHeader{ClusterHeader: "x-to"}
		}), `no cluster ""`},
		{"route without decision", routeHole(func(r *routev3.Route) {
			packed, _ := anypb.New(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}})
			r.TypedPerFilterConfig = map[string]*anypb.Any{authzFilter: packed}
		}), "switches ext_authz off"},
		{"strange filter on a route", routeHole(func(r *routev3.Route) {
			r.TypedPerFilterConfig["envoy.filters.http.lua"] = r.GetTypedPerFilterConfig()[authzFilter]
		}), "envoy.filters.http.lua"},
		{"upstream of any identity", func(t *testing.T, r *resources) {
			c := find(t, r.clusters, "ingress/payroll")
			repack(t, c.GetTransportSocket().GetTypedConfig(), &tlsv3.UpstreamTlsContext{}, func(u *tlsv3.UpstreamTlsContext) {
				combined := u.GetCommonTlsContext().GetCombinedValidationContext()
				combined.GetDefaultValidationContext().MatchTypedSubjectAltNames = nil
			})
		}, "does not say whom to find"},
		{"secret gone", func(_ *testing.T, r *resources) { r.secrets = r.secrets[:len(r.secrets)-1] },
			`cluster ingress/payroll: there is no secret "upstream-client"`},
		{"table gone", func(_ *testing.T, r *resources) { r.routes = r.routes[:1] }, "mismatched"},
		{"against Envoy's constraints", func(t *testing.T, r *resources) {
			find(t, r.clusters, "ingress/payroll").ConnectTimeout = &durationpb.Duration{Seconds: -1}
		}, "cluster ingress/payroll breaks a constraint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := mustBuild(t, written(t))
			r := resources{}
			for _, l := range good.Listeners() {
				r.listeners = append(r.listeners, proto.CloneOf(l))
			}
			for _, l := range good.Routes() {
				r.routes = append(r.routes, proto.CloneOf(l))
			}
			for _, l := range good.Clusters() {
				r.clusters = append(r.clusters, proto.CloneOf(l))
			}
			for _, l := range good.Endpoints() {
				r.endpoints = append(r.endpoints, proto.CloneOf(l))
			}
			r.secrets = good.Secrets()
			c.plant(t, &r)
			bad, err := newSnapshot(r, good.Table(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := bad.Consistent(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func find(t *testing.T, clusters []*clusterv3.Cluster, name string) *clusterv3.Cluster {
	t.Helper()
	for _, c := range clusters {
		if c.GetName() == name {
			return c
		}
	}
	t.Fatalf("there is no cluster %s", name)
	return nil
}

// repack changes a message inside an Any.
func repack[M proto.Message](t *testing.T, packed *anypb.Any, message M, change func(M)) {
	t.Helper()
	if err := packed.UnmarshalTo(message); err != nil {
		t.Fatal(err)
	}
	change(message)
	if err := packed.MarshalFrom(message); err != nil {
		t.Fatal(err)
	}
}

func hcmHole(change func(*hcmv3.HttpConnectionManager)) func(*testing.T, *resources) {
	return func(t *testing.T, r *resources) {
		repack(t, firstChain(r).GetFilters()[0].GetTypedConfig(), &hcmv3.HttpConnectionManager{}, change)
	}
}

func authzHole(change func(*authzv3.ExtAuthz)) func(*testing.T, *resources) {
	return func(t *testing.T, r *resources) {
		hcmHole(func(h *hcmv3.HttpConnectionManager) {
			repack(t, h.GetHttpFilters()[1].GetTypedConfig(), &authzv3.ExtAuthz{}, change)
		})(t, r)
	}
}

func tlsHole(change func(*tlsv3.DownstreamTlsContext)) func(*testing.T, *resources) {
	return func(t *testing.T, r *resources) {
		repack(t, firstChain(r).GetTransportSocket().GetTypedConfig(), &tlsv3.DownstreamTlsContext{}, change)
	}
}

func firstChain(r *resources) *listenerv3.FilterChain { return r.listeners[0].GetFilterChains()[0] }

// routeHole changes a proxied route of the contractors' table.
func routeHole(change func(*routev3.Route)) func(*testing.T, *resources) {
	return func(t *testing.T, r *resources) {
		for _, route := range r.routes[0].GetVirtualHosts()[0].GetRoutes() {
			if route.GetRoute() != nil {
				change(route)
				return
			}
		}
		t.Fatal("there is no proxied route")
	}
}
