package authz

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
)

// notebook counts what is written through to records, and may stand in the way.
type notebook struct {
	signals.Records
	before func(context.Context) error
	writes atomic.Int64
	last   atomic.Pointer[signals.Record]
}

func (n *notebook) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	n.writes.Add(1)
	n.last.Store(&r)
	if n.before != nil {
		if err := n.before(ctx); err != nil {
			return err
		}
	}
	if n.Records == nil {
		return nil
	}
	return n.Records.PutRecord(ctx, r, expected)
}

func openBolt(t testing.TB) *boltstore.Store {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func proofOf(key string, life time.Duration) token.Once {
	return token.Once{Key: key, Until: time.Now().Add(life)}
}

// TestAProofCountsOnce: for one process, for two that share a store, for many at once, and after a restart.
func TestAProofCountsOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "db")
	store, err := boltstore.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	book := &notebook{Records: store}
	patient := ReplayOptions{Within: 10 * time.Second} // a busy disk is not what is tested
	one, other := NewReplays(book, patient), NewReplays(book, patient)
	a := proofOf("key:a", time.Minute)
	for i, c := range []struct {
		memory *ReplayMemory
		want   error
	}{{one, nil}, {one, ErrReplayed}, {other, ErrReplayed}, {other, ErrReplayed}} {
		if err := c.memory.Once(a); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
	if n := book.writes.Load(); n != 2 {
		t.Errorf("%d writes: a replay that this process has seen costs none", n)
	}
	r := book.last.Load()
	if r.Kind != "dpop-proof" || r.Key != "key:a" || r.Expires.Before(a.Until) || r.Expires.After(a.Until.Add(2*time.Minute)) || len(r.Value) > 0 {
		t.Errorf("%+v", r)
	}

	var first atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			memory := [...]*ReplayMemory{one, other}[i%2]
			switch err := memory.Once(proofOf("key:b", time.Minute)); {
			case err == nil:
				first.Add(1)
			case !errors.Is(err, ErrReplayed):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if first.Load() != 1 {
		t.Errorf("one proof counted %d times", first.Load())
	}

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = boltstore.Open(file); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	again := NewReplays(store, patient)
	if err := again.Once(proofOf("key:a", time.Minute)); !errors.Is(err, ErrReplayed) {
		t.Errorf("after a restart: %v", err)
	}
	if err := again.Once(proofOf("key:c", time.Minute)); err != nil {
		t.Errorf("a new one after a restart: %v", err)
	}
}

// TestAnOutageLetsNoProofPass: what was seen is a replay, what was not cannot be found out, and may be tried again.
func TestAnOutageLetsNoProofPass(t *testing.T) {
	t.Parallel()
	outage := errors.New("the store is down")
	var down atomic.Bool
	book := &notebook{Records: openBolt(t), before: func(context.Context) error {
		if down.Load() {
			return outage
		}
		return nil
	}}
	var told []error
	m := NewReplays(book, ReplayOptions{Within: 10 * time.Second, Events: ReplayEvents{Checked: func(_ time.Duration, err error) {
		told = append(told, err)
	}}})
	steps := []struct {
		down bool
		key  string
		want error
	}{{false, "a", nil}, {true, "a", ErrReplayed}, {true, "b", outage}, {true, "b", outage}, {false, "b", nil}, {true, "b", ErrReplayed}}
	for i, c := range steps {
		down.Store(c.down)
		if err := m.Once(proofOf(c.key, time.Minute)); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
		if len(told) != i+1 || !errors.Is(told[i], c.want) {
			t.Errorf("%d: told %v", i, told)
		}
	}
	for name, m := range map[string]*ReplayMemory{
		"no store":  NewReplays(nil, ReplayOptions{}),
		"a defect":  NewReplays(&notebook{before: func(context.Context) error { panic("a defect") }}, ReplayOptions{Within: 10 * time.Second}),
		"a corrupt": NewReplays(&notebook{before: func(context.Context) error { return signals.ErrCorrupt }}, ReplayOptions{Within: 10 * time.Second}),
	} {
		if err := m.Once(proofOf("a", time.Minute)); err == nil || errors.Is(err, ErrReplayed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAProofThatCannotAgeIsNotTaken: a record that has expired is in nobody's way, so its proof would count for ever.
func TestAProofThatCannotAgeIsNotTaken(t *testing.T) {
	t.Parallel()
	book := &notebook{}
	m := NewReplays(book, ReplayOptions{})
	for _, once := range []token.Once{proofOf("a", 0), proofOf("a", -time.Second), {Key: "a"}, proofOf("", time.Minute)} {
		if err := m.Once(once); err == nil || errors.Is(err, ErrReplayed) {
			t.Errorf("%+v: %v", once, err)
		}
	}
	if book.writes.Load() != 0 {
		t.Error("it was written")
	}
}

// TestASlowStoreHoldsNobody: a request waits no longer than it may, also for a store that ignores its context, and no more
// than so many wait.
func TestASlowStoreHoldsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		book := &notebook{before: func(context.Context) error { <-hung; return nil }}
		m := NewReplays(book, ReplayOptions{})
		var late, busy atomic.Int64
		ask := func(key string) {
			start := time.Now()
			switch err := m.Once(proofOf(key, time.Minute)); {
			case errors.Is(err, errReplayLate) && time.Since(start) == DefaultReplayWithin:
				late.Add(1)
			case errors.Is(err, errReplayBusy) && time.Since(start) == 0:
				busy.Add(1)
			default:
				t.Errorf("%s: %v after %v", key, err, time.Since(start))
			}
		}
		for i := range maxNoting + 10 {
			go ask(fmt.Sprint(i))
		}
		synctest.Wait()
		time.Sleep(DefaultReplayWithin)
		synctest.Wait()
		if late.Load() != maxNoting || busy.Load() != 10 {
			t.Errorf("%d waited, %d were sent away", late.Load(), busy.Load())
		}
		ask("while the store hangs") // its writes keep their places
		close(hung)
		synctest.Wait()
		if err := m.Once(proofOf("after", time.Minute)); err != nil {
			t.Error(err)
		}
		if n := book.writes.Load(); n != maxNoting+1 {
			t.Errorf("%d writes", n)
		}
	})
}

// TestTheMemoryIsBounded: in size by what is new, in time by what has aged out; what is forgotten is asked of the store.
func TestTheMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s seen
		name := func(i int) (n [32]byte) { copy(n[:], fmt.Sprint(i)); return n }
		size := func() int { return len(s.young.until) + len(s.old.until) }
		most := 0
		for i := range 2 * maxSeen {
			if !s.add(name(i), time.Now().Add(time.Minute), time.Now()) || s.add(name(i), time.Now().Add(time.Minute), time.Now()) {
				t.Fatalf("%d", i)
			}
			most = max(most, size())
		}
		if most > maxSeen || most < maxSeen/2 {
			t.Errorf("%d names were held", most)
		}
		if s.add(name(2*maxSeen-maxSeen/2), time.Now().Add(time.Minute), time.Now()) {
			t.Error("half of the most that it may hold is forgotten")
		}
		time.Sleep(time.Minute)
		for i := range 3 { // all have aged out: two more generations and they are gone
			if !s.add(name(i), time.Now().Add(time.Minute), time.Now()) {
				t.Errorf("%d has aged out and is in the way", i)
			}
			time.Sleep(time.Minute)
		}
		if size() > 3 {
			t.Errorf("%d names are held, and few have not aged out", size())
		}
	})
}

func BenchmarkReplays(b *testing.B) {
	b.Run("seen", func(b *testing.B) {
		m := NewReplays(&notebook{}, ReplayOptions{})
		once := proofOf("a", time.Hour)
		if err := m.Once(once); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := m.Once(once); !errors.Is(err, ErrReplayed) {
				b.Fatal(err)
			}
		}
	})
	for name, store := range map[string]signals.Records{"new, no store behind": nil, "new, in a file": openBolt(b)} {
		b.Run(name, func(b *testing.B) {
			m := NewReplays(&notebook{Records: store}, ReplayOptions{Within: time.Minute})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := m.Once(proofOf(fmt.Sprint(name, b.N, i), time.Hour)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
