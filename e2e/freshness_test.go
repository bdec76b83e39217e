package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// claimsOf reads a token that somebody else verifies.
func claimsOf(t *testing.T, token string) (claims struct {
	AuthTime int64  `json:"auth_time"`
	Session  string `json:"sid"`
}) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestARefreshIsNoLogin: a real provider that writes a new auth_time into every token, also where nobody logged in, makes no
// login younger: neither by a refreshed token nor by single sign-on, nor after a restart. A login in a new session does.
func TestARefreshIsNoLogin(t *testing.T) {
	t.Parallel()
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded, Login: true, AuthTimeMoves: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	const maxAge = 10 * time.Second // within which a busy machine comes from a login to an answer
	if _, err := s.EditPolicy("access/tiers.yaml", "acr: [phr], maxAge: 15m,", "acr: [phr], maxAge: "+maxAge.String()+","); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := makeHealthy(soon(t, time.Minute), s, "ana-laptop"); err != nil {
		t.Fatal(err)
	}
	console := stage.Request{As: "ana", Host: stage.PayrollHost, Path: "/console/runs"}
	browser := s.Provider.Browser()
	first := login(t, browser, oidc.Login{Method: oidc.ByKey, ACR: "phr"})
	began := claimsOf(t, first.Access)
	console.Token = first.Access
	wantAnswer(t, s, "a fresh login", console, 200, "allowed")
	time.Sleep(maxAge + 1500*time.Millisecond)

	refreshed, err := browser.Refresh(soon(t, 10*time.Second), first)
	if err != nil {
		t.Fatal(err)
	}
	again := login(t, browser, oidc.Login{Method: oidc.ByKey, ACR: "phr"})
	for what, token := range map[string]oidc.Token{"a refreshed token": refreshed, "single sign-on": again} {
		now := claimsOf(t, token.Access)
		if token.Asked || now.Session != began.Session || now.Session == "" || time.Since(time.Unix(now.AuthTime, 0)) > maxAge {
			t.Fatalf("%s: asked %t, %+v after %+v: it shows nothing", what, token.Asked, now, began)
		}
		console.Token = token.Access
		wantAnswer(t, s, what, console, 401, "step-up")
	}
	if err := s.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(soon(t, time.Minute), "serve"); err != nil {
		t.Fatal(err)
	}
	last, err := browser.Refresh(soon(t, 10*time.Second), again)
	if err != nil {
		t.Fatal(err)
	}
	console.Token = last.Access
	answer := eventually(t, s, console, 401)
	if answer.Reason() != "step-up" {
		t.Errorf("refreshed, after a restart: %s", answer.Reason())
	}
	console.Token = login(t, s.Provider.Browser(), oidc.Login{Method: oidc.ByKey, ACR: "phr"}).Access
	wantAnswer(t, s, "a login in a session of its own", console, 200, "allowed")
}

// TestAWorkloadStepsUp: where a tier wants it, a workload shows a fresh JWT-SVID besides its certificate; without it the
// challenge says which.
func TestAWorkloadStepsUp(t *testing.T) {
	t.Parallel()
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded, Agent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	const maxAge = 10 * time.Second // within which a busy machine comes from a token to an answer
	if _, err := s.EditPolicy("access/tiers.yaml", "  identify: workload\n",
		"  identify: workload\n  stepUp: {svid: {maxAge: "+maxAge.String()+", audience: "+stage.AudienceRollout+"}}\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	deployer, err := s.Workload(soon(t, 10*time.Second), "deployer")
	if err != nil {
		t.Fatal(err)
	}
	defer deployer.Close()
	agent, err := workloadapi.New(soon(t, 10*time.Second), workloadapi.WithAddr("unix://"+s.Agent.Socket()))
	if err != nil {
		t.Fatal(err)
	}
	defer agent.Close()
	fetch := func(id, audience string) string {
		t.Helper()
		svid, err := agent.FetchJWTSVID(soon(t, 10*time.Second), jwtsvid.Params{Audience: audience, Subject: spiffeid.RequireFromString(id)})
		if err != nil {
			t.Fatal(err)
		}
		return svid.Marshal()
	}
	const challenge = `Bearer realm="tiergate", error="invalid_token", error_description="A JWT-SVID for rollout, at most 10 seconds ` +
		`old, is required besides the certificate"`
	ask := func(what, token string, status int, reason string) {
		t.Helper()
		for _, http1 := range []bool{true, false} {
			r := stage.Request{Host: stage.PayrollHost, Path: "/admin/runs", Token: token, NoToken: token == "", HTTP1: http1}
			answer := deployer.Ask(soon(t, 10*time.Second), r)
			if answer.Status != status || answer.Reason() != reason {
				t.Errorf("%s, HTTP/1 %t: %d %s %v, want %d %s", what, http1, answer.Status, answer.Reason(), answer.Err, status, reason)
			}
			if got := answer.Header.Get("WWW-Authenticate"); reason == "step-up" && got != challenge {
				t.Errorf("%s: the challenge is %q", what, got)
			}
		}
	}
	deployerID := deployerOf(t, deployer)
	ask("no JWT-SVID", "", 401, "step-up")
	ask("one for tiergate", fetch(deployerID, "tiergate"), 401, "step-up")
	ask("one of another workload", fetch(stage.SecondEnvoyID, stage.AudienceRollout), 401, "identity-doubted")
	fresh := fetch(deployerID, stage.AudienceRollout)
	ask("a fresh one", fresh, 200, "allowed")
	time.Sleep(maxAge + 1100*time.Millisecond)
	ask("the same, too old", fresh, 401, "step-up")
	ask("a new one", fetch(deployerID, stage.AudienceRollout), 200, "allowed")
}

// deployerOf is the SPIFFE ID that a workload shows.
func deployerOf(t *testing.T, w *stage.Workload) string {
	t.Helper()
	pair, err := w.Pair()
	if err != nil {
		t.Fatal(err)
	}
	return pair.TLS().Leaf.URIs[0].String()
}
