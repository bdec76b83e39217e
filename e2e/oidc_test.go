package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// aCompanyWithLogin is a company whose issuer is a real OpenID provider; the laptops of ana and ben are healthy.
func aCompanyWithLogin(t *testing.T) *stage.Stage {
	t.Helper()
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded, Login: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the provider's log:\n" + strings.Join(s.Processes.Tail("login", 30), "\n"))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, laptop := range []string{"ana-laptop", "ben-laptop"} {
		if err := makeHealthy(soon(t, time.Minute), s, laptop); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const ana = "ana@acme.example"

// login logs ana in and returns her access token.
func login(t *testing.T, b *oidc.Browser, l oidc.Login) oidc.Token {
	t.Helper()
	l.User = ana
	token, err := b.Login(soon(t, 20*time.Second), l)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// wantAnswer sends requests over HTTP/1.1 and HTTP/2, and wants the same answer to both.
func wantAnswer(t *testing.T, s *stage.Stage, what string, r stage.Request, status int, reason string) (last stage.Answer) {
	t.Helper()
	for _, http1 := range []bool{true, false} {
		r.HTTP1 = http1
		last = s.Ask(soon(t, 10*time.Second), r)
		if last.Status != status || last.Reason() != reason {
			t.Errorf("%s, HTTP/1 %t: %d %s %v, want %d %s", what, http1, last.Status, last.Reason(), last.Err, status, reason)
		}
	}
	return last
}

// TestRealProviderStepUp: a user of a real provider is admitted; where the login does not do, the challenge says what to ask
// the provider for (RFC 9470), and the token that the provider then issues does, until the login has aged.
func TestRealProviderStepUp(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	browser := s.Provider.Browser()
	console := stage.Request{As: "ana", Host: stage.PayrollHost, Path: "/console/runs"}
	portal := stage.Request{As: "ana", Host: stage.PortalHost}

	first := login(t, browser, oidc.Login{})
	portal.Token, console.Token = first.Access, first.Access
	answer := wantAnswer(t, s, "a password", portal, 200, "allowed")
	if got := answer.Echo.Headers["x-tiergate-subject"]; len(got) != 1 || got[0] != "corp/"+ana {
		t.Errorf("the upstream saw the subject %q", got)
	}
	answer = wantAnswer(t, s, "a password", console, 401, "step-up")
	challenge := answer.Header.Get("WWW-Authenticate")
	for _, part := range []string{`Bearer `, `error="insufficient_user_authentication"`, `acr_values="phr"`, `max_age="900"`} {
		if !strings.Contains(challenge, part) {
			t.Errorf("the challenge %q lacks %s", challenge, part)
		}
	}
	asked := oidc.Login{ACR: "phr", MaxAge: 15 * time.Minute, Method: oidc.ByKey}
	stronger := login(t, browser, asked)
	if console.Token = stronger.Access; !first.Asked || !stronger.Asked {
		t.Errorf("asked %t, then %t: the session of a password was enough for acr_values", first.Asked, stronger.Asked)
	}
	wantAnswer(t, s, "the login that was asked for", console, 200, "allowed")
	console.Token = first.Access
	wantAnswer(t, s, "the weaker token beside it", console, 401, "step-up")

	// The provider takes this login to be fifteen minutes old but for ten seconds.
	const left = 10 * time.Second
	began, other := time.Now(), s.Provider.Browser()
	aged := login(t, other, oidc.Login{Method: oidc.ByKey, ACR: "phr", Age: 15*time.Minute - left})
	console.Token = aged.Access
	wantAnswer(t, s, "a login that is nearly too old", console, 200, "allowed")
	if answer := eventually(t, s, console, 401); answer.Reason() != "step-up" || time.Since(began) < left-time.Second {
		t.Errorf("refused as %s after %s", answer.Reason(), time.Since(began))
	}
	fresh := login(t, other, asked) // the provider asks from the very second in which the login is refused
	if console.Token = fresh.Access; !fresh.Asked {
		t.Error("the provider's session is older than max_age, and nobody was asked")
	}
	wantAnswer(t, s, "a fresh login", console, 200, "allowed")
}

// TestRealProviderCertificateBound: a token that the provider bound to a laptop's certificate counts there and nowhere else.
func TestRealProviderCertificateBound(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	token, err := s.SignIn(soon(t, 20*time.Second), "ana", true, oidc.Login{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		pair, reason string
		status       int
	}{
		{"ben-laptop", "identity-doubted", 401},
		{"ana-laptop", "allowed", 200},
		{"ben-laptop", "identity-doubted", 401},
		{"deployer", "identity-doubted", 401},
		{"ana-laptop", "allowed", 200},
	} {
		wantAnswer(t, s, row.pair, stage.Request{Host: stage.PortalHost, Pair: s.Cast.Pairs[row.pair], Token: token.Access},
			row.status, row.reason)
	}
}

// TestRealProviderDPoP: a token that the provider bound to a key counts with a proof that was made for this very request
// (RFC 9449), once.
func TestRealProviderDPoP(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	keys := make([]*oidc.Key, 2)
	for i := range keys {
		var err error
		if keys[i], err = oidc.NewKey(); err != nil {
			t.Fatal(err)
		}
	}
	token := login(t, s.Provider.Browser(), oidc.Login{Key: keys[0]})
	others, bearer := login(t, s.Provider.Browser(), oidc.Login{Key: keys[0]}), s.Cast.Tokens["ana"]
	const here, elsewhere = "https://" + stage.PortalHost + "/reports", "https://" + stage.PayrollHost + "/reports"
	prove := func(key *oidc.Key, method, address, access string) string {
		t.Helper()
		proof, err := key.Proof(method, address, access)
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	send := func(scheme, access string, proofs ...string) stage.Request {
		return stage.Request{Host: stage.PortalHost, Path: "/reports?year=2026", Pair: s.Cast.Pairs["ana-laptop"],
			Header: http.Header{"Authorization": {scheme + " " + access}, "Dpop": proofs}}
	}
	for name, r := range map[string]stage.Request{
		"for another path":   send("DPoP", token.Access, prove(keys[0], "GET", here+"/2", token.Access)),
		"for another method": send("DPoP", token.Access, prove(keys[0], "POST", here, token.Access)),
		"for another host":   send("DPoP", token.Access, prove(keys[0], "GET", elsewhere, token.Access)),
		"for no token":       send("DPoP", token.Access, prove(keys[0], "GET", here, "")),
		"for another token":  send("DPoP", token.Access, prove(keys[0], "GET", here, others.Access)),
		"of another key":     send("DPoP", token.Access, prove(keys[1], "GET", here, token.Access)),
		"not there":          send("DPoP", token.Access),
		"two of them": send("DPoP", token.Access, prove(keys[0], "GET", here, token.Access),
			prove(keys[0], "GET", here, token.Access)),
		"not there, and a bearer":     send("Bearer", token.Access),
		"right, and a bearer":         send("Bearer", token.Access, prove(keys[0], "GET", here, token.Access)),
		"right, and an unbound token": send("DPoP", bearer, prove(keys[0], "GET", here, bearer)),
		"that is the token itself":    send("DPoP", token.Access, token.Access),
	} {
		challenge := wantAnswer(t, s, "a proof "+name, r, 401, "identity-doubted").Header.Get("WWW-Authenticate")
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.HasPrefix(challenge, scheme+" ") || strings.Contains(challenge, "algs=") != (scheme == "DPoP") {
			t.Errorf("a proof %s: the challenge to %s is %q", name, scheme, challenge)
		}
	}
	for _, http1 := range []bool{true, false} { // a proof each
		r := send("DPoP", token.Access, prove(keys[0], "GET", here, token.Access))
		r.HTTP1 = http1
		if answer := s.Ask(soon(t, 10*time.Second), r); answer.Status != 200 {
			t.Errorf("a right proof, HTTP/1 %t: %d %s %v", http1, answer.Status, answer.Reason(), answer.Err)
		}
		wantAnswer(t, s, "the same proof again", r, 401, "identity-doubted")
	}
	if r := send("Bearer", bearer); s.Ask(soon(t, 10*time.Second), r).Status != 200 {
		t.Error("her unbound token is refused, so that nothing above is shown")
	}
}

// TestRealProviderRotates: tokens of a new key are taken once its key has been fetched, those of the one before still are,
// and both while the provider is down.
func TestRealProviderRotates(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	portal := stage.Request{As: "ana", Host: stage.PortalHost}
	before, after := portal, portal
	before.Token = s.Cast.Tokens["ana"]
	if err := s.Provider.RotateKeys(soon(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	after.Token = login(t, s.Provider.Browser(), oidc.Login{}).Access
	began := time.Now()
	eventually(t, s, after, 200)
	t.Logf("the new key counted after %s", time.Since(began)) // at most one fetch in 10 s
	if err := s.Kill("login"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Provider.Browser().Login(soon(t, 10*time.Second), oidc.Login{User: ana}); err == nil {
		t.Fatal("the provider is not down")
	}
	for range 20 {
		wantAnswer(t, s, "a token of the new key while the provider is down", after, 200, "allowed")
		wantAnswer(t, s, "a token of the key before while the provider is down", before, 200, "allowed")
	}
}
