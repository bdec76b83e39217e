package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
)

// answered is what a checkpoint is read as.
type answered struct {
	c   *checkpoint.Checkpoint
	err error
}

// pointed is a replica with a checkpoint that the test may change, and what it told.
func pointed(t *testing.T, f *fake, at *atomic.Pointer[answered]) (*Replica, func() []string) {
	t.Helper()
	told := make(chan string, 1000)
	say := func(format string, args ...any) { told <- fmt.Sprintf(format, args...) }
	r := run(t, f, Options{Resync: time.Minute, MaxAge: time.Hour,
		Checkpoint: func(context.Context) (*checkpoint.Checkpoint, error) { a := at.Load(); return a.c, a.err },
		Events: Events{
			RolledBack: func(id signals.DeviceID, least, stored signals.Revision) {
				say("rolled back %s %d %d", id, least, stored)
			},
			Regressed: func(id signals.DeviceID, _, _ signals.Revision) { say("regressed %s", id) },
			Missing: func(n int, some []checkpoint.Mark) {
				if n > 0 {
					say("missing %d %v", n, some)
				}
			},
			Checkpoint: func(_ *checkpoint.Checkpoint, late bool) {
				if late {
					say("late")
				}
			},
			CheckpointFailed: func(err error) { say("failed %.30s", err) },
			Unchecked:        func() { say("unchecked") },
			Contested:        func(a signals.Alias, ids []signals.DeviceID) { say("contested %s %v", a, ids) },
		}})
	return r, func() (all []string) {
		for {
			select {
			case line := <-told:
				all = append(all, line)
			default:
				return all
			}
		}
	}
}

func point(ordinal signals.Revision, devices map[signals.DeviceID]signals.Revision) *answered {
	return &answered{c: checkpoint.Of(time.Now(), ordinal, "receiver", devices)}
}

// TestOlderThanTheCheckpoint: what a start finds older is in doubt, by its names, until something newer comes or somebody
// vouches; what it does not find is told.
func TestOlderThanTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("old", 4, "OLD"))
		f.put(posture("same", 5, "SAME"))
		f.put(posture("newer", 9, "NEWER"))
		f.put(posture("thief", 3, "OLD"))
		var at atomic.Pointer[answered]
		at.Store(point(1, map[signals.DeviceID]signals.Revision{"old": 5, "same": 5, "newer": 5, "lost": 2}))
		r, told := pointed(t, f, &at)
		<-r.Loaded()
		synctest.Wait()
		expect(t, r, "OLD", 0, ErrContested) // a name in doubt is no one else's
		expect(t, r, "SAME", 5, nil)
		expect(t, r, "NEWER", 9, nil)
		want := []string{"contested serial:OLD [old thief]", fmt.Sprintf("missing 1 [%v]", checkpoint.MarkOf("lost")), "rolled back old 5 4"}
		if got := slices.Sorted(slices.Values(told())); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		f.put(posture("thief", 6))
		synctest.Wait()
		expect(t, r, "OLD", 0, signals.ErrCorrupt)
		if status := r.Status(); status.Corrupt != 1 || status.Devices != 3 {
			t.Errorf("%+v", status)
		}
		f.notice("old") // again the same
		synctest.Wait()
		expect(t, r, "OLD", 0, signals.ErrCorrupt)
		f.put(posture("old", 6, "OLD"))
		synctest.Wait()
		expect(t, r, "OLD", 6, nil)
		if status := r.Status(); status.Corrupt != 0 {
			t.Errorf("%+v", status)
		}
	})
}

// TestALaterCheckpoint: one with a higher ordinal counts, also where somebody has vouched for less; an older one does not.
func TestALaterCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.put(posture("a", 4, "A"))
		var at atomic.Pointer[answered]
		at.Store(point(10, map[signals.DeviceID]signals.Revision{"a": 5}))
		r, told := pointed(t, f, &at)
		<-r.Loaded()
		expect(t, r, "A", 0, signals.ErrCorrupt)
		at.Store(point(9, map[signals.DeviceID]signals.Revision{"a": 4}))
		time.Sleep(2 * time.Minute)
		expect(t, r, "A", 0, signals.ErrCorrupt)
		if got := told(); !slices.Contains(got, "failed the checkpoint has ordinal 9, ") {
			t.Errorf("told %q", got)
		}
		at.Store(point(11, map[signals.DeviceID]signals.Revision{"a": 4}))
		time.Sleep(2 * time.Minute)
		expect(t, r, "A", 4, nil)
		at.Store(&answered{err: signals.ErrNotFound}) // it is removed: what is held is kept
		time.Sleep(2 * time.Minute)
		expect(t, r, "A", 4, nil)
		if got := told(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "failed the store has no checkpoint") }) {
			t.Errorf("told %q", got)
		}
	})
}

// TestNoStartWithoutACheckpoint: where devices were written under one nothing is served until it is there; where none was, it
// is served and told; an old one is told.
func TestNoStartWithoutACheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, first := range map[string]error{"missing": signals.ErrNotFound, "forged": signals.ErrCorrupt, "out of reach": errOut} {
			f := newFake()
			marked := posture("a", 5, "A")
			marked.Checkpointed = true
			f.put(marked)
			var at atomic.Pointer[answered]
			at.Store(&answered{err: first})
			r, told := pointed(t, f, &at)
			time.Sleep(10 * time.Second)
			expect(t, r, "A", 0, ErrOffline)
			if got := told(); errors.Is(first, errOut) != (len(got) == 0) {
				t.Errorf("%s: told %q", name, got)
			}
			late := point(1, nil)
			late.c.At = time.Now().Add(-2 * time.Hour)
			at.Store(late)
			time.Sleep(10 * time.Second)
			expect(t, r, "A", 5, nil)
			if got := told(); !slices.Contains(got, "late") {
				t.Errorf("%s: told %q", name, got)
			}
		}
		f := newFake()
		f.put(posture("a", 5, "A"))
		var at atomic.Pointer[answered]
		at.Store(&answered{err: signals.ErrNotFound})
		r, told := pointed(t, f, &at)
		<-r.Loaded()
		expect(t, r, "A", 5, nil)
		if got := told(); !slices.Equal(got, []string{"unchecked"}) {
			t.Errorf("told %q", got)
		}
	})
}
