package authz

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// sessionUser is a user of a session, whose token was issued at an instant.
func sessionUser(session, acr string, issued time.Time, amr ...string) *identity.User {
	return &identity.User{Issuer: "corp", Name: "ana", Subject: "ana", ACR: acr, AMR: amr, AuthTime: issued, Session: session,
		Moves: identity.MovesOnRefresh, Issued: issued, SeenAs: identity.SeenAs{Session: session, Login: fmt.Sprint(session, acr, amr)}}
}

func mustLook(t *testing.T, m *LoginMemory, user *identity.User, at time.Time) *identity.FirstSeen {
	t.Helper()
	seen, err := m.Look(user, at)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

var patientLogins = LoginOptions{Within: 10 * time.Second}

// TestALoginOnlyAges: whoever sees it again, sees it as old as it was first seen, by another process, after a restart, with
// a token that was refreshed, or by a clock that is ahead; what is proven only later is as old as that.
func TestALoginOnlyAges(t *testing.T) {
	t.Parallel()
	store := openBolt(t)
	start := time.Now().Truncate(time.Second).UTC()
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	here, there := NewLogins(store, patientLogins), NewLogins(store, patientLogins)
	weak := mustLook(t, here, sessionUser("s", "pwd", at(0), "pwd"), at(1))
	if want := at(0); !weak.Session.Equal(want) || !weak.ACR.Equal(want) || len(weak.AMR) != 1 || !weak.AMR[0].Equal(want) {
		t.Fatalf("first seen: %+v, issued at %s", weak, want)
	}
	for name, m := range map[string]*LoginMemory{"here": here, "there": there, "after a restart": NewLogins(store, patientLogins)} {
		if again := mustLook(t, m, sessionUser("s", "pwd", at(20), "pwd"), at(20)); !again.Session.Equal(at(0)) || !again.ACR.Equal(at(0)) {
			t.Errorf("refreshed, %s: %+v", name, again)
		}
	}
	strong := mustLook(t, there, sessionUser("s", "phr", at(30), "pwd", "hwk"), at(30))
	if !strong.Session.Equal(at(0)) || !strong.ACR.Equal(at(30)) || !strong.AMR[0].Equal(at(0)) || !strong.AMR[1].Equal(at(30)) {
		t.Errorf("a stronger login: %+v", strong)
	}
	for name, m := range map[string]*LoginMemory{"here": here, "there": there} {
		if again := mustLook(t, m, sessionUser("s", "phr", at(60), "hwk"), at(60)); !again.ACR.Equal(at(30)) || !again.AMR[0].Equal(at(30)) {
			t.Errorf("the stronger login, %s: %+v", name, again)
		}
	}
	if other := mustLook(t, here, sessionUser("other", "phr", at(60), "hwk"), at(60)); !other.Session.Equal(at(60)) || !other.ACR.Equal(at(60)) {
		t.Errorf("another session: %+v", other)
	}
	if ahead := mustLook(t, there, sessionUser("other", "phr", at(59), "hwk"), at(59)); !ahead.Session.Equal(at(59)) {
		t.Errorf("by a clock that is behind: %+v", ahead)
	}
	if recalled := here.Recall(sessionUser("s", "pwd", at(90), "pwd"), at(90)); recalled == nil || !recalled.ACR.Equal(at(0)) {
		t.Errorf("recalled: %+v", recalled)
	}
	if nobody := here.Recall(sessionUser("s", "mfa", at(90)), at(90)); nobody != nil {
		t.Errorf("what was never seen is recalled: %+v", nobody)
	}
}

// TestAStoreThatIsAwayMakesNothingYounger: what is known stays as old, what is not known is not made up, and a store that
// came back without its records learns them anew.
func TestAStoreThatIsAwayMakesNothingYounger(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	outage := errors.New("the store is down")
	records := openBolt(t)
	var told []error
	var mu sync.Mutex
	m := NewLogins(&failing{Records: records, err: func() error {
		if down.Load() {
			return outage
		}
		return nil
	}}, LoginOptions{Within: 10 * time.Second, Events: LoginEvents{Looked: func(_ time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	}}})
	start := time.Now().Truncate(time.Second).UTC()
	mustLook(t, m, sessionUser("s", "pwd", start), start)
	down.Store(true)
	if seen := m.Recall(sessionUser("s", "pwd", start.Add(time.Hour)), start.Add(time.Hour)); seen == nil || !seen.Session.Equal(start) {
		t.Errorf("known, the store is away: %+v", seen)
	}
	for _, user := range []*identity.User{sessionUser("s", "phr", start), sessionUser("new", "pwd", start)} {
		if seen, err := m.Look(user, start); !errors.Is(err, outage) || seen != nil {
			t.Errorf("not known, the store is away: %+v, %v", seen, err)
		}
		if m.Recall(user, start) != nil {
			t.Error("a look-up that failed is remembered")
		}
	}
	down.Store(false)
	kept, err := records.Record(t.Context(), KindLogin, "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := records.DeleteRecord(t.Context(), KindLogin, "s", kept.Revision); err != nil {
		t.Fatal(err)
	}
	later := start.Add(time.Hour)
	if seen := mustLook(t, m, sessionUser("s", "phr", later), later); !seen.Session.Equal(start) || !seen.ACR.Equal(later) {
		t.Errorf("after the store lost it: %+v", seen)
	}
	if seen := mustLook(t, NewLogins(records, patientLogins), sessionUser("s", "pwd", later), later); !seen.Session.Equal(start) {
		t.Errorf("another process, after the store lost it: %+v", seen)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 4 || told[0] != nil || told[1] == nil || told[2] == nil || told[3] != nil {
		t.Errorf("told: %v", told)
	}
}

// failing is Records that may fail.
type failing struct {
	signals.Records
	err func() error
}

func (f *failing) Record(ctx context.Context, kind, key string) (signals.Record, error) {
	if err := f.err(); err != nil {
		return signals.Record{}, err
	}
	return f.Records.Record(ctx, kind, key)
}

func (f *failing) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Records.PutRecord(ctx, r, expected)
}

// TestLoginsExpire with their session, and not while it is used.
func TestLoginsExpire(t *testing.T) {
	t.Parallel()
	store := openBolt(t)
	life := 2 * time.Hour
	m := NewLogins(store, LoginOptions{Within: 10 * time.Second, SessionLife: life})
	start := time.Now()
	expires := func() time.Time {
		r, err := store.Record(t.Context(), KindLogin, "s")
		if err != nil {
			t.Fatal(err)
		}
		return r.Expires.UTC()
	}
	mustLook(t, m, sessionUser("s", "pwd", start), start)
	first := expires()
	if !first.Equal(start.Add(life)) {
		t.Errorf("expires at %s", first)
	}
	soon := start.Add(life/2 - time.Second)
	if m.Recall(sessionUser("s", "pwd", soon), soon) == nil || !expires().Equal(first) {
		t.Error("written again without need")
	}
	due := start.Add(life/2 + time.Second)
	if m.Recall(sessionUser("s", "pwd", due), due) == nil {
		t.Fatal("not known")
	}
	for deadline := time.Now().Add(10 * time.Second); !expires().Equal(due.Add(life)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a session in use expires at %s", expires())
		}
	}
}

// TestManySeeALoginAtOnce: whoever comes first, all processes agree in the end, and none has it younger.
func TestManySeeALoginAtOnce(t *testing.T) {
	t.Parallel()
	store := openBolt(t)
	start := time.Now().Truncate(time.Second).UTC()
	memories := []*LoginMemory{NewLogins(store, patientLogins), NewLogins(store, patientLogins), NewLogins(store, patientLogins)}
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			at := start.Add(time.Duration(i) * time.Minute)
			seen, err := memories[i%3].Look(sessionUser("s", fmt.Sprint("acr", i%4), at), at)
			if err != nil || seen.Session.After(at) || seen.ACR.After(at) {
				t.Errorf("%d: %+v, %v", i, seen, err)
			}
		})
	}
	all.Wait()
	late := start.Add(time.Hour)
	for i, m := range memories {
		if len(m.turns.named) != 0 {
			t.Errorf("memory %d: turns are left behind: %v", i, m.turns.named)
		}
		for word := range 4 {
			// A memory knows what it was told itself and what was in the store then, which need not be all that came later.
			_, _ = m.Look(sessionUser("s", "another", late), late)
			m.logins = identity.NewMemory[string, *rememberedLogin](maxLogins, strings.Clone)
			seen := mustLook(t, m, sessionUser("s", fmt.Sprint("acr", word), late), late)
			if !seen.Session.Equal(start) || !seen.ACR.Equal(start.Add(time.Duration(word)*time.Minute)) {
				t.Errorf("memory %d, word %d: %+v", i, word, seen)
			}
		}
	}
}

// TestAPageAsksForManyThings: the first requests of a session come together, all are answered, and the store is asked once
// or twice and not for each.
func TestAPageAsksForManyThings(t *testing.T) {
	t.Parallel()
	store := &asking{Records: openBolt(t)}
	m := NewLogins(store, patientLogins)
	at := time.Now().Truncate(time.Second).UTC()
	var all sync.WaitGroup
	for range maxLoginLooks {
		all.Go(func() {
			if seen, err := m.Look(sessionUser("s", "pwd", at), at); err != nil || !seen.Session.Equal(at) {
				t.Errorf("%+v, %v", seen, err)
			}
		})
	}
	all.Wait()
	if n := store.n.Load(); n > maxLoginLooks/4 {
		t.Errorf("the store was asked %d times", n)
	}
}

// asking counts how often a record was asked for.
type asking struct {
	signals.Records
	n atomic.Int32
}

func (a *asking) Record(ctx context.Context, kind, key string) (signals.Record, error) {
	a.n.Add(1)
	return a.Records.Record(ctx, kind, key)
}

// TestATurnIsNotWaitedForForEver: who waits for too long leaves, and is in nobody's way.
func TestATurnIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	var all turns
	done, err := all.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(ended, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	other, err := all.take(ended, "b") // nobody is in the way; either may be seen first
	if err == nil {
		other()
	}
	done()
	if done, err = all.take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	done()
	if len(all.named) != 0 {
		t.Errorf("left behind: %v", all.named)
	}
}

// TestWhatIsStoredOfASession is bounded, and what cannot be read is no new session.
func TestWhatIsStoredOfASession(t *testing.T) {
	t.Parallel()
	store := openBolt(t)
	m := NewLogins(store, patientLogins)
	start := time.Now().Truncate(time.Second).UTC()
	for i := range 3 * maxSessionWords {
		at := start.Add(time.Duration(i) * time.Second)
		seen := mustLook(t, m, sessionUser("s", fmt.Sprint("acr ", i), at), at)
		if want := at; i >= maxSessionWords && !seen.ACR.Equal(start) || i < maxSessionWords && !seen.ACR.Equal(want) {
			t.Fatalf("word %d: %s", i, seen.ACR)
		}
	}
	kept, err := store.Record(t.Context(), KindLogin, "s")
	if err != nil || len(kept.Value) > 64*maxSessionWords {
		t.Errorf("%d bytes are stored, %v", len(kept.Value), err)
	}
	for i, bad := range []string{"{}", "[]", `{"first":0}`, `{"first":-5}`, `{"first":1,"else":2}`, `{"first":1}{}`, "x", `{"first":1.5}`} {
		key := fmt.Sprint("bad ", i)
		if err := store.PutRecord(t.Context(), signals.Record{Kind: KindLogin, Key: key, Revision: 1, Value: []byte(bad)}, 0); err != nil {
			t.Fatal(err)
		}
		if seen, err := m.Look(sessionUser(key, "pwd", start), start); err == nil {
			t.Errorf("%s is read as %+v", bad, seen)
		}
	}
}

// hanging is a store that answers nobody.
type hanging struct {
	signals.Records
	release chan struct{}
}

func (h hanging) Record(context.Context, string, string) (signals.Record, error) {
	<-h.release
	panic("a defect of the store")
}

// TestAStoreThatHangs holds no request for longer than it may wait, and not more of them than there are places.
func TestAStoreThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := NewLogins(hanging{release: release}, LoginOptions{Within: 2 * time.Second})
	user := sessionUser("s", "pwd", time.Now())
	if _, err := m.Look(user, time.Now()); !errors.Is(err, errLoginLate) {
		t.Errorf("a store that hangs: %v", err)
	}
	for i := range 2 * maxLoginLooks { // of sessions of their own: who waits for a turn leaves
		m.Note(sessionUser(fmt.Sprint("s", i), "pwd", time.Now()), time.Now())
	}
	if _, err := m.Look(user, time.Now()); !errors.Is(err, errLoginBusy) || len(m.looking) != maxLoginLooks {
		t.Errorf("with %d under way: %v", len(m.looking), err)
	}
	close(release)
	for deadline := time.Now().Add(10 * time.Second); len(m.looking) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are still under way", len(m.looking))
		}
	}
}
