package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// TestExchange: both records change in one step or neither does, and watchers of both kinds are told.
func TestExchange(t *testing.T) {
	t.Parallel()
	s := serve(t).open(t, nil)
	ctx := t.Context()
	waiting := signals.Record{Kind: "inbox", Key: "mdm/1", Revision: 7, Value: []byte("w")}
	note := signals.Record{Kind: "delivery", Key: "mdm/1", Revision: 9, Expires: time.Now().Add(time.Hour).Round(0).UTC(), Value: []byte("n")}
	if err := s.Exchange(ctx, note, "inbox", 7); !errors.Is(err, signals.ErrConflict) {
		t.Errorf("nothing to delete: %v", err)
	}
	if err := s.PutRecord(ctx, waiting, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Exchange(ctx, note, "inbox", 6); !errors.Is(err, signals.ErrConflict) {
		t.Errorf("another revision: %v", err)
	}
	if _, err := s.Record(ctx, "delivery", "mdm/1"); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("after two refusals: %v", err)
	}
	if got, err := s.Record(ctx, "inbox", "mdm/1"); err != nil || got.Revision != 7 {
		t.Errorf("after two refusals: %+v, %v", got, err)
	}
	if err := s.Exchange(ctx, note, "inbox", 7); err != nil {
		t.Fatal(err)
	}
	got, err := s.Record(ctx, "delivery", "mdm/1")
	if err != nil || got.Revision != 9 || string(got.Value) != "n" || !got.Expires.Equal(note.Expires) {
		t.Errorf("put: %+v, %v", got, err)
	}
	for kind, want := range map[string]int{"inbox": 0, "delivery": 1} {
		n := 0
		if _, err := s.EachRecord(ctx, kind, func(signals.Record) error { n++; return nil }); err != nil || n != want {
			t.Errorf("%s: %d records, %v", kind, n, err)
		}
		at := tag(shardOf("mdm/1")) + recordsOf(kind).changes
		if told := s.works.single.XLen(ctx, at).Val(); told != map[string]int64{"inbox": 2, "delivery": 1}[kind] {
			t.Errorf("%s: %d notices", kind, told)
		}
	}
	if err := s.PutRecord(ctx, waiting, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Exchange(ctx, note, "inbox", 7); !errors.Is(err, signals.ErrConflict) {
		t.Errorf("it is noted already: %v", err)
	}
	if err := s.Exchange(ctx, note, "delivery", 9); err == nil {
		t.Error("a record was exchanged for itself")
	}
	live := s.works.single
	live.Del(ctx, tag(shardOf("mdm/1"))+recordsOf("delivery").index)
	live.Set(ctx, tag(shardOf("mdm/1"))+recordsOf("delivery").index, "a key of the wrong type", 0)
	other := note
	if err := s.DeleteRecord(ctx, "inbox", "mdm/1", 7); err != nil {
		t.Fatal(err)
	}
	if err := s.PutRecord(ctx, waiting, 0); err != nil {
		t.Fatal(err)
	}
	live.Del(ctx, recordsOf("delivery").valueKey("mdm/1"))
	if err := s.Exchange(ctx, other, "inbox", 7); !errors.Is(err, signals.ErrCorrupt) {
		t.Errorf("an index of the wrong type: %v", err)
	}
	if got, err := s.Record(ctx, "inbox", "mdm/1"); err != nil || got.Revision != 7 {
		t.Errorf("a script that failed has changed something: %+v, %v", got, err)
	}
}

// TestCallsShareAPipeline: 200 callers at once each get their own answer, and a call whose context ends gets none and
// holds up nobody.
func TestCallsShareAPipeline(t *testing.T) {
	t.Parallel()
	s := serve(t).open(t, nil)
	// More time than a decision gives a read, which a machine that is busy may need.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			r := signals.Record{Kind: "k", Key: fmt.Sprint(i), Revision: 1, Value: fmt.Append(nil, i)}
			if err := s.PutRecord(ctx, r, 0); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			if err := s.PutRecord(ctx, r, 0); !errors.Is(err, signals.ErrConflict) {
				t.Errorf("put %d again: %v", i, err)
			}
			if got, err := s.Record(ctx, "k", r.Key); err != nil || string(got.Value) != r.Key {
				t.Errorf("record %d is %q, %v", i, got.Value, err)
			}
			if _, err := s.Record(ctx, "none", r.Key); !errors.Is(err, signals.ErrNotFound) {
				t.Errorf("no record %d: %v", i, err)
			}
		})
	}
	all.Wait()
	s.works.flows.mu.Lock()
	defer s.works.flows.mu.Unlock()
	for _, f := range s.works.flows.of {
		if len(f.waiting) > 0 {
			t.Errorf("%d calls still wait", len(f.waiting))
		}
	}
}
