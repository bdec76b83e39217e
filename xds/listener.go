package xds

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
)

const (
	connectionManager = "envoy.filters.network.http_connection_manager"
	earlyMutation     = "envoy.http.early_header_mutation.header_mutation"
	routerFilter      = "envoy.filters.http.router"

	// Limits against slow and large clients; Envoy's guide for edge proxies, a little narrower.
	connectionBuffer  = 64 << 10 // bytes held for one connection before its reader is stopped
	maxRequestHeaders = 60       // KiB of request headers, all together
	maxHeaders        = 100      // request headers by number
	maxStreams        = 100      // HTTP/2 streams on one connection
	streamWindow      = 64 << 10
	connectionWindow  = 1 << 20
	handshakeSeconds  = 10  // connection to end of TLS handshake
	headersSeconds    = 10  // first byte of a request to the end of its headers
	requestSeconds    = 300 // first byte of a request to the end of its body
	streamIdleSeconds = 300 // a stream on which nothing moves: WebSockets, SSE and gRPC streams ping within it
	idleSeconds       = 900 // a connection without a stream
	pingSeconds       = 30  // an HTTP/2 connection is asked whether it is alive
	pongSeconds       = 10  // and is closed if it has not answered by then
)

// listener depends on nothing in the policy, so that no edit of the policy drains connections.
func (b *builder) listener(l Listener) *listenerv3.Listener {
	listener := &listenerv3.Listener{
		Name:                          l.Name,
		PerConnectionBufferLimitBytes: number(connectionBuffer),
		FilterChains: []*listenerv3.FilterChain{{
			Name:                          l.Name,
			TransportSocket:               b.downstreamTLS(l),
			TransportSocketConnectTimeout: seconds(handshakeSeconds),
			Filters: []*listenerv3.Filter{{
				Name:       connectionManager,
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(b.connectionManager(l))},
			}},
		}},
	}
	if address, err := literalAddress(l.Address); err == nil { // checkListener has recorded it otherwise
		listener.Address = socketAddress(address)
	}
	return listener
}

func (b *builder) connectionManager(l Listener) *hcmv3.HttpConnectionManager {
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: l.Name,
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{
			Rds: &hcmv3.Rds{RouteConfigName: l.Name, ConfigSource: overADS()},
		},
		HttpFilters: []*hcmv3.HttpFilter{
			b.httpFilter(corsFilter, &corsv3.Cors{}),
			b.httpFilter(authzFilter, b.authzFilter()),
			b.httpFilter(routerFilter, b.router()),
		},
		ServerName: "tiergate",
		AccessLog:  b.accessLog(),
	}
	if len(b.in.Settings.TokenIssuers) > 0 {
		hcm.HttpFilters = slices.Insert(hcm.HttpFilters, 1, b.httpFilter(jwtFilter, b.jwtAuthn()))
	}
	setLimits(hcm)
	setOneReading(hcm)
	setUpgrades(hcm)
	b.setProvenance(hcm)
	return hcm
}

func (b *builder) httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.pack(config)}}
}

func setLimits(hcm *hcmv3.HttpConnectionManager) {
	hcm.MaxRequestHeadersKb = number(maxRequestHeaders)
	hcm.RequestHeadersTimeout = seconds(headersSeconds)
	hcm.RequestTimeout = seconds(requestSeconds)
	hcm.StreamIdleTimeout = seconds(streamIdleSeconds)
	hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout:                  seconds(idleSeconds),
		MaxHeadersCount:              number(maxHeaders),
		HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
	}
	hcm.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        number(maxStreams),
		InitialStreamWindowSize:     number(streamWindow),
		InitialConnectionWindowSize: number(connectionWindow),
		ConnectionKeepalive:         &corev3.KeepaliveSettings{Interval: seconds(pingSeconds), Timeout: seconds(pongSeconds)},
	}
}

// setOneReading leaves one reading of scheme, host and path to everyone behind: Envoy's routes, authz and the upstream. The
// scheme is what the connection has, not what an HTTP/2 client says.
func setOneReading(hcm *hcmv3.HttpConnectionManager) {
	hcm.NormalizePath = yes()
	hcm.MergeSlashes = true
	hcm.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_REJECT_REQUEST
	hcm.StripPortMode = &hcmv3.HttpConnectionManager_StripAnyHostPort{StripAnyHostPort: true}
	hcm.StripTrailingHostDot = true
	hcm.SchemeHeaderTransformation = &corev3.SchemeHeaderTransformation{
		Transformation: &corev3.SchemeHeaderTransformation_SchemeToOverwrite{SchemeToOverwrite: "https"},
	}
}
