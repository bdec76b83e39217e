package verify

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
)

const (
	// DefaultLeeway is what clocks may differ.
	DefaultLeeway = 30 * time.Second
	// MaxLeeway bounds Options.Leeway: tiergate publishes an old key for a minute longer than its last assertion lasts.
	MaxLeeway = time.Minute
)

// ErrUnknownKey is wrapped by an error about an assertion that a key signed which is not held now: tiergate may have
// started anew, and its keys have been asked for. The request may be tried again in a few seconds.
var ErrUnknownKey = errors.New("no key that is held has its kid")

// KeySource holds the keys of tiergate; *jwks.Remote is one.
type KeySource interface {
	// Keys returns the keys that count at an instant, or why there are none.
	Keys(at time.Time) (*jose.JSONWebKeySet, error)
	// Ask asks for newer keys, in the background and not more often than is good; it never waits.
	Ask()
}

// Options say whose assertions count. JWKSURL or Keys stands.
type Options struct {
	Issuer   string // assertion.issuer of tiergate's settings
	Audience string // metadata.name of this application's Upstream in the policy
	// JWKSURL is https, or http on a loopback host: …/.well-known/jwks.json of metrics.listen or assertion.listen.
	JWKSURL string
	Roots   *x509.CertPool // who may sign the certificate of JWKSURL; nil: whom the system trusts
	Keys    KeySource
	Leeway  time.Duration    // at most MaxLeeway; 0: DefaultLeeway; less: none
	Now     func() time.Time // default time.Now
}

// Verifier verifies assertions. It is safe for concurrent use.
type Verifier struct {
	issuer, audience string
	keys             KeySource
	remote           *jwks.Remote // nil: the keys are somebody else's to keep
	leeway           time.Duration
	now              func() time.Time
	waiting          chan struct{} // a place for each request that waits for a key
}

// New checks the options; it starts nothing.
func New(o Options) (*Verifier, error) {
	v := &Verifier{issuer: o.Issuer, audience: o.Audience, keys: o.Keys, leeway: o.Leeway, now: o.Now,
		waiting: make(chan struct{}, maxWaiting)}
	switch {
	case o.Issuer == "":
		return nil, errors.New("no issuer: name assertion.issuer of tiergate's settings")
	case o.Audience == "":
		return nil, errors.New("no audience: name this application's Upstream, or assertions for others would count here")
	case (o.JWKSURL == "") == (o.Keys == nil):
		return nil, errors.New("keys come from exactly one place: set JWKSURL or Keys")
	case o.Leeway > MaxLeeway:
		return nil, fmt.Errorf("a leeway of %s is more than %s", o.Leeway, MaxLeeway)
	case o.Leeway == 0:
		v.leeway = DefaultLeeway
	}
	v.leeway = max(v.leeway, 0)
	if v.now == nil {
		v.now = time.Now
	}
	if o.JWKSURL != "" {
		// While tiergate cannot be asked its requests do not arrive either, so that keys need not count for long.
		remote, err := jwks.New(jwks.Options{URL: o.JWKSURL, Roots: o.Roots, Stale: time.Hour})
		if err != nil {
			return nil, err
		}
		v.remote, v.keys = remote, remote
	}
	return v, nil
}

// Run fetches the keys of JWKSURL until ctx ends; without it no assertion verifies. It returns nil.
func (v *Verifier) Run(ctx context.Context) error {
	if v.remote == nil {
		<-ctx.Done()
		return nil
	}
	return v.remote.Run(ctx)
}

// Verify believes an assertion, or says which check failed; the error never holds the assertion. It never waits: where the
// key is not known, the error wraps ErrUnknownKey.
func (v *Verifier) Verify(assertion string) (Claims, error) {
	claims, err := v.verify(assertion, v.now())
	if err != nil {
		return Claims{}, fmt.Errorf("the assertion does not count: %w", err)
	}
	return claims, nil
}

func (v *Verifier) verify(assertion string, at time.Time) (Claims, error) {
	if len(assertion) > MaxBytes {
		return Claims{}, fmt.Errorf("it has %d bytes; the limit is %d", len(assertion), MaxBytes)
	}
	texts := strings.Split(assertion, ".")
	if len(texts) != 3 {
		return Claims{}, errors.New("it is no JWT of three parts")
	}
	var parts [3][]byte
	for i, text := range texts {
		if strings.ContainsAny(text, "\r\n") { // which encoding/base64 would leave out
			return Claims{}, errors.New("it is not base64url")
		}
		part, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil {
			return Claims{}, errors.New("it is not base64url without padding")
		}
		parts[i] = part
	}
	kid, err := checkHeader(parts[0])
	if err != nil {
		return Claims{}, err
	}
	if err := v.signature(kid, assertion[:len(texts[0])+1+len(texts[1])], parts[2], at); err != nil {
		return Claims{}, err
	}
	claims, err := readClaims(parts[1])
	if err != nil {
		return Claims{}, err
	}
	return claims, v.check(&claims, at)
}

// signature wants one of the keys of this kid to have signed. Envoy's and ours is the raw form of RFC 7518, section 3.4.
func (v *Verifier) signature(kid, signed string, signature []byte, at time.Time) error {
	set, err := v.keys.Keys(at)
	if err != nil {
		v.keys.Ask()
		return fmt.Errorf("%w (%.64q): %w", ErrUnknownKey, kid, err)
	}
	digest := sha256.Sum256([]byte(signed))
	known := false
	for _, key := range set.Keys {
		public, ok := key.Key.(*ecdsa.PublicKey)
		if key.KeyID != kid || !ok || !jwks.Fits(key, jose.ES256) {
			continue
		}
		known = true
		if len(signature) == 64 &&
			ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return nil
		}
	}
	if !known {
		v.keys.Ask()
		return fmt.Errorf("%w (%.64q)", ErrUnknownKey, kid)
	}
	return errors.New("its signature is not the key's")
}

// check judges what the issuer said: from whom, for whom, when.
func (v *Verifier) check(c *Claims, at time.Time) error {
	now, leeway := at.Unix(), int64(v.leeway/time.Second)
	switch {
	case c.Issuer != v.issuer:
		return fmt.Errorf("it is of issuer %.100q and not of %q", c.Issuer, v.issuer)
	case c.Audience != v.audience:
		return fmt.Errorf("it is for upstream %.100q and not for %q", c.Audience, v.audience)
	case c.Subject == "":
		return errors.New("it names no subject")
	case c.Expires <= c.IssuedAt || c.Expires <= c.NotBefore:
		return errors.New("it was over before it began")
	case now >= c.Expires+leeway:
		return fmt.Errorf("it is over since %s", time.Unix(c.Expires, 0).UTC().Format(time.RFC3339))
	case now < c.NotBefore-leeway || now < c.IssuedAt-leeway:
		return fmt.Errorf("it counts from %s; compare the clocks", time.Unix(max(c.NotBefore, c.IssuedAt), 0).UTC().Format(time.RFC3339))
	}
	return nil
}
