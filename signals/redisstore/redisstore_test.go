package redisstore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // those that are parallel wait for servers, not for processors
		panic(err)
	}
	goleak.VerifyTestMain(settled{m})
}

// settled ends when nothing goes on any more that must end: where a server was away the library dials once a second, in a
// goroutine that outlives its closed pool by at most that second, and goleak waits for half of one.
type settled struct{ *testing.M }

func (m settled) Run() int {
	code := m.M.Run()
	for end := time.Now().Add(10 * time.Second); goleak.Find() != nil && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	return code
}

// fixture is a real installation of one of the three shapes.
type fixture struct {
	opts    Options
	do      func(t testing.TB, args ...any) any // on the server that has the key
	restart func(t testing.TB)
}

func standalone(t *testing.T) fixture {
	live := serve(t, "--appendfsync", "everysec")
	return fixture{Options{Address: live.socket}, live.do, live.restart}
}

func TestStore(t *testing.T) { runSuite(t, standalone(t), nil) }

func TestStoreSentinel(t *testing.T) {
	t.Parallel()
	live := startSentinels(t, watching{downAfter: 20 * time.Second, password: "sesame"}, "--appendfsync", "everysec")
	runSuite(t, fixture{
		Options{Sentinels: live.addresses, Master: masterName, SentinelPassword: "sesame"}, live.do,
		func(t testing.TB) { live.primary(t).restart(t) },
	}, nil)
}

func TestStoreCluster(t *testing.T) {
	t.Parallel()
	live := startCluster(t, false, nil, "--appendfsync", "everysec")
	runSuite(t, fixture{Options{Cluster: live.addresses()}, live.do, live.restart}, nil)
}

// runSuite runs the one suite; around, if any, stands between it and each store.
func runSuite(t *testing.T, live fixture, around func(*testing.T, *Store) signals.Store) {
	stand := around
	if stand == nil {
		stand = func(_ *testing.T, s *Store) signals.Store { return s }
	}
	// What the suite asks is right or wrong, not fast or slow: reads may take as long as writes on a busy machine.
	bare := func(t *testing.T) *Store {
		opts := live.opts
		opts.Patience = patience
		s, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	hooks := storetest.Hooks{
		Reopen: func(t *testing.T, s signals.Store) signals.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			live.restart(t)
			return stand(t, bare(t))
		},
		OpenForgetful: func(t *testing.T) signals.Store {
			live.do(t, "FLUSHALL")
			s := bare(t)
			s.keep = 10
			return stand(t, s)
		},
		Forgets:     400, // the server trims whole nodes of 100 entries
		Corruptions: corruptions(live),
	}
	if plain := around == nil; !plain && !prove {
		hooks.Reopen, hooks.Corruptions = nil, nil
	}
	storetest.Run(t, func(t *testing.T) signals.Store {
		live.do(t, "FLUSHALL")
		return stand(t, bare(t))
	}, hooks)
}

func corruptions(live fixture) []storetest.Corruption {
	return []storetest.Corruption{
		plant(live, "garbage", "garbage"), plant(live, "empty", ""), plant(live, "cut short", "1 1 0"),
		plant(live, "a later schema", "2 1 0\n{}"), plant(live, "no revision", "1 0 0\n{}"),
		plant(live, "a revision that is no number", "1 1x 0\n{}"),
		plant(live, "much too large", strings.Repeat("1", maxRecord+10)),
		{Name: "no posture", Posture: plant(live, "", "1 1 0\n[]").Posture},
		{Name: "cut inside", Posture: plant(live, "", `1 1 0`+"\n"+`{"device":"d7","revi`).Posture},
		{Name: "another device", Posture: plant(live, "", "1 1 0\n"+`{"device":"d8","revision":1}`).Posture},
		{Name: "two revisions", Posture: plant(live, "", "1 1 0\n"+`{"device":"d7","revision":2}`).Posture},
		wrongType(live),
	}
}

func plant(live fixture, name, raw string) storetest.Corruption {
	return storetest.Corruption{
		Name: name,
		Posture: func(t *testing.T, _ signals.Store, device signals.DeviceID) {
			live.do(t, "SET", postures.valueKey(string(device)), raw)
		},
		Record: func(t *testing.T, _ signals.Store, kind, key string) {
			live.do(t, "SET", recordsOf(kind).valueKey(key), raw)
		},
	}
}

func wrongType(live fixture) storetest.Corruption {
	hash := func(t *testing.T, key string) {
		live.do(t, "DEL", key)
		live.do(t, "HSET", key, "a", "b")
	}
	return storetest.Corruption{
		Name: "wrong type",
		Posture: func(t *testing.T, _ signals.Store, device signals.DeviceID) {
			hash(t, postures.valueKey(string(device)))
		},
		Record: func(t *testing.T, _ signals.Store, kind, key string) { hash(t, recordsOf(kind).valueKey(key)) },
	}
}

func small(device string, revision signals.Revision) signals.Posture {
	return signals.Posture{Device: signals.DeviceID(device), Revision: revision}
}

func cursorOf(t *testing.T, s *Store) signals.Cursor {
	t.Helper()
	cursor, err := s.EachPosture(t.Context(), func(signals.Posture) error { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cursor
}

// TestWrongTypeElsewhereWritesNothing: a script is not rolled back, so it must find a damaged index or stream
// before it writes the value.
func TestWrongTypeElsewhereWritesNothing(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.open(t, nil)
	at := tag(shardOf("a"))
	for _, broken := range []string{at + "postures", at + "posture-changes"} {
		live.do(t, "FLUSHALL")
		live.do(t, "SET", broken, "x")
		if err := s.PutPosture(t.Context(), small("a", 1), 0); !errors.Is(err, signals.ErrCorrupt) {
			t.Fatalf("%s: got %v, want ErrCorrupt", broken, err)
		}
		if n := live.do(t, "EXISTS", postures.valueKey("a")); n != int64(0) {
			t.Fatalf("%s: the value was written without its notice", broken)
		}
	}
	sp := recordsOf("k")
	for _, broken := range []string{at + sp.index, at + sp.changes, at + sp.expiry} {
		live.do(t, "FLUSHALL")
		live.do(t, "SET", broken, "x")
		err := s.PutRecord(t.Context(), signals.Record{Kind: "k", Key: "a", Revision: 1}, 0)
		if !errors.Is(err, signals.ErrCorrupt) {
			t.Fatalf("%s: got %v, want ErrCorrupt", broken, err)
		}
		if n := live.do(t, "EXISTS", sp.valueKey("a")); n != int64(0) {
			t.Fatalf("%s: the record was written without its notice", broken)
		}
	}
}

// TestAKeyLiesInOneSlot: everything that one write touches has the same hash tag, whatever braces the key has.
func TestAKeyLiesInOneSlot(t *testing.T) {
	for _, key := range []string{"a", "{b}", "}{", "{{}}", "tg:{00}:x", ""} {
		for _, sp := range []space{postures, recordsOf("k"), recordsOf("{}"), recordsOf("}{99}")} {
			at := tag(shardOf(key))
			for _, full := range []string{sp.valueKey(key), at + sp.index, at + sp.changes, at + sp.expiry, at + "fence"} {
				open := strings.IndexByte(full, '{')
				hashed := full[open+1 : open+strings.IndexByte(full[open:], '}')]
				if want := fmt.Sprintf("%02d", shardOf(key)); hashed != want {
					t.Errorf("%q hashes %q, want %q", full, hashed, want)
				}
			}
		}
	}
}

// TestExpiredRecordsLeaveTheIndex: the index must not keep what the server has long forgotten.
func TestExpiredRecordsLeaveTheIndex(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.open(t, nil)
	for i := range 300 {
		r := signals.Record{Kind: "k", Key: fmt.Sprint(i), Revision: 1, Expires: time.Now().Add(20 * time.Millisecond)}
		if err := s.PutRecord(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(40 * time.Millisecond)
	for i := range 200 {
		if err := s.PutRecord(t.Context(), signals.Record{Kind: "k", Key: fmt.Sprint("new", i), Revision: 1}, 0); err != nil {
			t.Fatal(err)
		}
	}
	var index, expiring int64
	for shard := range shards {
		index += live.do(t, "ZCARD", tag(shard)+recordsOf("k").index).(int64)
		expiring += live.do(t, "ZCARD", tag(shard)+recordsOf("k").expiry).(int64)
	}
	if index != 200 || expiring != 0 {
		t.Fatalf("the index holds %d, want 200; %d are still listed as expiring", index, expiring)
	}
}

// TestLoadsManyInPages: a load of many and large postures works within the timeouts of single calls.
func TestLoadsManyInPages(t *testing.T) {
	live := serve(t, "--appendonly", "no")
	s := live.open(t, nil)
	const n = 4000
	for i := 0; i < n; i += 500 {
		pipe := live.raw.Pipeline()
		for j := i; j < i+500; j++ {
			device := fmt.Sprint("device", j)
			raw, err := encodePosture(signals.Posture{Device: signals.DeviceID(device), Revision: 1, Facts: []signals.Fact{
				{Attribute: "os_version", Value: signals.Text(strings.Repeat("x", 1500)), Source: "mdm"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			pipe.Set(t.Context(), postures.valueKey(device), raw, 0)
			pipe.Do(t.Context(), "ZADD", tag(shardOf(device))+postures.index, 0, device)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	_, err := s.EachPosture(t.Context(), func(signals.Posture) error { seen++; return nil }, nil)
	if err != nil || seen != n {
		t.Fatalf("%d of %d were read: %v", seen, n, err)
	}
}

// TestValueGoesBetweenTwoQuestions: EXISTS said yes, then the value went, and GETRANGE found nothing. That is no value, and not
// an empty one.
func TestValueGoesBetweenTwoQuestions(t *testing.T) {
	t.Parallel()
	live := serve(t)
	s := live.open(t, nil)
	var asked atomic.Int32
	s.works.single.AddHook(afterwards(func(cmd redis.Cmder) {
		if exists, ok := cmd.(*redis.IntCmd); ok && asked.Add(1) == 1 {
			exists.SetVal(1) // as it was a moment ago
		}
	}))
	if p, err := s.Posture(t.Context(), "a"); !errors.Is(err, signals.ErrNotFound) || asked.Load() != 2 {
		t.Fatalf("got %v, %v after %d questions", p, err, asked.Load())
	}
}

// afterwards is called after each command.
type afterwards func(redis.Cmder)

func (afterwards) DialHook(next redis.DialHook) redis.DialHook { return next }

func (afterwards) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (a afterwards) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			a(cmd)
		}
		return err
	}
}

func TestObservation(t *testing.T) {
	calls := map[string]error{}
	s := serve(t).open(t, func(o *Options) {
		o.Events.Call = func(operation string, took time.Duration, err error) {
			if took <= 0 {
				t.Errorf("%s took %v", operation, took)
			}
			calls[operation] = err
		}
	})
	_, _ = s.Posture(t.Context(), "nobody")
	_ = s.PutPosture(t.Context(), small("a", 8), 7)
	ended, stop := context.WithCancel(t.Context())
	stop()
	_ = s.DeleteRecord(ended, "k", "a", 1)
	for operation, want := range map[string]error{
		"ping": nil, "posture": signals.ErrNotFound, "put-posture": signals.ErrConflict, "delete-record": context.Canceled,
	} {
		if got, ok := calls[operation]; !ok || !errors.Is(got, want) {
			t.Errorf("%s: observed %v (%v), want %v", operation, got, ok, want)
		}
	}
}
