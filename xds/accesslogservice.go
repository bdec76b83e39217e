package xds

import (
	"maps"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"

	"github.com/tiergate/tiergate/authz/identity"
)

const (
	accessLogCluster = "tiergate_accesslog"
	// accessLogStream is Envoy's logger of connections, used for requests: its entries hold what is common to all logs and
	// the tags that are asked for. That of requests (http_grpc) would also send the path with its query, and the referer with
	// the query of another page, and cannot be told not to.
	accessLogStream = "envoy.access_loggers.tcp_grpc"
	accessLogName   = "tiergate"

	accessLogBuffer = 64 << 10 // bytes of entries that Envoy's worker holds until they are sent
	accessLogFlush  = time.Second
	// Entries wait here while the service does not read: more are dropped, and requests never wait for them.
	accessLogWaiting = 1 << 20
)

// accessLogToService sends each request's fields as the custom tags of one TCPAccessLogEntry.
func accessLogToService() *grpclogv3.TcpGrpcAccessLogConfig {
	common := &grpclogv3.CommonGrpcAccessLogConfig{
		LogName:             accessLogName,
		TransportApiVersion: corev3.ApiVersion_V3,
		GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: accessLogCluster},
		}},
		BufferFlushInterval: duration(accessLogFlush),
		BufferSizeBytes:     number(accessLogBuffer),
	}
	for _, name := range slices.Sorted(maps.Keys(accessLogFields)) {
		common.CustomTags = append(common.CustomTags, &tracingv3.CustomTag{
			Tag: name, Type: &tracingv3.CustomTag_Value{Value: accessLogFields[name]},
		})
	}
	return &grpclogv3.TcpGrpcAccessLogConfig{CommonConfig: common}
}

// accessLogCluster makes the way to the service of access logs: its Unix socket, or mTLS to exactly one identity.
func (b *builder) accessLogCluster() {
	service := b.in.Settings.AccessLogService
	if service == nil {
		return
	}
	address := pipeAddress(service.Socket)
	if service.Socket == "" {
		address = b.accessLogAddress(service)
	} else if err := checkSocketPath(service.Socket); err != nil {
		b.settingsFault("envoy.accessLog.grpc.socket", err.Error(), "choose a shorter absolute path")
	}
	cluster := &clusterv3.Cluster{
		Name:                 accessLogCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       seconds(1),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: accessLogCluster,
			Endpoints:   []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{endpoint(address)}}},
		},
		TypedExtensionProtocolOptions: b.protocol(&upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: seconds(pingSeconds), Timeout: seconds(pongSeconds),
				}},
			},
		}),
		PerConnectionBufferLimitBytes: number(accessLogWaiting),
	}
	if service.Socket == "" {
		cluster.TransportSocket = b.accessLogTLS(service)
	}
	b.clusters[accessLogCluster] = cluster
}

func (b *builder) accessLogAddress(service *AccessLogService) *corev3.Address {
	address, err := literalAddress(service.Address)
	if err != nil {
		b.settingsFault("envoy.accessLog.grpc.address", err.Error(), "write an IP address and a port, or a socket")
		return nil
	}
	return socketAddress(address)
}

func (b *builder) accessLogTLS(service *AccessLogService) *corev3.TransportSocket {
	if _, err := identity.ParseSPIFFEID(service.SPIFFEID); err != nil {
		b.settingsFault("envoy.accessLog.grpc.spiffeID", err.Error(), "write the SPIFFE ID of the service")
	}
	if b.in.Settings.Client == nil {
		b.settingsFault("envoy.accessLog.grpc", "mTLS needs a certificate to show, and the settings have none",
			"set envoy.client, or name a socket")
		return nil
	}
	return b.transportSocket(&tlsv3.UpstreamTlsContext{
		MaxSessionKeys: number(0), // no resumption: every connection shows its certificate
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:     tlsParameters(),
			AlpnProtocols: []string{"h2"},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{
				b.shown(upstreamClient, *b.in.Settings.Client, "envoy.client"),
			},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext: &tlsv3.CertificateValidationContext{
						MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
							SanType: tlsv3.SubjectAltNameMatcher_URI,
							Matcher: &matcherv3.StringMatcher{
								MatchPattern: &matcherv3.StringMatcher_Exact{Exact: service.SPIFFEID},
							},
						}},
					},
					ValidationContextSdsSecretConfig: b.upstreamTrust(),
				},
			},
		},
	})
}

// accessLogService wants what is said of requests to go to a Unix socket or over TLS.
func (c *checker) accessLogService(cluster *clusterv3.Cluster) {
	for _, locality := range cluster.GetLoadAssignment().GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			if e.GetEndpoint().GetAddress().GetPipe() == nil && cluster.GetTransportSocket() == nil {
				c.fail("cluster %s: sends access logs over plaintext TCP", cluster.GetName())
			}
		}
	}
}
