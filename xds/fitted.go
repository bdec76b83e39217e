package xds

import (
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// versioned is a resource in one version. Where only an Envoy knows the content, resource is nil.
type versioned struct {
	resource types.Resource
	version  string
}

// contents are resources by type URL and name.
type contents map[string]map[string]versioned

func (c contents) of(typeURL string) map[string]versioned {
	if c[typeURL] == nil {
		c[typeURL] = map[string]versioned{}
	}
	return c[typeURL]
}

func (c contents) empty() bool {
	for _, items := range c {
		if len(items) > 0 {
			return false
		}
	}
	return true
}

// lingers reports the kinds that others name: they stay while an Envoy may hold something that names them.
func lingers(typeURL string) bool {
	return typeURL == resource.ClusterType || typeURL == resource.EndpointType || typeURL == resource.SecretType
}

// refusedVersion names what exactly an Envoy refused.
type refusedVersion struct{ typeURL, name, version string }

type refusals map[refusedVersion]*refusal

// fitted is what one Envoy is to be given of the published resources. Each that it refused in exactly this version is
// replaced by the first last good that it did not refuse, or is left out; except where it stands: then Envoy holds what only
// itself knows, and is neither told to drop that nor sent the refused version again. A route table that names a cluster which
// is left out is as if refused, so that Envoy need not find that out by itself. What lingers is added.
func fitted(published, lingering contents, refused refusals, lastGood ...contents) contents {
	out, missing := contents{}, map[string]bool{}
	for url, items := range published {
		into := out.of(url)
		for name, wanted := range items {
			if got, ok := substitute(url, name, wanted, refused, lastGood); ok {
				into[name] = got
			} else if url == resource.ClusterType {
				missing[name] = true
			}
		}
	}
	for url, items := range lingering {
		for name, old := range items {
			if _, fresh := published[url][name]; !fresh {
				out.of(url)[name] = old
			}
		}
	}
	if len(missing) == 0 {
		return out
	}
	for name, table := range out[resource.RouteType] {
		if !mentions(table.resource, missing) {
			continue
		}
		for _, good := range lastGood {
			before, ok := good[resource.RouteType][name]
			if ok && before.resource != nil && !mentions(before.resource, missing) {
				out[resource.RouteType][name] = before
				break
			}
		}
	}
	return out
}

func substitute(url, name string, wanted versioned, refused refusals, lastGood []contents) (versioned, bool) {
	r := refused[refusedVersion{url, name, wanted.version}]
	if r == nil || r.trying {
		return wanted, true
	}
	for _, good := range lastGood {
		before, ok := good[url][name]
		if ok && before.resource != nil && refused[refusedVersion{url, name, before.version}] == nil {
			return before, true
		}
	}
	return wanted, r.stands
}

// mentions reports whether any text in a resource is one of the names: more than its references, never less.
func mentions(r types.Resource, names map[string]bool) bool {
	if r == nil {
		return false
	}
	return mentionsIn(r.ProtoReflect(), names)
}

func mentionsIn(m protoreflect.Message, names map[string]bool) (found bool) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		return err == nil && mentionsIn(inner.ProtoReflect(), names)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = found || mentionsValue(f.MapValue(), v, names)
				return !found
			})
		case f.IsList():
			for i := range v.List().Len() {
				found = found || mentionsValue(f, v.List().Get(i), names)
			}
		default:
			found = mentionsValue(f, v, names)
		}
		return !found
	})
	return found
}

func mentionsValue(f protoreflect.FieldDescriptor, v protoreflect.Value, names map[string]bool) bool {
	switch {
	case f.Message() != nil:
		return mentionsIn(v.Message(), names)
	case f.Kind() == protoreflect.StringKind:
		return names[v.String()]
	}
	return false
}

// needed are those of the lingering resources that are mentioned by what is served but not published, or by one another's.
func needed(lingering, published contents, serving []contents) contents {
	names := map[string]bool{}
	for _, items := range lingering {
		for name := range items {
			names[name] = true
		}
	}
	keep := contents{}
	var reach func(r types.Resource)
	reach = func(r types.Resource) {
		for name := range names {
			if !mentions(r, map[string]bool{name: true}) {
				continue
			}
			delete(names, name)
			for url, items := range lingering {
				if kept, ok := items[name]; ok {
					keep.of(url)[name] = kept
					reach(kept.resource)
				}
			}
		}
	}
	seen := map[proto.Message]bool{}
	for _, c := range serving {
		for url, items := range c {
			for name, v := range items {
				_, stays := lingering[url][name]
				if stays || published[url][name].version == v.version || v.resource == nil || seen[v.resource] {
					continue
				}
				seen[v.resource] = true
				reach(v.resource)
			}
		}
	}
	return keep
}
