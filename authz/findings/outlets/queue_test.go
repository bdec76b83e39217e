package outlets_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/authz/policy"
)

// diary keeps what a queue says.
type diary struct {
	mu   sync.Mutex
	said []string
}

func (d *diary) note(words ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, strings.Join(words, " "))
}

func (d *diary) count(prefix string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.said {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func (d *diary) events() outlets.Events {
	return outlets.Events{
		Queued: func(outlet string, e *outlets.Event) { d.note("queued", outlet, e.ID) },
		Sent:   func(outlet string, e *outlets.Event, _ int, _ time.Duration) { d.note("sent", outlet, e.ID) },
		Failed: func(outlet string, e *outlets.Event, _ time.Time, err error) {
			d.note("failed", outlet, e.ID, err.Error())
		},
		Dead:        func(outlet string, e *outlets.Event, reason string) { d.note("dead", outlet, e.ID, reason) },
		Discarded:   func(outlet, id, reason string) { d.note("discarded", outlet, id, reason) },
		Disabled:    func(outlet, reason string) { d.note("disabled", outlet, reason+".") },
		Untold:      func(id, monitor string, names []string) { d.note("untold", id, monitor, strings.Join(names, ",")) },
		Distrusted:  func(kind, key string, err error) { d.note("distrusted", kind, key, err.Error()) },
		StoreFailed: func(err error) { d.note("store", err.Error()) },
	}
}

var (
	errDown    = &outlets.Failure{Err: errors.New("connection refused")}
	errRefused = &outlets.Failure{Status: 400, Refused: true, Err: errors.New("the answer was 400")}
	errGone    = &outlets.Failure{Status: 410, Gone: true, Err: errors.New("the answer was 410")}
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnOutletThatIsGoneForTwoDays: nothing is lost, it is asked seldom, and what waited is told within minutes of its return, in
// its order.
func TestAnOutletThatIsGoneForTwoDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := bolt(t) // opened here, else its channels would hold the bubble's clock
		f := &fake{fail: func(*outlets.Event) error { return errDown }}
		said := &diary{}
		q := outlets.New(store, outlets.Options{Outlets: one("hook", f), Alone: true, Events: said.events()})
		stop := start(t, q)
		var want []string
		for n := range 100 {
			e := event(n%7, n)
			must(t, q.Put(t.Context(), "hook", e))
			want = append(want, e.ID)
			time.Sleep(28 * time.Minute)
		}
		if tries := f.attempts(); tries > 48*60/5*3/2 || tries < 100 || len(f.got()) > 0 {
			t.Errorf("%d attempts in two days, taken %d", tries, len(f.got()))
		}
		if s := q.Here()[0]; s.State != outlets.StateFailing || s.Queued != 100 || !strings.Contains(s.Error, "refused") || s.Since.IsZero() {
			t.Errorf("%+v", s)
		}
		f.failWith(nil)
		time.Sleep(7 * time.Minute)
		if got := f.got(); !slices.Equal(got, want) {
			t.Errorf("%d of %d told, or in another order", len(got), len(want))
		}
		stop()
		if left := records(t, store, outlets.KindQueue); len(left) > 0 || said.count("dead") > 0 {
			t.Error(len(left), said.count("dead"))
		}
	})
}

// TestAnOutletThatNeverReturns: after three days its events are dead letters, and can be tried again.
func TestAnOutletThatNeverReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := bolt(t) // opened here, else its channels would hold the bubble's clock
		f := &fake{fail: func(*outlets.Event) error { return errDown }}
		said := &diary{}
		q := outlets.New(store, outlets.Options{Outlets: one("hook", f), Alone: true, Events: said.events()})
		stop := start(t, q)
		for n := range 10 {
			must(t, q.Put(t.Context(), "hook", event(n, n)))
		}
		time.Sleep(75 * time.Hour)
		if said.count("dead") > 0 {
			t.Error("given up too early")
		}
		time.Sleep(2 * time.Hour)
		letters, more, err := q.Letters(t.Context(), "hook", 4)
		if err != nil || !more || len(letters) != 4 || said.count("dead") != 10 || !strings.Contains(letters[0].Reason, "connection refused") {
			t.Error(letters, more, err, said.count("dead"))
		}
		f.failWith(nil)
		if done, err := q.Retry(t.Context(), "hook", letters[2].ID); done != 1 || err != nil {
			t.Error(done, err)
		}
		if _, err := q.Retry(t.Context(), "hook", letters[2].ID); !errors.Is(err, outlets.ErrNone) {
			t.Error(err)
		}
		if done, err := q.Drop(t.Context(), "hook", letters[3].ID, false); done != 1 || err != nil {
			t.Error(done, err)
		}
		if done, err := q.Retry(t.Context(), "hook", ""); done != 8 || err != nil {
			t.Error(done, err)
		}
		time.Sleep(time.Minute)
		if got := f.got(); len(got) != 9 || got[0] != letters[2].ID && !slices.Contains(got, letters[2].ID) {
			t.Error(got)
		}
		stop()
		if s := q.Here()[0]; s.State != outlets.StateOK || s.Dead != 0 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestWhatIsRefusedHoldsUpItsSubjectAlone: on the schedule of Standard Webhooks, and then it is dead and the next goes.
func TestWhatIsRefusedHoldsUpItsSubjectAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := bolt(t) // opened here, else its channels would hold the bubble's clock
		bad := event(1, 1)
		var times []time.Time
		f := &fake{}
		f.failWith(func(e *outlets.Event) error {
			if e.ID == bad.ID {
				times = append(times, time.Now())
				return errRefused
			}
			return nil
		})
		said := &diary{}
		q := outlets.New(store, outlets.Options{Outlets: one("hook", f), Alone: true, Events: said.events()})
		stop := start(t, q)
		must(t, q.Put(t.Context(), "hook", bad, event(1, 2), event(2, 3)))
		time.Sleep(time.Hour)
		if got := f.got(); !slices.Equal(got, []string{event(2, 3).ID}) {
			t.Error("after an hour", got)
		}
		must(t, q.Put(t.Context(), "hook", event(2, 4)))
		time.Sleep(100 * time.Hour)
		if got := f.got(); !slices.Equal(got, []string{event(2, 3).ID, event(2, 4).ID, event(1, 2).ID}) {
			t.Error("at the end", got)
		}
		stop()
		if len(times) != 10 || said.count("dead hook "+bad.ID+" nobody took it: the answer was 400") != 1 {
			t.Error(times, said.said)
		}
		if last := times[len(times)-1].Sub(times[0]); last < 55*time.Hour || last > 96*time.Hour {
			t.Error("the last attempt was after", last)
		}
	})
}

// TestGone: 410 disables an outlet, over a restart too, until somebody says retry, or its place is another.
func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := bolt(t) // opened here, else its channels would hold the bubble's clock
		f := &fake{fail: func(*outlets.Event) error { return errGone }}
		said := &diary{}
		open := func() (*outlets.Queue, func()) {
			q := outlets.New(store, outlets.Options{Outlets: one("hook", f), Alone: true, Events: said.events()})
			return q, start(t, q)
		}
		q, stop := open()
		must(t, q.Put(t.Context(), "hook", event(1, 1), event(2, 2)))
		time.Sleep(time.Hour)
		stop()
		f.failWith(nil)
		q, stop = open()
		time.Sleep(time.Hour)
		if f.attempts() != 1 || q.Here()[0].State != outlets.StateDisabled || !strings.Contains(q.Here()[0].Error, "410") {
			t.Error(f.attempts(), q.Here())
		}
		all, err := q.Statuses(t.Context())
		if err != nil || all[0].State != outlets.StateDisabled || all[0].Queued != 2 {
			t.Error(all, err)
		}
		if _, err := q.Retry(t.Context(), "hook", ""); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if len(f.got()) != 2 || q.Here()[0].State != outlets.StateOK {
			t.Error(f.got(), q.Here())
		}
		stop()
		if said.count("disabled hook the answer was 410") != 1 || said.count("disabled hook .") != 1 {
			t.Error(said.said)
		}
		q, stop = open() // and stays so
		must(t, q.Put(t.Context(), "hook", event(3, 3)))
		time.Sleep(time.Minute)
		stop()
		if len(f.got()) != 3 {
			t.Error(f.got())
		}
	})
}

// TestFull: the oldest of the least severe gives way, what is less severe than all has no place, and nothing is lost silently.
func TestFull(t *testing.T) {
	store := bolt(t)
	said := &diary{}
	q := outlets.New(store, outlets.Options{Outlets: one("hook", &fake{}), Alone: true, MaxQueued: 3, MaxDead: 2, Events: said.events()})
	var sent []outlets.Event
	for i, severity := range []policy.Severity{"low", "high", "low", "critical", "low", "medium", "high", "high"} {
		n := notice(i, i, severity)
		sent = append(sent, outlets.Of(&n))
		must(t, q.Put(t.Context(), "hook", sent[i]))
	}
	var left []string
	for _, r := range records(t, store, outlets.KindQueue) {
		left = append(left, string(r.Value))
	}
	all := strings.Join(left, "")
	for i, want := range []bool{false, false, false, true, false, false, true, true} {
		if strings.Contains(all, sent[i].ID) != want {
			t.Errorf("event %d, %s: waits %v", i, sent[i].Data.Severity, !want)
		}
	}
	if len(left) != 3 || said.count("dead") != 5 || said.count("discarded") != 3 || len(records(t, store, outlets.KindDead)) != 2 {
		t.Error(len(left), said.said)
	}
}

// TestTellAndAgain: what waits is queued once, with one id, and each notice goes where its monitor says.
func TestTellAndAgain(t *testing.T) {
	store := bolt(t)
	said := &diary{}
	a, b, c := &fake{}, &fake{}, &fake{}
	q := outlets.New(store, outlets.Options{Alone: true, Events: said.events(), Outlets: []outlets.Named{{Name: "a", Outlet: a, Default: true},
		{Name: "b", Outlet: b}, {Name: "c", Outlet: c}}})
	p, faults := policy.New(monitored(), policy.World{Outlets: []string{"b", "c", "lost"}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	told := []findings.Notice{notice(1, 1, "low"), notice(2, 2, "low"), notice(3, 3, "low"), notice(4, 4, "low")}
	told[1].Monitor, told[2].Monitor, told[3].Monitor = "plain", "", "lost"
	told[2].What, told[2].Case = findings.ToldExceptionEnding, ""
	for range 3 {
		must(t, q.Tell(t.Context(), p, told))
	}
	if n := len(records(t, store, outlets.KindQueue)); n != 5 {
		t.Error(n)
	}
	start(t, q)
	eventually(t, "all is told", func() bool { return len(a.got()) == 3 && len(b.got()) == 1 && len(c.got()) == 1 })
	none := outlets.New(store, outlets.Options{Events: said.events(), Outlets: []outlets.Named{{Name: "b", Outlet: b}}})
	must(t, none.Tell(t.Context(), p, told[3:]))
	if said.count("untold") != 1 {
		t.Error(said.said)
	}
	nowhere := outlets.New(store, outlets.Options{Events: said.events()})
	must(t, nowhere.Tell(t.Context(), p, told))
	if err := nowhere.Put(t.Context(), "x", event(1, 1)); !errors.Is(err, outlets.ErrUnknown) || said.count("untold") != 1 {
		t.Error(err)
	}
}

// monitored is a policy of monitors alone.
func monitored() policy.Spec {
	monitor := func(name string, tell ...string) policy.Monitor {
		return policy.Monitor{Meta: policy.Meta{Name: name, Owner: "secops"}, Watch: []string{"drift"}, Severity: "low",
			CloseWithin: time.Hour, Tell: tell}
	}
	return policy.Spec{Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "x", Contact: "x@acme.example"},
		Teams: map[string]policy.Team{"secops": {Contact: "s@acme.example"}}}},
		Monitors: []policy.Monitor{monitor("drift", "b", "c"), monitor("plain"), monitor("lost", "lost")}}
}
