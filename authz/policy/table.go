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
	hosts  map[string]*node // by exact host
	wild   map[string]*node // by what follows the first label of a "*.suffix"
}

// route is a compiled Route.
type route struct {
	name      string
	pattern   Pattern
	methods   []string // nil: every method
	tier      int
	audiences []int
	upstream  string
	token     TokenHandling

	shared       bool
	sharedReason string
	exceptions   []*exception // those of the directory that name this route
	fallback     *Fallback    // of a tier; nil: the route is always open
}

// found is what a look-up came to.
type found uint8

const (
	foundNothing found = iota
	foundOtherMethods
	foundRoute
)

// lookup chooses the place of a host and path, then the route of a method there. path is what checkPath returned. A method
// that none of the place's routes lists never falls through to a wider pattern. An exact host wins over a wildcard,
// whatever its paths are; so does Envoy.
func (t *Table) lookup(host, path, method string) (*route, found) {
	root := t.hosts[host]
	if root == nil {
		_, suffix, _ := strings.Cut(host, ".")
		if root = t.wild[suffix]; root == nil {
			return nil, foundNothing
		}
	}
	at := root.find(path[1:], path != "/")
	if at == nil {
		return nil, foundNothing
	}
	if r := at.of(method); r != nil {
		return r, foundRoute
	}
	return at[0], foundOtherMethods
}

// Match is the route of a request by this table; the zero Match is none. Envoy's own choice is compared with it in the
// generation of the table that Envoy held.
func (t *Table) Match(host, path, method string) Match {
	host, err := NormalHost(host)
	if err != nil {
		return Match{}
	}
	path, err = checkPath(path)
	if err != nil {
		return Match{}
	}
	r, how := t.lookup(host, path, method)
	if how != foundRoute {
		return Match{}
	}
	return Match{Route: r.name, Upstream: r.upstream}
}

// Digest names the table by what it matches; a tier or an exception does not change it.
func (t *Table) Digest() string { return t.digest }

func newTable(routes []*route, hosts map[string][]string) *Table {
	t := &Table{hosts: map[string]*node{}, wild: map[string]*node{}}
	for _, r := range routes {
		for _, host := range hosts[r.name] {
			byHost := t.hosts
			if suffix, ok := strings.CutPrefix(host, "*."); ok {
				byHost, host = t.wild, suffix
			}
			if byHost[host] == nil {
				byHost[host] = &node{}
			}
			byHost[host].insert(r)
		}
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
