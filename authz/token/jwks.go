package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// The limits of a key set. Real ones hold 1 to 10 keys in 1 to 20 KiB.
const (
	maxJWKSBytes = 256 << 10
	maxKeys      = 64
	minRSABits   = 2048 // RFC 7518, section 3.3
)

// privateMembers are the members of a JWK that nobody may publish (RFC 7518, section 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// ParseJWKS reads a JWK set (RFC 7517, section 5) of public keys, at most 256 KiB and 64 keys. Keys of types and
// curves that sign no token we accept are left out, as RFC 7517 wants; private or symmetric keys, RSA keys under 2048
// bits, and keys that cannot be read are errors: such a set is not what its issuer meant to publish.
func ParseJWKS(data []byte) (jose.JSONWebKeySet, error) {
	var none jose.JSONWebKeySet
	if len(data) > maxJWKSBytes {
		return none, fmt.Errorf("the key set has %d bytes; the limit is %d", len(data), maxJWKSBytes)
	}
	members, err := parseObject(data)
	if err != nil {
		return none, fmt.Errorf("the key set cannot be read: %w", err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(members["keys"], &entries); err != nil || entries == nil {
		return none, errors.New(`the key set has no array "keys"`)
	}
	if len(entries) > maxKeys {
		return none, fmt.Errorf("the key set has %d keys; the limit is %d", len(entries), maxKeys)
	}
	var set jose.JSONWebKeySet
	for i, entry := range entries {
		key, known, err := parseKey(entry)
		if err != nil {
			return none, fmt.Errorf("key %d of the key set: %w", i+1, err)
		}
		if known {
			set.Keys = append(set.Keys, key)
		}
	}
	if len(set.Keys) == 0 {
		return none, errors.New("the key set holds no EC, RSA or Ed25519 key that could verify a token")
	}
	return set, nil
}

// parseKey reads one JWK. known is false for key types and curves that we do not verify with.
func parseKey(entry json.RawMessage) (key jose.JSONWebKey, known bool, err error) {
	members, err := parseObject(entry)
	if err != nil {
		return key, false, err
	}
	for _, name := range privateMembers {
		if _, there := members[name]; there {
			return key, false, fmt.Errorf("it has the private member %q; publish public keys only, and replace this one", name)
		}
	}
	if raw, there := members["key_ops"]; there {
		var operations []string
		if json.Unmarshal(raw, &operations) != nil {
			return key, false, errors.New(`its "key_ops" is no array of texts`)
		}
		if !slices.Contains(operations, "verify") {
			return key, false, nil
		}
	}
	var kty, crv string
	if json.Unmarshal(members["kty"], &kty) != nil || kty == "" {
		return key, false, errors.New(`it has no "kty"`)
	}
	if kty == "oct" {
		return key, false, errors.New("it is symmetric; whoever can verify with it can sign with it")
	}
	if raw, there := members["crv"]; there && json.Unmarshal(raw, &crv) != nil {
		return key, false, errors.New(`its "crv" is no text`)
	}
	switch {
	case kty == "RSA", kty == "EC" && slices.Contains([]string{"P-256", "P-384", "P-521"}, crv), kty == "OKP" &&
		crv == "Ed25519":
	default:
		return key, false, nil
	}
	if err := key.UnmarshalJSON(entry); err != nil {
		return key, false, err
	}
	return key, true, checkKey(key)
}

// checkKey accepts public keys that are strong enough.
func checkKey(key jose.JSONWebKey) error {
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("it is an RSA key of %d bits; RFC 7518 demands %d", bits, minRSABits)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return errors.New("it is no public EC, RSA or Ed25519 key")
	}
	return nil
}

// fits reports whether a key may verify signatures of an algorithm: its type and curve are the algorithm's, and its alg
// and use (where it has them) allow it.
func fits(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != string(algorithm) {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return slices.Contains([]jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384,
			jose.PS512}, algorithm)
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return algorithm == jose.ES256
		case elliptic.P384():
			return algorithm == jose.ES384
		case elliptic.P521():
			return algorithm == jose.ES512
		}
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	}
	return false
}
