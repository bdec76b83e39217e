package xds

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// resources are what one snapshot holds.
type resources struct {
	listeners []*listenerv3.Listener
	routes    []*routev3.RouteConfiguration
	clusters  []*clusterv3.Cluster
	endpoints []*endpointv3.ClusterLoadAssignment
	secrets   []*tlsv3.Secret

	certificates map[string]ClientCertificates // what was intended for each listener
}

// Snapshot is what Envoy is to hold: immutable, and named by its content.
type Snapshot struct {
	resources resources // each sorted by name
	cache     *cachev3.Snapshot
	digest    string
	table     string
	unserved  []string
}

func newSnapshot(r resources, table string, unserved []string) (*Snapshot, error) {
	sortByName(r.listeners)
	sortByName(r.routes)
	sortByName(r.clusters)
	slices.SortFunc(r.endpoints, func(a, b *endpointv3.ClusterLoadAssignment) int {
		return cmp.Compare(a.GetClusterName(), b.GetClusterName())
	})
	sortByName(r.secrets)
	cached, err := cacheSnapshot(map[resource.Type][]types.Resource{
		resource.ListenerType: asResources(r.listeners), resource.RouteType: asResources(r.routes),
		resource.ClusterType: asResources(r.clusters), resource.EndpointType: asResources(r.endpoints),
		resource.SecretType: asResources(r.secrets),
	})
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, t := range deliveredTypes {
		fmt.Fprintf(digest, "%s %s\n", t.url, cached.GetVersion(t.url))
	}
	return &Snapshot{
		resources: r, cache: cached, table: table, unserved: unserved, digest: hex.EncodeToString(digest.Sum(nil)),
	}, nil
}

// deliveredType is one kind of resource, in the order in which a change of several is safe to deliver.
type deliveredType struct{ url, name string }

var deliveredTypes = []deliveredType{
	{resource.ClusterType, "clusters"},
	{resource.EndpointType, "endpoints"},
	{resource.ListenerType, "listeners"},
	{resource.RouteType, "routes"},
	{resource.SecretType, "secrets"},
}

// cacheSnapshot versions each resource, and each type as a whole, by content: a restart with equal content sends
// nothing.
func cacheSnapshot(items map[resource.Type][]types.Resource) (*cachev3.Snapshot, error) {
	snapshot := &cachev3.Snapshot{}
	for url, list := range items {
		snapshot.Resources[cachev3.GetResponseType(url)] = cachev3.NewResources("", list)
	}
	if err := snapshot.ConstructVersionMap(); err != nil {
		return nil, fmt.Errorf("Envoy's configuration cannot be written: %w", err)
	}
	for url := range items {
		snapshot.Resources[cachev3.GetResponseType(url)].Version = typeVersion(snapshot.GetVersionMap(url))
	}
	return snapshot, nil
}

func typeVersion(versions map[string]string) string {
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		fmt.Fprintf(digest, "%q %s\n", name, versions[name])
	}
	return hex.EncodeToString(digest.Sum(nil)[:16])
}

func sortByName[R types.ResourceWithName](list []R) {
	slices.SortFunc(list, func(a, b R) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

func asResources[R types.Resource](list []R) []types.Resource {
	all := make([]types.Resource, 0, len(list))
	for _, r := range list {
		all = append(all, r)
	}
	return all
}

// Digest names the content: equal content, equal digest, in any process.
func (s *Snapshot) Digest() string { return s.digest }

// Table is the digest of the route table that the snapshot carries (Input.TableDigest).
func (s *Snapshot) Table() string { return s.table }

// Unserved lists, sorted, the routes that no listener serves: those of an isolated audience without a listener here, or whose
// tier identifies nobody whom a listener is for (Listener.Serves).
func (s *Snapshot) Unserved() []string { return slices.Clone(s.unserved) }

// Listeners are sorted by name and must not be changed.
func (s *Snapshot) Listeners() []*listenerv3.Listener { return slices.Clone(s.resources.listeners) }

// Routes are sorted by name, which is the listener's, and must not be changed.
func (s *Snapshot) Routes() []*routev3.RouteConfiguration { return slices.Clone(s.resources.routes) }

// Clusters are sorted by name, "<listener>/<upstream>" or the way to ext_authz, and must not be changed.
func (s *Snapshot) Clusters() []*clusterv3.Cluster { return slices.Clone(s.resources.clusters) }

// Endpoints are sorted by the name of their cluster and must not be changed. Clusters of STRICT_DNS, the way to ext_authz
// and the way to the agent have theirs in themselves.
func (s *Snapshot) Endpoints() []*endpointv3.ClusterLoadAssignment {
	return slices.Clone(s.resources.endpoints)
}

// Secrets are sorted by name and must not be changed. They hold private keys.
func (s *Snapshot) Secrets() []*tlsv3.Secret { return slices.Clone(s.resources.secrets) }
