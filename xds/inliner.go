package xds

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// inliner replaces, wherever in a message it stands, what Envoy would ask for over ADS by the thing itself. It goes through
// all of a message, extensions included, so that what is added elsewhere cannot be forgotten here: a way to ADS that it does
// not know is an error.
type inliner struct {
	routes    map[string]*routev3.RouteConfiguration
	endpoints map[string]*endpointv3.ClusterLoadAssignment // by cluster
	edit      func(proto.Message)                          // what else is to be changed; nil: nothing
	errs      []error
}

func (i *inliner) message(where string, m protoreflect.Message) {
	var after func()
	switch v := m.Interface().(type) {
	case *anypb.Any:
		i.packed(where, v)
		return
	case *tlsv3.SdsSecretConfig: // by its name, a static secret
		if v.GetSdsConfig().GetAds() != nil {
			v.SdsConfig = nil
		}
	case *clusterv3.Cluster:
		i.cluster(where, v)
	case *hcmv3.HttpConnectionManager:
		after = i.routesOf(where, v)
	case *corev3.ConfigSource:
		if v.GetAds() != nil {
			i.errs = append(i.errs, fmt.Errorf("%s: there is something in it that only xDS delivers", where))
		}
	}
	if i.edit != nil {
		i.edit(m.Interface())
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, entry protoreflect.Value) bool {
					i.message(where, entry.Message())
					return true
				})
			}
		case field.IsList():
			for n := range value.List().Len() {
				i.message(where, value.List().Get(n).Message())
			}
		default:
			i.message(where, value.Message())
		}
		return true
	})
	if after != nil {
		after()
	}
}

// packed goes through an extension's configuration. Equal configuration stays equal bytes.
func (i *inliner) packed(where string, packed *anypb.Any) {
	inner, err := packed.UnmarshalNew()
	if err == nil {
		i.message(where, inner.ProtoReflect())
		err = anypb.MarshalFrom(packed, inner, proto.MarshalOptions{Deterministic: true})
	}
	if err != nil {
		i.errs = append(i.errs, fmt.Errorf("%s: %w", where, err))
	}
}

func (i *inliner) cluster(where string, c *clusterv3.Cluster) {
	if c.GetType() != clusterv3.Cluster_EDS || c.GetEdsClusterConfig().GetEdsConfig().GetAds() == nil {
		return
	}
	name := c.GetEdsClusterConfig().GetServiceName()
	if name == "" {
		name = c.GetName()
	}
	endpoints, there := i.endpoints[name]
	if !there {
		i.errs = append(i.errs, fmt.Errorf("%s: there are no endpoints %q", where, name))
		return
	}
	c.ClusterDiscoveryType, c.EdsClusterConfig = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, nil
	c.LoadAssignment = proto.CloneOf(endpoints)
	c.LoadAssignment.ClusterName = c.GetName()
}

// routesOf takes the way to the routes out and returns what puts the routes in. They are not gone through: they may be
// many, and Consistent has seen that they lead to no other source.
func (i *inliner) routesOf(where string, hcm *hcmv3.HttpConnectionManager) func() {
	rds := hcm.GetRds()
	if rds.GetConfigSource().GetAds() == nil {
		return nil
	}
	routes, there := i.routes[rds.GetRouteConfigName()]
	if !there {
		i.errs = append(i.errs, fmt.Errorf("%s: there are no routes %q", where, rds.GetRouteConfigName()))
		return nil
	}
	hcm.RouteSpecifier = nil
	return func() { hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes} }
}

// withoutLogFiles has Envoy write access logs nowhere.
func withoutLogFiles(m proto.Message) {
	if log, is := m.(*filev3.FileAccessLog); is {
		log.Path = "/dev/null"
	}
}
