package token

import (
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
)

// KeySource is where the keys of an issuer come from that change while we run; *jwks.Remote is one. Neither method waits:
// a flood of tokens that nobody can verify must not stand in the way of those that verify.
type KeySource interface {
	// Keys returns the keys that count at an instant. The same pointer is the same keys. The error says for the operator
	// why there are none.
	Keys(at time.Time) (*jose.JSONWebKeySet, error)
	// Ask tells that a token came which needs a key that is not there. The source decides whether and when it looks for
	// newer keys.
	Ask()
}

// belief is a token that verified, and what that stands on.
type belief struct {
	user *identity.User
	from *issuer
	keys *jose.JSONWebKeySet // of all keys that the issuer had then
	// holder is the certificate that the token is bound to; nil: it counts for whoever has it.
	holder *identity.Thumbprint
}

// holds reports whether verifying anew would come to the same end. Once the issuer's keys are others, it may not: the
// one that signed can be gone.
func (b *belief) holds(at time.Time) bool {
	if !b.user.Token.Covers(at) {
		return false
	}
	keys, err := b.from.keysAt(at)
	return err == nil && keys == b.keys
}

// keysAt returns the issuer's keys that count at an instant.
func (i *issuer) keysAt(at time.Time) (*jose.JSONWebKeySet, error) {
	if i.Source == nil {
		return &i.Keys, nil
	}
	keys, err := i.Source.Keys(at)
	if err != nil {
		i.Source.Ask()
		return nil, fmt.Errorf("the token cannot be verified: the keys of issuer %s: %w", i.Name, err)
	}
	return keys, nil
}
