package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// A login that the identity provider ends counts no longer: at once, at every sidecar, with its change stream or without; and
// it stays so when the record is gone from the store.
func TestRevokedAtFiveSidecars(t *testing.T) {
	c := newCrew(t, 5)
	revoke := func() (accepted time.Time) {
		t.Helper()
		receipt, err := c.s.EndSessions(t.Context(), "ana")
		if err != nil || receipt.Status != http.StatusAccepted || len(receipt.Body) != 0 {
			t.Fatalf("%d %s %v", receipt.Status, receipt.Body, err)
		}
		return time.Now()
	}
	accepted := revoke()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for i, checks := range c.checks {
		all.Go(func() {
			for ctx := soon(t, wait); ; time.Sleep(200 * time.Microsecond) {
				admitted, err := c.admits(ctx, checks)
				if err != nil {
					t.Errorf("sidecar %d: %v", i, err)
					return
				}
				if !admitted {
					mu.Lock()
					took = append(took, time.Since(accepted))
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("from 202 to the next decision at five sidecars: %s", figures(t, took))
	if admitted, err := c.admits(t.Context(), c.checks[0]); admitted || err != nil {
		t.Errorf("a token of before is admitted again: %v", err)
	}
	// The store is away: what is known goes on counting.
	if err := c.s.Kill("valkey"); err != nil {
		t.Fatal(err)
	}
	for i, checks := range c.checks {
		if admitted, err := c.admits(t.Context(), checks); admitted || err != nil {
			t.Errorf("sidecar %d admits without the store: %v", i, err)
		}
	}
}

// The whole way: Ana is in, her sessions are ended, her token is worth nothing at the next decision and the answer says so; a
// fresh login is let in. Nobody else notices.
func TestSessionRevokedByTheProvider(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	browser := s.Provider.Browser()
	anas := stage.Request{As: "ana", Host: stage.PortalHost, Token: login(t, browser, oidc.Login{}).Access}
	bens := stage.Request{As: "ben", Host: stage.PortalHost}
	wantAnswer(t, s, "before", anas, http.StatusOK, "allowed")
	receipt, err := s.EndSessions(t.Context(), "ana")
	if err != nil || receipt.Status != http.StatusAccepted {
		t.Fatalf("%d %s %v", receipt.Status, receipt.Body, err)
	}
	began := time.Now()
	eventually(t, s, anas, http.StatusUnauthorized)
	t.Logf("refused %v after the SET was accepted", time.Since(began))
	refused := wantAnswer(t, s, "ended", anas, http.StatusUnauthorized, "session-revoked")
	if challenge := refused.Header.Get("www-authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("the challenge is %q", challenge)
	}
	wantAnswer(t, s, "ben", bens, http.StatusOK, "allowed")
	// iat counts in seconds: what is issued in the second of the event could be from before it.
	time.Sleep(time.Until(began.Truncate(time.Second).Add(time.Second)))
	anas.Token = login(t, s.Provider.Browser(), oidc.Login{}).Access
	wantAnswer(t, s, "a fresh login", anas, http.StatusOK, "allowed")
}
