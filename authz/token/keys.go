package token

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
)

// KeySource is where the keys of a signer come from that change while we run; *jwks.Remote is one. Neither method
// waits: a flood of tokens that nobody can verify must not stand in the way of those that verify.
type KeySource interface {
	// Keys returns the keys that count at an instant. The same pointer is the same keys. The error says for the operator
	// why there are none.
	Keys(at time.Time) (*jose.JSONWebKeySet, error)
	// Ask tells that a token came which needs a key that is not there. The source decides whether and when it looks for
	// newer keys.
	Ask()
}

// keyring is the keys of one signer.
type keyring struct {
	of     string // who signs, for the operator: "issuer corp"
	fixed  jose.JSONWebKeySet
	source KeySource // nil: fixed is all there will be
	fits   func(jose.JSONWebKey, jose.SignatureAlgorithm) bool
}

// belief is a token that verified, and what that stands on.
type belief struct {
	proven identity.Proven
	window identity.Validity
	ring   *keyring
	keys   *jose.JSONWebKeySet // of all keys that the signer had then
	bound  binding
}

// holds reports whether verifying anew would come to the same end. Once the signer's keys are others, it may not: the
// one that signed can be gone.
func (b *belief) holds(at time.Time) bool {
	if !b.window.Covers(at) {
		return false
	}
	keys, err := b.ring.at(at)
	return err == nil && keys == b.keys
}

// at returns the signer's keys that count at an instant.
func (k *keyring) at(at time.Time) (*jose.JSONWebKeySet, error) {
	if k.source == nil {
		return &k.fixed, nil
	}
	keys, err := k.source.Keys(at)
	if err != nil {
		k.source.Ask()
		return nil, fmt.Errorf("the token cannot be verified: the keys of %s: %w: %w", k.of, err, identity.ErrUnchecked)
	}
	return keys, nil
}

// verify tries the keys that fit: those of the token's kid, or without one all, up to maxTries.
func (k *keyring) verify(keys *jose.JSONWebKeySet, t *jws, algorithm jose.SignatureAlgorithm, keyID *string) error {
	parsed, err := jose.ParseSignedCompact(t.raw, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return errors.New("the token is no JWS that can be verified")
	}
	tried := 0
	for _, key := range keys.Keys {
		if keyID != nil && key.KeyID != *keyID || !k.fits(key, algorithm) {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if signed, err := parsed.Verify(key.Key); err == nil && bytes.Equal(signed, t.payload) {
			return nil
		}
	}
	if k.source != nil && (tried == 0 || keyID == nil) {
		k.source.Ask() // a wrong signature of a key that is known is no reason to
	}
	switch {
	case tried == 0 && keyID != nil:
		return fmt.Errorf("%s has no key for %s with the token's kid %.64q", k.of, algorithm, *keyID)
	case keyID != nil:
		return fmt.Errorf("the token's signature does not verify with the key of its kid %.64q of %s", *keyID, k.of)
	case tried > maxTries:
		return fmt.Errorf("the token names no kid and none of the first %d keys of %s verifies it", maxTries, k.of)
	}
	return fmt.Errorf("the token's signature does not verify with any key of %s", k.of)
}

// fitsSVID is jwks.Fits for the keys of a trust domain: a bundle says use jwt-svid (SPIFFE trust domain and bundle,
// section 4.2.2), and what SPIRE's Workload API serves says none. Its keys come unchecked, so their strength is judged
// here.
func fitsSVID(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Use != "" && key.Use != "jwt-svid" {
		return false
	}
	key.Use = ""
	return jwks.Fits(key, algorithm) && jwks.CheckKey(key) == nil
}
