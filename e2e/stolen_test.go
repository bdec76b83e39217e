package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// boundToken is ana's access token, bound to a certificate as RFC 8705 says.
func boundToken(t *testing.T, s *stage.Stage, holder *devca.Pair) string {
	t.Helper()
	digest := sha256.Sum256(holder.Certificate.Raw)
	raw, err := s.Cast.Issuer.Token("ana@acme.example", []string{"staff"}, time.Hour,
		map[string]any{"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestStolenTokens: a token that is bound to a laptop's certificate is worth nothing on another connection, whoever
// stole it and whatever else they know of its owner, before and after its owner used it.
func TestStolenTokens(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	ana := s.Cast.Pairs["ana-laptop"]
	raw := boundToken(t, s, ana)
	jkt, err := s.Cast.Issuer.Token("ana@acme.example", []string{"staff"}, time.Hour,
		map[string]any{"cnf": map[string]string{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})
	if err != nil {
		t.Fatal(err)
	}
	sameName, err := s.Cast.Devices.Device("ana-laptop", "C02ANA0001",
		time.Hour) // all names are the owner's, the key is not
	if err != nil {
		t.Fatal(err)
	}
	told := http.Header{"X-Forwarded-Client-Cert": {"Hash=" + ana.Fingerprint() + ";Cert=\"x\""}}
	type ask struct {
		name  string
		pair  *devca.Pair
		token string
		want  int
	}
	for _, a := range []ask{
		{"another's laptop, before its owner", s.Cast.Pairs["ben-laptop"], raw, 401},
		{"its owner", ana, raw, 200},
		{"another's laptop", s.Cast.Pairs["ben-laptop"], raw, 401},
		{"a certificate of the same names", sameName, raw, 401},
		{"a workload", s.Cast.Pairs["deployer"], raw, 401},
		{"its owner again", ana, raw, 200},
		{"a token that is bound otherwise, by its owner", ana, jkt, 401},
		{"a bearer token, by its owner", ana, s.Cast.Tokens["ana"], 200},
	} {
		for _, http1 := range []bool{true, false} {
			r := stage.Request{As: "ana", Host: stage.PortalHost, Pair: a.pair, Token: a.token, HTTP1: http1,
				Header: told.Clone()}
			answer := s.Ask(soon(t, 10*time.Second), r)
			if answer.Status != a.want || a.want == 401 && answer.Reason() != "identity-doubted" {
				t.Errorf("%s, HTTP/1 %t: %d %s %v", a.name, http1, answer.Status, answer.Reason(), answer.Err)
			}
		}
	}
}

// TestBoundTokensOnly: with senderConstrained: required a bearer token is refused even from its owner; until then serve
// has said that it counts.
func TestBoundTokensOnly(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreEmbedded)
	const warning = "count for whoever holds them"
	log := func() int {
		text, err := os.ReadFile(s.Path("logs", "serve.log"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), warning)
	}
	if n := log(); n != 1 {
		t.Errorf("serve said %d times that bearer tokens count", n)
	}
	settings, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	strict := strings.Replace(string(settings), "type: at+jwt\n", "type: at+jwt\n      senderConstrained: required\n", 1)
	if strict == string(settings) {
		t.Fatal("the settings have no issuer to make stricter")
	}
	if err := os.WriteFile(s.Settings(), []byte(strict), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(soon(t, time.Minute), "serve"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, stage.Request{As: "ana", Host: stage.PortalHost, Token: boundToken(t, s, s.Cast.Pairs["ana-laptop"])},
		200)
	answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost})
	if answer.Status != http.StatusUnauthorized || answer.Reason() != "identity-doubted" {
		t.Errorf("a bearer token: %d %s", answer.Status, answer.Reason())
	}
	if n := log(); n != 1 {
		t.Errorf("serve said %d times that bearer tokens count, once before they did not", n)
	}
}
