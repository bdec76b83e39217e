package ingest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals/ingest"
)

// two gives the receiver a second source, edr, of the same kind.
func two(o *ingest.Options) {
	second := o.Sources[0]
	second.Name = "edr"
	o.Sources = append(o.Sources, second)
}

// answerOf posts to a source and returns the answer.
func answerOf(t *testing.T, r *ingest.Receiver, from, id, body string) *http.Response {
	t.Helper()
	req := request(t, id, body)
	req.URL.Path = "/v1/sources/" + from
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w.Result()
}

// refused429 checks a 429, and that the wait it names is within bounds.
func refused429(t *testing.T, w *http.Response, kind string, least, most int) {
	t.Helper()
	wait, err := strconv.Atoi(w.Header.Get("Retry-After"))
	if w.StatusCode != http.StatusTooManyRequests || err != nil || wait < least || wait > most {
		t.Errorf("%d, Retry-After %q, want 429 and %d to %d", w.StatusCode, w.Header.Get("Retry-After"), least, most)
		return
	}
	if got := problemOf(t, w); got != kind {
		t.Errorf("problem %s, want %s", got, kind)
	}
}

func report(n int) string { return body(fmt.Sprintf(`{"id":"%d"}`, n+1), `{"firewall":true}`) }

func TestAFullInboxRefusesItsSourceOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		r := receiver(t, store, d, two, func(o *ingest.Options) { o.MaxInbox = 10 })
		for i := range 10 {
			must(t, r, fmt.Sprint(i), report(i))
		}
		refused429(t, answerOf(t, r, "mdm", "10", report(10)), "inbox-full", 1, 60)
		if w := answerOf(t, r, "mdm", "3", report(3)); w.StatusCode != http.StatusAccepted {
			t.Errorf("what is kept already: %d", w.StatusCode)
		}
		if w := answerOf(t, r, "mdm", "3", report(4)); w.StatusCode != http.StatusConflict {
			t.Errorf("another under its id: %d", w.StatusCode)
		}
		if w := answerOf(t, r, "edr", "10", report(10)); w.StatusCode != http.StatusAccepted {
			t.Errorf("the other source: %d", w.StatusCode)
		}
		if len(d.have(`refused "mdm" 429`)) != 1 {
			t.Errorf("%q", d.lines)
		}
		stop := start(t, r)
		defer stop()
		synctest.Wait()
		must(t, r, "10", report(10)) // there is room again
	})
}

// Three receivers, all doors flooded, nothing applied: together they keep no more than the bound.
func TestTheInboxIsBoundedAcrossReceivers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		noWork := func(o *ingest.Options) { o.MaxInbox = 90 }
		var receivers []*ingest.Receiver
		for i := range 3 {
			down := &wrapped{memory: store, before: func(op string) error {
				if op == "PutPosture" {
					return errDown
				}
				return nil
			}}
			r := receiver(t, down, &diary{}, named(fmt.Sprint("r", i)), noWork)
			receivers = append(receivers, r)
			stop := start(t, r)
			defer stop()
			synctest.Wait()
		}
		time.Sleep(40 * time.Second) // everybody has looked around
		most := 0
		for i := range 600 {
			post(t, receivers[i%3], fmt.Sprint(i), report(i))
			time.Sleep(100 * time.Millisecond)
			most = max(most, len(store.kind(ingest.KindInbox)))
		}
		if most > 90 || most < 60 {
			t.Errorf("at most %d entries lay in the inbox, the bound is 90", most)
		}
	})
}

// Ids are never forgotten within 96 hours: the source waits, and goes on when the first hour runs out.
func TestIDsToRememberAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		options := []option{two, func(o *ingest.Options) { o.MaxRemembered = 20 }}
		a, b := receiver(t, store, &diary{}, append(options, named("a"))...), receiver(t, store, &diary{}, append(options, named("b"))...)
		for _, r := range []*ingest.Receiver{a, b} {
			stop := start(t, r)
			defer stop()
			synctest.Wait()
		}
		first := report(0)
		must(t, a, "0", first)
		time.Sleep(2 * time.Hour)
		for i := 1; i < 20; i++ {
			must(t, []*ingest.Receiver{a, b}[i%2], fmt.Sprint(i), report(i))
		}
		for _, r := range []*ingest.Receiver{a, b} {
			refused429(t, answerOf(t, r, "mdm", "20", report(20)), "too-many-ids", 1, 3600)
			must(t, r, "0", first) // known ones are acknowledged
			if w := answerOf(t, r, "edr", "20", report(20)); w.StatusCode != http.StatusAccepted && r == a {
				t.Errorf("the other source: %d", w.StatusCode)
			}
		}
		time.Sleep(94*time.Hour + time.Minute)
		refused429(t, answerOf(t, a, "mdm", "21", report(21)), "too-many-ids", 1, 3600)
		time.Sleep(3 * time.Hour)
		must(t, b, "22", report(22)) // the first hour is over: one id is free
		refused429(t, answerOf(t, a, "mdm", "23", report(23)), "too-many-ids", 1, 3600)
		time.Sleep(2 * time.Hour)
		must(t, a, "24", report(24))
	})
}

// A count that somebody has made unreadable counts as full, never as nothing.
func TestAnUnreadableCountIsFull(t *testing.T) {
	store := newMemory()
	r := receiver(t, store, &diary{}, func(o *ingest.Options) { o.MaxRemembered = 20 })
	must(t, r, "0", report(0))
	for at, record := range store.records {
		if record.Kind == ingest.KindReserved {
			record.Value = []byte("-5")
			store.records[at] = record
		}
	}
	refused429(t, answerOf(t, r, "mdm", "1", report(1)), "too-many-ids", 1, 3600)
}

func TestTheRateOfASource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		r := receiver(t, store, &diary{}, two, func(o *ingest.Options) { o.Rate = 5 })
		taken := 0
		for i := range 100 { // ten a second for ten seconds
			w := answerOf(t, r, "mdm", fmt.Sprint(i), report(i))
			if w.StatusCode == http.StatusAccepted {
				taken++
			} else {
				refused429(t, w, "rate", 1, 1)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if taken < 50 || taken > 56 {
			t.Errorf("%d taken in 10 s at 5 a second", taken)
		}
		if w := answerOf(t, r, "edr", "1", report(1)); w.StatusCode != http.StatusAccepted {
			t.Errorf("the other source: %d", w.StatusCode)
		}
		forged := request(t, "x", report(1))
		forged.Header.Del("webhook-signature")
		for range 20 { // what is not authentic costs the source nothing
			serve(r, forged.Clone(t.Context()))
		}
		time.Sleep(time.Second)
		must(t, r, "last", report(1))
	})
}

// A flood of one source does not hold up another: their entries take turns.
func TestSourcesTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner, d := newMemory(), &diary{}
		store := &wrapped{memory: inner, before: func(op string) error {
			if op == "PutPosture" {
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		}}
		r := receiver(t, store, d, two, func(o *ingest.Options) { o.Workers = 4 })
		for i := range 5000 {
			must(t, r, fmt.Sprint(i), report(i))
		}
		stop := start(t, r)
		defer stop()
		time.Sleep(time.Second)
		began := time.Now()
		for i := range 20 {
			answerOf(t, r, "edr", fmt.Sprint(i), report(100_000+i))
		}
		for len(d.have("applied edr")) < 20 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("20 deliveries beside a flood of 5,000 took %s", took)
		}
		if rest := len(inner.kind(ingest.KindInbox)); rest < 4000 {
			t.Errorf("%d left: the flood was not there any more", rest)
		}
	})
}

// Many senders at once over few ids: no count goes wrong, and each id is kept once.
func TestLimitsUnderConcurrency(t *testing.T) {
	store := newMemory()
	r := receiver(t, store, &diary{}, func(o *ingest.Options) { o.MaxInbox, o.MaxRemembered = 40, 50 })
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := range 60 {
				if code := post(t, r, fmt.Sprint(i), strings.ReplaceAll(report(i), "Z", "Z")); code != 202 && code != 429 && code != 409 {
					t.Errorf("delivery %d: %d", i, code)
				}
			}
		})
	}
	senders.Wait()
	if got := len(store.kind(ingest.KindInbox)); got > 40 || got < 30 {
		t.Errorf("%d in the inbox", got)
	}
}
