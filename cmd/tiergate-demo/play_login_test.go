package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// SignIn is the company's OpenID provider: a token tells whose it is, how they signed in and what it is bound to.
func (c *company) SignIn(_ context.Context, as string, bound bool, l oidc.Login) (oidc.Token, error) {
	token := oidc.Token{Access: as, Type: "Bearer"}
	delete(c.ended, as) // a login of later
	switch {
	case c.spoil == "provider down":
		return token, errors.New("connection refused")
	case l.Method == oidc.ByKey && c.spoil != "provider cannot step up":
		token.Access += " strong"
	}
	switch {
	case bound:
		token.Access += " certificate"
	case l.Key != nil:
		token.Access, token.Type = token.Access+" key", "DPoP"
	}
	return token, nil
}

// identify refuses a token of the provider that does not count for the caller; else the caller is who the token says.
func (c *company) identify(r stage.Request) (stage.Request, *stage.Answer) {
	token, proof := r.Token, ""
	if text, has := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); has {
		token, proof = text, r.Header.Get("DPoP")
	}
	if token == "" {
		return r, nil
	}
	doubt := c.refuse(http.StatusUnauthorized, "identity-doubted")
	owner, _, _ := strings.Cut(token, " ")
	switch {
	case strings.Contains(token, "certificate") && owner != r.As && c.spoil != "bound tokens for everybody":
		return r, &doubt
	case !strings.Contains(token, "key"):
	case proof == "" && c.spoil != "no proof needed", c.proofs[proof] && c.spoil != "proofs count twice":
		return r, &doubt
	}
	if proof != "" {
		c.proofs[proof] = true
	}
	r.As, r.NoToken = owner, false
	if strings.Contains(token, "strong") {
		r.As += "-key"
	}
	return r, nil
}

// TestStoryNoticesEveryWrongLogin: a token that counts for whom it should not, or a provider that does not do what it is
// there for, is seen.
func TestStoryNoticesEveryWrongLogin(t *testing.T) {
	for spoil, hint := range map[string]string{
		"provider down":              "scene 10: ana on ana-laptop signs in with her password: connection refused",
		"provider cannot step up":    "as the challenge says: status 401, want 200",
		"no challenge":               "there was no challenge to answer",
		"bound tokens for everybody": "thief on ben-laptop sends that token: status 200, want 401",
		"no proof needed":            "sends that token without a proof: status 200, want 401",
		"proofs count twice":         "sends it with the same proof: status 200, want 401",
	} {
		_, differences := playIn(t, newCompany(spoil))
		if !strings.Contains(strings.Join(differences, "\n"), hint) {
			t.Errorf("%s: differences %q lack %q", spoil, differences, hint)
		}
	}
}

// TestNoProofWithoutAKey: a request cannot be dressed with a proof of a key that nobody has.
func TestNoProofWithoutAKey(t *testing.T) {
	var p play
	if r, err := p.dress(stage.Request{Host: "a", Path: "/"}, proven); err == nil {
		t.Error(fmt.Sprint("dressed: ", r))
	}
}
