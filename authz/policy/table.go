package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Table finds the route of a request. It is immutable.
type Table struct {
	digest string
	hosts  map[string][]*route // by exact host or "*.suffix", each list in order of precedence
}

// route is a compiled Route.
type route struct {
	name      string
	pattern   Pattern
	methods   []string // nil: every method
	tier      int
	audiences []int
	upstream  string
}

// found is what a look-up came to.
type found uint8

const (
	foundNothing found = iota
	foundOtherMethods
	foundRoute
)

// lookup chooses the route of a host and path, then of a method. A method that none of the chosen routes lists never
// falls through to a wider route. An exact host wins over a wildcard, whatever its paths are; so does Envoy.
func (t *Table) lookup(host string, path []string, method string) (*route, found) {
	routes, ok := t.hosts[host]
	if !ok {
		if _, suffix, cut := strings.Cut(host, "."); cut {
			routes = t.hosts["*."+suffix]
		}
	}
	for i, r := range routes {
		if !r.pattern.Match(path) {
			continue
		}
		for _, candidate := range routes[i:] {
			if candidate.pattern.Compare(r.pattern) != 0 {
				break
			}
			if candidate.methods == nil || slices.Contains(candidate.methods, method) {
				return candidate, foundRoute
			}
		}
		return r, foundOtherMethods
	}
	return nil, foundNothing
}

// Match is the route of a request by this table: its name and upstream, or ok false. Envoy's own choice is compared
// with it in the generation of the table that Envoy held.
func (t *Table) Match(host, path, method string) (name, upstream string, ok bool) {
	host, err := NormalHost(host)
	if err != nil {
		return "", "", false
	}
	segments, err := SplitRequestPath(path)
	if err != nil {
		return "", "", false
	}
	r, how := t.lookup(host, segments, method)
	if how != foundRoute {
		return "", "", false
	}
	return r.name, r.upstream, true
}

// Digest names the table by what it matches; a tier or an exception does not change it.
func (t *Table) Digest() string { return t.digest }

func newTable(routes []*route, hosts map[string][]string) *Table {
	t := &Table{hosts: make(map[string][]*route)}
	for _, r := range routes {
		for _, host := range hosts[r.name] {
			t.hosts[host] = append(t.hosts[host], r)
		}
	}
	for _, list := range t.hosts {
		slices.SortFunc(list, func(a, b *route) int {
			if c := a.pattern.Compare(b.pattern); c != 0 {
				return c
			}
			return strings.Compare(a.name, b.name)
		})
	}
	t.digest = tableDigest(routes, hosts)
	return t
}

func tableDigest(routes []*route, hosts map[string][]string) string {
	type line struct {
		Name, Path, Upstream string
		Hosts, Methods       []string
	}
	lines := make([]line, 0, len(routes))
	for _, r := range routes {
		lines = append(lines, line{Name: r.name, Path: r.pattern.String(), Upstream: r.upstream,
			Hosts: slices.Sorted(slices.Values(hosts[r.name])), Methods: slices.Sorted(slices.Values(r.methods))})
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.Name, b.Name) })
	return digestOf(lines)
}

// digestOf is the SHA-256 of a value's JSON, as "sha256:" and hex. The value must have one JSON form: no maps with keys
// other than strings, which encoding/json sorts.
func digestOf(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic("policy: a digest of something that has no JSON form: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}
