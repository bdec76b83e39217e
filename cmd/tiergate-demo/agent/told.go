package agent

import (
	"strconv"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// whole is what was said on a stream where every answer holds all that is asked for.
type whole struct {
	names   []string
	version string // of the last answer; empty: there was none to what is asked for now
	nonce   int
}

func (w *whole) answer(v view, validator bool) (*discoveryv3.DiscoveryResponse, error) {
	list, err := v.pack(w.names, validator)
	if err != nil || len(list) == 0 || versionOf(list) == w.version {
		return nil, err
	}
	w.version = versionOf(list)
	w.nonce++
	resources := make([]*anypb.Any, 0, len(list))
	for _, p := range list {
		resources = append(resources, p.resource)
	}
	return &discoveryv3.DiscoveryResponse{VersionInfo: w.version, TypeUrl: secretType, Nonce: strconv.Itoa(w.nonce),
		Resources: resources}, nil
}

// take reads a request. One with the nonce of the last answer says that it was used, or that it could not be; one with an
// older nonce was sent before that answer arrived and says nothing any more.
func (w *whole) take(r *discoveryv3.DiscoveryRequest) []string {
	switch r.GetResponseNonce() {
	case "":
		w.names, w.version = r.GetResourceNames(), ""
	case strconv.Itoa(w.nonce):
		w.names = r.GetResourceNames()
	}
	return w.names
}

// parts is what was said on a stream where answers hold what has changed.
type parts struct {
	names    []string
	versions map[string]string // of each secret that was sent
	nonce    int
}

func (p *parts) answer(v view, validator bool) (*discoveryv3.DeltaDiscoveryResponse, error) {
	list, err := v.pack(p.names, validator)
	if err != nil {
		return nil, err
	}
	response := &discoveryv3.DeltaDiscoveryResponse{SystemVersionInfo: versionOf(list), TypeUrl: secretType}
	for _, s := range list {
		if p.versions[s.name] != s.version {
			p.versions[s.name] = s.version
			response.Resources = append(response.Resources,
				&discoveryv3.Resource{Name: s.name, Version: s.version, Resource: s.resource})
		}
	}
	if len(response.GetResources()) == 0 {
		return nil, nil
	}
	p.nonce++
	response.Nonce = strconv.Itoa(p.nonce)
	return response, nil
}

func (p *parts) take(r *discoveryv3.DeltaDiscoveryRequest) []string {
	for _, name := range r.GetResourceNamesUnsubscribe() {
		delete(p.versions, name)
		p.names = without(p.names, name)
	}
	for _, name := range r.GetResourceNamesSubscribe() { // again: it is wanted again
		delete(p.versions, name)
		p.names = append(without(p.names, name), name)
	}
	for name, version := range r.GetInitialResourceVersions() { // it came back with what it had
		p.versions[name] = version
	}
	return p.names
}

func without(names []string, name string) []string {
	var rest []string
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}
