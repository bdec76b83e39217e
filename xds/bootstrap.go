package xds

import (
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

const xdsCluster = "tiergate_xds"

// maxConnections bounds all client connections of one Envoy together.
const maxConnections = 50_000

// BootstrapOptions says how an Envoy finds tiergate.
type BootstrapOptions struct {
	NodeID      string // names this Envoy in Status; required
	NodeCluster string // the group it belongs to; default "tiergate"
	XDSSocket   string // absolute path of the Unix socket that Server is served on
	AdminSocket string // absolute path of the Unix socket on which Envoy is to serve its admin interface
	// StateOfTheWorld has Envoy take all resources of a kind at every change instead of those that differ. After a restart of
	// tiergate with another policy, such an Envoy drops the clusters of the old one before it has the new routes.
	StateOfTheWorld bool
}

// Bootstrap writes the configuration to start Envoy with, as YAML: everything else comes over delta ADS. The admin
// interface is a Unix socket for Envoy's user alone, and there is no runtime layer that the interface could change, so
// nobody who reaches it switches a filter off.
//
// Start Envoy with --drain-time-s 20: a changed listener closes its old connections within that time, not in Envoy's
// default of 600 s.
func Bootstrap(o BootstrapOptions) ([]byte, error) {
	var errs []error
	if o.NodeID == "" {
		errs = append(errs, errors.New("the node has no id; give each Envoy a name of its own"))
	}
	for what, path := range map[string]string{"xds": o.XDSSocket, "admin": o.AdminSocket} {
		if err := checkSocketPath(path); err != nil {
			errs = append(errs, fmt.Errorf("the socket of %s: %w", what, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if o.NodeCluster == "" {
		o.NodeCluster = "tiergate"
	}
	b := &builder{}
	config := b.bootstrap(o)
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	if err := config.ValidateAll(); err != nil {
		return nil, fmt.Errorf("the bootstrap breaks a constraint of Envoy's API: %s", oneLine(err.Error()))
	}
	value, err := plainValue(config)
	if err != nil {
		return nil, err
	}
	return append([]byte(bootstrapHeader), writeYAML(value)...), nil
}

// bootstrapHeader says how to start Envoy. 20 seconds are the most that a certificate or CA which is withdrawn with its
// listener can still be used on an old connection; what is decided about each request changes at once.
const bootstrapHeader = `# Everything else comes from tiergate, over the socket that is named below. Start Envoy
# in a session of its own (setsid, or a service), or it gets the signals of the terminal; as tiergate's user, whose
# sockets nobody else may open:
#
#   setsid envoy -c THIS-FILE --drain-time-s 20
#
# --drain-time-s: a listener whose settings change closes its old connections within so many seconds. Envoy's default is
#   600; more than 30 is too long. A policy edit changes no listener and closes nothing.
# --base-id N: add it, with a number of its own, to each further Envoy on this machine; each needs its own --node-id and
#   --admin-socket here, too.
`

func (b *builder) bootstrap(o BootstrapOptions) *bootstrapv3.Bootstrap {
	admin := pipeAddress(o.AdminSocket)
	admin.GetPipe().Mode = 0o600
	return &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: o.NodeID, Cluster: o.NodeCluster},
		Admin: &bootstrapv3.Admin{Address: admin},
		// The layers are stated, and none of them is one that the admin interface may change.
		LayeredRuntime: &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
			Name:           "fixed",
			LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: fixedRuntime()},
		}}},
		OverloadManager: &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{{
			Name: "envoy.resource_monitors.global_downstream_max_connections",
			ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: b.pack(
				&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: maxConnections},
			)},
		}}},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: adsConfig(o.StateOfTheWorld), CdsConfig: overADS(), LdsConfig: overADS(),
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters: []*clusterv3.Cluster{b.xdsCluster(o.XDSSocket)},
		},
	}
}

// fixedRuntime lifts Envoy's limit on the size of a compiled regular expression (RE2 instructions), which is 100 and
// refuses a route with a few variables. The policy's own limits on hosts and paths stay far below this one.
func fixedRuntime() *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"re2.max_program_size.error_level": structpb.NewNumberValue(100_000),
	}}
}

// adsConfig reconnects within two seconds: Envoy's default waits up to 30 s after a restart of tiergate.
func adsConfig(stateOfTheWorld bool) *corev3.ApiConfigSource {
	api := corev3.ApiConfigSource_DELTA_GRPC
	if stateOfTheWorld {
		api = corev3.ApiConfigSource_GRPC
	}
	return &corev3.ApiConfigSource{
		ApiType:                   api,
		TransportApiVersion:       corev3.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: xdsCluster,
				RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
					BaseInterval: &durationpb.Duration{Nanos: 250_000_000}, MaxInterval: seconds(2),
				}},
			},
		}}},
	}
}

func (b *builder) xdsCluster(socket string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 xdsCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       seconds(1),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: xdsCluster,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{endpoint(pipeAddress(socket))},
			}},
		},
		TypedExtensionProtocolOptions: b.protocol(&upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: seconds(30), Timeout: seconds(5),
				}},
			},
		}),
	}
}
