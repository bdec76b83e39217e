package ingest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// breaking fails the n-th call of a store, and, if it is dead, all after it. If the answer is lost, the n-th call is
// done nevertheless. It says whether it ever came to that.
func breaking(store *memory, n int, lost, dead bool) (*wrapped, func() bool) {
	var calls atomic.Int64
	around := func(op string, call func() error) error {
		at := int(calls.Add(1))
		if (at == n && !lost) || (at > n && dead) {
			return fmt.Errorf("%s: %w", op, errDown)
		}
		err := call()
		if at == n && lost {
			return fmt.Errorf("%s: the answer was lost: %w", op, errDown)
		}
		return err
	}
	return &wrapped{memory: store, around: around}, func() bool { return int(calls.Load()) >= n }
}

// TestCrashBetweenAnyTwoCalls: a receiver dies, or loses its store for a moment, or only an answer of it, at every
// call that it makes. A fresh receiver then has the whole truth, once: nothing that was answered 202 is lost.
func TestCrashBetweenAnyTwoCalls(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, dead := range []bool{false, true} {
			n, reached := 0, true
			for n = 1; reached && !t.Failed(); n++ {
				bubble(t, func(t *testing.T) { reached = crashAt(t, n, lost, dead) })
			}
			if n < 30 {
				t.Errorf("lost %v, dead %v: only %d calls were tried", lost, dead, n)
			}
		}
	}
}

func crashAt(t *testing.T, n int, lost, dead bool) (reached bool) {
	store := newMemory()
	claimed(t, store, "uuid:00008101-000A1B2C3D4E001E", "orphan") // left by an earlier crash
	bodies := []string{body(`{"serial":"C02","id":"17"}`, `{"firewall":true,"disk_encryption":true}`), `{"type":"never"}`}
	time.Sleep(time.Second)
	bodies = append(bodies, body(`{"id":"17","uuid":"00008101-000A1B2C3D4E001E"}`, `{"disk_encryption":false}`))

	broken, wasReached := breaking(store, n, lost, dead)
	first := receiver(t, broken, &diary{}, func(o *ingest.Options) { o.Workers = 1 })
	stop := start(t, first)
	promised := make([]bool, len(bodies))
	for i, delivery := range bodies {
		promised[i] = post(t, first, fmt.Sprint(i), delivery) == http.StatusAccepted
		time.Sleep(10 * time.Millisecond)
	}
	if !dead { // it gets over it by itself
		time.Sleep(5 * time.Second)
		mustEmpty(t, store, ingest.KindInbox)
	}
	stop()

	second := receiver(t, store, &diary{})
	stop = start(t, second)
	for i, delivery := range bodies {
		if !promised[i] {
			must(t, second, fmt.Sprint(i), delivery) // the sender tries again
		}
	}
	time.Sleep(10 * time.Second)
	stop()

	_, got := values(t, store)
	if len(got) != 2 || got["firewall"] != signals.Bool(true) || got["disk_encryption"] != signals.Bool(false) {
		t.Errorf("values %v", got)
	}
	if store.writes != 2 {
		t.Errorf("%d versions of the posture for 2 deliveries", store.writes)
	}
	if letters := deadLetters(t, store); len(letters) != 1 || !strings.Contains(letters[0].Reason, "never") {
		t.Errorf("dead letters %+v", letters)
	}
	if remembered := store.kind(ingest.KindDelivery); len(remembered) != 3 {
		t.Errorf("remembered %+v", remembered)
	}
	mustEmpty(t, store, ingest.KindInbox)
	consistent(t, store)
	if got := len(strings.Fields(owners(store))); got != 3 {
		t.Errorf("owners %s", owners(store))
	}
	if t.Failed() {
		t.Errorf("failed at call %d, lost %v, dead %v; promised %v", n, lost, dead, promised)
	}
	return wasReached()
}
