package storetest

import (
	"errors"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

func runPostures(t *testing.T, open func(t *testing.T) signals.Store) {
	t.Run("absent", func(t *testing.T) {
		s := open(t)
		if _, err := s.Posture(t.Context(), "nobody"); !errors.Is(err, signals.ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
		if all, _ := readAll(t, s); len(all) != 0 {
			t.Fatalf("an empty store has %d postures", len(all))
		}
	})
	t.Run("what goes in comes out", func(t *testing.T) {
		s := open(t)
		for _, key := range odd() {
			put(t, s, posture(key, 7), 0)
		}
		all, _ := readAll(t, s)
		for _, key := range odd() {
			got, err := s.Posture(t.Context(), signals.DeviceID(key))
			must(t, err)
			same(t, key, got, posture(key, 7))
			same(t, "each: "+key, all[signals.DeviceID(key)], posture(key, 7))
		}
		if len(all) != len(odd()) {
			t.Fatalf("%d postures, want %d", len(all), len(odd()))
		}
	})
	t.Run("what the caller keeps is its own", func(t *testing.T) { posturesAreCopies(t, open(t)) })
	t.Run("compare and set", func(t *testing.T) { compareAndSetPosture(t, open(t)) })
	t.Run("refused", func(t *testing.T) { refusedPostures(t, open(t)) })
	t.Run("many", func(t *testing.T) { manyPostures(t, open(t)) })
	t.Run("each stops at the first error of yield", func(t *testing.T) {
		s := open(t)
		put(t, s, posture("a", 1), 0)
		put(t, s, posture("b", 1), 0)
		enough, seen := errors.New("enough"), 0
		_, err := s.EachPosture(t.Context(), func(signals.Posture) error { seen++; return enough }, nil)
		if !errors.Is(err, enough) || seen != 1 {
			t.Fatalf("got %v after %d", err, seen)
		}
	})
}

// posturesAreCopies: a caller that changes what it gave or got does not change what is stored.
func posturesAreCopies(t *testing.T, s signals.Store) {
	given := posture("a", 1)
	put(t, s, given, 0)
	given.Facts[0].Attribute, given.Aliases[0].Value = "changed", "changed"
	got, err := s.Posture(t.Context(), "a")
	must(t, err)
	same(t, "after a change of what was given", got, posture("a", 1))
	got.Facts[0].Attribute, got.Aliases[0].Value = "changed", "changed"
	_, err = s.EachPosture(t.Context(), func(p signals.Posture) error {
		p.Facts[0].Attribute = "changed"
		return nil
	}, nil)
	must(t, err)
	again, err := s.Posture(t.Context(), "a")
	must(t, err)
	same(t, "after a change of what was got", again, posture("a", 1))
}

func compareAndSetPosture(t *testing.T, s signals.Store) {
	// Real revisions are µs since 1970: beyond the 32 bits and close to the 53 bits that a sloppy encoding would keep.
	const first, second, third = 1_795_000_000_000_001, 1_795_000_000_000_002, 1_795_000_000_000_009
	put(t, s, posture("a", first), 0)
	for _, wrong := range []signals.Revision{0, 1, first - 1, first + 1} {
		if err := s.PutPosture(t.Context(), posture("a", third), wrong); !errors.Is(err, signals.ErrConflict) {
			t.Fatalf("expected %d on %d: got %v, want ErrConflict", wrong, int64(first), err)
		}
	}
	if err := s.PutPosture(t.Context(), posture("b", third), first); !errors.Is(err, signals.ErrConflict) {
		t.Fatalf("a revision was expected of a device that is absent: got %v, want ErrConflict", err)
	}
	put(t, s, posture("a", second), first)
	put(t, s, posture("a", third), second)
	got, err := s.Posture(t.Context(), "a")
	must(t, err)
	same(t, "the last one written", got, posture("a", third))
}

// refusedPostures: what would lose something or let a revision stand still is an error, and nothing is written.
func refusedPostures(t *testing.T, s signals.Store) {
	put(t, s, posture("a", 5), 0)
	for what, try := range map[string]struct {
		p        signals.Posture
		expected signals.Revision
	}{
		"no device":                  {posture("", 1), 0},
		"bytes that are not UTF-8":   {posture("a\xff", 1), 0},
		"revision 0":                 {posture("new", 0), 0},
		"a negative revision":        {posture("new", -1), 0},
		"a negative expectation":     {posture("new", 1), -1},
		"a revision that stands":     {posture("a", 5), 5},
		"a revision that goes back":  {posture("a", 4), 5},
		"a conflict and a step back": {posture("a", 4), 4},
	} {
		if err := s.PutPosture(t.Context(), try.p, try.expected); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	all, _ := readAll(t, s)
	if len(all) != 1 || all["a"].Revision != 5 {
		t.Fatalf("a refused write left something: %v", all)
	}
}

// manyPostures is more than one page of whatever a store reads in.
func manyPostures(t *testing.T, s signals.Store) {
	const n = 1500
	devices := make([]string, n)
	for i := range devices {
		devices[i] = "device-" + string(rune('a'+i%26)) + "-" + string(rune(0x100+i))
	}
	parallel(t, 32, n, func(i int) error { return s.PutPosture(t.Context(), posture(devices[i], 3), 0) })
	all, _ := readAll(t, s)
	if len(all) != n {
		t.Fatalf("%d postures, want %d", len(all), n)
	}
	for _, device := range devices {
		same(t, device, all[signals.DeviceID(device)], posture(device, 3))
	}
}

// keepsSeals: a seal comes out byte for byte, by every way of reading.
func keepsSeals(t *testing.T, s signals.Store) {
	p := posture("a", 1)
	p.Seal = &signals.Seal{Key: "somebody", Signature: []byte{0, 1, 0xff, '"'}}
	p.Checkpointed = true
	put(t, s, p, 0)
	got, err := s.Posture(t.Context(), "a")
	must(t, err)
	same(t, "sealed", got, p)
	all, _ := readAll(t, s)
	same(t, "each: sealed", all["a"], p)
}
