package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tiergate/tiergate/authz/policy"
)

const (
	dnsResolver    = "envoy.network.dns_resolver.cares"
	assignmentMark = "@" // ends a cluster's name in the name of its endpoints
)

// setEndpoints gives literal addresses to the cluster over EDS: an edit of them is then no edit of the cluster, whose
// connections and streams stay. Where a name is among them, Envoy resolves it, and keeps to what it resolved last while
// DNS does not answer.
func (b *builder) setEndpoints(cluster *clusterv3.Cluster, u policy.Upstream) {
	assignment, names := b.assignment(cluster.GetName(), u)
	if !names {
		cluster.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		assignment.ClusterName = b.assignmentName(cluster)
		cluster.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{
			ServiceName: assignment.GetClusterName(), EdsConfig: overADS(),
		}
		b.endpoints[cluster.GetName()] = assignment
		return
	}
	cluster.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
	cluster.LoadAssignment = assignment
	// Envoy 1.40 takes these fields as ever; the cluster extension that is to replace them says the same.
	cluster.RespectDnsTtl = true //nolint:staticcheck // deprecated; clusters of STRICT_DNS are what dumps and lints know
	// Both families: what has an address that is not reachable from here is tried once more at another one.
	cluster.DnsLookupFamily = clusterv3.Cluster_ALL
	// Envoy waits for the first answer before it listens, for this name as for all; so a silent DNS is given up soon.
	cluster.TypedDnsResolverConfig = &corev3.TypedExtensionConfig{
		Name: dnsResolver, TypedConfig: b.pack(&caresv3.CaresDnsResolverConfig{
			QueryTimeoutSeconds: wrapperspb.UInt64(1), QueryTries: number(2),
		}),
	}
}

// assignmentName is the cluster's name and a digest of what the cluster is without its endpoints. Envoy gives a changed
// cluster its endpoints anew, but asks for none that it is subscribed to already: under a name that stays, the cluster
// would come into force after its initial_fetch_timeout, 15 s later.
func (b *builder) assignmentName(cluster *clusterv3.Cluster) string {
	digest := sha256.Sum256(b.pack(cluster).GetValue())
	return cluster.GetName() + assignmentMark + hex.EncodeToString(digest[:6])
}

func (b *builder) assignment(cluster string, u policy.Upstream) (made *endpointv3.ClusterLoadAssignment, names bool) {
	if len(u.Endpoints) == 0 {
		b.upstreamFault(u, "spec.endpoints", "the upstream has no endpoint", "write at least one ip:port")
	}
	locality := &endpointv3.LocalityLbEndpoints{}
	for i, text := range u.Endpoints {
		at, err := policy.ParseEndpoint(text)
		if err == nil && !at.Literal() && u.Plaintext {
			err = fmt.Errorf("%q is no literal IP address and port, and in plaintext nothing tells where it leads", text)
		}
		if err != nil {
			b.upstreamFault(u, fmt.Sprintf("spec.endpoints[%d]", i), err.Error(),
				"write an IP address and a port, such as 127.0.0.1:8443")
			continue
		}
		names = names || !at.Literal()
		locality.LbEndpoints = append(locality.LbEndpoints, endpoint(endpointAddress(at)))
	}
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{locality},
	}, names
}

func endpointAddress(e policy.Endpoint) *corev3.Address {
	host := e.Name
	if e.Literal() {
		host = e.Addr.String()
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(e.Port)},
	}}}
}
