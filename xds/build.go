package xds

import (
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tiergate/tiergate/authz/policy"
)

// Build turns a policy's routes and the settings into what Envoy is to hold. It is pure: it reads no file and no
// clock, and the order of documents does not reach the output. What cannot be programmed is returned as Faults, all
// of them.
func Build(in Input) (*Snapshot, error) {
	b := &builder{
		in: in, upstreams: map[string]policy.Upstream{}, isolated: map[string]bool{},
		clusters: map[string]*clusterv3.Cluster{}, endpoints: map[string]*endpointv3.ClusterLoadAssignment{},
		secrets: map[string]*tlsv3.Secret{}, served: map[string]bool{},
	}
	for _, u := range in.Upstreams {
		b.upstreams[u.Meta.Name] = u
	}
	for _, a := range in.Audiences {
		b.isolated[a.Meta.Name] = a.Isolated
	}
	b.checkSettings()
	b.clusters[authzCluster] = b.authzCluster()
	b.accessLogCluster()
	if in.Settings.Health != "" {
		b.listeners = append(b.listeners, b.healthListener())
	}
	for _, l := range in.Settings.Listeners {
		if l.Awaited {
			continue
		}
		b.listeners = append(b.listeners, b.listener(l))
		b.routes = append(b.routes, b.routeConfiguration(l))
	}
	if len(b.faults) > 0 {
		return nil, b.faults.sorted()
	}
	return newSnapshot(b.resources(), in.TableDigest, b.unserved())
}

// builder collects the resources of one snapshot and what stands in their way.
type builder struct {
	in        Input
	upstreams map[string]policy.Upstream
	isolated  map[string]bool // every audience, by name
	listeners []*listenerv3.Listener
	routes    []*routev3.RouteConfiguration
	clusters  map[string]*clusterv3.Cluster
	endpoints map[string]*endpointv3.ClusterLoadAssignment // by cluster
	secrets   map[string]*tlsv3.Secret
	served    map[string]bool // the routes that some listener serves
	faults    Faults
}

func (b *builder) resources() resources {
	r := resources{listeners: b.listeners, routes: b.routes, certificates: map[string]ClientCertificates{}}
	for _, l := range b.in.Settings.Listeners {
		r.certificates[l.Name] = l.ClientCertificates
	}
	for _, c := range b.clusters {
		r.clusters = append(r.clusters, c)
	}
	for _, e := range b.endpoints {
		r.endpoints = append(r.endpoints, e)
	}
	for _, s := range b.secrets {
		r.secrets = append(r.secrets, s)
	}
	return r
}

// unserved lists, sorted, the routes that exist on no listener.
func (b *builder) unserved() []string {
	var names []string
	for _, r := range b.in.Routes {
		if !b.served[r.Meta.Name] {
			names = append(names, r.Meta.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (b *builder) settingsFault(field, message, help string) {
	b.faults = append(b.faults, policy.Fault{Kind: KindSettings, Field: field, Message: message, Help: help})
}

// pack wraps an extension's configuration. Maps are written in the order of their keys: equal configuration, equal
// bytes.
func (b *builder) pack(message proto.Message) *anypb.Any {
	packed := new(anypb.Any)
	if err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true}); err != nil {
		b.settingsFault("envoy", "Envoy's configuration cannot be written: "+err.Error(),
			"look for names that are not UTF-8 in the policy and the settings")
	}
	return packed
}

func seconds(n int64) *durationpb.Duration          { return &durationpb.Duration{Seconds: n} }
func duration(d time.Duration) *durationpb.Duration { return durationpb.New(d) }
func yes() *wrapperspb.BoolValue                    { return wrapperspb.Bool(true) }
func number(n uint32) *wrapperspb.UInt32Value       { return wrapperspb.UInt32(n) }
func settingsField(l Listener, field string) string {
	return "envoy.listeners[" + l.Name + "]." + field
}
