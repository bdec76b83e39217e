package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// prove asks for the long form of what takes long (make prove).
var prove = os.Getenv("TIERGATE_PROVE") != ""

// heard waits for the change of a device after a cursor: it writes the next revision and listens.
func heard(t *testing.T, s *Store, cursor signals.Cursor, device string, revision signals.Revision) {
	t.Helper()
	if err := s.PutPosture(t.Context(), small(device, revision+1), revision); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("heard")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err := s.WatchPostures(ctx, cursor, func(c signals.Change) error {
		if c.Key == device {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("nothing was heard of %s: %v", device, err)
	}
}

// shaken makes trouble between the calls of a store: never while one is under way, so that each must succeed, at
// the second or third try where the pool has not yet seen that a connection is cut. Watches
// are not spared; as a replica would, it takes them up again where they were.
type shaken struct {
	*Store
	mu    sync.RWMutex // read-held by each call
	calls int
	every int
	shake func(n int)
}

func (s *shaken) call() func() {
	if s.mu.TryLock() {
		if s.calls++; s.calls%s.every == 0 {
			s.shake(s.calls / s.every)
		}
		s.mu.Unlock()
	}
	s.mu.RLock()
	return s.mu.RUnlock
}

// tried calls again what met a connection that was cut just before, and that the pool had not yet seen to be.
func tried(call func() error) (err error) {
	for range 3 {
		if err = call(); err == nil || errors.Is(err, signals.ErrNotFound) || errors.Is(err, signals.ErrConflict) ||
			errors.Is(err, signals.ErrCorrupt) || errors.Is(err, errClosed) || errors.Is(err, context.Canceled) {
			return err
		}
	}
	return err
}

func (s *shaken) Posture(ctx context.Context, d signals.DeviceID) (p signals.Posture, err error) {
	defer s.call()()
	err = tried(func() error { p, err = s.Store.Posture(ctx, d); return err })
	return p, err
}

func (s *shaken) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	defer s.call()()
	return tried(func() error { return s.Store.PutPosture(ctx, p, expected) })
}

func (s *shaken) EachPosture(
	ctx context.Context, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error),
) (cursor signals.Cursor, err error) {
	defer s.call()()
	begun := false
	err = tried(func() error {
		if !begun {
			cursor, err = s.Store.EachPosture(ctx, func(p signals.Posture) error { begun = true; return yield(p) }, corrupt)
		}
		return err
	})
	return cursor, err
}

func (s *shaken) Record(ctx context.Context, kind, key string) (r signals.Record, err error) {
	defer s.call()()
	err = tried(func() error { r, err = s.Store.Record(ctx, kind, key); return err })
	return r, err
}

func (s *shaken) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	defer s.call()()
	return tried(func() error { return s.Store.PutRecord(ctx, r, expected) })
}

func (s *shaken) DeleteRecord(ctx context.Context, kind, key string, expected signals.Revision) error {
	defer s.call()()
	return tried(func() error { return s.Store.DeleteRecord(ctx, kind, key, expected) })
}

func (s *shaken) EachRecord(
	ctx context.Context, kind string, yield func(signals.Record) error,
) (cursor signals.Cursor, err error) {
	defer s.call()()
	begun := false
	err = tried(func() error {
		if !begun {
			cursor, err = s.Store.EachRecord(ctx, kind, func(r signals.Record) error { begun = true; return yield(r) })
		}
		return err
	})
	return cursor, err
}

func (s *shaken) WatchPostures(ctx context.Context, from signals.Cursor, yield func(signals.Change) error) error {
	return s.again(from, yield, func(from signals.Cursor, yield func(signals.Change) error) error {
		return s.Store.WatchPostures(ctx, from, yield)
	})
}

func (s *shaken) WatchRecords(
	ctx context.Context, kind string, from signals.Cursor, yield func(signals.Change) error,
) error {
	return s.again(from, yield, func(from signals.Cursor, yield func(signals.Change) error) error {
		return s.Store.WatchRecords(ctx, kind, from, yield)
	})
}

func (s *shaken) again(
	from signals.Cursor, yield func(signals.Change) error,
	watch func(signals.Cursor, func(signals.Change) error) error,
) error {
	for {
		var own error
		err := watch(from, func(c signals.Change) error {
			if own = yield(c); own == nil {
				from = c.Cursor
			}
			return own
		})
		if err == nil || own != nil || errors.Is(err, signals.ErrGap) || errors.Is(err, errClosed) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// shaking cuts all connections, makes answers late, and, in a Cluster, moves a slot.
func shaking(proxies []*proxy, move func(n int)) func(*testing.T, *Store) signals.Store {
	every := 25
	if prove {
		every = 5
	}
	return func(t *testing.T, s *Store) signals.Store {
		t.Cleanup(func() {
			for _, p := range proxies {
				p.set(trouble{})
			}
		})
		return &shaken{Store: s, every: every, shake: func(n int) {
			for _, p := range proxies {
				p.set(trouble{delay: time.Duration(n%3) * time.Millisecond})
				if n%2 == 0 {
					p.cut()
				}
			}
			if move != nil && n%20 == 7 {
				move(n)
			}
		}}
	}
}

func TestShakenStandalone(t *testing.T) {
	t.Parallel()
	live := serve(t, "--appendfsync", "everysec")
	p := through(t, live, nil)
	runSuite(t, fixture{Options{Address: p.address()}, live.do, live.restart}, shaking([]*proxy{p}, nil))
}

func TestShakenSentinel(t *testing.T) {
	t.Parallel()
	live := startSentinels(t, watching{downAfter: 20 * time.Second, front: &tls.Config{}}, "--appendfsync", "everysec")
	runSuite(t, fixture{
		Options{Sentinels: live.addresses, Master: masterName}, live.do,
		func(t testing.TB) { live.primary(t).restart(t) },
	}, shaking(live.proxies, nil))
}

func TestShakenCluster(t *testing.T) {
	t.Parallel()
	live := startCluster(t, false, &tls.Config{}, "--appendfsync", "everysec")
	moved := 0
	runSuite(t, fixture{Options{Cluster: live.addresses()}, live.do, live.restart}, shaking(live.proxies, func(n int) {
		shard := n % shards
		live.move(t, shard, (live.holder(t, shard)+1)%masters)
		moved++
	}))
	fmt.Printf("    %d slots were moved between the calls\n", moved)
	if moved == 0 {
		t.Error("no slot was moved")
	}
}

// move gives a shard's slot to another node, all at once.
func (c *cluster) move(t testing.TB, shard, to int) {
	t.Helper()
	slot, id := slotOf(t, c.nodes[0], shard), c.nodes[to].do(t, "CLUSTER", "MYID")
	asked := time.Time{}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		from := c.holder(t, shard)
		if from == to {
			return
		}
		var err error
		if time.Since(asked) > 5*time.Second { // on a loaded machine it gives up when it takes the other for dead
			asked = time.Now()
			err = c.nodes[from].raw.Do(context.Background(), "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", id).Err()
		}
		if time.Now().After(deadline) {
			t.Fatalf("shard %d did not move: %v, %v", shard, err, c.nodes[from].do(t, "CLUSTER", "GETSLOTMIGRATIONS"))
		}
	}
}
