// Package redisstore keeps postures and records in a Redis (6.2 or newer) or Valkey server that several processes
// share.
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
//	tg:{03}:fence, tg:{00}:ping               written to wait for durability, and by Ping
//
// An ACL user that only reads postures needs GETRANGE, EXISTS, ZRANGE, XREVRANGE and XREAD; one that writes also
// needs EVAL, EVALSHA, WAITAOF, SET and the commands of the script in write.go. That of a sidecar reads postures and
// writes records of kind dpop-proof (authz.KindProof); with Redis 7 or Valkey it is, in one line:
//
//	ACL SETUSER sidecar on >PASSWORD -@all %R~tg:{??}:posture* ~tg:{??}:record:10:dpop-proof:* ~tg:{??}:records:dpop-proof
//	  ~tg:{??}:record-expiries:dpop-proof ~tg:{??}:record-changes:dpop-proof ~tg:{??}:fence
//	  +getrange +exists +zrange +xrevrange +xread +auth +hello +ping
//	  +eval +evalsha +set +zscore +zadd +zrem +zrangebyscore +pexpireat +xadd +time
package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tiergate/tiergate/signals"
)

// Options say where the server is and what durable means.
type Options struct {
	Address  string // host:port, or the absolute path of a Unix socket
	Username string
	Password string
	TLS      *tls.Config // nil: plaintext
	// WaitAOF is the number of local append-only files (0 or 1) that must have synced a write before it is
	// acknowledged (WAITAOF, Redis 7.2 or Valkey, appendonly yes). 0: the server's own settings decide what an
	// acknowledgement is worth.
	WaitAOF int
	Events  Events
}

// Events are called for what an operator may want to see. Each may be nil; they must not block.
type Events struct {
	// Call: an operation (its method's name, lower-case with dashes) ended. Not found and conflict are no failures but
	// come as their errors.
	Call func(operation string, took time.Duration, err error)
}

var errClosed = errors.New("the store is closed")

// The time that each sort of call may take. A read stands in the way of a decision; a write in that of a delivery.
const (
	dialTimeout  = 100 * time.Millisecond
	readTimeout  = 50 * time.Millisecond
	writeTimeout = 500 * time.Millisecond
	aofTimeout   = 2 * time.Second // of WAITAOF: appendfsync everysec syncs within 2 s
	watchBlock   = 500 * time.Millisecond
	watchTimeout = 500 * time.Millisecond // on top of watchBlock
)

// poolSize is the number of connections of each of the two clients at most.
const poolSize = 32

// keepChanges is how many notices each stream keeps at least.
const keepChanges = 8192

// Store is a signals.Store in a Redis or Valkey server.
type Store struct {
	opts   Options
	reads  *redis.Client // single values, on the way of decisions
	works  *redis.Client // writes and pages
	keep   int
	mu     sync.Mutex
	closed chan struct{}
	ended  bool
}

var _ signals.Store = (*Store)(nil)

// New checks the options and connects to nothing: calls connect when they need to, and again after an outage.
func New(opts Options) (*Store, error) { return newStore(opts, readTimeout) }

func newStore(opts Options, read time.Duration) (*Store, error) {
	if !filepath.IsAbs(opts.Address) && !strings.Contains(opts.Address, ":") {
		return nil, fmt.Errorf("redis address %q is neither host:port nor the absolute path of a Unix socket", opts.Address)
	}
	if opts.WaitAOF < 0 || opts.WaitAOF > 1 {
		return nil, fmt.Errorf("waitAOF is %d; a server has one append-only file, so it is 0 or 1", opts.WaitAOF)
	}
	quiet()
	s := &Store{opts: opts, keep: keepChanges, closed: make(chan struct{})}
	s.reads = redis.NewClient(s.client(read))
	work := writeTimeout
	if opts.WaitAOF > 0 {
		work = aofTimeout + writeTimeout
	}
	s.works = redis.NewClient(s.client(work))
	return s, nil
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

// client spells out every setting that decides how long a call may take: the library's defaults (5 s, three
// retries, five dials, context deadlines ignored) would stall decisions for a minute.
func (s *Store) client(read time.Duration) *redis.Options {
	network := "tcp"
	if filepath.IsAbs(s.opts.Address) {
		network = "unix"
	}
	return &redis.Options{
		Network: network, Addr: s.opts.Address, Username: s.opts.Username, Password: s.opts.Password, TLSConfig: s.opts.TLS,
		Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: dialTimeout, ReadTimeout: read, WriteTimeout: min(read, writeTimeout),
		PoolSize: poolSize, MaxActiveConns: poolSize, PoolTimeout: readTimeout, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Ping writes a key, waits until it is as durable as WaitAOF asks, and so tells whether the store can be written.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer s.observe("ping", time.Now(), &err)
	if err := s.usable(ctx); err != nil {
		return err
	}
	answer, err := s.durably(ctx, func(pipe redis.Pipeliner) *redis.Cmd {
		return pipe.Do(ctx, "SET", "tg:{00}:ping", time.Now().UTC().Format(time.RFC3339Nano), "PX", 60_000)
	})
	if err == nil && answer != "OK" {
		return fmt.Errorf("redis at %s answered %q to SET; see that nothing stands between", s.opts.Address, answer)
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
