package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// credential is what a request of the story is sent with.
type credential uint8

const (
	ofCast      credential = iota // the caller's token, with which the stage began
	signedIn                      // the token of the last signIn, as a bearer token
	proven                        // that token, with a fresh DPoP proof
	provenAgain                   // that token, with the proof that was sent last
)

// signIn logs somebody in at the OpenID provider and then sends a request with the token.
type signIn struct {
	as           string // of the cast
	method       string
	asChallenged bool // with the acr_values and max_age of the last challenge
	certificate  bool // bound to the certificate of the caller's laptop
	key          bool // bound to a new DPoP key
	then         ask
}

// session is what the play remembers of sign-ins.
type session struct {
	token     oidc.Token
	key       *oidc.Key
	proof     string // the one that was sent last
	challenge string // the last WWW-Authenticate
}

// challenged reads the challenge of RFC 9470, section 3, as tiergate writes it.
var challenged = regexp.MustCompile(`^Bearer .*error="insufficient_user_authentication".* acr_values="([^"]+)", max_age="(\d+)"$`)

func (i signIn) perform(ctx context.Context, p *play, w want) got {
	login := oidc.Login{Method: i.method}
	if i.asChallenged {
		match := challenged.FindStringSubmatch(p.challenge)
		if match == nil {
			return got{err: fmt.Errorf("there was no challenge to answer: %q", p.challenge)}
		}
		seconds, err := strconv.Atoi(match[2])
		if err != nil {
			return got{err: err}
		}
		login.ACR, login.MaxAge = match[1], time.Duration(seconds)*time.Second
	}
	var err error
	i.then.use = signedIn
	if i.key {
		if login.Key, err = oidc.NewKey(); err != nil {
			return got{err: err}
		}
		i.then.use = proven
	}
	began := time.Now()
	if p.token, err = p.world.SignIn(ctx, i.as, i.certificate, login); err != nil {
		return got{err: err}
	}
	p.key = login.Key
	took := time.Since(began)
	g := i.then.perform(ctx, p, w)
	g.note = fmt.Sprintf("a %s token of the provider after %s", p.token.Type, milliseconds(took))
	return g
}

// dress gives a request its credential.
func (p *play) dress(r stage.Request, use credential) (stage.Request, error) {
	switch use {
	case signedIn:
		r.Token = p.token.Access
	case proven:
		method := r.Method
		if method == "" {
			method = http.MethodGet
		}
		path, _, _ := strings.Cut(r.Path, "?")
		if p.key == nil {
			return r, errors.New("nobody signed in with a key")
		}
		proof, err := p.key.Proof(method, "https://"+r.Host+path, p.token.Access)
		if err != nil {
			return r, err
		}
		p.proof = proof
		fallthrough
	case provenAgain:
		r.NoToken, r.Header = true, r.Header.Clone()
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set("Authorization", "DPoP "+p.token.Access)
		r.Header.Set("DPoP", p.proof)
	case ofCast:
	}
	return r, nil
}

// heard remembers what an answer asks for.
func (s *session) heard(a *stage.Answer) {
	if text := a.Header.Get("WWW-Authenticate"); text != "" {
		s.challenge = text
	}
}
