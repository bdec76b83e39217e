package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

func runWatch(t *testing.T, open func(t *testing.T) signals.Store) {
	t.Run("the zero cursor is now", func(t *testing.T) { zeroCursor(t, open(t)) })
	t.Run("a notice finds its value", func(t *testing.T) { noticeFindsValue(t, open(t)) })
	t.Run("every cursor resumes where it stands", func(t *testing.T) { cursorsResume(t, open(t)) })
	t.Run("records and their deletions, kinds apart", func(t *testing.T) { recordChanges(t, open(t)) })
	t.Run("a refused write is silent", func(t *testing.T) { refusedIsSilent(t, open(t)) })
	t.Run("two watchers see the same", func(t *testing.T) {
		s := open(t)
		_, cursor := readAll(t, s)
		a, b := watchPostures(t, s, cursor), watchPostures(t, s, cursor)
		for i := range 20 {
			put(t, s, posture(fmt.Sprint("d", i), 1), 0)
		}
		seenA, seenB := map[string]bool{}, map[string]bool{}
		for range 20 {
			seenA[a.next(t).Key], seenB[b.next(t).Key] = true, true
		}
		if len(seenA) != 20 || len(seenB) != 20 {
			t.Fatalf("one saw %d, the other %d of 20", len(seenA), len(seenB))
		}
	})
	t.Run("yield's error ends it", func(t *testing.T) {
		s := open(t)
		_, cursor := readAll(t, s)
		put(t, s, posture("a", 1), 0)
		enough := errors.New("enough")
		err := s.WatchPostures(t.Context(), cursor, func(signals.Change) error { return enough })
		if !errors.Is(err, enough) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("the context ends it, without an error and at once", func(t *testing.T) { contextEndsWatch(t, open(t)) })
	t.Run("a slow watcher holds nobody up", func(t *testing.T) { slowWatcher(t, open(t)) })
	t.Run("a cursor that is none is a gap", func(t *testing.T) {
		s := open(t)
		put(t, s, posture("a", 1), 0)
		putRecord(t, s, record("k", "a", 1), 0)
		for _, bad := range []signals.Cursor{"x", "0", "-", "1-1", "99999999999999999999", "\x00", "a,b,c"} {
			if err := watchPostures(t, s, bad).end(t); !errors.Is(err, signals.ErrGap) {
				t.Errorf("postures from %q: got %v, want ErrGap", bad, err)
			}
			if err := watchRecords(t, s, "k", bad).end(t); !errors.Is(err, signals.ErrGap) {
				t.Errorf("records from %q: got %v, want ErrGap", bad, err)
			}
		}
	})
}

// zeroCursor: "now" begins somewhere between the call and the first notice, so the test writes until it hears
// something.
func zeroCursor(t *testing.T, s signals.Store) {
	put(t, s, posture("before", 1), 0)
	l, began := watchPostures(t, s, ""), time.Now()
	for revision := signals.Revision(1); ; revision++ {
		put(t, s, posture("after", revision), revision-1)
		select {
		case c := <-l.changes:
			if c.Key != "after" || c.Cursor == "" {
				t.Fatalf("heard of %q at %q", c.Key, c.Cursor)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(began) > patience {
			t.Fatal("nothing was heard")
		}
	}
}

// noticeFindsValue: whoever hears of the n-th write of a device reads at least its n-th version.
func noticeFindsValue(t *testing.T, s signals.Store) {
	const writes = 50
	_, cursor := readAll(t, s)
	l := watchPostures(t, s, cursor)
	go func() {
		for n := signals.Revision(1); n <= writes; n++ {
			for _, device := range []string{"a", "b", "c"} {
				_ = s.PutPosture(context.Background(), posture(device, n), n-1)
			}
		}
	}()
	heard := map[string]signals.Revision{}
	for range 3 * writes {
		c := l.next(t)
		heard[c.Key]++
		p, err := s.Posture(t.Context(), signals.DeviceID(c.Key))
		must(t, err)
		if p.Revision < heard[c.Key] {
			t.Fatalf("notice %d of %s found revision %d", heard[c.Key], c.Key, p.Revision)
		}
	}
	l.nothing(t)
}

// cursorsResume: from each change's cursor exactly the later changes come, none twice, none lost.
func cursorsResume(t *testing.T, s signals.Store) {
	_, cursor := readAll(t, s)
	const writes = 24
	revisions := map[string]signals.Revision{}
	for i := range writes {
		device := fmt.Sprint("d", i%5)
		put(t, s, posture(device, revisions[device]+1), revisions[device])
		revisions[device]++
	}
	l := watchPostures(t, s, cursor)
	all := make([]signals.Change, writes)
	for i := range all {
		all[i] = l.next(t)
	}
	l.nothing(t)
	for i := 0; i < writes; i += 5 {
		want := map[string]int{}
		for _, c := range all[i+1:] {
			want[c.Key]++
		}
		resumed, got := watchPostures(t, s, all[i].Cursor), map[string]int{}
		for range all[i+1:] {
			got[resumed.next(t).Key]++
		}
		same(t, fmt.Sprint("resumed after change ", i), got, want)
		resumed.stop()
	}
	last := watchPostures(t, s, all[writes-1].Cursor)
	last.nothing(t)
}

func recordChanges(t *testing.T, s signals.Store) {
	cursor, err := s.EachRecord(t.Context(), "k", func(signals.Record) error { return nil })
	must(t, err)
	l := watchRecords(t, s, "k", cursor)
	other := watchRecords(t, s, "other", "")
	putRecord(t, s, record("k2", "a", 1), 0)
	put(t, s, posture("a", 1), 0)
	for _, key := range odd() {
		putRecord(t, s, record("k", key, 1), 0)
		if c := l.next(t); c.Key != key {
			t.Fatalf("heard of %q, want %q", c.Key, key)
		}
		must(t, s.DeleteRecord(t.Context(), "k", key, 1))
		if c := l.next(t); c.Key != key {
			t.Fatalf("heard of the deletion of %q, want %q", c.Key, key)
		}
	}
	l.nothing(t)
	other.nothing(t)
}

func refusedIsSilent(t *testing.T, s signals.Store) {
	put(t, s, posture("a", 1), 0)
	putRecord(t, s, record("k", "a", 1), 0)
	_, cursor := readAll(t, s)
	recordCursor, err := s.EachRecord(t.Context(), "k", func(signals.Record) error { return nil })
	must(t, err)
	postures, records := watchPostures(t, s, cursor), watchRecords(t, s, "k", recordCursor)
	for _, err := range []error{
		s.PutPosture(t.Context(), posture("a", 2), 0), s.PutRecord(t.Context(), record("k", "a", 2), 0),
		s.DeleteRecord(t.Context(), "k", "a", 7), s.DeleteRecord(t.Context(), "k", "b", 7),
	} {
		if err == nil {
			t.Fatal("a write that should conflict was taken")
		}
	}
	postures.nothing(t)
	records.nothing(t)
}

func contextEndsWatch(t *testing.T, s signals.Store) {
	ended, stop := context.WithCancel(t.Context())
	stop()
	nobody := func(signals.Change) error { return errors.New("a change came after the end") }
	must(t, s.WatchPostures(ended, "", nobody))
	must(t, s.WatchRecords(ended, "k", "", nobody))
	for _, begin := range []func() *listening{
		func() *listening { return watchPostures(t, s, "") }, func() *listening { return watchRecords(t, s, "k", "") },
	} {
		took := endsAfter(t, begin())
		for range 9 { // a machine may be busy once, and a store that is slow is so each time
			if took > time.Second {
				took = endsAfter(t, begin())
			}
		}
		if took > time.Second {
			t.Fatalf("it took %v to end", took)
		}
	}
}

// endsAfter is how long a watch goes on when its context has ended.
func endsAfter(t *testing.T, l *listening) time.Duration {
	t.Helper()
	time.Sleep(20 * time.Millisecond)
	asked := time.Now()
	l.stop()
	if err := l.end(t); err != nil {
		t.Fatalf("got %v, want nil", err)
	}
	return time.Since(asked)
}

func slowWatcher(t *testing.T, s signals.Store) {
	_, cursor := readAll(t, s)
	ctx, stop := context.WithCancel(t.Context())
	entered, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		done <- s.WatchPostures(ctx, cursor, func(signals.Change) error {
			if first {
				first = false
				close(entered)
				<-release
			}
			return nil
		})
	}()
	put(t, s, posture("a", 1), 0)
	<-entered
	var alone, beside []time.Duration // a machine that stands still for a moment delays one write of each
	for n := signals.Revision(1); n <= 200; n++ {
		began := time.Now()
		put(t, s, posture("a", n+1), n)
		beside = append(beside, time.Since(began))
	}
	close(release)
	stop()
	if err := <-done; err != nil && !errors.Is(err, signals.ErrGap) {
		t.Fatal(err)
	}
	for n := signals.Revision(1); n <= 200; n++ {
		began := time.Now()
		put(t, s, posture("b", n), n-1)
		alone = append(alone, time.Since(began))
	}
	slices.Sort(alone)
	slices.Sort(beside)
	if beside[100] > 4*alone[100]+25*time.Millisecond {
		t.Errorf("a write takes %v beside a watcher that stands still, and %v without", beside[100], alone[100])
	}
}

// runForgetful: a watcher that comes too late is told so, and can start again from a full read.
func runForgetful(t *testing.T, open func(t *testing.T) signals.Store, forgets int) {
	s := open(t)
	put(t, s, posture("a", 1), 0)
	putRecord(t, s, record("k", "a", 1), 0)
	_, cursor := readAll(t, s)
	recordCursor, err := s.EachRecord(t.Context(), "k", func(signals.Record) error { return nil })
	must(t, err)
	for n := signals.Revision(1); n <= signals.Revision(forgets); n++ {
		put(t, s, posture("a", n+1), n)
		putRecord(t, s, record("k", "a", n+1), n)
	}
	nobody := func(c signals.Change) error { return fmt.Errorf("a change of %q came across the gap", c.Key) }
	if err := s.WatchPostures(t.Context(), cursor, nobody); !errors.Is(err, signals.ErrGap) {
		t.Fatalf("postures: got %v, want ErrGap", err)
	}
	if err := s.WatchRecords(t.Context(), "k", recordCursor, nobody); !errors.Is(err, signals.ErrGap) {
		t.Fatalf("records: got %v, want ErrGap", err)
	}
	_, cursor = readAll(t, s)
	l := watchPostures(t, s, cursor)
	put(t, s, posture("b", 1), 0)
	if c := l.next(t); c.Key != "b" {
		t.Fatalf("heard of %q, want b", c.Key)
	}
}
