package xds

import (
	"slices"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// The secrets that a SPIFFE agent serves over SDS on the socket of its Workload API, by the names that SPIRE gives them
// (sds.default_svid_name and sds.default_bundle_name of a SPIRE agent). Which identity they are of is what the agent finds
// Envoy's process to be.
const (
	agentCluster = "tiergate_sds"
	agentSVID    = "default" // Envoy's own SVID
	agentTrust   = "ROOTCA"  // the CA certificates of its own trust domain
)

// shown is the certificate that Envoy shows somewhere: a secret of ours, or its SVID, straight from the agent.
func (b *builder) shown(secret string, pair KeyPair, field string) *tlsv3.SdsSecretConfig {
	if pair.WorkloadAPI {
		return b.secretOfAgent(agentSVID, field)
	}
	b.secrets[secret] = b.keyPair(secret, pair, field)
	return secretOverADS(secret)
}

// upstreamTrust says who may sign the certificates of upstreams.
func (b *builder) upstreamTrust() *tlsv3.SdsSecretConfig {
	if s := b.in.Settings; s.UpstreamCA == nil && s.Client != nil && s.Client.WorkloadAPI {
		return b.secretOfAgent(agentTrust, "envoy.client")
	}
	b.secrets[upstreamCA] = b.trustedCA(upstreamCA, b.in.Settings.UpstreamCA, "envoy.upstreamCAFile")
	return secretOverADS(upstreamCA)
}

// secretOfAgent has Envoy ask the agent itself: the private key never passes through this process.
func (b *builder) secretOfAgent(name, field string) *tlsv3.SdsSecretConfig {
	if b.in.Settings.WorkloadAPI == "" {
		b.settingsFault(field, "the certificate is to come from the Workload API, and no socket of one is set",
			"write identity.workloadAPI: {socket: PATH}")
	} else if _, made := b.clusters[agentCluster]; !made {
		b.clusters[agentCluster] = b.agentCluster()
	}
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: agentCluster,
					// Envoy's default waits up to 30 s for an agent that is back.
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: duration(250 * time.Millisecond), MaxInterval: seconds(2),
					}},
				},
			}}},
		}},
	}}
}

// agentCluster is the way to the agent: its Unix socket, HTTP/2. The socket is what protects the keys on their way.
func (b *builder) agentCluster() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 agentCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       duration(time.Second),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: agentCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{endpoint(pipeAddress(b.in.Settings.WorkloadAPI))},
			}},
		},
		TypedExtensionProtocolOptions: b.protocol(&upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
			},
		}),
	}
}

// secret checks that what a TLS context asks for is there: a secret of this snapshot whose name begins so, or one of
// the agent's, over the agent's Unix socket.
func (c *checker) secret(where string, config *tlsv3.SdsSecretConfig, prefix string) {
	name := config.GetName()
	if config.GetSdsConfig().GetAds() != nil {
		switch {
		case !c.secrets[name]:
			c.fail("%s: there is no secret %q", where, name)
		case !strings.HasPrefix(name, prefix):
			c.fail("%s: secret %q belongs to another listener", where, name)
		}
		return
	}
	services := config.GetSdsConfig().GetApiConfigSource().GetGrpcServices()
	switch {
	case len(services) != 1 || services[0].GetEnvoyGrpc().GetClusterName() != agentCluster:
		c.fail("%s: secret %q comes neither from here nor from the agent", where, name)
	case name != agentSVID && name != agentTrust:
		c.fail("%s: the agent is asked for %q", where, name)
	case !slices.ContainsFunc(c.snapshot.resources.clusters, isAgent):
		c.fail("%s: no cluster leads to the agent's Unix socket", where)
	}
}

// isAgent reports the cluster of the agent, all of whose endpoints stand in it and are Unix sockets: keys never travel over
// plaintext TCP.
func isAgent(cluster *clusterv3.Cluster) bool {
	if cluster.GetName() != agentCluster || cluster.GetType() != clusterv3.Cluster_STATIC ||
		len(cluster.GetLoadAssignment().GetEndpoints()) == 0 {
		return false
	}
	for _, locality := range cluster.GetLoadAssignment().GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			if e.GetEndpoint().GetAddress().GetPipe() == nil {
				return false
			}
		}
	}
	return true
}
