package xds

import (
	"maps"
	"strconv"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// fit is what the cache of one Envoy holds: by type URL, and never changed once made, so that Envoys share it.
type fit map[string]typeFit

type typeFit struct {
	items     map[string]versioned
	resources cachev3.Resources // with the version of the type as a whole
	wire      map[string]string // the version of each resource as Envoy is told it
}

// again marks the version of a resource that is sent once more although nothing about it changed.
const again = "~"

// bare is the version of the content.
func bare(version string) string {
	content, _, _ := strings.Cut(version, again)
	return content
}

// newFit writes contents for the cache. Versions are of the content, so that a restart with equal content sends nothing; but
// for what stands refused, which is sent again at each new attempt.
func newFit(c contents, refused refusals) fit {
	f := fit{}
	for _, t := range deliveredTypes {
		f[t.url] = newTypeFit(t.url, c[t.url], refused)
	}
	return f
}

func newTypeFit(url string, items map[string]versioned, refused refusals) typeFit {
	made := typeFit{items: items, wire: make(map[string]string, len(items))}
	made.resources.Items = make(map[string]types.ResourceWithTTL, len(items))
	for name, v := range items {
		made.resources.Items[name] = types.ResourceWithTTL{Resource: v.resource}
		made.wire[name] = v.version
		if r := refused[refusedVersion{url, name, v.version}]; r != nil && r.stands && r.round() > 1 {
			made.wire[name] += again + strconv.Itoa(r.round())
		}
	}
	made.resources.Version = typeVersion(made.wire)
	return made
}

// with is the fit with one type of another.
func (f fit) with(typeURL string, t typeFit) fit {
	next := maps.Clone(f)
	next[typeURL] = t
	return next
}

func (f fit) version(typeURL string) string { return f[typeURL].resources.Version }

func (f fit) contents() contents {
	c := contents{}
	for url, t := range f {
		c[url] = t.items
	}
	return c
}

// cached is the fit in the cache's terms. A salt, by type URL, makes the version of a type another one.
func (f fit) cached(salt map[string]string) *cachev3.Snapshot {
	snapshot := &cachev3.Snapshot{VersionMap: make(map[string]map[string]string, len(f))}
	for url, t := range f {
		resources := t.resources
		resources.Version += salt[url]
		snapshot.Resources[cachev3.GetResponseType(url)] = resources
		snapshot.VersionMap[url] = t.wire
	}
	return snapshot
}

// contentsOf takes a snapshot apart.
func contentsOf(s *Snapshot) contents {
	c := contents{}
	for _, t := range deliveredTypes {
		versions, into := s.cache.GetVersionMap(t.url), c.of(t.url)
		for name, r := range s.cache.GetResources(t.url) {
			into[name] = versioned{r, versions[name]}
		}
	}
	return c
}

// first reports the kinds that must be with an Envoy before anything is that names them.
func first(typeURL string) bool { return lingers(typeURL) }

// whole reports the kinds of which an Envoy takes all there are; of others it asks for names.
func whole(typeURL string) bool {
	return typeURL == resource.ClusterType || typeURL == resource.ListenerType
}
