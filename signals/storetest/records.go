package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

func record(kind, key string, revision signals.Revision) signals.Record {
	return signals.Record{Kind: kind, Key: key, Revision: revision, Value: []byte(kind + "\x00\xff\n" + key)}
}

func runRecords(t *testing.T, open func(t *testing.T) signals.Store) {
	t.Run("absent", func(t *testing.T) {
		s := open(t)
		if _, err := s.Record(t.Context(), "k", "nothing"); !errors.Is(err, signals.ErrNotFound) {
			t.Fatalf("record: got %v, want ErrNotFound", err)
		}
		if err := s.DeleteRecord(t.Context(), "k", "nothing", 0); !errors.Is(err, signals.ErrNotFound) {
			t.Fatalf("delete: got %v, want ErrNotFound", err)
		}
		if got := recordsOf(t, s, "k"); len(got) != 0 {
			t.Fatalf("an empty store has %d records", len(got))
		}
	})
	t.Run("what goes in comes out", func(t *testing.T) { recordsRoundTrip(t, open(t)) })
	t.Run("values of all sizes", func(t *testing.T) {
		s := open(t)
		for i, size := range []int{0, 1, 100, 1 << 16, 1<<16 + 1, 3 << 20} {
			r := signals.Record{Kind: "big", Key: string(rune('a' + i)), Revision: 1}
			r.Value = bytes.Repeat([]byte{0, 255, '\n'}, size)[:size]
			putRecord(t, s, r, 0)
			got, err := s.Record(t.Context(), r.Kind, r.Key)
			must(t, err)
			if !bytes.Equal(got.Value, r.Value) {
				t.Fatalf("%d bytes came back as %d others", size, len(got.Value))
			}
		}
		if got := recordsOf(t, s, "big"); len(got) != 6 {
			t.Fatalf("each: %d records, want 6", len(got))
		}
	})
	t.Run("compare and set", func(t *testing.T) { compareAndSetRecord(t, open(t)) })
	t.Run("delete", func(t *testing.T) { deleteRecord(t, open(t)) })
	t.Run("kinds apart", func(t *testing.T) { kindsApart(t, open(t)) })
	t.Run("order of keys", func(t *testing.T) { orderOfKeys(t, open(t)) })
	t.Run("expiry", func(t *testing.T) { expiry(t, open(t)) })
	t.Run("refused", func(t *testing.T) { refusedRecords(t, open(t)) })
	t.Run("each stops at the first error of yield", func(t *testing.T) {
		s := open(t)
		putRecord(t, s, record("k", "a", 1), 0)
		putRecord(t, s, record("k", "b", 1), 0)
		enough, seen := errors.New("enough"), 0
		_, err := s.EachRecord(t.Context(), "k", func(signals.Record) error { seen++; return enough })
		if !errors.Is(err, enough) || seen != 1 {
			t.Fatalf("got %v after %d", err, seen)
		}
	})
}

// recordsOf reads every record of a kind, in the order in which they come.
func recordsOf(t *testing.T, s signals.Store, kind string) []signals.Record {
	t.Helper()
	var all []signals.Record
	_, err := s.EachRecord(t.Context(), kind, func(r signals.Record) error {
		all = append(all, r)
		return nil
	})
	must(t, err)
	return all
}

func keysOf(records []signals.Record) []string {
	keys := make([]string, len(records))
	for i, r := range records {
		keys[i] = r.Key
	}
	return keys
}

func sameRecord(t *testing.T, got, want signals.Record) {
	t.Helper()
	if !got.Expires.Equal(want.Expires) || got.Expires.IsZero() != want.Expires.IsZero() {
		t.Fatalf("%q expires %v, want %v", want.Key, got.Expires, want.Expires)
	}
	got.Expires, want.Expires = time.Time{}, time.Time{}
	same(t, want.Key, got, want)
}

func recordsRoundTrip(t *testing.T, s signals.Store) {
	later := time.Now().Add(time.Hour)
	for i, key := range odd() {
		r := record("odd", key, 7)
		if i%2 == 0 {
			r.Expires = later
		}
		putRecord(t, s, r, 0)
		got, err := s.Record(t.Context(), "odd", key)
		must(t, err)
		sameRecord(t, got, r)
	}
	for _, kind := range odd() {
		putRecord(t, s, record(kind, "key", 1), 0)
		got, err := s.Record(t.Context(), kind, "key")
		must(t, err)
		sameRecord(t, got, record(kind, "key", 1))
	}
}

func compareAndSetRecord(t *testing.T, s signals.Store) {
	const first, second = 1_795_000_000_000_001, 1_795_000_000_000_002
	putRecord(t, s, record("k", "a", first), 0)
	for _, wrong := range []signals.Revision{0, 1, first - 1, first + 1} {
		if err := s.PutRecord(t.Context(), record("k", "a", first+5), wrong); !errors.Is(err, signals.ErrConflict) {
			t.Fatalf("expected %d: got %v, want ErrConflict", wrong, err)
		}
	}
	if err := s.PutRecord(t.Context(), record("k", "b", 2), 1); !errors.Is(err, signals.ErrConflict) {
		t.Fatalf("a revision was expected of a record that is absent: got %v, want ErrConflict", err)
	}
	changed := record("k", "a", second)
	changed.Value = []byte("changed")
	putRecord(t, s, changed, first)
	got, err := s.Record(t.Context(), "k", "a")
	must(t, err)
	sameRecord(t, got, changed)
}

func deleteRecord(t *testing.T, s signals.Store) {
	putRecord(t, s, record("k", "a", 3), 0)
	for _, wrong := range []signals.Revision{0, 2, 4} {
		if err := s.DeleteRecord(t.Context(), "k", "a", wrong); !errors.Is(err, signals.ErrConflict) {
			t.Fatalf("expected %d: got %v, want ErrConflict", wrong, err)
		}
	}
	if err := s.DeleteRecord(t.Context(), "k", "other", 3); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	must(t, s.DeleteRecord(t.Context(), "k", "a", 3))
	if _, err := s.Record(t.Context(), "k", "a"); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("after delete: got %v, want ErrNotFound", err)
	}
	if got := recordsOf(t, s, "k"); len(got) != 0 {
		t.Fatalf("after delete there are still %v", keysOf(got))
	}
	putRecord(t, s, record("k", "a", 1), 0)
}

// kindsApart: no kind and key run together, and nothing of one kind is seen in another.
func kindsApart(t *testing.T, s signals.Store) {
	pairs := [][2]string{{"a", "b:c"}, {"a:b", "c"}, {"a", "b"}, {"ab", "c"}, {"a", "bc"}, {"a}", "{b"}, {"a", "}{b"}}
	for i, p := range pairs {
		r := record(p[0], p[1], signals.Revision(i+1))
		putRecord(t, s, r, 0)
	}
	put(t, s, posture("b", 99), 0)
	for i, p := range pairs {
		got, err := s.Record(t.Context(), p[0], p[1])
		must(t, err)
		sameRecord(t, got, record(p[0], p[1], signals.Revision(i+1)))
	}
	if got := keysOf(recordsOf(t, s, "a")); !slices.Equal(got, []string{"b", "b:c", "bc", "}{b"}) {
		t.Fatalf("kind a has %q", got)
	}
	must(t, s.DeleteRecord(t.Context(), "a", "b", 3))
	if all, _ := readAll(t, s); all["b"].Revision != 99 {
		t.Fatal("deleting a record touched a posture")
	}
}

func orderOfKeys(t *testing.T, s signals.Store) {
	keys := odd()
	for i := range 500 {
		keys = append(keys, string(rune('A'+i%57))+string(rune(0x80+i*7)))
	}
	parallel(t, 8, len(keys), func(i int) error { return s.PutRecord(t.Context(), record("k", keys[i], 1), 0) })
	slices.Sort(keys)
	if got := keysOf(recordsOf(t, s, "k")); !slices.Equal(got, keys) {
		t.Fatalf("the keys came as\n%q, want\n%q", got, keys)
	}
}

// expiring puts a record that soon ends, does something with it before that, and returns its end. Where a busy machine has let
// it end first, the next one has longer.
func expiring(t *testing.T, s signals.Store, key string, do func(signals.Record) error) (end time.Time) {
	t.Helper()
	for life := 400 * time.Millisecond; ; life *= 4 {
		r := record("k", key, 5)
		r.Expires = time.Now().Add(life)
		putRecord(t, s, r, 0)
		err := do(r)
		if err == nil {
			return r.Expires
		}
		if life > patience || time.Now().Before(r.Expires.Add(-5*time.Millisecond)) {
			t.Fatalf("%s, before its end: %v", key, err)
		}
		time.Sleep(time.Until(r.Expires) + 20*time.Millisecond)
	}
}

func expiry(t *testing.T, s signals.Store) {
	renewed := expiring(t, s, "renewed", func(r signals.Record) error {
		r.Revision, r.Expires = 6, time.Now().Add(time.Hour)
		return s.PutRecord(t.Context(), r, 5)
	})
	forever := expiring(t, s, "forever", func(r signals.Record) error {
		r.Revision, r.Expires = 6, time.Time{}
		return s.PutRecord(t.Context(), r, 5)
	})
	brief := expiring(t, s, "brief", func(r signals.Record) error {
		got, err := s.Record(t.Context(), "k", "brief")
		if err == nil {
			sameRecord(t, got, r)
		}
		return err
	})
	past := record("k", "past", 5)
	past.Expires = time.Now().Add(-time.Second)
	putRecord(t, s, past, 0)

	if _, err := s.Record(t.Context(), "k", "past"); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("a record that came expired: got %v, want ErrNotFound", err)
	}
	for _, end := range []time.Time{renewed, forever, brief} {
		time.Sleep(time.Until(end) + 20*time.Millisecond)
	}
	if _, err := s.Record(t.Context(), "k", "brief"); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("an expired record: got %v, want ErrNotFound", err)
	}
	if got := keysOf(recordsOf(t, s, "k")); !slices.Equal(got, []string{"forever", "renewed"}) {
		t.Fatalf("each yields %q", got)
	}
	if err := s.DeleteRecord(t.Context(), "k", "brief", 5); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("deleting an expired record: got %v, want ErrNotFound", err)
	}
	if err := s.PutRecord(t.Context(), record("k", "brief", 9), 5); !errors.Is(err, signals.ErrConflict) {
		t.Fatalf("an expired record has no revision to expect: got %v, want ErrConflict", err)
	}
	putRecord(t, s, record("k", "brief", 1), 0)
	got, err := s.Record(t.Context(), "k", "brief")
	must(t, err)
	sameRecord(t, got, record("k", "brief", 1))
}

func refusedRecords(t *testing.T, s signals.Store) {
	putRecord(t, s, record("k", "a", 5), 0)
	for what, try := range map[string]struct {
		r        signals.Record
		expected signals.Revision
	}{
		"no kind":                   {record("", "a", 1), 0},
		"no key":                    {record("k", "", 1), 0},
		"revision 0":                {record("k", "new", 0), 0},
		"a negative expectation":    {record("k", "new", 1), -1},
		"a revision that stands":    {record("k", "a", 5), 5},
		"a revision that goes back": {record("k", "a", 4), 5},
	} {
		if err := s.PutRecord(t.Context(), try.r, try.expected); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if got := recordsOf(t, s, "k"); len(got) != 1 || got[0].Revision != 5 {
		t.Fatalf("a refused write left something: %v", got)
	}
}
