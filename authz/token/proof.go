package token

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/jwks"
)

// The limits of a DPoP proof (RFC 9449, section 4).
const (
	MinDPoPWindow = 5 * time.Second
	MaxDPoPWindow = 5 * time.Minute
	// proofAhead is how far the clock of who made a proof may be ahead of ours (section 11.1: some seconds).
	proofAhead = 5 * time.Second

	maxProofBytes = 8 << 10 // real ones have 500 to 1100, one of RSA 4096 some 2000
	proofType     = "dpop+jwt"
)

// refusedInProofs are refusedHeaders but for the jwk, which a proof must bring along: it proves that its sender has the
// key that the token names, and nothing else is believed of it.
var refusedInProofs = slices.DeleteFunc(slices.Clone(refusedHeaders), func(name string) bool { return name == "jwk" })

// readInProofs are the claims of a proof that mean something here (section 4.2). A nonce is not asked for (section 8
// leaves it to the server) and not looked at where there is one.
var readInProofs = []string{"jti", "htm", "htu", "iat", "ath"}

// WithDPoP takes tokens that are bound to a key (RFC 9449) with proofs that are at most so old, 5s to 5m. Without it
// they are refused.
func WithDPoP(window time.Duration) Option {
	return func(v *Verifier) error {
		if window < MinDPoPWindow || window > MaxDPoPWindow {
			return fmt.Errorf("a DPoP proof cannot count for %s; write %s to %s", window, MinDPoPWindow, MaxDPoPWindow)
		}
		v.window = window
		return nil
	}
}

// checkProof makes the checks of RFC 9449, section 4.3, in the order in which a part is known to be the sender's. It
// returns what must not have been seen before. The proof is never remembered here.
func (v *Verifier) checkProof(c *Credential, bound *[sha256.Size]byte, at time.Time) (Once, error) {
	switch len(c.Proofs) {
	case 1:
	case 0:
		return Once{}, errors.New("the token is bound to a key (cnf jkt, RFC 9449) and no proof came with it: send one in " +
			"the DPoP header")
	default:
		return Once{}, errors.New("there is more than one DPoP header")
	}
	proof, err := split("DPoP proof", c.Proofs[0], maxProofBytes)
	if err != nil {
		return Once{}, err
	}
	key, algorithm, err := proofKey(proof.header)
	if err != nil {
		return Once{}, err
	}
	parsed, err := jose.ParseSignedCompact(proof.raw, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return Once{}, errors.New("the DPoP proof is no JWS that can be verified")
	}
	if signed, err := parsed.Verify(key.Key); err != nil || !bytes.Equal(signed, proof.payload) {
		return Once{}, errors.New("the DPoP proof's signature does not verify with its own jwk")
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return Once{}, errors.New("the DPoP proof's jwk has no thumbprint (RFC 7638)")
	}
	if subtle.ConstantTimeCompare(thumbprint, bound[:]) != 1 {
		return Once{}, fmt.Errorf("the token is bound to the key with thumbprint %s and the DPoP proof is of the key with "+
			"%s: it is another's token", segment(bound[:]), segment(thumbprint))
	}
	issued, err := v.checkProofClaims(proof.claims, c, at)
	if err != nil {
		return Once{}, err
	}
	jti, err := proofName(proof.claims, "jti")
	if err != nil {
		return Once{}, err
	}
	digest := sha256.Sum256([]byte(jti))
	return Once{Key: segment(thumbprint) + ":" + segment(digest[:]), Until: issued.Add(v.window + proofAhead)}, nil
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// proofKey reads the header: the public key that the proof brings along and the algorithm that it is signed with.
func proofKey(header map[string]json.RawMessage) (key jose.JSONWebKey, algorithm jose.SignatureAlgorithm, err error) {
	if len(header) > maxHeader {
		return key, "", fmt.Errorf("the DPoP proof's header has %d members; the limit is %d", len(header), maxHeader)
	}
	if err := checkSpelling("DPoP proof's header", header, readHeaders); err != nil {
		return key, "", err
	}
	for _, name := range refusedInProofs {
		if _, there := header[name]; there {
			return key, "", fmt.Errorf("the DPoP proof's header has %q, which is not taken", name)
		}
	}
	typ, err := proofText(header, "typ")
	if err != nil {
		return key, "", err
	}
	if typ != proofType {
		return key, "", fmt.Errorf("the DPoP proof's typ is %.40q, and not %s", typ, proofType)
	}
	alg, err := proofText(header, "alg")
	if err != nil {
		return key, "", err
	}
	if algorithm = jose.SignatureAlgorithm(alg); !slices.Contains(algorithms, algorithm) {
		return key, "", fmt.Errorf("the DPoP proof is signed with %.20q; what is taken is %s", alg, join(algorithms))
	}
	raw, there := header["jwk"]
	if !there {
		return key, "", errors.New("the DPoP proof's header has no jwk")
	}
	if key, err = jwks.ParseKey(raw); err != nil {
		return key, "", fmt.Errorf("the DPoP proof's jwk: %w", err)
	}
	if !jwks.Fits(key, algorithm) {
		return key, "", fmt.Errorf("the DPoP proof's jwk is no key for %s", algorithm)
	}
	return key, algorithm, nil
}

// checkProofClaims compares a proof with the request and the token, and returns when it was made.
func (v *Verifier) checkProofClaims(claims map[string]json.RawMessage, c *Credential, at time.Time) (issued time.Time,
	err error) {
	if err := checkSpelling("DPoP proof's payload", claims, readInProofs); err != nil {
		return issued, err
	}
	method, err := proofText(claims, "htm")
	if err != nil {
		return issued, err
	}
	if method != c.Target.Method {
		return issued, fmt.Errorf("the DPoP proof is for method %.20q and the request is %.20q", method, c.Target.Method)
	}
	uri, err := proofText(claims, "htu")
	if err != nil {
		return issued, err
	}
	if err := c.Target.is(uri); err != nil {
		return issued, err
	}
	issued, there, err := instant(claims, "iat")
	switch {
	case err != nil || !there:
		return issued, errors.New("the DPoP proof's iat is missing, or no number of seconds between 1970 and 9998")
	case issued.Before(at.Add(-v.window)):
		return issued, fmt.Errorf("the DPoP proof is of %s and counts for %s; now is %s", stamp(issued), v.window, stamp(at))
	case issued.After(at.Add(proofAhead)):
		return issued, fmt.Errorf("the DPoP proof is of %s, which is ahead by more than %s; now is %s", stamp(issued),
			proofAhead, stamp(at))
	}
	hash, err := proofText(claims, "ath")
	if err != nil {
		return issued, err
	}
	if digest := sha256.Sum256([]byte(c.Token)); hash != segment(digest[:]) {
		return issued, errors.New("the DPoP proof is for another token (ath)")
	}
	return issued, nil
}

func proofText(members map[string]json.RawMessage, name string) (string, error) {
	text, there, err := textClaim(members, name)
	switch {
	case err != nil:
		return "", fmt.Errorf("the DPoP proof's %s is no text", name)
	case !there:
		return "", fmt.Errorf("the DPoP proof has no %s", name)
	}
	return text, nil
}

// proofName reads a text of 1 to 256 bytes without control characters.
func proofName(members map[string]json.RawMessage, name string) (string, error) {
	text, err := proofText(members, name)
	if err == nil && !isName(text) {
		err = fmt.Errorf("the DPoP proof's %s is empty, longer than %d bytes or has control characters", name, maxTextBytes)
	}
	return text, err
}
