package authz

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
)

var censusDay = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func censusStore(t testing.TB) signals.Store {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func seenDecision(id, route string, outcome policy.Outcome) *Decision {
	return &Decision{At: censusDay, Subject: identity.Subject{Workload: identity.SPIFFEID(id), Certificate: identity.Validity{
		NotBefore: censusDay.Add(-time.Hour), NotAfter: censusDay.Add(time.Hour)}},
		Verdict: policy.Verdict{Outcome: outcome, Route: route, Tier: "internal"}}
}

func sightingOf(t *testing.T, store signals.Records, id string) inventory.Sighting {
	t.Helper()
	r, err := store.Record(t.Context(), inventory.RecordKind, id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := inventory.ParseSighting(id, r.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func usesOf(t *testing.T, store signals.Records) map[string]inventory.Use {
	t.Helper()
	all := map[string]inventory.Use{}
	if _, err := store.EachRecord(t.Context(), inventory.UseKind, func(r signals.Record) error {
		u, err := inventory.ParseUse(r.Key, r.Value)
		u.Batches = nil
		all[r.Key] = u
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCensusCountsWhatDecisionsSaw: and nothing of subjects with a doubt, people, or texts that end with their message.
func TestCensusCountsWhatDecisionsSaw(t *testing.T) {
	t.Parallel()
	store := censusStore(t)
	now := censusDay
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Writer: "edge 1", Now: func() time.Time { return now }})
	const id = "spiffe://acme.example/a"
	message := []byte(id + "orders")
	d := seenDecision(string(message[:len(id)]), "orders", policy.Allow)
	c.Saw(d)
	clear(message)
	late := seenDecision(id, "", policy.Deny)
	late.At, late.Subject.Forwarder = censusDay.Add(time.Minute), "spiffe://acme.example/gateway"
	late.Subject.WorkloadToken = identity.Validity{NotBefore: censusDay, NotAfter: censusDay.Add(5 * time.Minute)}
	c.Saw(late)
	doubted := seenDecision("spiffe://acme.example/doubted", "orders", policy.Deny)
	doubted.Subject.Doubts = []identity.Doubt{{Code: identity.DoubtToken}}
	c.Saw(doubted)
	c.Saw(&Decision{At: censusDay, Verdict: policy.Verdict{Outcome: policy.Allow, Route: "orders", Tier: "internal", Waived: []policy.Waived{
		{By: policy.WaivedByException, Name: "loaner"}, {By: policy.WaivedByException, Name: "loaner"},
		{By: policy.WaivedByGrace}, {By: policy.WaivedByLastKnown}}}})
	before := seenDecision(id, "orders", policy.Allow)
	before.At = censusDay.Add(-24 * time.Hour)
	c.Saw(before)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := sightingOf(t, store, id)
	got.Batches = nil
	want := inventory.Sighting{ID: id, TrustDomain: "acme.example", First: before.At, Last: late.At, CredentialFrom: censusDay,
		CredentialUntil: censusDay.Add(5 * time.Minute), CredentialSeen: late.At,
		Routes: map[string]inventory.RouteUse{"orders": {First: before.At, Last: censusDay, Allowed: 2, LastAllowed: censusDay},
			inventory.NoRoute: {First: late.At, Last: late.At, Refused: 1}},
		Places: map[string]time.Time{"edge": censusDay, "edge via spiffe://acme.example/gateway": late.At}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := store.Record(t.Context(), inventory.RecordKind, "spiffe://acme.example/doubted"); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("somebody who is not believed is in the inventory: %v", err)
	}
	wantUse := map[string]inventory.Use{
		"2026-11-21 edge": {Day: "2026-11-21", Sidecar: "edge", Tiers: map[string]inventory.TierUse{"internal": {Allowed: 1}}},
		"2026-11-22 edge": {Day: "2026-11-22", Sidecar: "edge", Tiers: map[string]inventory.TierUse{
			"internal": {Allowed: 2, Refused: 2, ByException: 1, ByGrace: 1, ByLastKnown: 1}},
			Exceptions: map[string]inventory.ExceptionUse{"loaner": {Count: 1, Last: censusDay}}},
	}
	if diff := cmp.Diff(wantUse, usesOf(t, store)); diff != "" {
		t.Error(diff)
	}
	now = now.Add(24 * time.Hour) // a day on which nobody comes is observed too
	for range 2 {
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if u, ok := usesOf(t, store)["2026-11-23 edge"]; !ok || len(u.Tiers) != 0 || len(c.days) != 1 {
		t.Errorf("an empty day: %+v, %v; %d days are held", u, ok, len(c.days))
	}
}

// losing is a store whose answers to writes are lost: every other one after the write was made, and every third before.
type losing struct {
	signals.Records
	mu    sync.Mutex
	calls int
	calm  bool
}

func (l *losing) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	l.mu.Lock()
	l.calls++
	n, calm := l.calls, l.calm
	l.mu.Unlock()
	if !calm && n%3 == 0 {
		return errors.New("the line is down")
	}
	err := l.Records.PutRecord(ctx, r, expected)
	if !calm && n%2 == 0 {
		return errors.New("the answer was lost")
	}
	return err
}

// TestCensusCountsOnceThroughLostAnswers: whatever is lost on the way, in the end every decision is counted exactly once.
func TestCensusCountsOnceThroughLostAnswers(t *testing.T) {
	t.Parallel()
	store := &losing{Records: censusStore(t)}
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Writer: "edge 1", Now: func() time.Time { return censusDay }})
	lost := 0
	for range 20 {
		for id := range 7 {
			c.Saw(seenDecision(fmt.Sprint("spiffe://acme.example/", id), "orders", policy.Allow))
		}
		if c.Flush(t.Context()) != nil {
			lost++
		}
	}
	store.calm = true
	for range 2 {
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for id := range 7 {
		if n := sightingOf(t, store, fmt.Sprint("spiffe://acme.example/", id)).Routes["orders"].Allowed; n != 20 {
			t.Errorf("identity %d: counted %d of 20", id, n)
		}
	}
	if u := usesOf(t, store)["2026-11-22 edge"]; u.Tiers["internal"].Allowed != 140 || lost == 0 {
		t.Errorf("%+v, %d flushes lost something", u, lost)
	}
}

// TestCensusIsBounded: identities beyond the bound are counted as decisions and not held, and those that are gone make room.
func TestCensusIsBounded(t *testing.T) {
	t.Parallel()
	store := censusStore(t)
	var beyond uint64
	var failed int
	c := NewCensus(store, CensusOptions{Sidecar: "edge", MaxIdentities: 100, Now: func() time.Time { return censusDay },
		Events: CensusEvents{Flushed: func(_, f int, n uint64, _ time.Duration, _ error) { beyond += n; failed += f }}})
	for i := range 300 {
		c.Saw(seenDecision(fmt.Sprintf("spiffe://acme.example/%d", i), "orders", policy.Allow))
	}
	for i := range 2 * inventory.MaxRoutes {
		c.Saw(seenDecision("spiffe://acme.example/0", fmt.Sprint("route-", i), policy.Allow))
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if beyond != 200 || failed != 0 || c.known.Load() != 100 {
		t.Errorf("%d beyond, %d failed, %d held", beyond, failed, c.known.Load())
	}
	if s := sightingOf(t, store, "spiffe://acme.example/0"); len(s.Routes) != inventory.MaxRoutes {
		t.Errorf("%d routes", len(s.Routes))
	}
	for range idleFlushes + 1 {
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c.known.Load() != 0 {
		t.Errorf("%d that nobody saw for long are held", c.known.Load())
	}
}

// TestCensusGoesOnOverSpoiltRecords: what somebody else wrote there says nothing, and is told.
func TestCensusGoesOnOverSpoiltRecords(t *testing.T) {
	t.Parallel()
	store := censusStore(t)
	const id = "spiffe://acme.example/a"
	for kind, key := range map[string]string{inventory.RecordKind: id, inventory.UseKind: "2026-11-22 edge"} {
		if err := store.PutRecord(t.Context(), signals.Record{Kind: kind, Key: key, Revision: 1, Value: []byte(`{"id":"x"}`)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	told := 0
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Now: func() time.Time { return censusDay },
		Events: CensusEvents{Spoilt: func(string, string, error) { mu.Lock(); told++; mu.Unlock() }}})
	c.Saw(seenDecision(id, "orders", policy.Allow))
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := sightingOf(t, store, id); told != 2 || s.Routes["orders"].Allowed != 1 {
		t.Errorf("told %d times; %+v", told, s)
	}
}

// TestCensusWritesAtItsEnd: Run writes what was counted when its context ends, and while the store is away it stops trying
// after some failures.
func TestCensusWritesAtItsEnd(t *testing.T) {
	t.Parallel()
	const many = 150
	store := censusStore(t)
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Every: time.Hour, Now: func() time.Time { return censusDay }})
	c.last = time.Minute // a busy disk takes longer than the end of a process may
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for i := range many {
		c.Saw(seenDecision(fmt.Sprint("spiffe://acme.example/", i), "orders", policy.Allow))
	}
	away, stop := context.WithCancel(t.Context())
	stop()
	down := &awayStore{Records: store}
	c.records = down
	if err := c.Flush(away); err == nil || !strings.Contains(err.Error(), "away") || down.asked > maxCensusFailures+2*censusWriters {
		t.Errorf("%v after %d tries", err, down.asked)
	}
	c.records = store
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for i := range many {
		if n := sightingOf(t, store, fmt.Sprint("spiffe://acme.example/", i)).Routes["orders"].Allowed; n != 1 {
			t.Fatalf("identity %d: counted %d", i, n)
		}
	}
}

type awayStore struct {
	signals.Records
	mu    sync.Mutex
	asked int
}

func (a *awayStore) Record(context.Context, string, string) (signals.Record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return signals.Record{}, errors.New("it is away")
}

// TestCensusAtOnce: decisions of many goroutines, while it writes, are all counted; for the race detector.
func TestCensusAtOnce(t *testing.T) {
	t.Parallel()
	store := censusStore(t)
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Writer: "edge 1", Now: func() time.Time { return censusDay }})
	const each = 2000
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range each {
				c.Saw(seenDecision(fmt.Sprint("spiffe://acme.example/", i%5), "orders", policy.Allow))
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	total := uint64(0)
	for i := range 5 {
		total += sightingOf(t, store, fmt.Sprint("spiffe://acme.example/", i)).Routes["orders"].Allowed
	}
	if u := usesOf(t, store)["2026-11-22 edge"]; total != 4*each || u.Tiers["internal"].Allowed != 4*each {
		t.Errorf("%d are counted, and %d by tier, of %d", total, u.Tiers["internal"].Allowed, 4*each)
	}
}

// TestCensusAllocatesNothing for what it has counted before, and holds 20,000 identities in bounded memory.
func TestCensusAllocatesNothing(t *testing.T) {
	c := NewCensus(censusStore(t), CensusOptions{Sidecar: "edge"})
	d := seenDecision("spiffe://acme.example/ns/payments/sa/checkout", "orders", policy.Allow)
	d.Subject.Forwarder = "spiffe://acme.example/gateway"
	if n := testing.AllocsPerRun(1000, func() { c.Saw(d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 2 * DefaultMaxIdentities {
		c.Saw(seenDecision(fmt.Sprintf("spiffe://acme.example/ns/payments/sa/%d", i), "orders", policy.Allow))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := (after.HeapAlloc - before.HeapAlloc) >> 20; held > 64 || c.known.Load() != DefaultMaxIdentities {
		t.Errorf("%d identities take %d MiB", c.known.Load(), held)
	} else {
		t.Logf("%d identities take %d MiB", c.known.Load(), held)
	}
}
