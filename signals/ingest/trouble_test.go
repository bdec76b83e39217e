package ingest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// An entry that nobody can read is kept as it is, and the sender may send again under the same id.
func TestUnreadableInboxEntry(t *testing.T) {
	for name, value := range map[string]string{"no JSON": "\x00", "another's": `{"source":"edr","id":"1"}`} {
		bubble(t, func(t *testing.T) {
			store, d := newMemory(), &diary{}
			err := store.PutRecord(t.Context(), signals.Record{Kind: ingest.KindInbox, Key: "mdm/1", Revision: 1, Value: []byte(value)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			r := receiver(t, store, d)
			stop := start(t, r)
			defer stop()
			synctest.Wait()
			letters := deadLetters(t, store)
			if len(letters) != 1 || string(letters[0].Body) != value || letters[0].Source != "mdm" || len(d.have("dead mdm 1")) != 1 {
				t.Errorf("%s: dead letters %+v", name, letters)
			}
			must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
			synctest.Wait()
			if len(store.born()) != 1 {
				t.Errorf("%s: the sender's second try was lost", name)
			}
			mustEmpty(t, store, ingest.KindInbox)
		})
	}
}

// A dead letter may be replaced by a later one with the same id.
func TestDeadLetterIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		r := receiver(t, store, &diary{})
		stop := start(t, r)
		defer stop()
		must(t, r, "1", `{"type":"a"}`)
		time.Sleep(97 * time.Hour)
		must(t, r, "1", `{"type":"b"}`)
		synctest.Wait()
		if letters := deadLetters(t, store); len(letters) != 1 || !strings.Contains(letters[0].Reason, `"b"`) {
			t.Errorf("%+v", letters)
		}
	})
}

// A source that only another receiver knows yet is left to it for an hour.
func TestEntryOfAnUnknownSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, d := newMemory(), &diary{}
		other := receiver(t, store, &diary{}, func(o *ingest.Options) { o.Sources[0].Name = "edr" })
		req := request(t, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
		req.URL.Path = "/v1/sources/edr"
		serve(other, req)
		stop := start(t, receiver(t, store, d))
		defer stop()
		time.Sleep(59 * time.Minute)
		if len(store.kind(ingest.KindInbox)) != 1 || len(d.have("postponed edr 1")) == 0 {
			t.Errorf("it must wait: %q", d.lines)
		}
		time.Sleep(2 * time.Minute)
		if letters := deadLetters(t, store); len(letters) != 1 || !strings.Contains(letters[0].Reason, `no source "edr"`) {
			t.Errorf("dead letters %+v", letters)
		}
		mustEmpty(t, store, ingest.KindInbox)
	})
}

// While the store fails, nothing is lost and nothing is a dead letter; after that it goes on within seconds.
func TestStoreFailureIsWaitedOut(t *testing.T) {
	for _, op := range []string{"Record inbox", "Record delivery", "Record alias", "Posture", "PutRecord alias", "PutPosture",
		"PutRecord delivery", "DeleteRecord inbox", "EachRecord inbox", "Record deadletter", "PutRecord deadletter"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				inner, d := newMemory(), &diary{}
				var down atomic.Bool
				r := receiver(t, &wrapped{memory: inner, before: func(got string) error {
					if down.Load() && got == op {
						return fmt.Errorf("%s: %w", op, errDown)
					}
					return nil
				}}, d)
				must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
				must(t, r, "2", `{"type":"never"}`)
				must(t, r, "3", body(`{"serial":"C02"}`, `{"disk_encryption":true}`))
				down.Store(true)
				stop := start(t, r)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if tries := len(d.have("postponed")) + len(d.have("sweep failed")); tries == 0 || tries > 1000 {
					t.Errorf("%d tries in 10 minutes", tries)
				}
				stop()
				down.Store(false)
				stop = start(t, r)
				defer stop()
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if _, got := values(t, inner); len(got) != 2 {
					t.Errorf("values %v", got)
				}
				if letters := deadLetters(t, inner); len(letters) != 1 {
					t.Errorf("dead letters %+v", letters)
				}
				mustEmpty(t, inner, ingest.KindInbox)
			})
		})
	}
}

// A delivery that comes again while a worker ends with the first one is known, whichever of the two is faster.
func TestRepeatedWhileDealtWith(t *testing.T) {
	first, other := body(`{"serial":"C02"}`, `{"firewall":true}`), body(`{"serial":"C02"}`, `{"firewall":false}`)
	for again, want := range map[string]int{first: http.StatusAccepted, other: http.StatusConflict} {
		bubble(t, func(t *testing.T) {
			inner := newMemory()
			between := func() {}
			store := &wrapped{memory: inner, before: func(op string) error {
				if op == "Record inbox" {
					run := between
					between = func() {}
					run()
				}
				return nil
			}}
			r, stop := receiver(t, store, &diary{}), func() {}
			must(t, r, "1", first)
			between = func() {
				stop = start(t, r)
				synctest.Wait()
				mustEmpty(t, inner, ingest.KindInbox)
			}
			code := post(t, r, "1", again)
			defer stop()
			if code != want {
				t.Errorf("%s: %d, want %d", again, code, want)
			}
		})
	}
}

// One device that the store cannot read, or that nobody of ours has signed, holds up no other and fills no inbox: what is said
// of it lies among the dead letters, and the device stays as it is.
func TestCorruptPostureIsNotAbsent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner, d := newMemory(), &diary{}
		store := &corruptOne{memory: inner}
		store.corrupt.Store(true)
		r := receiver(t, store, d, func(o *ingest.Options) {
			o.Events.Distrusted = func(what, key string, _ error) { d.write("distrusted %s %s", what, key) }
		})
		stop := start(t, r)
		defer stop()
		must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
		synctest.Wait()
		for id := range inner.born() {
			store.device.Store(id)
		}
		time.Sleep(time.Second)
		must(t, r, "2", body(`{"serial":"C02"}`, `{"firewall":false}`))
		must(t, r, "3", body(`{"serial":"C03"}`, `{"firewall":true}`))
		time.Sleep(time.Minute)
		if len(inner.born()) != 2 || len(d.have("distrusted device mdm/2")) != 1 {
			t.Errorf("devices %v, %q", inner.born(), d.lines)
		}
		mustEmpty(t, inner, ingest.KindInbox)
		letters := deadLetters(t, inner)
		if len(letters) != 1 || letters[0].ID != "2" || !strings.Contains(letters[0].Reason, "is not believed") {
			t.Errorf("dead letters %+v", letters)
		}
	})
}

// A store on which every write loses its race is a store that fails: bounded, kept, tried again.
func TestConflictsAreBounded(t *testing.T) {
	for _, op := range []string{"PutPosture", "PutRecord alias"} {
		bubble(t, func(t *testing.T) {
			inner, d := newMemory(), &diary{}
			var tries atomic.Int64
			store := &wrapped{memory: inner, before: func(got string) error {
				if got == op && tries.Add(1) < 20 {
					return signals.ErrConflict
				}
				return nil
			}}
			r := receiver(t, store, d)
			stop := start(t, r)
			defer stop()
			must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true}`))
			time.Sleep(time.Minute)
			if len(d.have("postponed mdm 1 other writers were faster")) != 1 || len(inner.born()) != 1 {
				t.Errorf("%s: %q", op, d.lines)
			}
			mustEmpty(t, inner, ingest.KindInbox)
		})
	}
}

func TestReadDeadLetterSaysCorrupt(t *testing.T) {
	if _, err := ingest.ReadDeadLetter(signals.Record{Value: []byte("{")}); !errors.Is(err, signals.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

// Events that nobody wants are no reason to fail.
func TestEventsMayBeNil(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newMemory()
		var healed atomic.Bool
		flaky := &wrapped{memory: store, before: func(op string) error {
			if !healed.Load() && (op == "EachRecord inbox" || op == "PutPosture") {
				return errDown
			}
			return nil
		}}
		r := receiver(t, flaky, &diary{}, func(o *ingest.Options) { o.Events = ingest.Events{} })
		stop := start(t, r)
		defer stop()
		must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true,"compromised":true}`))
		must(t, r, "1", body(`{"serial":"C02"}`, `{"firewall":true,"compromised":true}`))
		must(t, r, "2", `{}`)
		if code := post(t, r, "3", `{`); code != 400 {
			t.Errorf("status %d", code)
		}
		time.Sleep(time.Second)
		healed.Store(true)
		time.Sleep(time.Minute)
		if len(store.born()) != 1 || len(deadLetters(t, store)) != 1 {
			t.Errorf("devices %v", store.born())
		}
	})
}
