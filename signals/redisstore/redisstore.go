// Package redisstore keeps postures and records in Redis (6.2 or newer) or Valkey, which several processes share: in one
// server, in a primary that Sentinels watch over, or in a Cluster.
//
// Everything lives under "tg:" and is spread over 16 shards; the hash tag in a key is its shard, so that a value,
// its index and its change notice lie in one slot of a Cluster. Every write is one Lua script: it compares the
// revision, writes the value and appends the notice, or does nothing. Notices are a stream per shard whose entries
// each name the one before, so that a watcher notices every loss: a trimmed stream, a flushed or restored server,
// a failover that lost its last writes.
//
//	tg:{03}:posture:<device>                  "1 <revision> 0\n" + the posture as JSON
//	tg:{03}:postures                          sorted set of the shard's devices
//	tg:{03}:posture-changes                   stream: k = device, p = id of the entry before
//	tg:{03}:record:<len>:<kind>:<key>         "1 <revision> <expires, ns since 1970, or 0>\n" + the value
//	tg:{03}:records:<kind>                    sorted set of the shard's keys of that kind
//	tg:{03}:record-expiries:<kind>            the same, by the ms since 1970 at which they expire
//	tg:{03}:record-changes:<kind>             stream: k = key, p = id of the entry before
//	tg:{03}:fence, tg:{03}:ping               written to wait for durability, and by Ping
//
// A failover loses what its new primary had not been sent. Watchers are told (signals.ErrGap), writers are not: with
// WaitReplicas a write is acknowledged only once it is on the disks of so many replicas. In a Cluster each shard is
// followed by a connection of its own, so a watch has 16; commands follow their slot while it moves. While a slot is moved
// key by key (MIGRATE) its writes fail and are to be tried again; moved as a whole (CLUSTER MIGRATESLOTS, Valkey 9)
// they wait for less than a second.
//
// An ACL user that only reads postures needs GETRANGE, EXISTS, ZRANGE, XREVRANGE and XREAD; one that writes also
// needs EVAL, EVALSHA, WAITAOF, SET and the commands of the script in write.go. That of a sidecar reads postures and
// writes records of the kinds dpop-proof (authz.KindProof), first-login (authz.KindLogin), sighting (inventory.RecordKind),
// use (inventory.UseKind), device-use (inventory.KindDeviceUse) and envoy-drift (engine.KindEnvoy), which nothing is ever admitted
// by, and reads why names are one device's (kinds alias and contested), what was granted at run time (kinds exception and grace),
// what has ended of logins (kind revocation, without which no login is believed) and the checkpoint (kind checkpoint, without
// which it does not start to serve); with Redis 7 or Valkey it is, in one line:
//
//	ACL SETUSER sidecar on >PASSWORD -@all %R~tg:{??}:posture* ~tg:{??}:record:10:dpop-proof:* ~tg:{??}:records:dpop-proof
//	  ~tg:{??}:record-expiries:dpop-proof ~tg:{??}:record-changes:dpop-proof ~tg:{??}:fence
//	  ~tg:{??}:record:11:first-login:* ~tg:{??}:records:first-login
//	  ~tg:{??}:record-expiries:first-login ~tg:{??}:record-changes:first-login
//	  ~tg:{??}:record:8:sighting:* ~tg:{??}:records:sighting
//	  ~tg:{??}:record-expiries:sighting ~tg:{??}:record-changes:sighting
//	  ~tg:{??}:record:3:use:* ~tg:{??}:records:use
//	  ~tg:{??}:record-expiries:use ~tg:{??}:record-changes:use
//	  ~tg:{??}:record:10:device-use:* ~tg:{??}:records:device-use
//	  ~tg:{??}:record-expiries:device-use ~tg:{??}:record-changes:device-use
//	  ~tg:{??}:record:11:envoy-drift:* ~tg:{??}:records:envoy-drift
//	  ~tg:{??}:record-expiries:envoy-drift ~tg:{??}:record-changes:envoy-drift
//	  %R~tg:{??}:record:5:alias:* %R~tg:{??}:record:9:contested:* %R~tg:{??}:records:contested %R~tg:{??}:record-changes:contested
//	  %R~tg:{??}:record:9:exception:* %R~tg:{??}:records:exception %R~tg:{??}:record-changes:exception
//	  %R~tg:{??}:record:5:grace:* %R~tg:{??}:records:grace %R~tg:{??}:record-changes:grace
//	  %R~tg:{??}:record:10:revocation:* %R~tg:{??}:records:revocation %R~tg:{??}:record-changes:revocation
//	  %R~tg:{??}:record:10:checkpoint:*
//	  +getrange +exists +zrange +xrevrange +xread +auth +hello +ping
//	  +eval +evalsha +set +zscore +zadd +zrem +zrangebyscore +pexpireat +xadd +time
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

var errClosed = errors.New("the store is closed")

// The time that each sort of call may take. A read for a decision, which comes with a deadline nearer than a write's, stands
// in the way of somebody's request; a write, and any other read, in that of a delivery.
const (
	dialTimeout = 100 * time.Millisecond
	tlsTimeout  = 150 * time.Millisecond // on top of it, for the handshake
	// On top of it, for asking a Sentinel first, and another one where that is down.
	sentinelTimeout = 200 * time.Millisecond
	maxDial         = 2 * time.Second
	readTimeout     = 50 * time.Millisecond // for a decision
	writeTimeout    = 500 * time.Millisecond
	aofTimeout      = 2 * time.Second // of WAITAOF: appendfsync everysec syncs within 2 s
	watchBlock      = 500 * time.Millisecond
	watchTimeout    = 500 * time.Millisecond // on top of watchBlock
)

// poolSize is the number of connections of each side to each server at most.
const poolSize = 32

// keepChanges is how many notices each stream keeps at least.
const keepChanges = 8192

// Store is a signals.Store in a Redis or Valkey server.
type Store struct {
	opts   Options
	where  string
	reads  *side // single values, on the way of decisions
	works  *side // writes and pages
	keep   int
	mu     sync.Mutex
	closed chan struct{}
	ended  bool
	// heard is how long the server may take to answer a watch: that there is nothing, too.
	heard time.Duration
}

var _ signals.Store = (*Store)(nil)

// New checks the options and connects to nothing: calls connect when they need to, and again after an outage.
func New(opts Options) (*Store, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	quiet()
	s := &Store{opts: opts, where: opts.where(), keep: keepChanges, closed: make(chan struct{}),
		heard: watchBlock + max(watchTimeout, opts.Patience)}
	s.reads = newSide(&s.opts, max(readTimeout, opts.Patience), maxPosture+1)
	s.works = newSide(&s.opts, max(s.workTimeout(), opts.Patience), maxRecord+1)
	return s, nil
}

// workTimeout is how long a write may take.
func (s *Store) workTimeout() time.Duration {
	if s.opts.waits() {
		return aofTimeout + writeTimeout
	}
	return writeTimeout
}

// quiet keeps the library from writing to standard error: what happens leaves this package by Events and errors. The
// setting is the library's, for the whole process, and this package is its only user.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Open is New and a first Ping: it fails with one sentence if the server cannot be reached, refuses the
// credentials, or cannot give the durability that WaitAOF asks for.
func Open(ctx context.Context, opts Options) (*Store, error) {
	s, err := New(opts)
	if err != nil {
		return nil, err
	}
	if err := s.Ping(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Ping writes a key on every primary that has a shard, waits until it is as durable as WaitAOF and WaitReplicas ask, and
// so tells whether the store can be written.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer s.observe("ping", time.Now(), &err)
	if err := s.usable(ctx); err != nil {
		return err
	}
	one := map[*redis.Client]int{}
	for shard := range shards {
		node, err := s.works.primary(ctx, shard)
		if err != nil {
			s.works.refresh()
			return s.failed(err)
		}
		if _, seen := one[node]; !seen {
			one[node] = shard
		}
	}
	answers := make(chan error, len(one))
	for _, shard := range one {
		go func() { answers <- s.ping(ctx, shard) }()
	}
	for range one {
		err = firstOf(err, <-answers)
	}
	return err
}

func (s *Store) ping(ctx context.Context, shard int) error {
	answer, err := s.durably(ctx, shard, func(pipe redis.Pipeliner) *redis.Cmd {
		return pipe.Do(ctx, "SET", tag(shard)+"ping", time.Now().UTC().Format(time.RFC3339Nano), "PX", 60_000)
	})
	if err == nil && answer != "OK" {
		return fmt.Errorf("redis at %s answered %q to SET; see that nothing stands between", s.where, answer)
	}
	return err
}

// Close ends every connection. Calls that are under way, and watches, end with an error.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	close(s.closed)
	return errors.Join(s.reads.Close(), s.works.Close())
}

// usable says whether a call may begin.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closed:
		return errClosed
	default:
		return nil
	}
}

func (s *Store) observe(operation string, began time.Time, err *error) {
	if s.opts.Events.Call != nil {
		s.opts.Events.Call(operation, time.Since(began), *err)
	}
}
