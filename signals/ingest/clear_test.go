package ingest_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// clearing is what two people approved: what edr said of compromised until now.
func clearing() []signals.Clearance {
	return []signals.Clearance{{Attribute: "compromised", Source: "edr", Until: time.Now().UTC(), Name: "clearance-a"}}
}

// says is an adapter whose only delivery says that a device was seen compromised, at an instant.
func says(id string, at time.Time, serials ...string) option {
	return func(o *ingest.Options) {
		o.Sources = []ingest.Source{{Name: "edr", Attests: []string{"compromised"}, Adapter: scripted{id: id,
			observe: func(source.Delivery) ([]signals.Observation, error) {
				return []signals.Observation{{Aliases: aliases(serials...), Facts: []signals.Fact{{Attribute: "compromised",
					Value: signals.Bool(true), Observed: at}}}}, nil
			}}}}
	}
}

// deliver has a receiver apply the one delivery that it knows.
func deliver(t *testing.T, store signals.Store, delivery option, more ...option) {
	t.Helper()
	r := receiver(t, store, &diary{}, append([]option{delivery}, more...)...)
	stop := start(t, r)
	req := request(t, "ignored", "x")
	req.URL.Path = "/v1/sources/edr"
	serve(r, req)
	time.Sleep(10 * time.Second)
	stop()
}

func alarmOf(t *testing.T, store *memory, device signals.DeviceID) bool {
	t.Helper()
	_, ok, _ := ptr(store.born()[device]).Latest("compromised", "edr")
	return ok
}

// TestClear: what is cleared stays so through everything that tells it again, and what is seen later counts.
func TestClear(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(48 * time.Hour) // a bubble begins with the year 2000, before which nothing is plausible
		store := newMemory()
		both(t, store)
		seen := time.Now().UTC().Add(-time.Minute)
		deliver(t, store, says("1", seen, "B1"))
		r := receiver(t, store, &diary{})
		ended := clearing()
		ended[0].Until = seen
		if changed, err := r.Clear(t.Context(), "d2", ended); !changed || err != nil || alarmOf(t, store, "d2") {
			t.Fatalf("changed %t, %v; %+v", changed, err, store.born()["d2"])
		}
		before := fmt.Sprint(store.born()["d2"])
		if changed, err := r.Clear(t.Context(), "d2", ended); changed || err != nil || fmt.Sprint(store.born()["d2"]) != before {
			t.Errorf("again: changed %t, %v", changed, err)
		}
		deliver(t, store, says("2", seen, "B1"))
		deliver(t, store, says("3", seen.Add(-time.Hour), "B1", "NEW1"))
		if alarmOf(t, store, "d2") {
			t.Errorf("it came back: %+v", store.born()["d2"])
		}
		deliver(t, store, says("4", seen.Add(-time.Hour), "A1"))
		deliver(t, store, says("5", seen, "B1"), linked(same("s", "A1", "B1")))
		if len(store.born()) != 1 || alarmOf(t, store, "d1") {
			t.Errorf("it came back by a join: %+v", store.born())
		}
		later := clearing()
		if changed, err := r.Clear(t.Context(), "d2", later); !changed || err != nil || store.born()["d1"].Clearances[0] != later[0] {
			t.Errorf("a device that became part of another: changed %t, %v", changed, err)
		}
		deliver(t, store, says("6", time.Now().Add(time.Second), "B1"))
		if !alarmOf(t, store, "d1") {
			t.Errorf("a newer alarm is cleared too: %+v", store.born()["d1"])
		}
	})
}

func TestClearFails(t *testing.T) {
	store := newMemory()
	has("d1", "A1")(t, store)
	if _, err := receiver(t, store, &diary{}).Clear(t.Context(), "nobody", clearing()); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("no such device: %v", err)
	}
	bad := &corruptOne{memory: store}
	bad.device.Store(signals.DeviceID("d1"))
	bad.corrupt.Store(true)
	if _, err := receiver(t, bad, &diary{}).Clear(t.Context(), "d1", clearing()); !errors.Is(err, signals.ErrCorrupt) {
		t.Errorf("a device that is not believed: %v", err)
	}
	racing := &wrapped{memory: store, before: func(op string) error {
		if op == "PutPosture" {
			return signals.ErrConflict
		}
		return nil
	}}
	if changed, err := receiver(t, racing, &diary{}).Clear(t.Context(), "d1", clearing()); err == nil || changed {
		t.Errorf("others are always faster: %t, %v", changed, err)
	}
}

// TestClearWhileJoining: a clearance is applied to any of two devices while these become one, by receivers that go on with
// each other's work. In the end the one device has it, and no alarm.
func TestClearWhileJoining(t *testing.T) {
	for seed := range uint64(300) {
		bubble(t, func(t *testing.T) {
			store := newMemory()
			both(t, store)
			slow := jitter(store, seed)
			var work sync.WaitGroup
			for i := range 2 {
				r := receiver(t, slow, &diary{}, linked(same("s", "A1", "B1")), named(fmt.Sprint("r", i)))
				defer start(t, r)()
				work.Go(func() { must(t, r, fmt.Sprint(i), body(`{"serial":"A1"}`, `{"firewall":true}`)) })
				work.Go(func() {
					time.Sleep(time.Duration(seed%40) * 300 * time.Microsecond)
					for range 100 { // as whoever keeps what was approved does
						if _, err := r.Clear(t.Context(), signals.DeviceID(fmt.Sprint("d", 1+(seed+uint64(i))%2)), clearing()); err == nil {
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
					t.Error("it could not be cleared")
				})
			}
			work.Wait()
			time.Sleep(2 * time.Minute)
			consistent(t, store)
			if one := store.born()["d1"]; len(store.born()) != 1 || len(one.Clearances) != 1 || alarmOf(t, store, "d1") {
				t.Errorf("seed %d: %+v", seed, store.born())
			}
		})
	}
}
