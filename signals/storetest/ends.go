package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

func runEnds(t *testing.T, open func(t *testing.T) signals.Store) {
	t.Run("an ended context writes nothing", func(t *testing.T) { endedContext(t, open(t)) })
	t.Run("ping", func(t *testing.T) {
		s := open(t)
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		must(t, s.Ping(ctx))
		must(t, s.Ping(ctx))
		if all, _ := readAll(t, s); len(all) != 0 {
			t.Fatal("ping left a posture")
		}
	})
	t.Run("close", func(t *testing.T) { closed(t, open(t)) })
}

func endedContext(t *testing.T, s signals.Store) {
	put(t, s, posture("a", 1), 0)
	putRecord(t, s, record("k", "a", 1), 0)
	ended, stop := context.WithCancel(t.Context())
	stop()
	_, each := s.EachPosture(ended, func(signals.Posture) error { return nil }, nil)
	_, eachRecord := s.EachRecord(ended, "k", func(signals.Record) error { return nil })
	for what, err := range map[string]error{
		"PutPosture": s.PutPosture(ended, posture("a", 2), 1), "PutRecord": s.PutRecord(ended, record("k", "a", 2), 1),
		"DeleteRecord": s.DeleteRecord(ended, "k", "a", 1), "EachPosture": each, "EachRecord": eachRecord,
		"Ping": s.Ping(ended),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
	}
	p, err := s.Posture(t.Context(), "a")
	must(t, err)
	r, err := s.Record(t.Context(), "k", "a")
	must(t, err)
	if p.Revision != 1 || r.Revision != 1 {
		t.Fatalf("something was written: posture %d, record %d", p.Revision, r.Revision)
	}
}

func closed(t *testing.T, s signals.Store) {
	put(t, s, posture("a", 1), 0)
	l, lr := watchPostures(t, s, ""), watchRecords(t, s, "k", "")
	time.Sleep(20 * time.Millisecond)
	must(t, s.Close())
	must(t, s.Close())
	if l.end(t) == nil || lr.end(t) == nil {
		t.Error("a watch on a closed store ended as if its context had")
	}
	_, errPosture := s.Posture(t.Context(), "a")
	_, errRecord := s.Record(t.Context(), "k", "a")
	_, errEach := s.EachPosture(t.Context(), func(signals.Posture) error { return nil }, nil)
	_, errEachRecord := s.EachRecord(t.Context(), "k", func(signals.Record) error { return nil })
	nobody := func(signals.Change) error { return nil }
	for what, err := range map[string]error{
		"Posture": errPosture, "Record": errRecord, "EachPosture": errEach, "EachRecord": errEachRecord,
		"PutPosture":   s.PutPosture(t.Context(), posture("a", 2), 1),
		"PutRecord":    s.PutRecord(t.Context(), record("k", "a", 1), 0),
		"DeleteRecord": s.DeleteRecord(t.Context(), "k", "a", 1), "Ping": s.Ping(t.Context()),
		"WatchPostures": s.WatchPostures(t.Context(), "", nobody),
		"WatchRecords":  s.WatchRecords(t.Context(), "k", "", nobody),
	} {
		if err == nil || errors.Is(err, signals.ErrNotFound) || errors.Is(err, signals.ErrConflict) {
			t.Errorf("%s on a closed store: got %v", what, err)
		}
	}
}

// runRestart: what was acknowledged is there after a restart, and an old cursor either still works or is a gap.
func runRestart(
	t *testing.T, open func(t *testing.T) signals.Store, reopen func(*testing.T, signals.Store) signals.Store,
) {
	s := open(t)
	later := time.Now().Add(time.Hour)
	for i, key := range odd() {
		put(t, s, posture(key, 1), 0)
		put(t, s, posture(key, 8), 1)
		r := record("k", key, signals.Revision(i+1))
		r.Expires = later
		putRecord(t, s, r, 0)
		putRecord(t, s, record("gone", key, 1), 0)
		must(t, s.DeleteRecord(t.Context(), "gone", key, 1))
	}
	_, cursor := readAll(t, s)
	s = reopen(t, s)
	all, _ := readAll(t, s)
	for i, key := range odd() {
		same(t, key, all[signals.DeviceID(key)], posture(key, 8))
		r := record("k", key, signals.Revision(i+1))
		r.Expires = later
		got, err := s.Record(t.Context(), "k", key)
		must(t, err)
		sameRecord(t, got, r)
	}
	if len(all) != len(odd()) || len(recordsOf(t, s, "gone")) != 0 {
		t.Fatal("something came back that was never there, or had been deleted")
	}
	put(t, s, posture("new", 1), 0)
	l := watchPostures(t, s, cursor)
	select {
	case c := <-l.changes:
		if c.Key != "new" {
			t.Fatalf("heard of %q, want new", c.Key)
		}
	case err := <-l.done:
		if !errors.Is(err, signals.ErrGap) {
			t.Fatalf("got %v, want ErrGap or the change", err)
		}
	case <-time.After(patience):
		t.Fatal("a cursor from before the restart neither works nor is a gap")
	}
}

// runCorruption: a value that cannot be read is neither absent nor overwritten, and stops nobody else.
func runCorruption(t *testing.T, open func(t *testing.T) signals.Store, c Corruption) {
	if c.Posture != nil {
		t.Run("posture", func(t *testing.T) { corruptPosture(t, open(t), c) })
	}
	if c.Record != nil {
		t.Run("record", func(t *testing.T) { corruptRecord(t, open(t), c) })
	}
}

func corruptPosture(t *testing.T, s signals.Store, c Corruption) {
	parallel(t, 8, 100, func(i int) error { return s.PutPosture(t.Context(), posture(fmt.Sprint("d", i), 1), 0) })
	c.Posture(t, s, "d7")
	if _, err := s.Posture(t.Context(), "d7"); !errors.Is(err, signals.ErrCorrupt) || errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("posture: got %v, want ErrCorrupt", err)
	}
	// Who expects the very revision that broke has read it before, and may repair it if the store can still see that.
	err := s.PutPosture(t.Context(), posture("d7", 9), 0)
	if !errors.Is(err, signals.ErrCorrupt) && !errors.Is(err, signals.ErrConflict) {
		t.Fatalf("put: got %v, want ErrCorrupt or ErrConflict; a stored alarm could be lost", err)
	}
	seen, corrupt := 0, map[signals.DeviceID]error{}
	_, err = s.EachPosture(t.Context(), func(p signals.Posture) error {
		seen++
		if p.Device == "d7" {
			t.Errorf("the corrupt posture was yielded: %+v", p)
		}
		return nil
	}, func(d signals.DeviceID, err error) { corrupt[d] = err })
	must(t, err)
	if seen != 99 || len(corrupt) != 1 || !errors.Is(corrupt["d7"], signals.ErrCorrupt) {
		t.Fatalf("%d read, corrupt: %v; want 99 and d7 with ErrCorrupt", seen, corrupt)
	}
	if all, _ := readAll(t, s); len(all) != 99 {
		t.Fatalf("without a callback %d were read, want 99", len(all))
	}
	put(t, s, posture("d8", 2), 1)
}

func corruptRecord(t *testing.T, s signals.Store, c Corruption) {
	parallel(t, 8, 100, func(i int) error { return s.PutRecord(t.Context(), record("k", fmt.Sprint("r", i), 1), 0) })
	c.Record(t, s, "k", "r7")
	_, err := s.Record(t.Context(), "k", "r7")
	if !errors.Is(err, signals.ErrCorrupt) || errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("record: got %v, want ErrCorrupt", err)
	}
	if err := s.PutRecord(t.Context(), record("k", "r7", 2), 1); !errors.Is(err, signals.ErrCorrupt) {
		t.Fatalf("put: got %v, want ErrCorrupt", err)
	}
	if err := s.DeleteRecord(t.Context(), "k", "r7", 1); !errors.Is(err, signals.ErrCorrupt) {
		t.Fatalf("delete: got %v, want ErrCorrupt", err)
	}
	seen := 0
	cursor, err := s.EachRecord(t.Context(), "k", func(signals.Record) error { seen++; return nil })
	if seen != 99 || !errors.Is(err, signals.ErrCorrupt) || cursor == "" {
		t.Fatalf("%d read, cursor %q, %v; want the other 99, a cursor, and ErrCorrupt at the end", seen, cursor, err)
	}
	putRecord(t, s, record("k", "r8", 2), 1)
}
