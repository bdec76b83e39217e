package xds

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	healthFilter   = "envoy.filters.http.health_check"
	healthListener = "tiergate_health" // no listener of the settings can be called so
	healthPath     = "/healthz"
)

// healthListener answers probes in plaintext, and nothing else. /healthz is 200 while Envoy takes requests and its own
// health checks find tiergate there; 503 says otherwise, or that Envoy is being taken out (POST /healthcheck/fail at its
// admin interface). Every other path is 404. It leads to no cluster, so there is nothing for authz to decide, and probes are
// in no access log.
func (b *builder) healthListener() *listenerv3.Listener {
	listener := &listenerv3.Listener{
		Name:                          healthListener,
		PerConnectionBufferLimitBytes: number(connectionBuffer),
		FilterChains: []*listenerv3.FilterChain{{
			Name: healthListener,
			Filters: []*listenerv3.Filter{{
				Name:       connectionManager,
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(b.healthManager())},
			}},
		}},
	}
	if address, err := literalAddress(b.in.Settings.Health); err == nil { // checkSettings has recorded it otherwise
		listener.Address = socketAddress(address)
	}
	return listener
}

func (b *builder) healthManager() *hcmv3.HttpConnectionManager {
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: healthListener,
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: healthListener,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: healthListener, Domains: []string{"*"}, Routes: []*routev3.Route{nothing()},
			}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{
			b.httpFilter(healthFilter, healthAnswers()),
			b.httpFilter(routerFilter, &routerv3.Router{SuppressEnvoyHeaders: true}),
		},
		ServerName: "tiergate",
	}
	setLimits(hcm)
	setOneReading(hcm)
	setUpgrades(hcm)
	b.setProvenance(hcm)
	hcm.ForwardClientCertDetails, hcm.SetCurrentClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE, nil
	return hcm
}

func healthAnswers() *healthv3.HealthCheck {
	return &healthv3.HealthCheck{
		PassThroughMode:              wrapperspb.Bool(false),
		ClusterMinHealthyPercentages: map[string]*typev3.Percent{authzCluster: {Value: 100}},
		Headers: []*routev3.HeaderMatcher{{
			Name: ":path",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: healthPath},
			}},
		}},
	}
}

// nothing answers every path alike.
func nothing() *routev3.Route {
	return &routev3.Route{
		Name:  "nothing",
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{
			DirectResponse: &routev3.DirectResponseAction{Status: 404},
		},
	}
}

// healthListener wants exactly the listener that is built here: it alone is without TLS and without ext_authz.
func (c *checker) healthListener(l *listenerv3.Listener) {
	where := "listener " + l.GetName()
	var hcm hcmv3.HttpConnectionManager
	if len(l.GetFilterChains()) != 1 || l.GetDefaultFilterChain() != nil || len(l.GetFilterChains()[0].GetFilters()) != 1 {
		c.fail("%s: has not exactly one filter chain with one network filter", where)
		return
	}
	if !c.unpack(where, l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig(), &hcm) {
		return
	}
	var answers healthv3.HealthCheck
	filters, vhosts := hcm.GetHttpFilters(), hcm.GetRouteConfig().GetVirtualHosts()
	switch {
	case len(filters) != 2 || filters[0].GetName() != healthFilter || filters[1].GetName() != routerFilter:
		c.fail("%s: its HTTP filters are not health_check and then the router", where)
	case !c.unpack(where, filters[0].GetTypedConfig(), &answers):
	case !proto.Equal(&answers, healthAnswers()):
		c.fail("%s: its health_check filter is not the one that is built here", where)
	}
	if len(vhosts) != 1 || len(vhosts[0].GetRoutes()) != 1 || !proto.Equal(vhosts[0].GetRoutes()[0], nothing()) {
		c.fail("%s: leads somewhere, and nobody is asked", where)
	}
	if len(hcm.GetAccessLog()) > 0 {
		c.fail("%s: logs probes", where)
	}
}
