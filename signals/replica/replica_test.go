package replica

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
)

func TestNewStartsNothing(t *testing.T) {
	f := newFake()
	r := New(f, Options{})
	expect(t, r, "A", 0, ErrOffline)
	select {
	case <-r.Loaded():
		t.Fatal("loaded before Run")
	default:
	}
	if f.reads != 0 || r.Status() != (Status{}) {
		t.Fatalf("%d reads, %+v", f.reads, r.Status())
	}
}

func TestRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newFake(), Options{})
		<-r.Loaded()
		if err := r.Run(t.Context()); err == nil {
			t.Fatal("a second Run was taken")
		}
	})
}

func TestLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 1, "A", "SHARED"))
		f.put(posture("b", 1, "B", "SHARED"))
		f.put(posture("c", 1, "C"))
		r := run(t, f, Options{})
		<-r.Loaded()
		reading := expect(t, r, "A", 1, nil)
		if !reading.AsOf.Equal(time.Now()) {
			t.Errorf("in sync as of %v, want now", reading.AsOf)
		}
		expect(t, r, "B", 1, nil)
		expect(t, r, "SHARED", 0, ErrContested)
		expect(t, r, "NOBODY", 0, signals.ErrNotFound)
		f.spoil("c")
		synctest.Wait()
		expect(t, r, "C", 0, signals.ErrCorrupt)
		expect(t, r, "A", 1, nil)
		if s := r.Status(); !s.Loaded || !s.InSync || s.Devices != 2 || s.Corrupt != 1 || s.LastError != "" {
			t.Errorf("%+v", s)
		}
		f.put(posture("c", 1, "C")) // the value is readable again, at the revision that we held
		f.put(posture("b", 2, "B"))
		f.put(posture("a", 2, "A2", "SHARED"))
		synctest.Wait()
		expect(t, r, "C", 1, nil)
		expect(t, r, "SHARED", 2, nil)
		expect(t, r, "A2", 2, nil)
		expect(t, r, "A", 0, signals.ErrNotFound)
		seen := 0
		r.Each(func(*signals.Posture) bool { seen++; return true })
		stopped := 0
		r.Each(func(*signals.Posture) bool { stopped++; return false })
		if seen != 3 || stopped != 1 {
			t.Errorf("each yielded %d and %d, want 3 and 1", seen, stopped)
		}
	})
}

func TestLookupAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range 1000 {
			f.put(posture(fmt.Sprint(i), 1, fmt.Sprint("S", i)))
		}
		r := run(t, f, Options{})
		<-r.Loaded()
		there, nowhere := serial("S7"), serial("NOWHERE")
		if n := testing.AllocsPerRun(1000, func() { _, _ = r.Lookup(there); _, _ = r.Lookup(nowhere) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestOutage: everything is kept and ages, retries are bounded, and what was written meanwhile is there afterwards.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 1, "A"))
		var away time.Duration
		r := run(t, f, Options{Events: Events{InSync: func(d time.Duration) { away = d }}})
		<-r.Loaded()
		time.Sleep(30 * time.Second)
		cut := time.Now()
		f.fail(true, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if reading := expect(t, r, "A", 1, nil); !reading.AsOf.Equal(cut) {
			t.Errorf("as of %v, want the instant of the cut, %v", reading.AsOf, cut)
		}
		expect(t, r, "NOBODY", 0, ErrOffline)
		if s := r.Status(); !s.Loaded || s.InSync || s.Devices != 1 || s.LastError != errOut.Error() || !s.AsOf.Equal(cut) {
			t.Errorf("%+v", s)
		}
		checkRetries(t, f.attempts)
		f.mu.Lock()
		reads := f.reads
		f.mu.Unlock()
		f.put(posture("a", 2, "A"))
		f.put(posture("new", 1, "NEW"))
		f.fail(false, false)
		time.Sleep(2*time.Second + settle + time.Millisecond)
		synctest.Wait()
		expect(t, r, "A", 2, nil)
		expect(t, r, "NEW", 1, nil)
		expect(t, r, "NOBODY", 0, signals.ErrNotFound)
		if f.reads != reads {
			t.Errorf("%d full reads for an outage without a gap", f.reads-reads)
		}
		if !r.Status().InSync || away < time.Minute || away > time.Minute+3*time.Second {
			t.Errorf("in sync: %v, away for %v", r.Status().InSync, away)
		}
	})
}

// TestCatchUp: after an outage the copy is behind until it has heard all that happened meanwhile. Until then a
// device that is not known may well exist; and what was heard before the outage is not asked for again.
func TestCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := run(t, f, Options{})
		<-r.Loaded()
		for i := range 100 {
			f.put(posture(fmt.Sprint(i), 1, fmt.Sprint("OLD", i)))
		}
		synctest.Wait()
		f.fail(true, false)
		time.Sleep(time.Second)
		for i := range 10 {
			f.put(posture(fmt.Sprint("new", i), 1, fmt.Sprint("NEW", i)))
		}
		f.mu.Lock()
		f.slow, f.asked = 50*time.Millisecond, 0
		f.mu.Unlock()
		f.fail(false, false)
		for expectEither(t, r, "NEW9") {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, r, "NOBODY", 0, signals.ErrNotFound)
		if f.asked > 11 {
			t.Errorf("%d reads for 10 changes", f.asked)
		}
	})
}

// expectEither looks up a device that exists: until it is known, the answer is ErrOffline and never ErrNotFound.
func expectEither(t *testing.T, r *Replica, alias string) (behind bool) {
	t.Helper()
	_, err := r.Lookup(serial(alias))
	if err != nil && !errors.Is(err, ErrOffline) {
		t.Fatalf("got %v while behind, want ErrOffline", err)
	}
	return err != nil
}

// checkRetries: 50 ms apart at least, 2 s at most, and not a crowd.
func checkRetries(t *testing.T, at []time.Time) {
	t.Helper()
	if len(at) < 25 || len(at) > 80 {
		t.Errorf("%d attempts in a minute", len(at))
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i].Sub(at[i-1]); gap < 50*time.Millisecond || gap > 2*time.Second {
			t.Errorf("attempt %d came %v after the one before", i, gap)
		}
	}
}

// TestNeverLoaded: until everything was read once, nothing is served, and half a load is none.
func TestNeverLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range 100 {
			f.put(posture(fmt.Sprint(i), 1, fmt.Sprint("S", i)))
		}
		f.delay = 10 * time.Millisecond
		r := run(t, f, Options{})
		time.Sleep(500 * time.Millisecond)
		for i := range 100 {
			expect(t, r, fmt.Sprint("S", i), 0, ErrOffline)
		}
		f.fail(true, false)
		time.Sleep(10 * time.Second)
		if s := r.Status(); s.Loaded || s.InSync || !s.AsOf.IsZero() || s.LastError == "" {
			t.Errorf("%+v", s)
		}
		f.fail(false, false)
		<-r.Loaded()
		for i := range 100 {
			expect(t, r, fmt.Sprint("S", i), 1, nil)
		}
		expect(t, r, "NOBODY", 0, signals.ErrNotFound)
	})
}

// TestGap: a full re-read finds what was missed and drops what is gone.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 1, "A"))
		f.put(posture("gone", 1, "GONE"))
		var removed []signals.DeviceID
		r := run(t, f, Options{OnRemove: func(id signals.DeviceID) { removed = append(removed, id) }})
		<-r.Loaded()
		f.forget("gone")
		f.quietly(posture("a", 2, "A"))
		f.quietly(posture("missed", 1, "MISSED"))
		synctest.Wait()
		expect(t, r, "GONE", 1, nil) // nobody has told us
		f.fail(false, true)
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, r, "A", 2, nil)
		expect(t, r, "MISSED", 1, nil)
		expect(t, r, "GONE", 0, signals.ErrNotFound)
		if !slices.Equal(removed, []signals.DeviceID{"gone"}) {
			t.Errorf("removed %v", removed)
		}
	})
}

// TestFailedReadRemovesNothing: a full read that breaks off has not shown that anything is gone.
func TestFailedReadRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range 100 {
			f.put(posture(fmt.Sprint(i), 1, fmt.Sprint("S", i)))
		}
		r := run(t, f, Options{})
		<-r.Loaded()
		f.mu.Lock()
		f.delay = 10 * time.Millisecond
		f.mu.Unlock()
		f.fail(false, true)
		time.Sleep(500 * time.Millisecond)
		f.fail(true, false)
		time.Sleep(10 * time.Second)
		for i := range 100 {
			expect(t, r, fmt.Sprint("S", i), 1, nil)
		}
	})
}

// TestGapsInARow: a store whose stream always has a gap is not read without pause.
func TestGapsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		r := run(t, f, Options{})
		<-r.Loaded()
		for range 600 {
			f.fail(false, true)
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if f.reads > 80 {
			t.Errorf("%d full reads in a minute", f.reads)
		}
	})
}

// TestResync: what no notice told is found at the next full re-read, while changes are still followed.
func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("gone", 1, "GONE"))
		r := run(t, f, Options{Resync: time.Minute})
		<-r.Loaded()
		f.forget("gone")
		f.quietly(posture("silent", 1, "SILENT"))
		time.Sleep(47 * time.Second)
		expect(t, r, "SILENT", 0, signals.ErrNotFound)
		time.Sleep(26 * time.Second)
		expect(t, r, "SILENT", 1, nil)
		expect(t, r, "GONE", 0, signals.ErrNotFound)
		f.mu.Lock()
		f.delay = 20 * time.Second // the next re-read is slow
		f.mu.Unlock()
		time.Sleep(50 * time.Second)
		for n := range 30 {
			f.put(posture("fast", signals.Revision(n+1), "FAST"))
			synctest.Wait()
			expect(t, r, "FAST", signals.Revision(n+1), nil)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if f.reads < 3 || f.reads > 4 {
			t.Errorf("%d full reads in 150 s at a minute each", f.reads)
		}
		expect(t, r, "FAST", 30, nil)
	})
}

func TestRevisionsNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 5, "A"))
		var regressed []signals.Revision
		r := run(t, f, Options{Resync: time.Minute, Events: Events{
			Regressed: func(_ signals.DeviceID, held, stored signals.Revision) { regressed = append(regressed, held, stored) },
		}})
		<-r.Loaded()
		f.put(posture("a", 4, "A"))
		synctest.Wait()
		expect(t, r, "A", 5, nil)
		time.Sleep(75 * time.Second)
		synctest.Wait()
		expect(t, r, "A", 5, nil)
		if !slices.Equal(regressed, []signals.Revision{5, 4, 5, 4}) {
			t.Errorf("regressed: %v", regressed)
		}
		f.spoil("a")
		synctest.Wait()
		f.put(posture("a", 3, "A"))
		synctest.Wait()
		expect(t, r, "A", 0, signals.ErrCorrupt)
		f.put(posture("a", 6, "A"))
		synctest.Wait()
		expect(t, r, "A", 6, nil)
	})
}

// TestOnChange: once per revision, before it is served, never twice at a time, also while a full re-read runs beside.
func TestOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range 50 {
			f.put(posture(fmt.Sprint(i), 1, fmt.Sprint("S", i)))
		}
		var busy atomic.Bool
		calls := map[string]int{}
		var r *Replica
		r = New(f, Options{Resync: time.Second, OnChange: func(p *signals.Posture) {
			if busy.Swap(true) {
				t.Error("called concurrently")
			}
			if reading, err := r.Lookup(p.Aliases[0]); err == nil && reading.Posture.Revision >= p.Revision {
				t.Errorf("%s was served before OnChange", p.Device)
			}
			for range 10 {
				runtime.Gosched() // no sleep: whoever waits for our lock keeps the bubble's clock from moving on
			}
			calls[fmt.Sprintf("%s@%d", p.Device, p.Revision)]++
			busy.Store(false)
		}})
		started(t, r)
		<-r.Loaded()
		for n := signals.Revision(2); n <= 40; n++ {
			f.put(posture("7", n, "S7"))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, r, "S7", 40, nil)
		if len(calls) != 50+39 {
			t.Errorf("%d changes, want 89", len(calls))
		}
		for what, n := range calls {
			if n != 1 {
				t.Errorf("%s: %d calls", what, n)
			}
		}
	})
}

func started(t *testing.T, r *Replica) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
