package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
)

// The limits of a token.
const (
	maxTokenBytes = 16 << 10
	maxHeader     = 32 // members of a header; real ones have 2 to 5
	maxKeyID      = 256
	maxTries      = 16 // keys that a token without kid may be tried with
)

// refusedHeaders are the header members (RFC 7515, RFC 7797) that would change how a token is verified or bring a key
// along. x5c and x5t are not refused, some issuers always send them; they are never looked at.
var refusedHeaders = []string{"crit", "b64", "jwk", "jku", "x5u", "enc", "zip"}

// readHeaders are the header members that mean something here.
var readHeaders = append([]string{"alg", "kid", "typ"}, refusedHeaders...)

// Judge believes a credential or says which check failed, for the operator; the text never holds the token. The order
// is fixed: shape, header, issuer, signature, claims, holder, so that a claim is named only if its issuer made it.
//
// A token that is bound to a certificate (cnf x5t#S256, RFC 8705) counts only with that one; one that is bound to a key
// (cnf jkt, RFC 9449) only with the DPoP scheme and a fresh proof of that key for this very request, which Proof.Once
// then names; bound in any other way it counts with none. A DPoP header beside a token that is bound to no key proves
// nothing that is asked for and is not looked at.
//
// User.Token, or Window of a JWT-SVID, is exactly the window in which Judge believes the token: from the latest of nbf,
// iat and auth_time, less the leeway, until exp and the leeway.
//
// What was believed once is not verified again while its window lasts and its issuer's keys stay the same; who may
// hold it is judged on every call, and so is a proof. The user is shared and must not be modified.
func (v *Verifier) Judge(c *Credential, at time.Time) (Proof, error) {
	b, ok := v.believed.Get(c.Token)
	if !ok || !b.holds(at) {
		if c.Slow != nil {
			c.Slow()
		}
		var err error
		if b, err = v.verify(c.Token, c.Vouched, at); err != nil {
			return Proof{}, err
		}
		if b.ring != nil && len(c.Token) <= maxBelievedBytes {
			v.believed.Put(c.Token, b)
		}
	}
	once, err := v.heldBy(b, c, at)
	if err != nil {
		return Proof{}, err
	}
	return Proof{Proven: b.proven, Once: once}, nil
}

func (v *Verifier) verify(raw string, vouched []byte, at time.Time) (*belief, error) {
	t, err := split("token", raw, maxTokenBytes)
	if err != nil {
		return nil, err
	}
	from, err := v.issuerOf(t.claims)
	switch {
	case err != nil:
		return nil, err
	case from == nil:
		return v.verifySVID(t, at)
	}
	algorithm, keyID, err := from.checkHeader(t.header)
	if err != nil {
		return nil, err
	}
	b := &belief{}
	if from.Vouched {
		err = from.checkVouched(t, vouched)
	} else {
		b.ring = &from.ring
		b.keys, err = from.checkSignature(t, algorithm, keyID, at)
	}
	if err != nil {
		return nil, err
	}
	user, err := from.user(t.claims, at)
	if err != nil {
		return nil, err
	}
	if b.bound, err = from.confirmation(t.claims); err != nil {
		return nil, err
	}
	user.Held = b.bound.holding()
	user.DeviceBinds = user.Device.Value != "" && (user.Held != "" || from.DeviceBearer)
	b.proven, b.window = identity.Proven{User: user}, user.Token
	return b, nil
}

// issuerOf finds whose keys must have signed the token; nil is a trust domain, of which the subject is. The claims are
// not believed yet.
func (v *Verifier) issuerOf(claims map[string]json.RawMessage) (*issuer, error) {
	url, there, err := textClaim(claims, "iss")
	if err != nil {
		return nil, err
	}
	if from, known := v.byURL[url]; known {
		return from, nil
	}
	if subject, _, err := textClaim(claims, "sub"); err == nil && strings.HasPrefix(subject, spiffePrefix) {
		return nil, nil
	}
	if !there {
		return nil, errors.New("the token names no issuer (iss)")
	}
	return nil, fmt.Errorf("the token's issuer %.100q is not one of the settings", url)
}

// checkHeader returns the algorithm and, if the token names one, the key.
func (i *issuer) checkHeader(header map[string]json.RawMessage) (jose.SignatureAlgorithm, *string, error) {
	if len(header) > maxHeader {
		return "", nil, fmt.Errorf("the token's header has %d members; the limit is %d", len(header), maxHeader)
	}
	if err := checkSpelling("token's header", header, readHeaders); err != nil {
		return "", nil, err
	}
	for _, name := range refusedHeaders {
		if _, there := header[name]; there {
			return "", nil, fmt.Errorf("the token's header has %q, which is not taken", name)
		}
	}
	algorithm, _, err := textClaim(header, "alg")
	if err != nil {
		return "", nil, err
	}
	if !slices.Contains(i.algorithms, jose.SignatureAlgorithm(algorithm)) {
		return "", nil, fmt.Errorf("the token is signed with %.20q; issuer %s lists %s", algorithm, i.Name,
			join(i.algorithms))
	}
	if err := i.checkType(header); err != nil {
		return "", nil, err
	}
	keyID, err := keyIDOf(header)
	return jose.SignatureAlgorithm(algorithm), keyID, err
}

func keyIDOf(header map[string]json.RawMessage) (*string, error) {
	keyID, there, err := textClaim(header, "kid")
	switch {
	case err != nil:
		return nil, err
	case there && (keyID == "" || len(keyID) > maxKeyID):
		return nil, fmt.Errorf("the token's kid is empty or longer than %d bytes", maxKeyID)
	case there:
		return &keyID, nil
	}
	return nil, nil
}

// checkType keeps tokens of other kinds out: an ID token, a logout token or a security event is signed by the same key
// (RFC 8725, section 3.11). The media type's "application/" may be left out and its case does not matter (RFC 7515,
// section 4.1.9).
func (i *issuer) checkType(header map[string]json.RawMessage) error {
	typ, _, err := textClaim(header, "typ")
	if err != nil {
		return err
	}
	switch short := shortType(typ); {
	case i.Type != "" && short != shortType(i.Type):
		return fmt.Errorf("the token's typ is %.40q; issuer %s sets %q", typ, i.Name, i.Type)
	case i.Type == "" && !slices.Contains([]string{"", "jwt", "at+jwt"}, short):
		return fmt.Errorf("the token's typ is %.40q, which is no access token; if issuer %s writes that, set its type", typ,
			i.Name)
	}
	return nil
}

func shortType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// checkSignature returns the keys that the issuer has, one of which signed.
func (i *issuer) checkSignature(t *jws, algorithm jose.SignatureAlgorithm, keyID *string, at time.Time) (
	*jose.JSONWebKeySet, error) {
	keys, err := i.ring.at(at)
	if err != nil {
		return nil, err
	}
	return keys, i.ring.verify(keys, t, algorithm, keyID)
}
