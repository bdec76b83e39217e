package xds

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// StaticOptions says how an Envoy runs without xDS, and where it finds what a Snapshot holds of files.
type StaticOptions struct {
	NodeID      string // names this Envoy in what it tells of itself; required
	NodeCluster string // the group it belongs to; default "tiergate"
	AdminSocket string // absolute path of the Unix socket on which Envoy is to serve its admin interface
	// Listeners are the files of each listener, by its name; Client and UpstreamCA those of upstreams. Paths are absolute.
	Listeners  map[string]StaticFiles
	Client     StaticFiles
	UpstreamCA string
}

// StaticFiles are the files that a certificate, its key and the CA certificates of clients stand in; "": not in a file.
type StaticFiles struct{ CertFile, KeyFile, CAFile string }

// Static writes the same configuration as a Snapshot delivers, as one YAML file that Envoy runs on alone (envoy -c), with
// ext_authz asked as ever. in is what the Snapshot was built of. Certificates and keys are named by their files, which
// Envoy reads when it starts; there is no private key in the text. What CA certificates are in no file stands in it.
//
// A listener that awaits its CA certificates has none to write down, and is an error. What is not in a file and comes from
// a SPIFFE agent is asked of it as ever.
func Static(in Input, o StaticOptions) ([]byte, error) {
	snapshot, err := Build(in)
	if err != nil {
		return nil, err
	}
	if err := snapshot.Consistent(); err != nil {
		return nil, err
	}
	for _, l := range in.Settings.Listeners {
		if l.Awaited {
			return nil, fmt.Errorf("listener %s: whom it lets in rotates, and is told over xDS only; name CA certificates in "+
				"clientCAFile, or let tiergate program this Envoy (tiergate envoy bootstrap)", l.Name)
		}
	}
	if o.NodeCluster == "" {
		o.NodeCluster = "tiergate"
	}
	errs := []error{nil}
	if o.NodeID == "" {
		errs = append(errs, errors.New("the node has no id; give each Envoy a name of its own"))
	}
	if err := checkSocketPath(o.AdminSocket); err != nil {
		errs = append(errs, fmt.Errorf("the socket of admin: %w", err))
	}
	secrets, err := secretsInFiles(snapshot, in.Settings, o)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	b := &builder{}
	config := b.bootstrap(BootstrapOptions{NodeID: o.NodeID, NodeCluster: o.NodeCluster, AdminSocket: o.AdminSocket})
	if err := snapshot.fill(config, secrets, nil); err != nil {
		return nil, err
	}
	if err := config.ValidateAll(); err != nil {
		return nil, fmt.Errorf("the configuration breaks a constraint of Envoy's API: %s", oneLine(err.Error()))
	}
	value, err := plainValue(config)
	if err != nil {
		return nil, err
	}
	return append([]byte(staticHeader), writeYAML(value)...), nil
}

// staticHeader says how to start Envoy and what it does without.
const staticHeader = `# Envoy's whole configuration, as tiergate would deliver it. There is no private key in it:
# keys and certificates are read from their files. Start Envoy in a session of its own (setsid, or a service), as a
# user that may open tiergate's sockets:
#
#   setsid envoy -c THIS-FILE
#
# Add --base-id N, one for each further Envoy on this machine. tiergate still decides about every request, by the policy
# that is in force there; tiers, exceptions and audiences follow it. What is lost without xDS:
#
# - An edit of routes, upstreams or listeners needs this file written anew and Envoy started anew. Until then requests are
#   matched as here. tiergate judges them by its own current table, and refuses those that it would match to another route.
# - Certificates, keys and CA files are read when Envoy starts: start it anew when they change. What comes from a SPIFFE
#   agent is followed as ever.
# - tiergate does not see this Envoy: not in "tiergate envoy status", not whether it holds what was intended.
`

// Preflight writes the snapshot as one JSON document for `envoy --mode validate`: everything is in it, so that Envoy judges
// routes, certificates and keys too. It holds private keys: hand it over through a pipe, never in a file. Access logs lead
// nowhere in it, because Envoy opens them even to validate.
func (s *Snapshot) Preflight() ([]byte, error) {
	b := &builder{}
	config := b.bootstrap(BootstrapOptions{NodeID: "tiergate-preflight", NodeCluster: "tiergate"})
	config.Admin = nil
	if err := s.fill(config, s.resources.secrets, withoutLogFiles); err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(config)
}

// fill puts into a bootstrap what would come over xDS, and takes out what leads there.
func (s *Snapshot) fill(config *bootstrapv3.Bootstrap, secrets []*tlsv3.Secret, edit func(proto.Message)) error {
	config.DynamicResources = nil
	i := inliner{routes: map[string]*routev3.RouteConfiguration{}, endpoints: map[string]*endpointv3.ClusterLoadAssignment{},
		edit: edit}
	for _, r := range s.resources.routes {
		i.routes[r.GetName()] = r
	}
	for _, e := range s.resources.endpoints {
		i.endpoints[e.GetClusterName()] = e
	}
	static := &bootstrapv3.Bootstrap_StaticResources{Secrets: secrets}
	for _, c := range s.resources.clusters {
		static.Clusters = append(static.Clusters, proto.CloneOf(c))
	}
	for _, l := range s.resources.listeners {
		static.Listeners = append(static.Listeners, proto.CloneOf(l))
	}
	i.clusters(static.GetClusters())
	i.listeners(static.GetListeners())
	config.StaticResources = static
	return errors.Join(i.errs...)
}

func (i *inliner) clusters(all []*clusterv3.Cluster) {
	for _, c := range all {
		i.message("cluster "+c.GetName(), c.ProtoReflect())
	}
}

func (i *inliner) listeners(all []*listenerv3.Listener) {
	for _, l := range all {
		i.message("listener "+l.GetName(), l.ProtoReflect())
	}
}

// secretsInFiles names the files that secrets stand in. A CA file is named only if it is all that the secret holds.
func secretsInFiles(s *Snapshot, in Settings, o StaticOptions) ([]*tlsv3.Secret, error) {
	files := map[string]StaticFiles{upstreamClient: o.Client, upstreamCA: {CAFile: o.UpstreamCA}}
	whole := map[string][]byte{upstreamCA: in.UpstreamCA} // what the CA file holds
	for _, l := range in.Listeners {
		f := o.Listeners[l.Name]
		files[certificateOf(l)] = StaticFiles{CertFile: f.CertFile, KeyFile: f.KeyFile}
		files[clientCAOf(l)], whole[clientCAOf(l)] = StaticFiles{CAFile: f.CAFile}, l.ClientCA
	}
	var errs []error
	secrets := make([]*tlsv3.Secret, 0, len(s.resources.secrets))
	for _, secret := range s.resources.secrets {
		file := files[secret.GetName()]
		written := proto.CloneOf(secret)
		if pair := written.GetTlsCertificate(); pair != nil {
			if file.CertFile == "" || file.KeyFile == "" {
				errs = append(errs, fmt.Errorf("secret %s: its private key is in no file that is named", secret.GetName()))
			}
			pair.CertificateChain, pair.PrivateKey = inFile(file.CertFile), inFile(file.KeyFile)
		}
		if context := written.GetValidationContext(); context.GetTrustedCa() != nil {
			if file.CAFile != "" && bytes.Equal(context.GetTrustedCa().GetInlineBytes(), whole[secret.GetName()]) {
				context.TrustedCa = inFile(file.CAFile)
			} else {
				context.TrustedCa = inlineText(string(bytes.TrimSpace(context.GetTrustedCa().GetInlineBytes())) + "\n")
			}
		}
		secrets = append(secrets, written)
	}
	return slices.Clip(secrets), errors.Join(errs...)
}

func inFile(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}
