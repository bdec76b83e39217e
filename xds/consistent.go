package xds

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Consistent checks a snapshot before it is published: every resource obeys Envoy's own constraints, what is named
// exists, no listener reaches another's clusters, and on every listener each request passes an ext_authz that fails
// closed, but for the one that answers probes and leads nowhere. It reports all that is wrong. An error here is a fault of
// this package or of whoever changed a snapshot, not of a policy.
func (s *Snapshot) Consistent() error {
	c := checker{snapshot: s, clusters: map[string]bool{}, secrets: map[string]bool{}, routes: map[string]bool{},
		open: map[string]bool{}}
	if err := s.cache.Consistent(); err != nil {
		c.fail("%w", err)
	}
	for _, r := range s.resources.secrets {
		c.valid("secret", r.GetName(), r)
		c.secrets[r.GetName()] = true
	}
	for _, r := range s.resources.clusters {
		c.valid("cluster", r.GetName(), r)
		c.clusters[r.GetName()] = true
		if r.GetName() == accessLogCluster {
			c.accessLogService(r)
		}
		if socket := r.GetTransportSocket(); socket != nil {
			c.upstreamSecrets(r.GetName(), socket.GetTypedConfig())
		}
	}
	c.endpoints()
	for _, r := range s.resources.routes {
		c.valid("route configuration", r.GetName(), r)
		c.routes[r.GetName()] = true
		c.open[r.GetName()] = !slices.Contains(r.GetRequestHeadersToRemove(), forwardedHeader)
		c.routeTable(r)
	}
	for _, r := range s.resources.listeners {
		c.valid("listener", r.GetName(), r)
		if r.GetName() == healthListener {
			c.healthListener(r)
		} else {
			c.listener(r)
		}
	}
	return errors.Join(c.errs...)
}

type checker struct {
	snapshot                  *Snapshot
	clusters, secrets, routes map[string]bool
	open                      map[string]bool // the route tables that leave a client's x-forwarded-client-cert to upstreams
	errs                      []error
}

func (c *checker) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// valid runs the constraints that Envoy generates from its API and refuses by. Their text may quote the whole message.
func (c *checker) valid(kind, name string, message interface{ ValidateAll() error }) {
	if err := message.ValidateAll(); err != nil {
		c.fail("%s %s breaks a constraint of Envoy's API: %s", kind, name, oneLine(err.Error()))
	}
}

func (c *checker) unpack(where string, packed *anypb.Any, into interface {
	proto.Message
	ValidateAll() error
}) bool {
	if err := packed.UnmarshalTo(into); err != nil {
		c.fail("%s: %w", where, err)
		return false
	}
	if err := into.ValidateAll(); err != nil {
		c.fail("%s breaks a constraint of Envoy's API: %s", where, oneLine(err.Error()))
		return false
	}
	return true
}

func (c *checker) routeTable(config *routev3.RouteConfiguration) {
	for _, vhost := range config.GetVirtualHosts() {
		where := config.GetName() + ", host " + vhost.GetName()
		c.perRoute(where, vhost.GetTypedPerFilterConfig())
		if vhost.GetTypedPerFilterConfig()[corsFilter] != nil {
			c.fail("%s: answers preflights of every route", where)
		}
		for _, route := range vhost.GetRoutes() {
			c.cors(where, route)
			c.perRoute(where+", route "+route.GetName(), route.GetTypedPerFilterConfig())
			cluster := route.GetRoute().GetCluster()
			switch {
			case route.GetDirectResponse() != nil:
			case !c.clusters[cluster]:
				c.fail("%s, route %s: there is no cluster %q", where, route.GetName(), cluster)
			case !strings.HasPrefix(cluster, config.GetName()+"/"):
				c.fail("%s, route %s: cluster %q belongs to another listener", where, route.GetName(), cluster)
			}
		}
	}
}

func (c *checker) perRoute(where string, configs map[string]*anypb.Any) {
	for name, packed := range configs {
		if name == corsFilter {
			continue // cors looks at it
		}
		var authz authzv3.ExtAuthzPerRoute
		if name != authzFilter {
			c.fail("%s: configures the filter %s, which no listener has", where, name)
		} else if c.unpack(where, packed, &authz) && authz.GetCheckSettings() == nil {
			c.fail("%s: switches ext_authz off", where)
		}
	}
}

func (c *checker) listener(l *listenerv3.Listener) {
	if len(l.GetFilterChains()) == 0 || l.GetDefaultFilterChain() != nil {
		c.fail("listener %s: has no filter chain, or a default one", l.GetName())
	}
	for _, chain := range l.GetFilterChains() {
		c.downstreamTLS(l, chain)
		var hcm hcmv3.HttpConnectionManager
		if len(chain.GetFilters()) != 1 {
			c.fail("listener %s: has not exactly one network filter", l.GetName())
		} else if c.unpack("listener "+l.GetName(), chain.GetFilters()[0].GetTypedConfig(), &hcm) {
			c.httpFilters(l.GetName(), &hcm)
			c.forwarded(l.GetName(), &hcm)
			c.upgrades(l.GetName(), &hcm)
		}
	}
}

func (c *checker) upstreamSecrets(cluster string, packed *anypb.Any) {
	var context tlsv3.UpstreamTlsContext
	if !c.unpack("cluster "+cluster, packed, &context) {
		return
	}
	common := context.GetCommonTlsContext()
	combined := common.GetCombinedValidationContext()
	if len(combined.GetDefaultValidationContext().GetMatchTypedSubjectAltNames()) != 1 {
		c.fail("cluster %s: does not say whom to find there", cluster)
	}
	for _, config := range append(common.GetTlsCertificateSdsSecretConfigs(), combined.GetValidationContextSdsSecretConfig()) {
		c.secret("cluster "+cluster, config, upstreamPrefix)
	}
}

// httpFilters allows ext_authz and then the router, and nothing else: a filter between them could change what was
// decided. In front of them stands cors, which does nothing by itself, and then jwt_authn may.
func (c *checker) httpFilters(listener string, hcm *hcmv3.HttpConnectionManager) {
	if name := hcm.GetRds().GetRouteConfigName(); name != listener {
		c.fail("listener %s: takes the routes of %q", listener, name)
	}
	filters := hcm.GetHttpFilters()
	if len(filters) == 0 || filters[0].GetName() != corsFilter || filters[0].GetDisabled() {
		c.fail("listener %s: cors is not the first of its HTTP filters", listener)
	} else {
		filters = filters[1:]
	}
	var vouching *hcmv3.HttpFilter
	if len(filters) > 0 && filters[0].GetName() == jwtFilter {
		vouching, filters = filters[0], filters[1:]
	}
	if len(filters) != 2 || filters[0].GetName() != authzFilter || filters[1].GetName() != routerFilter {
		c.fail("listener %s: its HTTP filters are not ext_authz and then the router", listener)
		return
	}
	var authz authzv3.ExtAuthz
	if !c.unpack("listener "+listener, filters[0].GetTypedConfig(), &authz) {
		return
	}
	if authz.GetFailureModeAllow() || authz.GetClearRouteCache() || authz.GetShadowMode() ||
		authz.GetFilterEnabled() != nil || authz.GetFilterEnabledMetadata() != nil || filters[0].GetDisabled() {
		c.fail("listener %s: its ext_authz does not fail closed or can be switched off", listener)
	}
	if vouching != nil {
		c.jwtAuthn(listener, vouching, authz.GetMetadataContextNamespaces())
	}
	if cluster := authz.GetGrpcService().GetEnvoyGrpc().GetClusterName(); !c.clusters[cluster] {
		c.fail("listener %s: ext_authz asks cluster %q, which there is not", listener, cluster)
	}
}
