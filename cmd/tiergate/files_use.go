package main

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/config"
)

// followFiles has the CA certificates of a trust's files taken over as they change.
func (t *trust) followFiles(s *config.Settings, held *fileSet) {
	for i, d := range s.Identity.TrustDomains {
		held.onUse(domainBundle(i), func(raw []byte) error {
			return t.replace(func(o *identity.AuthorityOptions) { o.TrustDomains[d.Name] = raw })
		})
	}
	held.onUse(devicesBundle, func(raw []byte) error {
		return t.replace(func(o *identity.AuthorityOptions) { o.Devices = raw })
	})
}

// replace puts another bundle of a file into force if it can stand beside all others; else everything stays.
func (t *trust) replace(change func(*identity.AuthorityOptions)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.fixed
	t.fixed.TrustDomains = maps.Clone(before.TrustDomains)
	change(&t.fixed)
	authority, err := t.with(t.held)
	if err != nil {
		t.fixed = before
		return err
	}
	t.authority.Store(authority)
	return nil
}

// fileKeys are the keys of an issuer as its file has them. It is a token.KeySource.
type fileKeys struct {
	of      token.Issuer
	current atomic.Pointer[jose.JSONWebKeySet]
}

// newFileKeys reads the keys; the error begins with the field.
func newFileKeys(x config.Issuer, setting string, held *fileSet) (*fileKeys, error) {
	raw, err := held.content(setting, x.JWKSFile)
	if err != nil {
		return nil, fmt.Errorf("jwksFile: %w", errors.Unwrap(err)) // the caller says of which issuer
	}
	k := &fileKeys{of: tokenIssuer(x)}
	if err := k.take(raw); err != nil {
		return nil, fmt.Errorf("jwksFile: %s: %w", x.JWKSFile, err)
	}
	held.onUse(setting, k.take)
	return k, nil
}

func (k *fileKeys) take(raw []byte) error {
	keys, err := jwks.Parse(raw)
	if err != nil {
		return err
	}
	issuer := k.of
	issuer.Keys = keys
	if _, err := token.New([]token.Issuer{issuer}); err != nil { // keys of which none fits are a slip, not a revocation
		return err
	}
	k.current.Store(&keys)
	return nil
}

// Keys are those that count now, whatever the instant: a file does not say until when they do.
func (k *fileKeys) Keys(time.Time) (*jose.JSONWebKeySet, error) { return k.current.Load(), nil }

// Ask does nothing: the file is followed anyway.
func (k *fileKeys) Ask() {}
