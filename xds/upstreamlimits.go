package xds

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/tiergate/tiergate/authz/policy"
)

const (
	// maxUpstream is how many connections, requests, waiting requests and retries one listener may have at one upstream.
	// Envoy's default of 1,024 (3 retries) answers 503 to the next one, and each open WebSocket counts as a request.
	maxUpstream = 65536

	maxResponseHeaders      = 60  // KiB of response headers, all together
	maxResponseHeaderFields = 100 // response headers by number

	// A connection that is not in use is closed before a server of HTTP/1.1 does so (Apache and Node.js: after 5 s). A
	// request that crosses such a close on its way is a 503, since nobody may send it twice. HTTP/2 has GOAWAY for it.
	idleHTTP1 = 4 * time.Second
	idleHTTP2 = 300 * time.Second
	// pingInterval is for connections that TCP keeps alive and the server's process does not. It is longer than the 5
	// minutes that servers of grpc-go want between pings before they cut the connection.
	pingInterval = 310 * time.Second
	pingTimeout  = 20 * time.Second
)

// upstreamProtocol speaks HTTP/1.1, or HTTP/2 where the policy says so; in plaintext that is HTTP/2 with prior knowledge
// (RFC 9113, section 3.3).
func (b *builder) upstreamProtocol(u policy.Upstream) map[string]*anypb.Any {
	explicit, idle := overHTTP1(), idleHTTP1
	if u.Protocol == policy.ProtocolHTTP2 {
		explicit, idle = overHTTP2(), idleHTTP2
	}
	return map[string]*anypb.Any{protocolOptions: b.pack(&upstreamv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:          duration(idle),
			MaxHeadersCount:      number(maxResponseHeaderFields),
			MaxResponseHeadersKb: number(maxResponseHeaders),
		},
		UpstreamProtocolOptions: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	})}
}

func overHTTP1() *upstreamv3.HttpProtocolOptions_ExplicitHttpConfig {
	return &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
		},
	}
}

func overHTTP2() *upstreamv3.HttpProtocolOptions_ExplicitHttpConfig {
	return &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				InitialStreamWindowSize:     number(streamWindow),
				InitialConnectionWindowSize: number(connectionWindow),
				ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: duration(pingInterval), Timeout: duration(pingTimeout),
				},
			},
		},
	}
}

func upstreamLimits() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: number(maxUpstream), MaxPendingRequests: number(maxUpstream), MaxRequests: number(maxUpstream),
		MaxRetries: number(maxUpstream),
	}}}
}

// unreachable sets an endpoint aside for a while after five connections in a row that were not to be had. What an
// upstream answers never does: whoever can provoke a 500 could turn it off. If more than half of the endpoints are set
// aside, all are used (Envoy's panic threshold), so the last one always is.
func unreachable() *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		SplitExternalLocalOriginErrors:         true,
		ConsecutiveLocalOriginFailure:          number(5),
		EnforcingConsecutiveLocalOriginFailure: number(100),
		BaseEjectionTime:                       seconds(5),
		MaxEjectionTime:                        seconds(30),
		MaxEjectionPercent:                     number(50),
		EnforcingConsecutive_5Xx:               number(0),
		EnforcingConsecutiveGatewayFailure:     number(0),
		EnforcingSuccessRate:                   number(0),
		EnforcingLocalOriginSuccessRate:        number(0),
	}
}
