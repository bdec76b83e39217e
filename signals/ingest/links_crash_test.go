package ingest_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/ingest"
)

// TestJoinCrashesBetweenAnyTwoCalls: a receiver dies, or loses its store or an answer of it, at every call of a join. The
// next one has one whole device, also if the document is gone by then.
func TestJoinCrashesBetweenAnyTwoCalls(t *testing.T) {
	for cell := range 8 {
		lost, dead, gone := cell&1 > 0, cell&2 > 0, cell&4 > 0
		n, reached := 0, true
		for n = 1; reached && !t.Failed(); n++ {
			bubble(t, func(t *testing.T) { reached = joinCrashAt(t, n, lost, dead, gone) })
		}
		if n < 25 {
			t.Errorf("lost %v, dead %v: only %d calls were tried", lost, dead, n)
		}
	}
}

func joinCrashAt(t *testing.T, n int, lost, dead, gone bool) (reached bool) {
	store := newMemory()
	both(t, store)
	broken, wasReached := breaking(store, n, lost, dead)
	join := linked(same("s", "A1", "B1"))
	delivery := with(scripted{id: "1", observe: observed("B1")})
	first := receiver(t, broken, &diary{}, delivery, join, func(o *ingest.Options) { o.Workers = 1 })
	stop := start(t, first)
	serve(first, request(t, "ignored", "x"))
	time.Sleep(5 * time.Second)
	stop()
	meant := len(store.kind(ingest.KindJoined)) > 0
	if gone {
		join = linked()
	}
	second := receiver(t, store, &diary{}, delivery, join)
	stop = start(t, second)
	serve(second, request(t, "ignored", "x")) // the sender tries again
	time.Sleep(10 * time.Second)
	stop()
	mustEmpty(t, store, ingest.KindInbox)
	if letters := deadLetters(t, store); len(letters) > 0 {
		t.Errorf("dead letters %+v", letters)
	}
	if gone && !meant {
		consistent(t, store)
		if len(store.born()) != 2 {
			t.Errorf("nothing said that these are one: %v", store.born())
		}
	} else {
		joinedAsMeant(t, store, gone)
	}
	if t.Failed() {
		t.Errorf("failed at call %d, lost %v, dead %v, gone %v", n, lost, dead, gone)
	}
	return wasReached()
}

// joinedAsMeant is whole, but for the reasons of names, which a document that is gone can no longer give.
func joinedAsMeant(t *testing.T, store *memory, gone bool) {
	t.Helper()
	if !gone {
		whole(t, store)
		return
	}
	consistent(t, store)
	if got := owners(store); got != "serial:A1=d1 serial:B1=d1 serial:X1=d1 serial:Y1=d1" || len(store.born()) != 1 {
		t.Errorf("owners %s, devices %v", got, store.born())
	}
	if known, ok, _ := ptr(store.born()["d1"]).Latest("compromised", "edr"); !ok {
		t.Errorf("the alarm is lost: %+v", known)
	}
}

func ptr[T any](v T) *T { return &v }

// TestReceiversJoinTheSameDevices: two receivers, only one of which may have the document yet, get reports of both devices
// and of a third name at the same time: in the end there is one device, with every name and the alarm.
func TestReceiversJoinTheSameDevices(t *testing.T) {
	for seed := range uint64(600) {
		bubble(t, func(t *testing.T) {
			store, d := newMemory(), &diary{}
			both(t, store)
			slow := jitter(store, seed)
			var deliveries sync.WaitGroup
			var knows *ingest.Receiver
			for i := range 2 {
				documents := linked(same("s", "A1", "B1"))
				if i == 1 && seed%2 == 1 {
					documents = linked()
				}
				r := receiver(t, slow, d, documents, func(o *ingest.Options) {
					o.Workers, o.Name = 3, fmt.Sprint("receiver ", i)
				})
				defer start(t, r)()
				if i == 0 {
					knows = r
				}
				for j, device := range []string{`{"serial":"A1"}`, `{"serial":"B1","id":"7"}`, `{"serial":"Y1","id":"8"}`} {
					deliveries.Go(func() { must(t, r, fmt.Sprintf("%d-%d", i, j), body(device, `{"firewall":true}`)) })
				}
			}
			deliveries.Wait()
			time.Sleep(2 * time.Minute)
			if seed%2 == 1 { // whoever has no document may have taken all of them, before the other had its lease
				must(t, knows, "later", body(`{"serial":"A1"}`, `{"firewall":true}`))
				time.Sleep(time.Minute)
			}
			mustEmpty(t, store, ingest.KindInbox)
			consistent(t, store)
			one := store.born()["d1"]
			if known, ok, _ := one.Latest("compromised", "edr"); len(store.born()) != 1 || len(one.Aliases) != 6 || !ok ||
				len(deadLetters(t, store)) > 0 {
				t.Errorf("devices %+v, alarm %+v, dead letters %+v", store.born(), known, deadLetters(t, store))
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// TestReceiversKeepNamesApart: whoever is first, the two names are never on one device, and either is still of use.
func TestReceiversKeepNamesApart(t *testing.T) {
	for seed := range uint64(150) {
		bubble(t, func(t *testing.T) {
			store, d := newMemory(), &diary{}
			slow := jitter(store, seed)
			var deliveries sync.WaitGroup
			for i, device := range []string{`{"serial":"A1","id":"7"}`, `{"serial":"B1","id":"7"}`} {
				r := receiver(t, slow, d, linked(forbid("f", "A1", "B1")), func(o *ingest.Options) { o.Name = fmt.Sprint("receiver ", i) })
				defer start(t, r)()
				deliveries.Go(func() {
					must(t, r, fmt.Sprint(i), body(device, `{"firewall":true}`))
					time.Sleep(time.Minute)
					must(t, r, fmt.Sprint("again", i), body(device[:14]+"}", `{"firewall":false}`))
				})
			}
			deliveries.Wait()
			time.Sleep(2 * time.Minute)
			mustEmpty(t, store, ingest.KindInbox)
			consistent(t, store)
			if len(store.born()) != 2 || len(deadLetters(t, store)) != 1 {
				t.Fatalf("seed %d: devices %+v, dead letters %+v", seed, store.born(), deadLetters(t, store))
			}
		})
	}
}
