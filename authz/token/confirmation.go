package token

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// The confirmation methods that are understood.
const (
	// certificateMember is base64url of the SHA-256 of the DER of the certificate that the client authenticated with
	// (RFC 8705, section 3.1).
	certificateMember = "x5t#S256"
	// keyMember is base64url of the SHA-256 thumbprint (RFC 7638) of the key that signs the proofs (RFC 9449, section
	// 6.1).
	keyMember = "jkt"
)

// binding is what a token is bound to; the zero binding is that of a bearer token.
type binding struct {
	certificate *identity.Thumbprint
	key         *[sha256.Size]byte
}

// holding is one word for it. A token that is bound to both is sent as one that is bound to a key.
func (b binding) holding() identity.Holding {
	switch {
	case b.key != nil:
		return identity.HeldByKey
	case b.certificate != nil:
		return identity.HeldByCertificate
	}
	return ""
}

// heldBy says why the token does not count for who sent it, and what must not have been seen before where it does. It
// is asked on every request: who sends a token is no property of the token, and a belief is what it proves whoever
// sends it.
func (v *Verifier) heldBy(b *belief, c *Credential, at time.Time) (Once, error) {
	shown, holder := c.Certificate, b.bound.certificate
	switch {
	case holder == nil:
	case shown == identity.Thumbprint{}:
		return Once{}, errors.New("the token is bound to a certificate (cnf x5t#S256, RFC 8705) and none was shown that is " +
			"believed: send it over the mTLS connection that it was issued for, and let Envoy tell the certificate " +
			"(include_peer_certificate)")
	case shown != *holder:
		return Once{}, fmt.Errorf("the token is bound to the certificate with SHA-256 %s and the peer showed the one with "+
			"%s: it is another's token, or its owner's certificate was renewed and needs a new token", holder, shown)
	}
	switch withKey := b.bound.key != nil; {
	case !withKey && c.Scheme == SchemeDPoP:
		return Once{}, errors.New("the token came with the DPoP scheme and is bound to no key (cnf jkt, RFC 9449): send it " +
			"as Bearer, or let the issuer bind it")
	case !withKey:
		return Once{}, nil
	case v.window == 0:
		return Once{}, errors.New("the token is bound to a key (cnf jkt, RFC 9449), and proofs of keys (DPoP) are not " +
			"verified here")
	case c.Scheme != SchemeDPoP:
		return Once{}, errors.New("the token is bound to a key (cnf jkt, RFC 9449) and came with the Bearer scheme: send " +
			"it with the DPoP scheme and a proof")
	}
	return v.checkProof(c, b.bound.key, at)
}

// confirmation reads cnf (RFC 7800, section 3.1). A binding that is not understood, in whole or in part, is an error:
// the token would otherwise count as a bearer token, which it was made not to be.
func (i *issuer) confirmation(claims map[string]json.RawMessage) (bound binding, err error) {
	raw, there := claims["cnf"]
	switch {
	case !there && i.SenderConstrained:
		return bound, fmt.Errorf("the token is bound to no certificate (cnf x5t#S256, RFC 8705) and no key (cnf jkt, "+
			"RFC 9449), and the settings of issuer %s say senderConstrained: required; let the issuer bind its tokens", i.Name)
	case !there:
		return bound, nil
	}
	var members map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &members) != nil {
		return bound, errors.New("the token's cnf is no object (RFC 7800)")
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		if member != certificateMember && member != keyMember {
			return bound, fmt.Errorf("the token is bound by cnf %.40q, which is not verified here, and is no bearer token: "+
				"let issuer %s bind it by x5t#S256 (RFC 8705) or jkt (RFC 9449) alone", member, i.Name)
		}
	}
	certificate, err := digestMember(members, certificateMember)
	if err != nil {
		return bound, err
	}
	if bound.key, err = digestMember(members, keyMember); err != nil {
		return bound, err
	}
	bound.certificate = (*identity.Thumbprint)(certificate)
	if bound == (binding{}) {
		return bound, errors.New("the token's cnf is empty; it names no certificate (x5t#S256) and no key (jkt)")
	}
	return bound, nil
}

// digestMember reads base64url of a SHA-256, nil where the member is missing.
func digestMember(members map[string]json.RawMessage, member string) (*[sha256.Size]byte, error) {
	text, there, err := textClaim(members, member)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the token's cnf %s is no text", member)
	case !there:
		return nil, nil
	}
	digest, err := decodeSegment(text)
	if err != nil || len(digest) != sha256.Size {
		return nil, fmt.Errorf("the token's cnf %s is no SHA-256 in its canonical base64url spelling (43 characters)", member)
	}
	return (*[sha256.Size]byte)(digest), nil
}
