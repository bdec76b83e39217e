package xds

import (
	"fmt"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/tiergate/tiergate/authz/policy"
)

const (
	authzCluster    = "tiergate_authz"
	protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

	// connectTimeout bounds a connection to an upstream, its TLS handshake included.
	connectTimeout = 5 * time.Second
	// A host that went without a word is found in a minute, by TCP itself: an open WebSocket or stream hangs no longer.
	probeAfter, probeEvery, probes = 30, 10, 3 // seconds, seconds, unanswered
	// maxChecks is how many decisions may be under way at once; Envoy's default of 1,024 would answer 503 in a burst.
	maxChecks = 16384
)

// cluster returns the name of the listener's own cluster for the route's upstream and makes the cluster if it is the
// first to ask. Listeners share no cluster, so none reaches what its own routes do not name.
func (b *builder) cluster(l Listener, r policy.Route) string {
	name := l.Name + "/" + r.Upstream
	if _, made := b.clusters[name]; made {
		return name
	}
	upstream, known := b.upstreams[r.Upstream]
	if !known {
		b.routeFault(r, "spec.upstream", fmt.Sprintf("the policy has no upstream %q", r.Upstream), "")
		return name
	}
	cluster := &clusterv3.Cluster{
		Name:                          name,
		ConnectTimeout:                duration(connectTimeout),
		TransportSocket:               b.upstreamTLS(upstream),
		TypedExtensionProtocolOptions: b.upstreamProtocol(upstream),
		PerConnectionBufferLimitBytes: number(connectionBuffer),
		CircuitBreakers:               upstreamLimits(),
		OutlierDetection:              unreachable(),
		IgnoreHealthOnHostRemoval:     true,
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveTime: number(probeAfter), KeepaliveInterval: number(probeEvery), KeepaliveProbes: number(probes),
		}},
	}
	b.setEndpoints(cluster, upstream)
	b.clusters[name] = cluster
	return name
}

func endpoint(address *corev3.Address) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{Address: address},
	}}
}

func socketAddress(address netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       address.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(address.Port())},
	}}}
}

func pipeAddress(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

func (b *builder) protocol(c *upstreamv3.HttpProtocolOptions_ExplicitHttpConfig) map[string]*anypb.Any {
	return map[string]*anypb.Any{protocolOptions: b.pack(&upstreamv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: c},
	})}
}

// authzCluster is the way to ext_authz: the Unix socket, HTTP/2. It is health-checked (grpc.health.v1, the empty
// service), and no panic threshold sends a check to a service that is not there: Envoy then answers 503 at once.
func (b *builder) authzCluster() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 authzCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       duration(time.Second),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: authzCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{endpoint(pipeAddress(b.in.Settings.AuthzSocket))},
			}},
		},
		TypedExtensionProtocolOptions: b.protocol(&upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
			},
		}),
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}},
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxRequests: number(maxChecks), MaxPendingRequests: number(maxChecks),
		}}},
		HealthChecks: []*corev3.HealthCheck{{
			Timeout: seconds(1), Interval: seconds(1), NoTrafficInterval: seconds(1),
			UnhealthyInterval: duration(250 * time.Millisecond), UnhealthyEdgeInterval: duration(250 * time.Millisecond),
			UnhealthyThreshold: number(2), HealthyThreshold: number(1),
			HealthChecker: &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{}},
		}},
	}
}

func (b *builder) upstreamFault(u policy.Upstream, field, message, help string) {
	b.faults = append(b.faults, policy.Fault{
		Kind: policy.KindUpstream, Name: u.Meta.Name, Field: field, Message: message, Help: help,
	})
}
