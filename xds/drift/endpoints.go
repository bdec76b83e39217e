package drift

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// endpoints compares the addresses of a cluster. Of the rest Envoy shows what it made of it, health for one.
func (c *comparison) endpoints(raw json.RawMessage) {
	has := &endpointv3.ClusterLoadAssignment{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(withoutType(raw), has); err != nil {
		c.differ(Endpoints, "", Different, "", "they cannot be read: "+err.Error())
		return
	}
	name := has.GetClusterName()
	c.saw(Endpoints, name)
	want, known := c.assignment(name)
	if !known { // the cluster itself is unexpected, and told as that; or a resolver finds the addresses
		return
	}
	meant, there := addresses(want), addresses(has)
	if !slices.Equal(meant, there) {
		c.differ(Endpoints, name, Different, "", fmt.Sprintf("are %s, meant are %s", shown(there), shown(meant)))
	}
}

// assignment is what was meant under a name: over EDS, or within the cluster. DNS names have no addresses of ours.
func (c *comparison) assignment(name string) (*endpointv3.ClusterLoadAssignment, bool) {
	if over, ok := c.meant.resources[Endpoints][name].(*endpointv3.ClusterLoadAssignment); ok {
		return over, true
	}
	message, given := c.meant.resources[Cluster][name]
	if !given {
		message = c.meant.static[name]
	}
	within, ok := message.(*clusterv3.Cluster)
	if !ok || within.GetType() != clusterv3.Cluster_STATIC {
		return nil, false
	}
	return within.GetLoadAssignment(), true
}

func addresses(a *endpointv3.ClusterLoadAssignment) []string {
	all := []string{}
	for _, locality := range a.GetEndpoints() {
		for _, e := range locality.GetLbEndpoints() {
			all = append(all, addressText(e.GetEndpoint().GetAddress()))
			for _, more := range e.GetEndpoint().GetAdditionalAddresses() {
				all = append(all, addressText(more.GetAddress()))
			}
		}
	}
	slices.Sort(all)
	return all
}

func addressText(a *corev3.Address) string {
	switch kind := a.GetAddress().(type) {
	case *corev3.Address_SocketAddress:
		return net.JoinHostPort(kind.SocketAddress.GetAddress(), strconv.Itoa(int(kind.SocketAddress.GetPortValue())))
	case *corev3.Address_Pipe:
		return "unix:" + kind.Pipe.GetPath()
	default:
		return "internal listener " + a.GetEnvoyInternalAddress().GetServerListenerName()
	}
}

// withoutType removes the type that the Any of a dump has.
func withoutType(raw json.RawMessage) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return raw
	}
	delete(fields, "@type")
	bare, err := json.Marshal(fields)
	if err != nil {
		return raw
	}
	return bare
}
