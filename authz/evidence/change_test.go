package evidence

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// moved is a plain change.
func moved(policy string) *Change {
	return &Change{At: noon, Kind: ChangeRollback, Policy: policy, Before: "sha256:00", By: "ana (uid 1000)", Reason: "it let \xff in",
		Ticket: "INC-7"}
}

// TestChangeLineIsStable: what other programs read. A change here is a new Version.
func TestChangeLineIsStable(t *testing.T) {
	t.Parallel()
	const want = `{"v":1,"change":{"at":"2026-11-22T12:00:00.123456789Z","kind":"rollback","policy":"sha256:01","before":"sha256:00",` +
		`"by":"ana (uid 1000)","reason":"it let ` + "\uFFFDff" + ` in","ticket":"INC-7"}}` + "\n"
	if got := linesOf(t, line{Change: moved("sha256:01")}); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestChangeSurvives: every field, with any bytes in every text, comes back as it was, and as nothing else.
func TestChangeSurvives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &Change{}
		fill(t, reflect.ValueOf(c).Elem())
		c.Kind = rapid.SampledFrom([]ChangeKind{ChangeInForce, ChangeRollback, ChangeRelease}).Draw(t, "kind")
		c.Policy, c.By = "p"+c.Policy, "b"+c.By
		if c.At.IsZero() {
			c.At = noon
		}
		var e encoder
		if err := e.add(line{V: Version, Change: c}); err != nil {
			t.Fatal(err)
		}
		for r, err := range Read(strings.NewReader(e.buffer.String())) {
			if err != nil || !reflect.DeepEqual(r, Record{Change: c}) {
				t.Fatalf("%v: %+v\nwant %+v", err, r.Change, c)
			}
			if _, err := Replay(nil, &r); err == nil {
				t.Fatal("a change was decided again")
			}
		}
	})
}

// TestReadRefusesHalfAChange: who reads a change relies on its parts, and on its being nothing else.
func TestReadRefusesHalfAChange(t *testing.T) {
	t.Parallel()
	whole := linesOf(t, line{Change: moved("sha256:01")})
	for name, c := range map[string]struct{ old, now, want string }{
		"no policy":           {`"policy":"sha256:01",`, "", "without at, policy or by"},
		"nobody":              {`"by":"ana (uid 1000)",`, "", "without at, policy or by"},
		"no instant":          {`"at":"2026-11-22T12:00:00.123456789Z",`, "", "without at, policy or by"},
		"another kind":        {`"rollback"`, `"forget"`, `a change of kind "forget" is not known`},
		"a field of later":    {`"kind"`, `"quorum":2,"kind"`, `unknown field "quorum"`},
		"and a loss":          {`{"v":1,`, `{"v":1,"lost":1,`, "not exactly one of a decision, a change, annul and lost"},
		"and a decision":      {`{"v":1,`, `{"v":1,"id":"7",`, "not exactly one of"},
		"and half a decision": {`{"v":1,`, `{"v":1,"took":7,`, "not exactly one of"},
	} {
		got := read(strings.NewReader(strings.Replace(whole, c.old, c.now, 1) + whole))
		if len(got) != 2 || !strings.Contains(got[0], c.want) || got[1] != "rollback sha256:01" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestChangesStandInOrder: behind the decisions that were told before, also where there is no room for more of those, and
// are on the disk when that is said.
func TestChangesStandInOrder(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{Queue: 2})
	g.Record(sample("1"))
	g.Record(sample("2"))
	if g.Record(sample("dropped")) {
		t.Fatal("the queue has more room than it should")
	}
	first := g.RecordChange(moved("sha256:01"))
	if first.Kept() {
		t.Error("it is said to be on the disk before anything was written")
	}
	c := moved("sha256:02")
	second := g.RecordChange(c)
	c.Policy = "changed later"
	var syncs int
	g.disk.set(hooks{sync: func() error { syncs++; return nil }})
	stop := g.run(t)
	<-first.Done()
	<-second.Done()
	if !first.Kept() || !second.Kept() || syncs == 0 {
		t.Errorf("kept %v and %v after %d syncs", first.Kept(), second.Kept(), syncs)
	}
	for began := time.Now(); g.Stats().Held > 0 && time.Since(began) < 10*time.Second; { // what is written still has its room
		time.Sleep(time.Millisecond)
	}
	g.Record(sample("3"))
	if err := stop(); err != nil {
		t.Error(err)
	}
	var got []string
	for _, r := range records(t, g.file) {
		switch {
		case r.Change != nil:
			got = append(got, r.Change.Policy)
		case r.ID == "":
			got = append(got, fmt.Sprint("lost ", r.Lost))
		default:
			got = append(got, r.ID)
		}
	}
	if want := []string{"lost 1", "1", "2", "sha256:01", "sha256:02", "3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s := g.Stats()
	if s.Changes != 2 || s.ChangesLost != 0 || s.Offered != 4 || s.Offered != s.Written+s.Dropped || s.Held != 0 {
		t.Errorf("the counts are %+v", s)
	}
}

// TestChangesThatAreInNoRecord are counted and told, and nobody is kept waiting.
func TestChangesThatAreInNoRecord(t *testing.T) {
	t.Parallel()
	var none *Recorder
	<-none.RecordChange(moved("1")).Done()
	if none.RecordChange(moved("1")).Kept() {
		t.Error("kept by nobody")
	}
	g := newRig(t, Options{})
	var told uint64
	g.opts.Events.LostChanges = func(changes uint64) { told += changes }
	full := errors.Join(syscall.ENOSPC)
	g.disk.set(hooks{write: func(file, []byte) (int, error) { return 0, full }})
	var waiting []*ChangeReceipt
	for range maxChanges {
		waiting = append(waiting, g.RecordChange(moved("1")))
	}
	over := g.RecordChange(moved("one too many"))
	<-over.Done()
	if over.Kept() {
		t.Error("there was room for more than there is")
	}
	if err := g.run(t)(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d changes of the policy are in no record", maxChanges+1)) {
		t.Errorf("the end says %v", err)
	}
	for _, w := range waiting {
		<-w.Done()
		if w.Kept() {
			t.Fatal("kept on a full disk")
		}
	}
	late := g.RecordChange(moved("late"))
	<-late.Done()
	if s := g.Stats(); late.Kept() || s.ChangesLost != maxChanges+2 || s.Changes != 0 || s.Failed != 0 || told != maxChanges+1 {
		t.Errorf("%+v, told %d", s, told)
	}
}
