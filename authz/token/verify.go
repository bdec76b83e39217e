package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
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

// Verify believes a token or says which check failed, for the operator; the text never holds the token. The order is
// fixed: shape, header, issuer, signature, claims, holder, so that a claim is named only if its issuer made it.
//
// holder is the certificate that the peer showed and that was verified, zero if there is none. A token that is bound to a
// certificate (cnf x5t#S256, RFC 8705) counts only with that one; bound in any other way it counts with none.
//
// User.Token is exactly the window in which Verify believes the token: from the latest of nbf, iat and auth_time, less
// the leeway, until exp and the leeway.
//
// What was believed once is not verified again while its window lasts and its issuer's keys stay the same; who may hold it
// is judged on every call. The user is shared and must not be modified.
func (v *Verifier) Verify(raw string, holder identity.Thumbprint, at time.Time) (*identity.User, error) {
	if b, ok := v.believed.Get(raw); ok && b.holds(at) {
		return b.heldBy(holder)
	}
	b, err := v.verify(raw, at)
	if err != nil {
		return nil, err
	}
	if len(raw) <= maxBelievedBytes {
		v.believed.Put(raw, b)
	}
	return b.heldBy(holder)
}

func (v *Verifier) verify(raw string, at time.Time) (*belief, error) {
	header, claims, payload, err := split(raw)
	if err != nil {
		return nil, err
	}
	from, err := v.issuerOf(claims)
	if err != nil {
		return nil, err
	}
	algorithm, keyID, err := from.checkHeader(header)
	if err != nil {
		return nil, err
	}
	keys, err := from.keysAt(at)
	if err != nil {
		return nil, err
	}
	if err := from.checkSignature(keys, raw, payload, algorithm, keyID); err != nil {
		return nil, err
	}
	user, err := from.user(claims, at)
	if err != nil {
		return nil, err
	}
	holder, err := from.confirmation(claims)
	if err != nil {
		return nil, err
	}
	return &belief{user: user, from: from, keys: keys, holder: holder}, nil
}

// split takes a compact JWS apart and reads header and payload strictly. Only the one canonical base64url spelling is
// taken: a decoder that overlooks line ends or trailing bits would give one token many names.
func split(raw string) (header, claims map[string]json.RawMessage, payload []byte, err error) {
	if len(raw) > maxTokenBytes {
		return nil, nil, nil, fmt.Errorf("the token has %d bytes; the limit is %d", len(raw), maxTokenBytes)
	}
	parts := strings.Split(raw, ".")
	switch {
	case len(parts) == 5:
		return nil, nil, nil, errors.New("the token is encrypted (JWE); only signed tokens are taken")
	case len(parts) != 3:
		return nil, nil, nil, errors.New("the token is no JWT: a signed one has three parts")
	}
	var decoded [3][]byte
	for i, name := range []string{"header", "payload", "signature"} {
		if decoded[i], err = decodeSegment(parts[i]); err != nil {
			return nil, nil, nil, fmt.Errorf("the token's %s is not in its canonical base64url spelling", name)
		}
		if len(decoded[i]) == 0 {
			return nil, nil, nil, fmt.Errorf("the token's %s is empty", name)
		}
	}
	if header, err = jwks.ParseObject(decoded[0]); err != nil {
		return nil, nil, nil, fmt.Errorf("the token's header: %w", err)
	}
	if claims, err = jwks.ParseObject(decoded[1]); err != nil {
		return nil, nil, nil, fmt.Errorf("the token's payload: %w", err)
	}
	return header, claims, decoded[1], nil
}

func decodeSegment(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which encoding/base64 overlooks even when strict
		return nil, errors.New("line end")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// issuerOf finds whose keys must have signed the token. The claim is not believed yet.
func (v *Verifier) issuerOf(claims map[string]json.RawMessage) (*issuer, error) {
	url, there, err := textClaim(claims, "iss")
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, errors.New("the token names no issuer (iss)")
	}
	from, known := v.byURL[url]
	if !known {
		return nil, fmt.Errorf("the token's issuer %.100q is not one of the settings", url)
	}
	return from, nil
}

// checkHeader returns the algorithm and, if the token names one, the key.
func (i *issuer) checkHeader(header map[string]json.RawMessage) (jose.SignatureAlgorithm, *string, error) {
	if len(header) > maxHeader {
		return "", nil, fmt.Errorf("the token's header has %d members; the limit is %d", len(header), maxHeader)
	}
	if err := checkSpelling("header", header, readHeaders); err != nil {
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
	keyID, there, err := textClaim(header, "kid")
	switch {
	case err != nil:
		return "", nil, err
	case there && (keyID == "" || len(keyID) > maxKeyID):
		return "", nil, fmt.Errorf("the token's kid is empty or longer than %d bytes", maxKeyID)
	case there:
		return jose.SignatureAlgorithm(algorithm), &keyID, nil
	}
	return jose.SignatureAlgorithm(algorithm), nil, nil
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

// checkSignature tries the keys that fit: those of the token's kid, or without one all, up to maxTries.
func (i *issuer) checkSignature(keys *jose.JSONWebKeySet, raw string, payload []byte,
	algorithm jose.SignatureAlgorithm, keyID *string) error {
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return errors.New("the token is no JWS that can be verified")
	}
	tried := 0
	for _, key := range keys.Keys {
		if keyID != nil && key.KeyID != *keyID || !jwks.Fits(key, algorithm) {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if signed, err := parsed.Verify(key.Key); err == nil && bytes.Equal(signed, payload) {
			return nil
		}
	}
	if i.Source != nil && (tried == 0 || keyID == nil) {
		i.Source.Ask() // a wrong signature of a key that is known is no reason to
	}
	switch {
	case tried == 0 && keyID != nil:
		return fmt.Errorf("issuer %s has no key for %s with the token's kid %.64q", i.Name, algorithm, *keyID)
	case keyID != nil:
		return fmt.Errorf("the token's signature does not verify with the key of its kid %.64q of issuer %s", *keyID, i.Name)
	case tried > maxTries:
		return fmt.Errorf("the token names no kid and none of the first %d keys of issuer %s verifies it", maxTries, i.Name)
	}
	return fmt.Errorf("the token's signature does not verify with any key of issuer %s", i.Name)
}
