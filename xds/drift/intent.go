package drift

import (
	"fmt"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/xds"
)

// Intent is what one Envoy is meant to be.
type Intent struct {
	Resources []xds.Served         // what it is given (xds.Server.Serving)
	Version   string               // names that content; "": nothing is given yet, so nothing can be compared
	Bootstrap xds.BootstrapOptions // what it was started with; the node's names are its own
}

// meant is an Intent by kind and name, in the form in which it is compared.
type meant struct {
	resources map[Kind]map[string]proto.Message
	bootstrap map[string]any
	sotw      map[string]any           // the bootstrap for the state-of-the-world variant of ADS, which may run too
	static    map[string]proto.Message // the clusters of the bootstrap
	runtime   map[string]string
}

var kindOf = map[string]Kind{
	"listeners": Listener, "routes": Route, "clusters": Cluster, "secrets": Secret, "endpoints": Endpoints,
}

func newMeant(in Intent) (*meant, error) {
	m := &meant{resources: map[Kind]map[string]proto.Message{}, static: map[string]proto.Message{}, runtime: map[string]string{}}
	for _, r := range in.Resources {
		kind, known := kindOf[r.Type]
		if !known {
			return nil, fmt.Errorf("nothing is known of resources of type %s, so %s is compared with nothing", r.Type, r.Name)
		}
		if m.resources[kind] == nil {
			m.resources[kind] = map[string]proto.Message{}
		}
		m.resources[kind][r.Name] = r.Message
	}
	bootstrap, err := xds.BootstrapOf(in.Bootstrap)
	if err != nil {
		return nil, err
	}
	for _, c := range bootstrap.GetStaticResources().GetClusters() {
		m.static[c.GetName()] = c
	}
	for _, layer := range bootstrap.GetLayeredRuntime().GetLayers() {
		for key, value := range layer.GetStaticLayer().GetFields() {
			m.runtime[key] = fmt.Sprint(value.AsInterface())
		}
	}
	if m.bootstrap, err = fieldsOf(bootstrap); err != nil {
		return nil, err
	}
	in.Bootstrap.StateOfTheWorld = true
	if bootstrap, err = xds.BootstrapOf(in.Bootstrap); err != nil {
		return nil, err
	}
	m.sotw, err = fieldsOf(bootstrap)
	return m, err
}

func fieldsOf(m proto.Message) (map[string]any, error) {
	tree, err := plain(m)
	fields, _ := tree.(map[string]any) // a message's JSON is an object
	return fields, err
}

// public leaves of a secret what is no secret: Envoy writes "[redacted]" for the rest.
func public(message proto.Message) {
	secret, ok := message.(*tlsv3.Secret)
	if !ok {
		return
	}
	switch kind := secret.GetType().(type) {
	case *tlsv3.Secret_TlsCertificate:
		kept := &tlsv3.TlsCertificate{CertificateChain: kind.TlsCertificate.GetCertificateChain()}
		secret.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: kept}
	case *tlsv3.Secret_ValidationContext:
	default:
		secret.Type = nil
	}
}
