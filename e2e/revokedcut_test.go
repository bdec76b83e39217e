package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// relogin has ana log in anew: what was ended before is not this login. iat counts in seconds, so it waits for the next.
func (c *crew) relogin(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(c.s.Cast.Tokens["ana"], ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var before struct {
		Subject string   `json:"sub"`
		Groups  []string `json:"groups"`
		ACR     string   `json:"acr"`
	}
	if err := json.Unmarshal(payload, &before); err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"auth_time": time.Now().Unix(), "iat": time.Now().Unix()}
	if before.ACR != "" {
		claims["acr"] = before.ACR
	}
	if c.s.Cast.Tokens["ana"], err = c.s.Cast.Issuer.Token(before.Subject, before.Groups, time.Hour, claims); err != nil {
		t.Fatal(err)
	}
	c.ask = asks(c.s, "ana-laptop", "ana")
	c.until(t, "ana's new login is admitted", func(answer *authv3.CheckResponse) bool { return answer.GetStatus().GetCode() == 0 })
}

// until asks each sidecar until it answers so, and returns how long that took with each.
func (c *crew) until(t *testing.T, what string, is func(*authv3.CheckResponse) bool) []time.Duration {
	t.Helper()
	began, took := time.Now(), make([]time.Duration, len(c.checks))
	ctx := soon(t, wait)
	var all sync.WaitGroup
	for i, checks := range c.checks {
		all.Go(func() {
			for ; ; time.Sleep(500 * time.Microsecond) { // five ask at once, on few cores
				answer, err := checks.Check(ctx, c.ask)
				if err != nil {
					t.Errorf("sidecar %d: %s: %v", i, what, err)
					return
				}
				if is(answer) {
					took[i] = time.Since(began)
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return took
}

// endSessions has ana's logins ended; it returns once the receiver has said 202.
func (c *crew) endSessions(t *testing.T) {
	t.Helper()
	receipt, err := c.s.EndSessions(t.Context(), "ana")
	if err != nil || receipt.Status != http.StatusAccepted {
		t.Fatalf("%d %s %v", receipt.Status, receipt.Body, err)
	}
}

// refused: signed out, or by who cannot know for too long.
func refused(answer *authv3.CheckResponse) bool {
	return refusedWith(http.StatusUnauthorized)(answer) || refusedWith(http.StatusServiceUnavailable)(answer)
}

func refusedWith(status int) func(*authv3.CheckResponse) bool {
	return func(answer *authv3.CheckResponse) bool {
		return answer.GetStatus().GetCode() != 0 && int(answer.GetDeniedResponse().GetStatus().GetCode()) == status
	}
}

// quickly is a setting that no sidecar should have who is to bear an outage: what has ended may be unknown for 5 s.
var quickly = [2]string{"\nidentity:\n", "\nidentity:\n  revocationsStale: 5s\n"}

// TestRevokedWithTheStreamCut: session-revoked accepted until each of five sidecars, which are processes, refuses the next
// request: with the change stream as it is, with the connections taken just before, silent, silent with the notices gone, and
// taken again and again meanwhile.
func TestRevokedWithTheStreamCut(t *testing.T) {
	t.Parallel()
	c := newCrew(t, 5, quickly)
	cuts, calm := fromEnv(t, "TIERGATE_CUTS", 1), time.Duration(0)
	if cuts > 1 {
		calm = 6 * time.Second // trouble in quick succession is waited for longer each time; so long after, it counts as new
	}
	run := func(what string, n int, before, meanwhile, after func()) {
		t.Helper()
		var took []time.Duration
		for range n {
			c.relogin(t)
			before()
			c.endSessions(t)
			meanwhile()
			took = append(took, c.until(t, "ana is refused", refused)...)
			after()
		}
		t.Logf("%s: 202 -> refused by each of %d sidecars, %d times: %s (load %s)", what, len(c.checks), n, figures(t, took), load())
	}
	taken := func(take func() int) func() {
		return func() {
			time.Sleep(calm)
			if n := take(); n < len(c.checks) {
				t.Fatalf("%d sidecars had %d connections through the gate: it is not where this test thinks", len(c.checks), n)
			}
		}
	}
	nothing := func() {}
	run("the change stream as it is", fromEnv(t, "TIERGATE_CHANGES", 1), nothing, nothing, nothing)
	if cuts > 1 { // else what follows shows it too
		run("connections ended", cuts, taken(c.gate.cut), nothing, nothing)
		run("connections silent", cuts, taken(c.gate.silence), nothing, nothing)
	}
	run("connections silent, and the change streams gone", cuts, taken(c.gate.silence), func() { c.forgetChanges(t, "record-changes:revocation") }, nothing)
	stop := nothing
	run("connections ended, again and again", cuts, func() {
		cutting, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ; cutting.Err() == nil; time.Sleep(200 * time.Millisecond) {
				c.gate.cut()
			}
		}()
		stop = func() { cancel(); <-ended }
	}, nothing, func() { stop() })
	c.relogin(t)
}

// TestRevokedWithoutTheStore: while the store is out of reach altogether a sidecar admits for revocationsStale and then nobody;
// what it could not know counts as soon as it is back, and who logs in after that is admitted.
func TestRevokedWithoutTheStore(t *testing.T) {
	t.Parallel()
	const stale = 10 * time.Second // in which a busy machine ends sessions and asks once
	c := newCrew(t, fromEnv(t, "TIERGATE_SIDECARS", 2), [2]string{quickly[0], strings.Replace(quickly[1], "5s", stale.String(), 1)})
	c.relogin(t)
	c.gate.block()
	blocked := time.Now()
	c.endSessions(t)
	c.until(t, "admitted as last known", func(answer *authv3.CheckResponse) bool { return answer.GetStatus().GetCode() == 0 })
	took := c.until(t, "nobody is admitted", refusedWith(http.StatusServiceUnavailable))
	if first := time.Since(blocked); first < stale {
		t.Errorf("refused after %s already", first)
	}
	t.Logf("the store out of reach: 202 -> 503 at each of %d sidecars, of which %s are revocationsStale: %s", len(c.checks), stale,
		figures(t, took))
	c.gate.open()
	t.Logf("the store back -> 401: %s", figures(t, c.until(t, "ana is refused", refusedWith(http.StatusUnauthorized))))
	c.relogin(t)
}
