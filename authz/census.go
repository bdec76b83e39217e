package authz

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// What a Census does where CensusOptions say nothing.
const (
	DefaultCensusEvery   = 30 * time.Second
	DefaultMaxIdentities = 20_000
	defaultCensusRate    = 1000
)

const (
	censusShards = 64
	// idleFlushes is after how many flushes without a decision an identity is forgotten here; the store remembers.
	idleFlushes = 20
)

// CensusOptions say how a Census works.
type CensusOptions struct {
	// Sidecar names this one among all that share the store: in the places of a Sighting and as that of a Use.
	Sidecar string
	// Writer names this very process; no two ever have the same. Empty: nobody's writes can be told apart, and a write whose
	// answer was lost may count twice.
	Writer        string
	Every         time.Duration // between two writes of what was counted; 0: DefaultCensusEvery
	MaxIdentities int           // that are counted at a time; 0: DefaultMaxIdentities
	Rate          int           // records written in a second at most; 0: 1000
	Now           func() time.Time
	Events        CensusEvents
}

// CensusEvents is how a Census is observed. Any of them may be nil; none may block.
type CensusEvents struct {
	// Flushed: what was counted is in the store, but for failed records, whose counts are kept for the next time. err is the
	// first of their errors. beyond counts decisions of identities, or on devices, that there was no room for, since the
	// last time.
	Flushed func(records, failed int, beyond uint64, took time.Duration, err error)
	// Spoilt: a stored record is none, and was written anew.
	Spoilt func(kind, key string, err error)
}

// Census counts what decisions see of workloads, by SPIFFE ID and route, and what carried decisions, by tier and day. Only
// identities that were believed are counted: a subject with a doubt is nobody's sighting. Of people it notes which audiences
// used which device, and not who they are. Saw allocates nothing for what was counted before and waits for no store; Run
// writes what was counted, as additions, to records that all sidecars share. A process that is killed loses what it counted
// since the last write, at most Every.
type Census struct {
	records         signals.Records
	opts            CensusOptions
	seed            maphash.Seed
	shards          [censusShards]censusShard
	devices         [censusShards]deviceShard
	known, attended atomic.Int64  // identities, and devices, in all shards
	beyond          atomic.Uint64 // decisions of identities that there was no room for
	today           atomic.Pointer[usedDay]
	daysMu          sync.Mutex
	days            map[int64]*usedDay
	last            time.Duration // that the write at the end of Run may take
	writing         sync.Mutex    // one flush at a time; guards what follows
	batch           uint64
	pending         map[censusKey]censusDelta
}

type censusShard struct {
	mu   sync.Mutex
	seen recent[counted] // by SPIFFE ID
	_    [40]byte        // a cache line each
}

// counted is what was counted of one identity since the last flush. Instants are ns since 1970.
type counted struct {
	first, last            int64 // 0: nothing
	routes                 recent[countedRoute]
	places                 recent[int64] // by forwarder, or by network; when last; 0: not since
	since, until, credSeen int64         // of the credential; 0: none
	idle                   int           // flushes without a decision
}

type countedRoute struct {
	first, last, lastAllowed int64
	allowed, refused         uint64
}

// NewCensus starts nothing.
func NewCensus(records signals.Records, options CensusOptions) *Census {
	if options.Every <= 0 {
		options.Every = DefaultCensusEvery
	}
	if options.MaxIdentities <= 0 {
		options.MaxIdentities = DefaultMaxIdentities
	}
	if options.Rate <= 0 {
		options.Rate = defaultCensusRate
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Census{records: records, opts: options, seed: maphash.MakeSeed(), pending: map[censusKey]censusDelta{},
		days: map[int64]*usedDay{}, last: lastFlush}
}

// Saw counts one decision. It keeps nothing of it but copies.
func (c *Census) Saw(d *Decision) {
	at := d.At.UnixNano()
	c.used(d, at)
	id := string(d.Subject.Workload)
	if len(d.Subject.Doubts) > 0 {
		return
	}
	if d.Device != "" {
		c.attend(d, at)
	}
	if id == "" {
		return
	}
	shard := &c.shards[c.shardOf(id)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s := shard.seen.get(id)
	if s == nil {
		if c.known.Load() >= int64(c.opts.MaxIdentities) {
			c.beyond.Add(1)
			return
		}
		c.known.Add(1)
		s = shard.seen.make(id)
	}
	s.note(d, at)
}

// shardOf spreads texts that differ near their end. Who makes theirs alike shares a lock, and nothing else.
func (c *Census) shardOf(text string) uint64 {
	n := len(text)
	if n < 16 {
		return maphash.String(c.seed, text) % censusShards
	}
	return (ends(text[n-8:]) ^ ends(text[n-16:])*31 ^ uint64(n)) * 0x9e3779b97f4a7c15 >> 58 % censusShards
}

// ends are the first 8 bytes of a text as a number.
func ends(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 |
		uint64(s[6])<<48 | uint64(s[7])<<56
}

// note counts a decision of this identity; its shard is held.
func (s *counted) note(d *Decision, at int64) {
	if s.first == 0 || at < s.first {
		s.first = at
	}
	s.last = max(s.last, at)
	s.idle = 0
	name := d.Verdict.Route
	if name == "" {
		name = inventory.NoRoute
	}
	route := s.routes.get(name)
	if route == nil {
		if len(s.routes.all) >= inventory.MaxRoutes {
			return // a policy of so many routes is beyond what a Sighting holds; the identity itself is counted
		}
		route = s.routes.make(name)
	}
	if route.first == 0 || at < route.first {
		route.first = at
	}
	route.last = max(route.last, at)
	if d.Verdict.Outcome == policy.Allow {
		route.allowed++
		route.lastAllowed = max(route.lastAllowed, at)
	} else {
		route.refused++
	}
	if way := string(d.Subject.Forwarder); way != "" {
		s.from(way, at)
	} else {
		s.from(networkOf(d.peer), at)
	}
	s.credential(&d.Subject, at)
}

// from notes the proxy that forwarded, or the network of whoever called.
func (s *counted) from(way string, at int64) {
	last := s.places.get(way)
	if last == nil {
		if len(s.places.all) >= inventory.MaxPlaces {
			return
		}
		last = s.places.make(way)
	}
	*last = max(*last, at)
}

func (s *counted) credential(subject *identity.Subject, at int64) {
	window := &subject.Certificate
	if !subject.WorkloadToken.NotAfter.IsZero() {
		window = &subject.WorkloadToken
	}
	if at >= s.credSeen && !window.NotAfter.IsZero() {
		s.since, s.until, s.credSeen = window.NotBefore.UnixNano(), window.NotAfter.UnixNano(), at
	}
}

// take is what was counted since the last time, and forgets it here; nil: nothing.
func (s *counted) take(id, sidecar string) *inventory.Sighting {
	if s.first == 0 {
		s.idle++
		return nil
	}
	out := &inventory.Sighting{ID: id, TrustDomain: identity.SPIFFEID(id).TrustDomain(), First: instant(s.first), Last: instant(s.last),
		Routes: make(map[string]inventory.RouteUse, len(s.routes.all)), Places: make(map[string]time.Time, len(s.places.all)),
		CredentialFrom: instant(s.since), CredentialUntil: instant(s.until), CredentialSeen: instant(s.credSeen)}
	for name, counts := range s.routes.all {
		r := &counts.is
		if r.first == 0 { // not since the flush before: the policy may have lost it
			s.routes.forget(name)
			continue
		}
		out.Routes[name] = inventory.RouteUse{First: instant(r.first), Last: instant(r.last), Allowed: r.allowed, Refused: r.refused,
			LastAllowed: instant(r.lastAllowed)}
		*r = countedRoute{}
	}
	for way, last := range s.places.all {
		if last.is == 0 {
			s.places.forget(way)
			continue
		}
		place := placeOf(sidecar, way)
		if at := instant(last.is); at.After(out.Places[place]) {
			out.Places[place] = at
		}
		last.is = 0
	}
	s.first, s.last, s.since, s.until, s.credSeen, s.idle = 0, 0, 0, 0, 0, 0
	return out
}

// instant is a time.Time of ns since 1970, and the zero one of 0.
func instant(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
