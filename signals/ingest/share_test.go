package ingest_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

func named(name string) option { return func(o *ingest.Options) { o.Name = name } }

// owned counts the entries of the inbox by the receiver that they name.
func owned(t *testing.T, store *memory) map[string]int {
	t.Helper()
	owners := map[string]int{}
	for _, record := range store.kind(ingest.KindInbox) {
		var e struct{ Owner string }
		if err := json.Unmarshal(record.Value, &e); err != nil {
			t.Fatal(err)
		}
		owners[e.Owner]++
	}
	return owners
}

// What a receiver has taken is left to it while it lives, even if it is slow; once its lease has ended, another goes on.
func TestALeaseIsRespectedAndTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner, first, second := newMemory(), &diary{}, &diary{}
		hang := make(chan struct{})
		var dead atomic.Bool
		stuck := &wrapped{memory: inner, before: func(op string) error {
			switch {
			case op == "PutPosture":
				<-hang
			case op == "PutRecord receiver" && dead.Load():
				return errDown // as if it were stopped
			}
			return nil
		}}
		a := receiver(t, stuck, first, named("a"))
		stopA := start(t, a)
		b := receiver(t, inner, second, named("b"))
		stopB := start(t, b)
		defer stopB()
		synctest.Wait()
		for i := range 5 {
			must(t, a, fmt.Sprint(i), body(fmt.Sprintf(`{"id":"%d"}`, i+1), `{"firewall":true}`))
		}
		time.Sleep(2 * time.Minute)
		if got := owned(t, inner); got["a"] != 5 || len(second.have("applied")) != 0 {
			t.Errorf("while a lives: owners %v, b applied %q", got, second.have("applied"))
		}
		record, err := inner.Record(t.Context(), ingest.KindReceiver, "a")
		if err != nil || time.Until(record.Expires) > 30*time.Second {
			t.Fatalf("a's lease %+v, %v", record, err)
		}
		dead.Store(true)
		time.Sleep(15 * time.Second)
		if got := owned(t, inner); got["a"] != 5 {
			t.Errorf("before the lease has ended: %v", got)
		}
		time.Sleep(25 * time.Second)
		if len(inner.born()) != 5 || len(second.have("applied")) != 5 {
			t.Errorf("after a's lease: %d devices, b applied %q", len(inner.born()), second.have("applied"))
		}
		close(hang)
		stopA()
		if inner.writes != 5 {
			t.Errorf("%d versions of 5 devices: what a woke up with was applied again", inner.writes)
		}
		mustEmpty(t, inner, ingest.KindInbox)
	})
}

// A receiver that ends gives its lease back, so the others go on with their next sweep.
func TestAnEndedReceiverLeavesNoLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		a := receiver(t, store, &diary{}, named("a"))
		stop := start(t, a)
		synctest.Wait()
		if len(store.kind(ingest.KindReceiver)) != 1 {
			t.Error("no lease while it runs")
		}
		stop()
		mustEmpty(t, store, ingest.KindReceiver)
		must(t, a, "1", body(`{"id":"1"}`, `{"firewall":true}`)) // its door was still open
		stop = start(t, receiver(t, store, &diary{}, named("b")))
		defer stop()
		synctest.Wait()
		if len(store.born()) != 1 {
			t.Error("b must not wait for a lease that is not there")
		}
	})
}

// A flood that comes through one door is worked on by all.
func TestAFloodThroughOneDoorIsShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner := newMemory()
		slow := &wrapped{memory: inner, before: func(op string) error {
			if op == "PutPosture" {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}}
		diaries := map[string]*diary{"a": {}, "b": {}, "c": {}}
		receivers := map[string]*ingest.Receiver{}
		for _, name := range []string{"c", "b", "a"} { // a looks around last, and so sees the others
			few := func(o *ingest.Options) { o.Workers = 8 } // so that it lasts longer than until the others look again
			receivers[name] = receiver(t, slow, diaries[name], named(name), few)
			stop := start(t, receivers[name])
			defer stop()
			synctest.Wait()
		}
		const n = 3000
		for i := range n {
			must(t, receivers["a"], fmt.Sprint(i), body(fmt.Sprintf(`{"id":"%d"}`, i+1), `{"firewall":true}`))
		}
		time.Sleep(3 * time.Minute)
		total := 0
		for name, d := range diaries {
			applied := len(d.have("applied"))
			total += applied
			if applied < 20 {
				t.Errorf("%s applied %d of %d", name, applied, n)
			}
		}
		if total != n || inner.writes != n || len(inner.born()) != n {
			t.Errorf("%d applied in %d writes to %d devices, want %d each", total, inner.writes, len(inner.born()), n)
		}
		mustEmpty(t, inner, ingest.KindInbox)
	})
}

// A lease that cannot be written is told, and nothing else stops.
func TestLeaseTrouble(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner, d := newMemory(), &diary{}
		store := &wrapped{memory: inner, before: func(op string) error {
			if op == "PutRecord receiver" {
				return errDown
			}
			return nil
		}}
		r := receiver(t, store, d)
		stop := start(t, r)
		defer stop()
		must(t, r, "1", body(`{"id":"1"}`, `{"firewall":true}`))
		time.Sleep(15 * time.Second)
		if len(d.have("lease failed")) < 2 || len(inner.born()) != 1 {
			t.Errorf("%q", d.lines)
		}
	})
}

// The embedded store has one receiver: no lease, and what another name has left is its own.
func TestAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		other := receiver(t, store, &diary{}, named("other"))
		stop := start(t, other)
		synctest.Wait()
		must(t, other, "1", body(`{"id":"1"}`, `{"firewall":true}`))
		stop()
		must(t, other, "2", body(`{"id":"2"}`, `{"firewall":true}`))
		lease := signals.Record{Kind: ingest.KindReceiver, Key: "other", Revision: 1, Value: []byte("{}")}
		if err := store.PutRecord(t.Context(), lease, 0); err != nil {
			t.Fatal(err)
		}
		stop = start(t, receiver(t, store, &diary{}, named("me"), func(o *ingest.Options) { o.Alone = true }))
		defer stop()
		synctest.Wait()
		if len(store.born()) != 2 || len(store.kind(ingest.KindReceiver)) != 1 {
			t.Errorf("devices %v, leases %v", store.born(), store.kind(ingest.KindReceiver))
		}
	})
}

// A receiver that wakes up with an entry that another has taken over leaves it alone.
func TestWhatAnotherTookOverIsLeftToIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner, late := newMemory(), &diary{}
		hang := make(chan struct{})
		stuck := &wrapped{memory: inner, before: func(op string) error {
			if op == "PutPosture" {
				<-hang
			}
			return nil
		}}
		a := receiver(t, inner, late, named("a"))
		must(t, a, "1", report(1)) // queued by a, which holds no lease
		stopB := start(t, receiver(t, stuck, &diary{}, named("b")))
		defer stopB()
		synctest.Wait()
		stopA := start(t, a)
		defer stopA()
		synctest.Wait()
		if got := owned(t, inner); got["b"] != 1 || len(late.have("applied")) != 0 {
			t.Errorf("owners %v, a: %q", got, late.lines)
		}
		close(hang)
		synctest.Wait()
		mustEmpty(t, inner, ingest.KindInbox)
	})
}
