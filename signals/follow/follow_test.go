package follow

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/signals"
)

type revisions = map[string]signals.Revision

// bubble runs a follower over a shelf in virtual time.
func bubble(t *testing.T, opts func(*Options), test func(t *testing.T, s *shelf, f *Follower, o *told)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, o := newShelf(), &told{}
		options := o.options("k")
		if opts != nil {
			opts(&options)
		}
		s.put("a", 5, time.Time{})
		<-s.notices
		f := run(t, s, options)
		<-f.Loaded()
		test(t, s, f, o)
	})
}

// holds checks what is served and told, some time later.
func holds(t *testing.T, f *Follower, o *told, after time.Duration, want revisions) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	got := revisions{}
	f.Each("k", func(r signals.Record) bool { got[r.Key] = r.Revision; return true })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
	if last, _ := o.last(); !cmp.Equal(want, last) {
		t.Errorf("told %v, want %v", last, want)
	}
	for key, revision := range want {
		if r, ok := f.Get("k", key); !ok || r.Revision != revision {
			t.Errorf("Get(%q): %v, %v", key, r, ok)
		}
	}
}

// remembered is how many keys are known.
func remembered(f *Follower) int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.kinds["k"].held)
}

func TestChanges(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		holds(t, f, o, 0, revisions{"a": 5})
		s.put("b", 1, time.Time{})
		holds(t, f, o, 20*time.Millisecond, revisions{"a": 5, "b": 1})
		s.put("a", 6, time.Time{})
		s.drop("b")
		holds(t, f, o, 20*time.Millisecond, revisions{"a": 6})
		if _, ok := f.Get("k", "b"); ok {
			t.Error("a record that was deleted is served")
		}
		if _, ok := f.Get("other", "a"); ok || f.Status("other") != (Status{}) {
			t.Error("a kind that is not followed has records")
		}
		if s := f.Status("k"); !s.Loaded || !s.InSync || s.Records != 1 || s.Refused != 0 {
			t.Errorf("the status is %+v", s)
		}
		if err := f.Run(t.Context()); err == nil {
			t.Error("it ran twice")
		}
	})
}

// TestBatches: a burst is told in few calls, no two of them within the batch's time, and the last of them is complete.
func TestBatches(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		want := revisions{"a": 5}
		for n := range 200 {
			key := string(rune('b' + n))
			s.put(key, 1, time.Time{})
			want[key] = 1
			time.Sleep(500 * time.Microsecond)
		}
		holds(t, f, o, 20*time.Millisecond, want)
		if _, n := o.last(); n < 8 || n > 14 {
			t.Errorf("200 changes in 100ms were told in %d calls", n)
		}
		for i := 1; i < len(o.at); i++ {
			if apart := o.at[i].Sub(o.at[i-1]); apart < 10*time.Millisecond {
				t.Errorf("two calls are %s apart", apart)
			}
		}
	})
}

// TestExpiry: what expires is gone at its instant, is told within the batch's time, and does not come back older.
func TestExpiry(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		start := time.Now()
		s.put("b", 3, start.Add(3*time.Hour))
		s.put("c", 1, start.Add(time.Hour))
		synctest.Wait()                     // version 3 was seen
		s.put("b", 4, start.Add(time.Hour)) // shorter than the version before
		holds(t, f, o, time.Hour-time.Nanosecond, revisions{"a": 5, "b": 4, "c": 1})
		holds(t, f, o, 10*time.Millisecond, revisions{"a": 5})
		s.put("b", 3, start.Add(3*time.Hour))
		s.put("c", 1, start.Add(4*time.Hour))
		holds(t, f, o, time.Minute, revisions{"a": 5, "c": 1})
		if said := o.said(); !slices.Contains(said, `regressed "b" 4 3`) {
			t.Errorf("said %q", said)
		}
		if n := remembered(f); n != 3 {
			t.Errorf("%d keys are held", n)
		}
		holds(t, f, o, 4*time.Hour, revisions{"a": 5})
		if n := remembered(f); n != 1 {
			t.Errorf("%d keys are remembered for ever", n-1)
		}
	})
}

// TestLostNotices: what no notice tells is found by the next full read.
func TestLostNotices(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		s.set(func(s *shelf) { s.mute = true })
		s.put("a", 6, time.Time{})
		s.put("b", 1, time.Time{})
		holds(t, f, o, 4*time.Minute-time.Second, revisions{"a": 5})
		holds(t, f, o, 2*time.Minute+2*time.Second, revisions{"a": 6, "b": 1})
		s.drop("b")
		holds(t, f, o, 6*time.Minute+time.Second, revisions{"a": 6})
		if said := o.said(); len(said) != 0 {
			t.Errorf("said %q", said)
		}
	})
}

func TestAway(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		since, ok := f.InSync()
		if !ok || time.Since(since) != 0 {
			t.Fatalf("in sync since %v: %v", since, ok)
		}
		time.Sleep(time.Hour)
		o.said()
		s.put("b", 1, time.Now().Add(time.Minute))
		holds(t, f, o, time.Second, revisions{"a": 5, "b": 1})
		s.set(func(s *shelf) { s.away, s.mute = errors.New("no route to host"), true })
		s.notices <- "a"
		synctest.Wait()
		away := time.Now()
		s.drop("a")
		holds(t, f, o, time.Minute, revisions{"a": 5}) // what is held stays, and expires
		if since, ok := f.InSync(); ok || !since.Equal(away) {
			t.Errorf("in sync since %v: %v, want not since %v", since, ok, away)
		}
		said := o.said()
		if len(said) < 30 || len(said) > 90 || !strings.HasSuffix(said[0], "no route to host") {
			t.Errorf("%d tries in a minute, the first %q", len(said), said[0])
		}
		if s := f.Status("k"); s.InSync || !s.Loaded || !strings.Contains(s.LastError, "no route to host") {
			t.Errorf("the status is %+v", s)
		}
		s.set(func(s *shelf) { s.away = nil })
		holds(t, f, o, 2*time.Second+20*time.Millisecond, revisions{})
		if said := o.said(); !strings.HasPrefix(said[len(said)-1], "in sync after 1m") {
			t.Errorf("said %q", said)
		}
		s.notices <- "" // a gap
		s.put("c", 9, time.Time{})
		holds(t, f, o, 5*time.Second, revisions{"c": 9})
	})
}

// TestNeverThere: a store that was never read is not in sync, and nothing is told of it.
func TestNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newShelf(), &told{}
		s.away = errors.New("refused")
		f := run(t, s, o.options("k"))
		time.Sleep(time.Minute)
		if since, ok := f.InSync(); ok || !since.IsZero() {
			t.Errorf("in sync since %v: %v", since, ok)
		}
		if _, n := o.last(); n > 0 {
			t.Error("a set was told")
		}
		s.set(func(s *shelf) { s.away = nil })
		<-f.Loaded()
		holds(t, f, o, 0, revisions{}) // an empty set is told, too
	})
}

func TestRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		s.spoil("a", true)
		s.spoil("b", true) // before it is there: seen between the two, it would have counted, and would be remembered
		s.put("b", 1, time.Time{})
		holds(t, f, o, 20*time.Minute, revisions{})
		if said := o.said(); len(said) != 2 || !strings.HasPrefix(said[0], `refused "a": nobody signed it`) {
			t.Errorf("each is told once, not %q", said)
		}
		if s := f.Status("k"); s.Refused != 2 || s.Records != 0 {
			t.Errorf("the status is %+v", s)
		}
		s.put("a", 4, time.Time{})
		s.spoil("a", false)
		holds(t, f, o, time.Second, revisions{}) // the older one, in place of what could not be read
		s.put("a", 6, time.Time{})
		s.drop("b")
		holds(t, f, o, 10*time.Minute, revisions{"a": 6})
		if s := f.Status("k"); s.Refused != 0 || remembered(f) != 1 {
			t.Errorf("the status is %+v", s)
		}
	})
}

// TestBack: an older revision does not count, whether it takes the place of the newer one or of none.
func TestBack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		s.put("a", 4, time.Time{})
		holds(t, f, o, 6*time.Minute, revisions{"a": 5})
		s.drop("a")
		holds(t, f, o, time.Second, revisions{})
		s.set(func(s *shelf) { s.mute = true })
		s.put("a", 4, time.Time{})
		holds(t, f, o, 12*time.Minute, revisions{})
		if said := o.said(); len(said) < 3 || slices.ContainsFunc(said, func(s string) bool { return s != `regressed "a" 5 4` }) {
			t.Errorf("said %q", said)
		}
		s.set(func(s *shelf) { s.mute = false })
		s.put("a", 7, time.Time{})
		holds(t, f, o, time.Second, revisions{"a": 7})
	})
}

// TestKeep: of a kind that only takes away, nothing is won by removing or spoiling a record.
func TestKeep(t *testing.T) {
	keep := func(o *Options) { o.Keep = []string{"k"} }
	bubble(t, keep, func(t *testing.T, s *shelf, f *Follower, o *told) {
		s.put("b", 3, time.Now().Add(time.Hour))
		s.put("c", 1, time.Time{})
		holds(t, f, o, time.Second, revisions{"a": 5, "b": 3, "c": 1})
		s.drop("a")
		s.set(func(s *shelf) { s.mute = true })
		s.drop("b")
		s.set(func(s *shelf) { s.mute = false })
		s.spoil("c", true)
		holds(t, f, o, 30*time.Minute, revisions{"a": 5, "b": 3, "c": 1})
		said := o.said()
		slices.Sort(said)
		if want := []string{`kept "a"`, `kept "b"`, `refused "c": nobody signed it: ` + signals.ErrCorrupt.Error()}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
		s.put("a", 4, time.Time{}) // an older one in the place of the removed one
		holds(t, f, o, 31*time.Minute, revisions{"a": 5, "c": 1})
	})
}

// TestOldPages: what a full read shows may be older than what a notice told meanwhile, and is not taken for tampering.
func TestOldPages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *shelf, f *Follower, o *told) {
		s.put("b", 1, time.Time{})
		holds(t, f, o, time.Second, revisions{"a": 5, "b": 1})
		s.set(func(s *shelf) {
			s.yielded = func(key string) {
				if key == "a" { // after the page was read, before it is shown
					s.set(func(s *shelf) { s.yielded = nil })
					s.put("a", 6, time.Time{})
					s.drop("b")
					s.put("d", 1, time.Time{})
					time.Sleep(time.Second)
				}
			}
		})
		holds(t, f, o, 6*time.Minute+2*time.Second, revisions{"a": 6, "d": 1})
		if said := o.said(); len(said) != 0 {
			t.Errorf("said %q", said)
		}
	})
}

// TestSlow: a store that takes a second for everything is followed a second late, and a slow listener holds nothing up.
func TestSlow(t *testing.T) {
	slow := func(o *Options) {
		tell := o.OnChange
		o.OnChange = func(all []signals.Record) { time.Sleep(10 * time.Second); tell(all) }
	}
	bubble(t, slow, func(t *testing.T, s *shelf, f *Follower, o *told) {
		s.set(func(s *shelf) { s.slow = time.Second })
		for n := range 5 {
			s.put("a", signals.Revision(6+n), time.Time{})
		}
		time.Sleep(5*time.Second + time.Millisecond)
		if r, _ := f.Get("k", "a"); r.Revision != 10 {
			t.Errorf("served %d", r.Revision)
		}
		holds(t, f, o, 30*time.Second, revisions{"a": 10})
		if _, n := o.last(); n > 3 {
			t.Errorf("told %d times", n)
		}
	})
}
