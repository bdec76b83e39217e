package redisstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// TestALoginIsAsOldAtEverySidecar: two of them with the user of a sidecar agree on when a session and its factors were first
// seen; while the server is away nothing becomes younger, and afterwards it is as before. A sidecar removes no such record.
func TestALoginIsAsOldAtEverySidecar(t *testing.T) {
	t.Parallel()
	live := serve(t)
	live.do(t, sidecarACL(t)...)
	patient := authz.LoginOptions{Within: patience}
	stores := []*Store{openSidecar(t, live), openSidecar(t, live)}
	one, other := authz.NewLogins(stores[0], patient), authz.NewLogins(stores[1], patient)
	start := time.Now().Truncate(time.Second).UTC()
	user := func(session int, acr string) *identity.User {
		name := fmt.Sprint("session ", session)
		return &identity.User{Subject: "ana", ACR: acr, Session: name, Moves: identity.MovesOnRefresh,
			SeenAs: identity.SeenAs{Session: name, Login: name + acr}}
	}
	minutes := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	look := func(m *authz.LoginMemory, u *identity.User, at time.Time) *identity.FirstSeen {
		t.Helper()
		var seen *identity.FirstSeen
		patiently(t, func() (err error) { seen, err = m.Look(u, at); return err })
		return seen
	}
	for i := range 40 { // in every shard
		look(one, user(i, "pwd"), minutes(0))
		if seen := look(other, user(i, "phr"), minutes(10)); !seen.Session.Equal(minutes(0)) || !seen.ACR.Equal(minutes(10)) {
			t.Fatalf("the other sidecar: %+v", seen)
		}
		if seen := look(one, user(i, "phr"), minutes(20)); !seen.ACR.Equal(minutes(10)) {
			t.Fatalf("what the other has first seen: %+v", seen)
		}
	}
	noted, err := stores[0].Record(t.Context(), authz.KindLogin, "session 1")
	if err != nil || noted.Expires.Before(minutes(0).Add(authz.DefaultSessionLife)) {
		t.Fatalf("%+v, %v", noted, err)
	}
	says(t, stores[0].DeleteRecord(t.Context(), authz.KindLogin, "session 1", noted.Revision), "may not")
	says(t, stores[0].PutRecord(t.Context(), signals.Record{Kind: "grace", Key: "a", Revision: 1}, 0), "may not")

	live.kill()
	if seen := one.Recall(user(0, "phr"), minutes(30)); seen == nil || !seen.ACR.Equal(minutes(10)) {
		t.Errorf("what is known, while the server is away: %+v", seen)
	}
	if seen, err := one.Look(user(99, "phr"), minutes(30)); err == nil || errors.Is(err, signals.ErrNotFound) {
		t.Errorf("what is new, while the server is away: %+v, %v", seen, err)
	}
	live.start(t)
	live.do(t, sidecarACL(t)...) // kept in no file here
	if seen := look(authz.NewLogins(openSidecar(t, live), patient), user(7, "phr"), minutes(60)); !seen.Session.Equal(minutes(0)) ||
		!seen.ACR.Equal(minutes(10)) {
		t.Errorf("a new process, after the server was away: %+v", seen)
	}
}
