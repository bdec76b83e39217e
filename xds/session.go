package xds

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

const (
	firstRetry = 5 * time.Second // until a refused version is tried again; doubles
	lastRetry  = 5 * time.Minute
	// answerWithin is how long a version that was sent again keeps others from being tried.
	answerWithin = 30 * time.Second
	// standAfter refusals in a row, each of something else, nothing of that kind is sent over a state-of-the-world stream
	// until something is published or tried again.
	standAfter = 3
	// maxRecent bounds what is remembered of each type to recognise what was sent a moment ago.
	maxRecent = 4
)

// session is one stream of one Envoy: a cache of its own, and what that Envoy says to hold. All but the cache is guarded by
// the server's lock.
type session struct {
	cache    cachev3.SnapshotCache
	sotw     bool
	node     *corev3.Node // nil until the first request
	since    time.Time
	held     contents            // what it took over, or says to hold
	ghosts   contents            // what it says to hold and nobody serves: it is told to drop that only later
	pending  map[string]delivery // nonce
	acked    map[string]string   // type URL to the version of the type as a whole
	refused  refusals
	rejected map[string]int    // type URL to refusals in a row
	salt     map[string]int    // type URL to how often it was sent what it might hold in part
	stands   map[string]string // type URL to the version that an Envoy of the state of the world is left with
	tables   map[string]string // the route tables that a reconnecting Envoy says to have

	serving fit                  // what the cache holds; nil: nothing
	target  fit                  // what it is to hold once the steps on the way are taken
	recent  map[string][]typeFit // of each type, what the cache held and what it holds
}

// delivery is one response that waits for its ACK or NACK.
type delivery struct {
	typeURL, version string
	resources        map[string]versioned
	removed          []string
}

// refusal is one version of one resource that an Envoy refused.
type refusal struct {
	detail      string
	since, last time.Time
	next        time.Time // when it is tried again
	attempts    int
	trying      bool // it is sent again, and not answered yet
	stands      bool // Envoy holds an older version that only itself knows
}

func newSession(sotw bool, now time.Time) *session {
	return &session{
		// Not the ADS mode of the cache: there, one resource that Envoy did not ask for blocks all answers of its type.
		cache: cachev3.NewSnapshotCache(false, sameForAll{}, nil),
		sotw:  sotw, since: now, held: contents{}, ghosts: contents{}, pending: map[string]delivery{},
		acked: map[string]string{}, refused: refusals{}, rejected: map[string]int{}, salt: map[string]int{},
		stands: map[string]string{}, tables: map[string]string{}, recent: map[string][]typeFit{},
	}
}

// plain reports that the Envoy gets what everybody gets.
func (s *session) plain() bool { return len(s.refused) == 0 && s.ghosts.empty() }

// step brings the cache closer to the target: what others name goes first, and the rest once Envoy answered that; a type that
// is rolled back does not wait. It never blocks: a watch is answered once, and the stream's channel has room for two answers
// of every type.
func (s *session) step(rolledBack string) error {
	if s.serving == nil {
		s.serving = s.target
		for url, t := range s.serving {
			s.remember(url, t)
		}
		s.holdBack()
		return s.set()
	}
	for _, early := range []bool{true, false} {
		open := early || s.ready()
		for _, t := range deliveredTypes {
			if first(t.url) != early || s.serving.version(t.url) == s.target.version(t.url) || !open && t.url != rolledBack {
				continue
			}
			s.serving = s.serving.with(t.url, s.target[t.url])
			s.remember(t.url, s.target[t.url])
			delete(s.stands, t.url)
			if err := s.set(); err != nil { // each type by itself, so that they are sent in this order
				return err
			}
		}
	}
	return nil
}

// holdBack leaves a reconnecting Envoy the route tables that it says to have until the clusters of the new ones, and their
// endpoints, are in force there. It reports whether that changed what is served.
func (s *session) holdBack() bool {
	if s.serving == nil {
		return false
	}
	tables := s.tables
	s.tables = map[string]string{} // what it says of itself when it connects counts once
	if len(tables) == 0 || s.ready() {
		return false
	}
	items, changed := maps.Clone(s.serving[resource.RouteType].items), false
	for name, said := range tables {
		if now, served := items[name]; served && now.version != said {
			items[name], changed = versioned{version: said}, true // in the version that Envoy has: it is not sent
		}
	}
	s.tables = nil
	if changed {
		s.serving = s.serving.with(resource.RouteType, newTypeFit(resource.RouteType, items, nil))
	}
	return changed
}

func (s *session) set() error {
	salt := map[string]string{}
	for url, n := range s.salt {
		salt[url] = again + strconv.Itoa(n)
	}
	snapshot := s.serving.cached(salt)
	for url, said := range s.stands { // what Envoy says to have: nothing is sent
		snapshot.Resources[cachev3.GetResponseType(url)].Version = said
	}
	return s.cache.SetSnapshot(context.Background(), everyNode, snapshot)
}

func (s *session) remember(url string, t typeFit) {
	all := append(s.recent[url], t)
	s.recent[url] = slices.Clone(all[max(0, len(all)-maxRecent):])
}

// lookUp finds a resource that this Envoy was given a moment ago, by its version.
func (s *session) lookUp(url, name, version string) types.Resource {
	for _, t := range slices.Backward(s.recent[url]) {
		if v, ok := t.items[name]; ok && v.version == version {
			return v.resource
		}
	}
	return nil
}

// ready reports that Envoy took over, or refused, all that others may name.
func (s *session) ready() bool {
	return !slices.ContainsFunc(deliveredTypes, func(t deliveredType) bool { return first(t.url) && !s.hasTaken(t.url) })
}

// hasTaken reports that Envoy holds all of a type that it is to hold and asked for, but for what it refused.
func (s *session) hasTaken(url string) bool {
	if s.serving.version(url) != s.target.version(url) {
		return false
	}
	awaited := map[string]bool{}
	if url == resource.EndpointType {
		awaited = s.assignments()
	}
	for name, v := range s.target[url].items {
		has, asked := s.held[url][name]
		if has.version == bare(v.version) || !asked && !whole(url) && !awaited[name] || s.refused[refusedVersion{url, name, v.version}] != nil {
			continue
		}
		return false
	}
	return true
}

// assignments are the endpoints that Envoy asks for on account of the clusters it took over: until it has them, a new cluster
// is not in force.
func (s *session) assignments() map[string]bool {
	names := map[string]bool{}
	for name, v := range s.target[resource.ClusterType].items {
		cluster, ok := v.resource.(*clusterv3.Cluster)
		if ok && cluster.GetEdsClusterConfig() != nil && s.held[resource.ClusterType][name].version == v.version {
			names[cmp.Or(cluster.GetEdsClusterConfig().GetServiceName(), name)] = true
		}
	}
	return names
}

// quiet reports that Envoy holds all it is to hold, for now.
func (s *session) quiet() bool {
	return s.target != nil && !slices.ContainsFunc(deliveredTypes, func(t deliveredType) bool { return !s.hasTaken(t.url) })
}

// claims takes down what an Envoy says to hold when it connects. What nobody serves any more and others may name becomes a
// ghost: served in the version that Envoy has, and therefore never sent.
func (s *session) claims(url string, versions map[string]string, known []contents) {
	held := s.held.of(url)
	s.tables = map[string]string{}
	for name, said := range versions {
		v := versioned{version: bare(said)}
		served := false
		for _, c := range known {
			if k, ok := c[url][name]; ok {
				served = true
				if k.version == v.version {
					v.resource = k.resource
				}
			}
		}
		held[name] = v
		if url == resource.RouteType {
			s.tables[name] = said
		}
		if !served && lingers(url) {
			s.ghosts.of(url)[name] = versioned{version: said}
		}
	}
}

// forget takes down what an Envoy no longer asks for; a ghost is only ever what it asked for before.
func (s *session) forget(url string, names []string) {
	for _, name := range names {
		delete(s.held.of(url), name)
		delete(s.ghosts.of(url), name)
	}
}

func (s *session) ack(d delivery) {
	held := s.held.of(d.typeURL)
	for name, v := range d.resources {
		held[name] = v
		delete(s.refused, refusedVersion{d.typeURL, name, v.version})
	}
	for _, name := range d.removed {
		delete(held, name)
	}
	s.acked[d.typeURL] = d.version
	s.rejected[d.typeURL] = 0
}

// nack doubts the resources that the detail names, or all of the response if it names none. The others were taken over.
func (s *session) nack(d delivery, detail string, at time.Time, first time.Duration) (doubted []string) {
	held := s.held.of(d.typeURL)
	doubted = namedIn(d, detail)
	for name, v := range d.resources {
		key := refusedVersion{d.typeURL, name, v.version}
		if !slices.Contains(doubted, name) {
			held[name] = v
			delete(s.refused, key)
			continue
		}
		r := s.refused[key]
		if r == nil {
			has, ok := held[name]
			r = &refusal{since: at, stands: ok && has.resource == nil && has.version != v.version}
			s.refused[key] = r
		}
		r.detail, r.last, r.trying = describeNack(d.typeURL, detail), at, false
		r.attempts++
		r.next = at.Add(backoff(first, r.attempts))
	}
	for _, name := range d.removed {
		delete(held, name)
	}
	s.rejected[d.typeURL]++
	return doubted
}

// round counts the times that the version was sent.
func (r *refusal) round() int {
	if r.trying {
		return r.attempts + 1
	}
	return r.attempts
}

// backoff is how long a version rests that was refused so many times.
func backoff(first time.Duration, attempts int) time.Duration {
	return min(first<<min(attempts-1, 16), lastRetry)
}

// namedIn are, sorted, the resources of a response that a refusal names; all, if it names none.
func namedIn(d delivery, detail string) []string {
	var all, named, within []string
	for name := range d.resources {
		all = append(all, name)
		if containsWord(detail, name) {
			named = append(named, name)
		}
		if d.typeURL == resource.RouteType && containsWord(strings.ReplaceAll(detail, "/", " "), name) {
			within = append(within, name) // a table's clusters begin with its name
		}
	}
	for _, list := range [][]string{named, within, all} {
		if len(list) > 0 {
			slices.Sort(list)
			return list
		}
	}
	return nil
}

// containsWord finds a name that is not a part of a longer one.
func containsWord(text, name string) bool {
	part := func(s string) bool {
		return s != "" && (strings.Contains("_-/", s) || s >= "0" && s <= "9" || s >= "A" && s <= "Z" || s >= "a" && s <= "z")
	}
	for from := 0; ; {
		at := strings.Index(text[from:], name)
		if at < 0 || name == "" {
			return false
		}
		begin, end := from+at, from+at+len(name)
		if !part(text[max(0, begin-1):begin]) && !part(text[end:min(len(text), end+1)]) {
			return true
		}
		from = begin + 1
	}
}

// due picks the refused version to be tried again: one of each type at a time, so that what was doubted only because it
// came along is told apart from what is bad.
func (s *session) due(url string, published contents, now time.Time) (r *refusal, next time.Time) {
	var best string
	for key, candidate := range s.refused {
		if key.typeURL != url || published[url][key.name].version != key.version {
			continue
		}
		if candidate.trying && candidate.next.After(now) {
			return nil, candidate.next
		}
		if candidate.trying { // nothing asks for it any more, or Envoy hangs
			candidate.trying = false
			candidate.attempts++
			candidate.next = now.Add(backoff(firstRetry, candidate.attempts))
		}
		earlier := r == nil || candidate.next.Before(r.next) || candidate.next.Equal(r.next) && key.name < best
		if earlier {
			r, best = candidate, key.name
		}
	}
	if r == nil {
		return nil, time.Time{}
	}
	if r.next.After(now) {
		return nil, r.next
	}
	return r, time.Time{}
}
