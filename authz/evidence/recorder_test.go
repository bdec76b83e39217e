package evidence

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// required is a record of a tier with evidence: required.
func required(id string) *Record {
	r := sample(id)
	r.Verdict.Evidence = policy.EvidenceRequired
	return r
}

// TestEveryDecisionIsAccountedFor: many callers, a queue that is too short, a disk that is slow, writes halves, and
// fails to sync and to take back. What was said of each decision is what the file says of it.
func TestEveryDecisionIsAccountedFor(t *testing.T) {
	t.Parallel()
	for range 10 { // what of a disk goes wrong is left to chance
		if aBadDisk(t) || t.Failed() {
			return
		}
	}
	t.Error("ten disks have not shown every case")
}

// aBadDisk reports whether it has shown every case.
func aBadDisk(t *testing.T) bool {
	t.Helper()
	g := newRig(t, Options{Queue: 64, Within: 5 * time.Millisecond, MaxBytes: 1 << 30})
	g.disk.set(hooks{
		write: func(f file, p []byte) (int, error) {
			switch rand.IntN(8) {
			case 0:
				n, _ := f.Write(p[:rand.IntN(len(p))])
				return n, syscall.ENOSPC
			case 1:
				time.Sleep(8 * time.Millisecond)
			}
			return f.Write(p)
		},
		sync: func() error {
			switch rand.IntN(8) {
			case 0:
				return syscall.EIO
			case 1:
				time.Sleep(8 * time.Millisecond)
			}
			return nil
		},
		truncate: func() error {
			if rand.IntN(4) == 0 {
				return syscall.EIO
			}
			return nil
		},
	})
	stop := g.run(t)
	const callers, each = 16, 250
	var kept, refused, taken, dropped sync.Map
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d/%d", c, i)
				into := &dropped
				if i%2 == 0 {
					if into = &refused; g.RecordDurably(required(id)) {
						into = &kept
					}
				} else if g.Record(sample(id)) {
					into = &taken
				}
				into.Store(id, true)
			}
		})
	}
	all.Wait()
	eventually(t, "nothing waits", func() bool { return g.Stats().Held == 0 })
	g.disk.set(hooks{})
	if err := stop(); err != nil {
		t.Error(err)
	}
	written, annulled, lost := map[string]bool{}, 0, uint64(0)
	for _, r := range records(t, g.file) {
		switch {
		case r.ID == "":
			lost += r.Lost
		case r.Annulled:
			annulled++
		case written[r.ID]:
			t.Errorf("%s is there twice", r.ID)
		default:
			written[r.ID] = true
		}
	}
	s := g.Stats()
	if s.Offered != callers*each || s.Offered != s.Written+s.Withdrawn+s.Dropped+s.Failed || s.Held != 0 {
		t.Errorf("the counts do not add up: %+v", s)
	}
	if int(s.Written) != len(written) || lost != s.Dropped+s.Failed {
		t.Errorf("the file has %d decisions and %d lost, the counts are %+v", len(written), lost, s)
	}
	holds := func(what string, ids *sync.Map, want bool) (n int) {
		ids.Range(func(id, _ any) bool {
			if n++; written[id.(string)] != want {
				t.Errorf("%s was %s; in the file: %v", id, what, !want)
			}
			return true
		})
		return n
	}
	t.Logf("kept %d, refused %d, taken %d, dropped %d; annulled %d; %+v", holds("kept", &kept, true),
		holds("refused", &refused, false), holds("taken", &taken, true), holds("dropped", &dropped, false), annulled, s)
	return s.Faults > 0 && s.Withdrawn > 0 && s.Dropped > 0 && annulled > 0
}

// TestOneSyncForAllThatWait: while one sync runs, the records of all others gather for the next.
func TestOneSyncForAllThatWait(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{Within: 10 * time.Second})
	var syncs atomic.Int32
	gate := make(chan struct{})
	g.disk.set(hooks{sync: func() error {
		syncs.Add(1)
		<-gate
		return nil
	}})
	stop := g.run(t)
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	var all sync.WaitGroup
	all.Go(func() { g.RecordDurably(required("first")) })
	eventually(t, "the first sync", func() bool { return syncs.Load() == 1 })
	for i := range 50 {
		all.Go(func() {
			if !g.RecordDurably(required(fmt.Sprint(i))) {
				t.Errorf("%d was not kept", i)
			}
		})
	}
	eventually(t, "all wait", func() bool { return g.Stats().Held == 51 })
	release()
	all.Wait()
	if n := syncs.Load(); n != 2 {
		t.Errorf("%d syncs for 51 records, want 2", n)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := len(records(t, g.file)); n != 51 {
		t.Errorf("%d records", n)
	}
}

// TestRecordThatComesTooLateIsAnnulled: the line of an allow that nobody gave is followed by a line that says so, and
// by the refusal that was given.
func TestRecordThatComesTooLateIsAnnulled(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{Within: 2 * time.Second}) // room for the writer to begin with a record before it is late
	gate := make(chan struct{})
	stop := g.run(t)
	eventually(t, "it runs", func() bool { return g.RecordDurably(required("in time")) })
	g.disk.set(hooks{sync: func() error { <-gate; return nil }})
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	start := time.Now()
	verdict := g.Settle(required("late"))
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v; 2s was the bound", took)
	}
	g.opts.Within = 200 * time.Millisecond
	if verdict.Outcome != policy.Deny || verdict.Reason != policy.ReasonEvidence || verdict.Route != "app" {
		t.Errorf("the verdict to stand by is %+v", verdict)
	}
	second := make(chan policy.Verdict)
	go func() { second <- g.Settle(required("later")) }() // not yet written when nobody waits any more
	if v := <-second; v.Reason != policy.ReasonEvidence {
		t.Errorf("%+v", v)
	}
	g.opts.Within = 2 * time.Second
	release()
	eventually(t, "the disk is good again", func() bool { return g.Settle(required("in time")).Outcome == policy.Allow })
	if err := stop(); err != nil {
		t.Error(err)
	}
	var got []string
	for _, r := range records(t, g.file) {
		if r.ID != "in time" {
			got = append(got, fmt.Sprintf("%s %s %v", r.ID, r.Verdict.Reason, r.Annulled))
		}
	}
	slices.Sort(got)
	want := []string{"late allowed true", "late evidence false", "later evidence false"}
	if !slices.Equal(got, want) {
		t.Errorf("the file says %q, want %q", got, want)
	}
	if s := g.Stats(); s.Withdrawn < 2 || s.Offered != s.Withdrawn+s.Written {
		t.Errorf("%+v", s)
	}
}

// TestSettle: where no record can be had, a tier that wants one refuses, and others go on.
func TestSettle(t *testing.T) {
	t.Parallel()
	var none *Recorder
	ended := newRig(t, Options{})
	if err := ended.run(t)(); err != nil {
		t.Fatal(err)
	}
	full := newRig(t, Options{Queue: 1})
	full.Record(sample("fills it"))
	full.queue.push(newEntry(required("fills the other"), true))
	crooked := newRig(t, Options{Within: 10 * time.Second})
	crooked.run(t)
	for name, recorder := range map[string]*Recorder{"none": none, "ended": ended.Recorder, "full": full.Recorder, "crooked": crooked.Recorder} {
		r := required("1")
		if name == "crooked" {
			r.Input.Device.AsOf = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		if v := recorder.Settle(r); v.Outcome != policy.Deny || v.Reason != policy.ReasonEvidence {
			t.Errorf("%s: %+v", name, v)
		}
		if recorder.RecordDurably(r) {
			t.Errorf("%s: kept", name)
		}
		if v := recorder.Settle(sample("2")); v.Outcome != policy.Allow {
			t.Errorf("%s: a tier that wants no record is refused: %+v", name, v)
		}
	}
	if s := full.Stats(); s.Dropped != 4 || s.Held != 2 { // two of the one that must be, its refusal, and the other
		t.Errorf("full: %+v", s)
	}
	if s := ended.Stats(); s.Dropped != 4 || s.Offered != 4 {
		t.Errorf("ended: %+v", s)
	}
	eventually(t, "the crooked one is counted", func() bool { return crooked.Stats().Failed == 3 })
	if said := crooked.heard(); len(said) == 0 || !strings.Contains(said[0], "decision 1 cannot be recorded") {
		t.Errorf("it said %q", said)
	}
	if none.Stats() != (Stats{}) || none.Record(sample("3")) {
		t.Error("nobody counted")
	}
}

// TestFloodDoesNotKeepOutWhatMustBeRecorded: the two kinds have ways of their own, each bounded in records and in
// bytes.
func TestFloodDoesNotKeepOutWhatMustBeRecorded(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{Queue: 10, Within: 10 * time.Second})
	for i := range 100 {
		if took := g.Record(sample("flood")); took != (i < 10) {
			t.Fatalf("record %d was taken: %v", i, took)
		}
	}
	answer := make(chan bool)
	go func() { answer <- g.RecordDurably(required("must")) }()
	eventually(t, "it waits", func() bool { return g.Stats().Held == 11 })
	stop := g.run(t)
	if !<-answer {
		t.Error("it was not kept")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	all := records(t, g.file)
	if len(all) != 12 || all[0].Lost != 90 || all[1].ID != "must" {
		t.Errorf("%d lines, the first of %d lost, then %q", len(all), all[0].Lost, all[1].ID)
	}
	long := newRig(t, Options{})
	r := sample("long")
	r.Input.Request.Path = "/" + strings.Repeat("x", 1<<20)
	taken := 0
	for long.Record(r) {
		taken++
	}
	if taken != queueBytes>>20-1 {
		t.Errorf("%d records of 1 MiB were held", taken)
	}
}

// TestWhoIsAnsweredIsCounted: when it is said that something is on the disk, the counts say so and its room is free.
func TestWhoIsAnsweredIsCounted(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{Within: time.Minute})
	defer g.run(t)()
	for n := uint64(1); n <= 500; n++ {
		if !g.RecordDurably(required(fmt.Sprint(n))) {
			t.Fatalf("record %d is not kept", n)
		}
		if s := g.Stats(); s.Written != n || s.Held != 0 {
			t.Fatalf("of %d records, when the last is known to be kept: %+v", n, s)
		}
	}
}
