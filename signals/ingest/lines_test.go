package ingest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// line keeps the ids of deliveries in the order in which they were applied.
type line struct {
	mu      sync.Mutex
	ids     []string
	changed map[string]int
}

func (l *line) applied(_, id string, _ signals.DeviceID, changed bool, _ time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
	if changed {
		l.changed[id]++
	}
}

// have returns how many with this prefix were applied.
func (l *line) have(prefix string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.ids {
		if strings.HasPrefix(id, prefix) {
			n++
		}
	}
	return n
}

// TestOneDeviceFloods: a device that sends 1,500 deliveries (TIERGATE_FLOOD) delays 50 other devices of its source by a few of
// its own, and not by all; a receiver that dies in the middle of it loses nothing and applies nothing twice.
func TestOneDeviceFloods(t *testing.T) {
	t.Parallel()
	t.Run("valkey", func(t *testing.T) {
		t.Parallel()
		oneDeviceFloods(t, valkey(t)(), false)
	})
	t.Run("bbolt", func(t *testing.T) {
		t.Parallel()
		store, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		oneDeviceFloods(t, store, true)
	})
}

func oneDeviceFloods(t *testing.T, store signals.Store, alone bool) {
	const others = 50
	flood := fromEnv(t, "TIERGATE_FLOOD", 1500)
	order := &line{changed: map[string]int{}}
	begin := func(store signals.Store) (*ingest.Receiver, func()) {
		events := (&diary{}).events()
		events.Applied = order.applied
		r := receiver(t, store, &diary{}, func(o *ingest.Options) { o.Events, o.Alone = events, alone })
		return r, start(t, r)
	}
	first := &severed{Store: store}
	r, stop := begin(first)
	send := func(prefix string, n int, device func(i int) string) {
		var next atomic.Int64
		var senders sync.WaitGroup
		for range 32 {
			senders.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					report := body(device(i), fmt.Sprintf(`{"os_version":"15.%d"}`, i))
					for post(t, r, fmt.Sprint(prefix, i), report) != http.StatusAccepted {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		senders.Wait()
	}
	send("flood-", flood, func(int) string { return `{"id":"1"}` })
	before := order.have("flood-")
	send("other-", others, func(i int) string { return fmt.Sprintf(`{"id":"%d"}`, i+2) })
	accepted := order.have("flood-")
	eventually(t, func() bool { return order.have("other-") == others })
	further := order.have("flood-") - before
	if further > others || flood-before <= others { // each delays the others by one turn, while they are sent and applied
		t.Errorf("%d of the flood were applied before it ended, %d while the others came and were applied", before, further)
	}
	first.dead.Store(true)
	stop()
	killed := order.have("flood-")
	_, stop = begin(store)
	defer stop()
	waiting := func() (left int) {
		if _, err := store.EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { left++; return nil }); err != nil {
			t.Log(err) // a busy machine was slow
			return flood
		}
		return left
	}
	left := waiting()
	for end := time.Now().Add(10 * time.Minute); waiting() > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	floodLeft(t, store, order, flood, others)
	t.Logf("a flood of %d from one device, %d applied when 50 others came: these were applied within %d more of it (%d after the "+
		"last had come); killed after %d, %d were left in the inbox: lost 0, applied twice 0",
		flood, before, further, order.have("flood-")-accepted-(flood-killed), killed, left)
}

// floodLeft looks at what the flood has left behind.
func floodLeft(t *testing.T, store signals.Store, order *line, flood, others int) {
	t.Helper()
	dealt := 0
	if _, err := store.EachRecord(t.Context(), ingest.KindDelivery, func(signals.Record) error { dealt++; return nil }); err != nil {
		t.Fatal(err)
	}
	devices := 0
	_, err := store.EachPosture(t.Context(), func(p signals.Posture) error {
		if len(p.Aliases) > 0 && len(p.Facts) > 0 {
			devices++
		}
		return nil
	}, nil)
	if err != nil || dealt != flood+others || devices != others+1 {
		t.Errorf("%d of %d deliveries were dealt with; %d devices; %v", dealt, flood+others, devices, err)
	}
	seen := map[string]int{}
	twice := 0
	for _, id := range order.ids {
		if seen[id]++; seen[id] > 1 && strings.HasPrefix(id, "flood-") {
			twice++
		}
		if order.changed[id] > 1 {
			t.Errorf("%s changed its device twice", id)
		}
	}
	// Of one device one delivery is in hand at a time, so what died between its posture and its note is one of the flood; of
	// the others every worker may have had one.
	if len(seen) != flood+others || twice > 1 {
		t.Errorf("%d of %d were applied, %d of the flood twice", len(seen), flood+others, twice)
	}
}

// What one device sends is applied in the order in which it came, and the others of its source take turns with it.
func TestDevicesTakeTurns(t *testing.T) {
	const flooders = 8 // more than workers
	bubble(t, func(t *testing.T) {
		slow := &wrapped{memory: newMemory(), before: func(op string) error {
			if op == "PutRecord "+ingest.KindDelivery {
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		}}
		order := &line{changed: map[string]int{}}
		r := receiver(t, slow, &diary{}, func(o *ingest.Options) { o.Workers, o.Events.Applied = 2, order.applied })
		stop := start(t, r)
		defer stop()
		var want []string
		for i := range 300 {
			name := fmt.Sprintf(`{"id":"%d"}`, 100+i%flooders)
			if i%3 == 0 {
				name = fmt.Sprintf(`{"serial":"C02FLOOD%02d","id":"%d"}`, i%flooders, 100+i%flooders)
			}
			want = append(want, fmt.Sprint("flood-", i))
			must(t, r, want[i], body(name, fmt.Sprintf(`{"os_version":"15.%d"}`, i)))
		}
		time.Sleep(100 * time.Millisecond)
		before := order.have("flood-")
		for i := range 20 {
			must(t, r, fmt.Sprint("other-", i), body(fmt.Sprintf(`{"id":"%d"}`, i+2), `{"firewall":true}`))
			must(t, r, fmt.Sprint("second-", i), body(fmt.Sprintf(`{"id":"%d"}`, i+2), `{"firewall":false}`))
		}
		for order.have("second-") < 20 {
			time.Sleep(time.Millisecond)
		}
		// Two turns of each device are two of each that floods, and one more may be in hand at the beginning and at the end.
		if further := order.have("flood-") - before; further > 4*flooders {
			t.Errorf("%d of the flood came before 40 of 20 others", further)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for device := range flooders {
			ofDevice := func(id string) bool {
				n, err := strconv.Atoi(strings.TrimPrefix(id, "flood-"))
				return err == nil && n%flooders == device
			}
			got := slices.DeleteFunc(slices.Clone(order.ids), func(id string) bool { return !ofDevice(id) })
			if !slices.Equal(got, slices.DeleteFunc(slices.Clone(want), func(id string) bool { return !ofDevice(id) })) {
				t.Errorf("device %d: applied in the order %v", device, got)
			}
		}
	})
}

// A delivery about several devices has used a turn of each, and overtakes no earlier one of any; one about more than there
// are lines for is applied like any other.
func TestDeliveriesAboutSeveralDevices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		stuck := &wrapped{memory: newMemory(), before: func(op string) error {
			if op == "PutPosture" {
				<-hang
			}
			return nil
		}}
		order := &line{changed: map[string]int{}}
		adapter, next := scripted{}, 0
		adapter.observe = func(d source.Delivery) (all []signals.Observation, err error) {
			for _, name := range strings.Fields(string(d.Body)) {
				alias, err := signals.NewAlias(signals.AliasSerial, "C02"+name)
				if err != nil {
					return nil, err
				}
				fact := signals.Fact{Attribute: "firewall", Value: signals.Bool(true), Observed: d.Received}
				all = append(all, signals.Observation{Aliases: []signals.Alias{alias}, Facts: []signals.Fact{fact}})
			}
			return all, nil
		}
		r := receiver(t, stuck, &diary{}, with(naming{&adapter, &next}), func(o *ingest.Options) { o.Events.Applied = order.applied })
		stop := start(t, r)
		defer stop()
		var crowd []string
		for i := range 100 {
			crowd = append(crowd, fmt.Sprintf("CROWD%03d", i))
		}
		// 1 and 4 begin at once; 2 waits for 1, 3 for 2, and 5 for nobody.
		for _, names := range []string{"AAAA1", "AAAA1 BBBB1", "BBBB1", "CCCC1", strings.Join(crowd, " ")} {
			must(t, r, "by the adapter", names)
		}
		synctest.Wait()
		close(hang)
		time.Sleep(time.Second)
		synctest.Wait()
		at := func(id string) int { return slices.Index(order.ids, id) }
		if len(order.ids) != 1+2+1+1+100 || at("1") > at("2") || at("2") > at("3") {
			t.Errorf("applied in the order %v", order.ids)
		}
		mustEmpty(t, stuck.memory, ingest.KindInbox)
	})
}

// naming numbers the deliveries of a scripted adapter.
type naming struct {
	*scripted
	next *int
}

func (n naming) Authenticate(source.Delivery, time.Time) (string, error) {
	*n.next++
	return fmt.Sprint(*n.next), nil
}
