package redisstore

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
)

// TestSETsOutliveTheReceiver: pushed and polled, into a sealed store on a real Valkey, with the receiver dead at each call that it
// makes of the store, before the server has it and after. The next receiver has the whole truth: what was acknowledged counts,
// what was not comes again, each event is written once, and a sidecar refuses everybody whose sessions have ended.
func TestSETsOutliveTheReceiver(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	var users []string
	for _, polled := range []bool{false, true} {
		for _, lost := range []bool{false, true} {
			reached := true
			for n := 1; reached; n++ {
				user := fmt.Sprintf("user-%d-%v-%v", n, polled, lost)
				users = append(users, user)
				if reached = p.dieAt(t, user, n, polled, lost); n == 1 && !reached {
					t.Fatal("no call was reached")
				}
				if t.Failed() {
					t.Fatalf("at call %d, polled %v, lost %v", n, polled, lost)
				}
			}
		}
	}
	t.Logf("%d deaths", len(users)-4)
	if len(users) < 20 {
		t.Errorf("only %d deaths were tried", len(users))
	}
	s := p.sidecar(t)
	for _, user := range users {
		if !s.refuses(user) {
			t.Errorf("%s is still in", user)
		}
	}
	if s.refuses("nobody") {
		t.Error("somebody is out of whom nobody spoke")
	}
}

// dieAt delivers one SET to a receiver that dies at its n-th call, and then to the next. It tells whether it came to that.
func (p *provider) dieAt(t *testing.T, user string, n int, polled, lost bool) (reached bool) {
	t.Helper()
	written, revoked := p.written.Load(), p.revoked.Load()
	set, store := p.ends(t, user, user), &mortal{Store: p.sealed(), at: int64(n), lost: lost}
	first := p.begin(t, store, polled)
	promised := false
	if polled {
		p.do(func() { p.sets[user] = set })
	} else {
		promised = first.push(t, set) == http.StatusAccepted
	}
	until(t, "it has died, or the SET is dealt with", func() (done bool) {
		p.do(func() { done = promised || p.acked[user] })
		return store.dead() || done && p.waiting(t) == 0
	})
	for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end) && !store.dead(); {
		time.Sleep(time.Millisecond)
	}
	if polled {
		p.do(func() { p.deaf = true }) // whoever is dead says nothing more
	}
	first.end()
	p.do(func() { p.deaf = false })
	second := p.begin(t, p.sealed(), polled)
	defer second.end()
	if polled {
		until(t, "its acknowledgement", func() (acked bool) { p.do(func() { acked = p.acked[user] }); return acked })
	} else if status := second.push(t, set); !promised && status != http.StatusAccepted {
		t.Errorf("sent again: %d", status)
	}
	if status := second.push(t, set); status != http.StatusAccepted { // a repeated one is acknowledged again
		t.Errorf("repeated: %d", status)
	}
	p.dealt(t)
	if n := p.written.Load() - written; n != 1 {
		t.Errorf("the revocation was written %d times", n)
	}
	if n := p.revoked.Load() - revoked; n > 1 {
		t.Errorf("it was told as new %d times", n)
	}
	return store.dead()
}

// TestStrangersRevocations: whoever has the store's password, and no key of a receiver, can end nobody's login and keep nobody's
// from being ended.
func TestStrangersRevocations(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	l := p.begin(t, p.sealed(), false)
	of := func(user string) revocation.Revocation {
		return revocation.Revocation{Sort: revocation.Ended, Issuer: "corp", User: user, NotBefore: time.Now(), Until: time.Now().Add(time.Hour)}
	}
	ends := func(user, jti string) {
		t.Helper()
		if status := l.push(t, p.ends(t, user, jti)); status != http.StatusAccepted {
			t.Fatalf("%s: %d", jti, status)
		}
		p.dealt(t)
	}
	write := func(store signals.Records, record signals.Record) {
		t.Helper()
		before, err := p.raw.Record(t.Context(), record.Kind, record.Key)
		if err != nil {
			before = signals.Record{}
		}
		record.Revision = signals.NextRevision(before.Revision, time.Now())
		if err := store.PutRecord(t.Context(), record, before.Revision); err != nil {
			t.Fatal(err)
		}
	}
	record := func(user string) signals.Record {
		t.Helper()
		r, err := of(user).Record()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	running := p.sidecar(t)
	ends("ana", "1")
	until(t, "ana is out", func() bool { return running.refuses("ana") })
	stored, err := p.raw.Record(t.Context(), revocation.Kind, of("ana").Key())
	if err != nil {
		t.Fatal(err)
	}

	write(p.raw, record("unsigned"))
	other := newKey(t)
	write(signals.Sealed(p.raw, other, other.Checker()), record("of another key"))
	moved := stored
	moved.Key = of("moved").Key()
	write(p.raw, moved)
	write(p.raw, record("cleo")) // and then hers are ended in truth
	ends("cleo", "2")
	until(t, "cleo is out", func() bool { return running.refuses("cleo") })

	broken := stored
	broken.Value = append([]byte(nil), stored.Value...)
	broken.Value[len(broken.Value)-3] ^= 1
	write(p.raw, broken)
	for _, user := range []string{"unsigned", "of another key", "moved", "ana"} {
		until(t, user+" is told of", func() bool { return running.distrusts(of(user).Key()) })
	}
	gone, err := p.raw.Record(t.Context(), revocation.Kind, stored.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.raw.DeleteRecord(t.Context(), revocation.Kind, gone.Key, gone.Revision); err != nil {
		t.Fatal(err)
	}
	write(p.raw, stored) // as it was signed, under a revision that it was not signed for
	started := p.sidecar(t)
	for who, s := range map[string]*sidecar{"running": running, "started since": started} {
		for user, want := range map[string]bool{"unsigned": false, "of another key": false, "moved": false, "cleo": true, "ben": false} {
			if s.refuses(user) != want {
				t.Errorf("%s: %s is out: %v", who, user, !want)
			}
		}
	}
	if !running.refuses("ana") {
		t.Error("ana is let in again by who damages and removes her record")
	}
	ends("ana", "3") // said again, it counts for a sidecar that never saw the first
	until(t, "ana is out everywhere", func() bool { return started.refuses("ana") && running.refuses("ana") })
}
