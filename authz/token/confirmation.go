package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tiergate/tiergate/authz/identity"
)

// thumbprintMember is the one confirmation method that is understood (RFC 8705, section 3.1): base64url of the SHA-256
// of the DER of the certificate that the client authenticated with.
const thumbprintMember = "x5t#S256"

// heldBy is the user, or why the token does not count for who showed this certificate. It is asked on every request:
// who sends a token is no property of the token, and a belief is what it proves whoever sends it.
func (b *belief) heldBy(shown identity.Thumbprint) (*identity.User, error) {
	switch {
	case b.holder == nil:
		return b.user, nil
	case shown == identity.Thumbprint{}:
		return nil, errors.New("the token is bound to a certificate (cnf x5t#S256, RFC 8705) and none was shown that is " +
			"believed: send it over the mTLS connection that it was issued for, and let Envoy tell the certificate " +
			"(include_peer_certificate)")
	case shown != *b.holder:
		return nil, fmt.Errorf("the token is bound to the certificate with SHA-256 %s and the peer showed the one with "+
			"%s: it is another's token, or its owner's certificate was renewed and needs a new token", b.holder, shown)
	}
	return b.user, nil
}

// confirmation reads cnf (RFC 7800, section 3.1). A binding that is not understood, in whole or in part, is an error:
// the token would otherwise count as a bearer token, which it was made not to be.
func (i *issuer) confirmation(claims map[string]json.RawMessage) (*identity.Thumbprint, error) {
	raw, there := claims["cnf"]
	switch {
	case !there && i.SenderConstrained:
		return nil, fmt.Errorf("the token is bound to no certificate (cnf x5t#S256, RFC 8705), and the settings of issuer "+
			"%s say senderConstrained: required; let the issuer bind its tokens", i.Name)
	case !there:
		return nil, nil
	}
	var members map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &members) != nil {
		return nil, errors.New("the token's cnf is no object (RFC 7800)")
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		if member != thumbprintMember {
			return nil, fmt.Errorf("the token is bound by cnf %.40q, which is not verified here, and is no bearer token: let "+
				"issuer %s bind it by x5t#S256 alone (RFC 8705)", member, i.Name)
		}
	}
	text, there, err := textClaim(members, thumbprintMember)
	switch {
	case err != nil:
		return nil, errors.New("the token's cnf x5t#S256 is no text")
	case !there:
		return nil, errors.New("the token's cnf is empty; it names no certificate (x5t#S256)")
	}
	digest, err := decodeSegment(text)
	if err != nil || len(digest) != len(identity.Thumbprint{}) {
		return nil, errors.New("the token's cnf x5t#S256 is no SHA-256 in its canonical base64url spelling (43 characters)")
	}
	holder := identity.Thumbprint(digest)
	return &holder, nil
}
