package xds

import (
	"cmp"
	"slices"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/proto"
)

// Served is one resource as Envoys are given it.
type Served struct {
	Type    string        // clusters, endpoints, listeners, routes or secrets
	Name    string        // of the resource
	Message proto.Message // envoy.config.*; must not be changed. Secrets hold private keys.
}

// Serving is what every Envoy is given now, sorted by type and name: the published snapshot, and of those before it what
// some Envoy may still need. The version names that content; it is "" and there is nothing until the first Publish.
func (s *Server) Serving() (resources []Served, version string) {
	s.mu.Lock()
	everybody := s.everybody
	s.mu.Unlock()
	if everybody == nil {
		return nil, ""
	}
	serving := everybody.cached(nil)
	versions := make([]string, 0, len(deliveredTypes))
	for _, t := range deliveredTypes {
		versions = append(versions, serving.GetVersion(t.url))
		for name, r := range serving.GetResources(t.url) {
			resources = append(resources, Served{Type: t.name, Name: name, Message: r})
		}
	}
	slices.SortFunc(resources, func(a, b Served) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return resources, strings.Join(versions, " ")
}

// BootstrapOf is what Bootstrap writes, as a message; the options must be good for Bootstrap.
func BootstrapOf(o BootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	if _, err := Bootstrap(o); err != nil {
		return nil, err
	}
	return (&builder{}).bootstrap(o), nil
}
