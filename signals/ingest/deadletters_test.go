package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// switched is an adapter that understands a body only once it was repaired.
func switched(repaired *bool) scripted {
	return scripted{id: "1", observe: func(d source.Delivery) ([]signals.Observation, error) {
		if !*repaired {
			return nil, errors.New("not understood yet")
		}
		serial, _ := signals.NewAlias(signals.AliasSerial, "C02")
		return []signals.Observation{{Aliases: []signals.Alias{serial}, Facts: []signals.Fact{
			{Attribute: "firewall", Value: signals.Bool(true), Observed: d.Received},
		}}}, nil
	}}
}

func TestRetryAndDrop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d, repaired := newMemory(), &diary{}, false
		r := receiver(t, store, d, with(switched(&repaired)))
		stop := start(t, r)
		defer stop()
		must(t, r, "1", "\x00\xff binary")
		synctest.Wait()
		letter, err := r.DeadLetter(t.Context(), "mdm", "1")
		if err != nil || string(letter.Body) != "\x00\xff binary" || letter.Reason != "not understood yet" || letter.Unreadable {
			t.Fatalf("%+v, %v", letter, err)
		}
		time.Sleep(time.Hour)
		if err := r.Retry(t.Context(), "mdm", "1"); err != nil { // it fails again, and is there again
			t.Fatal(err)
		}
		synctest.Wait()
		again, err := r.DeadLetter(t.Context(), "mdm", "1")
		if err != nil || !again.Received.Equal(letter.Received) || len(store.kind(ingest.KindDelivery)) != 1 {
			t.Errorf("%+v, %v", again, err)
		}
		repaired = true
		if err := r.Retry(t.Context(), "mdm", "1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mustEmpty(t, store, ingest.KindDeadLetter)
		mustEmpty(t, store, ingest.KindInbox)
		if _, got := values(t, store); got["firewall"] != signals.Bool(true) || len(d.have("retried mdm 1")) != 2 {
			t.Errorf("values %v, %q", got, d.lines)
		}
		must(t, r, "1", "\x00\xff binary") // remembered as ever
		if len(d.have("repeated mdm 1")) != 1 {
			t.Errorf("%q", d.lines)
		}
		for name, verb := range map[string]func(context.Context, string, string) error{"retry": r.Retry, "drop": r.Drop} {
			if err := verb(t.Context(), "mdm", "1"); !errors.Is(err, signals.ErrNotFound) {
				t.Errorf("%s of what is not there: %v", name, err)
			}
		}
	})
}

func TestDropKeepsTheID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d)
		stop := start(t, r)
		defer stop()
		must(t, r, "1", `{"type":"never"}`)
		synctest.Wait()
		if err := r.Drop(t.Context(), "mdm", "1"); err != nil {
			t.Fatal(err)
		}
		must(t, r, "1", `{"type":"never"}`)
		synctest.Wait()
		mustEmpty(t, store, ingest.KindDeadLetter)
		if len(d.have("repeated mdm 1")) != 1 || len(d.have("discarded mdm 1")) != 1 {
			t.Errorf("%q", d.lines)
		}
	})
}

func TestDeadLettersAreListedInPages(t *testing.T) {
	store := newMemory()
	r := receiver(t, store, &diary{})
	for _, id := range []string{"3", "1", "2"} {
		store.records[[2]string{ingest.KindDeadLetter, "mdm/" + id}] = signals.Record{
			Kind: ingest.KindDeadLetter, Key: "mdm/" + id, Revision: 1, Value: fmt.Appendf(nil, `{"source":"mdm","id":"%s"}`, id),
		}
	}
	store.records[[2]string{ingest.KindDeadLetter, "mdm/4"}] = signals.Record{ // one that says that it is another
		Kind: ingest.KindDeadLetter, Key: "mdm/4", Revision: 1, Value: []byte(`{"source":"mdm","id":"1"}`),
	}
	var ids []string
	enough := errors.New("enough")
	err := r.DeadLetters(t.Context(), "mdm/1", func(l ingest.DeadLetter) error {
		ids = append(ids, fmt.Sprint(l.ID, l.Unreadable))
		if l.ID == "4" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(ids, []string{"2false", "3false", "4true"}) {
		t.Errorf("%q, %v", ids, err)
	}
	if err := r.Retry(t.Context(), "mdm", "4"); !errors.Is(err, ingest.ErrUnreadable) {
		t.Errorf("an unreadable letter: %v", err)
	}
}

// Every call that a retry makes fails once, or only its answer is lost, and the process may die with it. The delivery is
// applied in the end, once, or is still among the dead letters; then another retry does it.
func TestRetryCrashesBetweenAnyTwoCalls(t *testing.T) {
	for _, lost := range []bool{false, true} {
		reached := true
		n := 1
		for ; reached && !t.Failed(); n++ {
			bubble(t, func(t *testing.T) {
				store, repaired := newMemory(), false
				first := receiver(t, store, &diary{}, with(switched(&repaired)))
				must(t, first, "1", "body")
				stop := start(t, first)
				synctest.Wait()
				stop()
				repaired = true
				broken, wasReached := breaking(store, n, lost, true)
				_ = receiver(t, broken, &diary{}, with(switched(&repaired))).Retry(t.Context(), "mdm", "1")
				reached = wasReached()

				second := receiver(t, store, &diary{}, with(switched(&repaired)))
				if code := post(t, second, "1", "body"); code != http.StatusAccepted { // and the sender is told what it was told
					t.Errorf("call %d: the sender was told %d", n, code)
				}
				stop = start(t, second)
				time.Sleep(time.Minute)
				if err := second.Retry(t.Context(), "mdm", "1"); err != nil && !errors.Is(err, signals.ErrNotFound) {
					t.Errorf("call %d, lost %v: %v", n, lost, err)
				}
				time.Sleep(time.Minute)
				stop()
				if _, got := values(t, store); got["firewall"] != signals.Bool(true) || store.writes != 1 {
					t.Errorf("call %d, lost %v: values %v after %d writes", n, lost, got, store.writes)
				}
				mustEmpty(t, store, ingest.KindInbox)
				mustEmpty(t, store, ingest.KindDeadLetter)
			})
		}
		if n < 7 {
			t.Errorf("lost %v: only %d calls were tried", lost, n)
		}
	}
}

// While somebody works on the inbox entry, its id is not forgotten: what is about to be removed as dealt with would be lost.
func TestRetryWaitsForTheInbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner := newMemory()
		var r *ingest.Receiver
		var inTime error
		store := &wrapped{memory: inner, before: func(op string) error {
			if op == "DeleteRecord inbox" {
				inTime = r.Retry(t.Context(), "mdm", "1")
			}
			return nil
		}}
		r = receiver(t, store, &diary{})
		stop := start(t, r)
		defer stop()
		must(t, r, "1", `{"type":"never"}`)
		synctest.Wait()
		if !errors.Is(inTime, ingest.ErrInUse) || len(deadLetters(t, inner)) != 1 || len(inner.kind(ingest.KindDelivery)) != 1 {
			t.Errorf("%v, %d dead letters", inTime, len(deadLetters(t, inner)))
		}
	})
}
