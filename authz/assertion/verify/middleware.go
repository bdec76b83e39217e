package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The bounds of waiting for a key that is not held yet.
const (
	maxWaiting = 64              // requests that wait at once; more are answered 503 at once
	waitAtMost = 2 * time.Second // each of them
	waitStep   = 20 * time.Millisecond
)

type claimsKey struct{}

// FromContext returns the claims of the assertion that a request came with; false: it went through no Require.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(claimsKey{}).(Claims)
	return c, ok
}

// Require admits requests with an assertion that counts, and hands its claims to next (FromContext). Any other request is
// answered 401, or, where its key cannot be had within two seconds, 503. What was wrong is for the operator: Refused of
// RequireWith tells it, and the client is told nothing.
func (v *Verifier) Require(next http.Handler) http.Handler { return v.RequireWith(next, nil) }

// RequireWith is Require, and calls refused, which may be nil, for each request that is not admitted.
func (v *Verifier) RequireWith(next http.Handler, refused func(r *http.Request, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, err := v.ofRequest(r)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
			return
		}
		if refused != nil {
			refused(r, err)
		}
		w.Header().Set("Cache-Control", "no-store")
		if errors.Is(err, ErrUnknownKey) {
			w.Header().Set("Retry-After", "10")
			http.Error(w, "Who calls cannot be verified at the moment.", http.StatusServiceUnavailable)
			return
		}
		http.Error(w, "This request did not come through the gateway.", http.StatusUnauthorized)
	})
}

// ofRequest wants exactly one assertion. Where its key is not held, it waits for the keys that Verify has asked for.
func (v *Verifier) ofRequest(r *http.Request) (Claims, error) {
	values := r.Header.Values(Header)
	if len(values) != 1 {
		return Claims{}, fmt.Errorf("the request has %d headers %s; exactly 1 is expected", len(values), Header)
	}
	claims, err := v.Verify(values[0])
	if !errors.Is(err, ErrUnknownKey) {
		return claims, err
	}
	select {
	case v.waiting <- struct{}{}:
		defer func() { <-v.waiting }()
	default:
		return claims, err
	}
	step := time.NewTicker(waitStep)
	defer step.Stop()
	end := time.NewTimer(waitAtMost)
	defer end.Stop()
	held, _ := v.keys.Keys(v.now()) // why there are none has been said
	for {
		select {
		case <-r.Context().Done():
			return Claims{}, errors.Join(err, r.Context().Err())
		case <-end.C:
			return claims, err
		case <-step.C:
		}
		if now, _ := v.keys.Keys(v.now()); now != held {
			return v.Verify(values[0])
		}
	}
}
