package jwks

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// The limits of a key set. Real ones hold 1 to 10 keys in 1 to 20 KiB.
const (
	MaxBytes = 256 << 10
	MaxKeys  = 64
)

// ErrPrivate is in the error about a set that publishes a private key: whoever read it can sign.
var ErrPrivate = errors.New("publish public keys only, and replace this one")

// privateMembers are the members of a JWK that nobody may publish (RFC 7518, section 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// Parse reads a JWK set (RFC 7517, section 5) of public keys, at most MaxBytes and MaxKeys. Keys of types and curves
// that sign no token we accept are left out, as RFC 7517 wants. Private or symmetric keys, RSA keys under 2048 bits,
// two different keys of one kid that the same token could mean (section 4.5), and keys that cannot be read are errors:
// such a set is not what its issuer meant to publish. errors.Is(err, ErrPrivate) tells those of private keys.
func Parse(data []byte) (jose.JSONWebKeySet, error) {
	var none jose.JSONWebKeySet
	if len(data) > MaxBytes {
		return none, fmt.Errorf("the key set has %d bytes; the limit is %d", len(data), MaxBytes)
	}
	members, err := ParseObject(data)
	if err != nil {
		return none, fmt.Errorf("the key set cannot be read: %w", err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(members["keys"], &entries); err != nil || entries == nil {
		return none, errors.New(`the key set has no array "keys"`)
	}
	if len(entries) > MaxKeys {
		return none, fmt.Errorf("the key set has %d keys; the limit is %d", len(entries), MaxKeys)
	}
	var set jose.JSONWebKeySet
	var fault error
	for i, entry := range entries {
		key, known, err := parseKey(entry)
		if errors.Is(err, ErrPrivate) || err != nil && fault == nil {
			fault = fmt.Errorf("key %d of the key set: %w", i+1, err) // a private key behind another fault is to be told
		}
		if err != nil || !known {
			continue
		}
		if fault == nil && slices.ContainsFunc(set.Keys, func(other jose.JSONWebKey) bool { return ambiguous(key, other) }) {
			fault = fmt.Errorf("key %d of the key set is not the only one with the kid %.64q that could be meant; "+
				"give each a kid of its own", i+1, key.KeyID)
		}
		set.Keys = append(set.Keys, key)
	}
	if fault != nil {
		return none, fault
	}
	if len(set.Keys) == 0 {
		return none, errors.New("the key set holds no EC, RSA or Ed25519 key that could verify a token")
	}
	return set, nil
}

// ParseKey reads one JWK (RFC 7517, section 4) as Parse reads those of a set: a public key that is strong enough. A type or
// curve that signs no token we accept is an error. It never holds the key.
func ParseKey(entry json.RawMessage) (jose.JSONWebKey, error) {
	key, known, err := parseKey(entry)
	if err == nil && !known {
		err = errors.New("it is no EC, RSA or Ed25519 key that could verify a token")
	}
	return key, err
}

// parseKey reads one JWK. known is false for key types and curves that we do not verify with.
func parseKey(entry json.RawMessage) (key jose.JSONWebKey, known bool, err error) {
	members, err := ParseObject(entry)
	if err != nil {
		return key, false, err
	}
	var kty, crv string
	noType := json.Unmarshal(members["kty"], &kty) != nil || kty == ""
	for _, name := range privateMembers {
		if _, there := members[name]; !there {
			continue
		}
		if kty == "oct" {
			return key, false, fmt.Errorf("it is symmetric and has the private member %q; publish public keys only", name)
		}
		return key, false, fmt.Errorf("it has the private member %q; %w", name, ErrPrivate)
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
	if raw, there := members["crv"]; there && json.Unmarshal(raw, &crv) != nil {
		return key, false, errors.New(`its "crv" is no text`)
	}
	switch {
	case noType:
		return key, false, errors.New(`it has no "kty"`)
	case kty == "oct":
		return key, false, errors.New("it is symmetric; whoever can verify with it can sign with it")
	case kty == "RSA", kty == "EC" && slices.Contains([]string{"P-256", "P-384", "P-521"}, crv), kty == "OKP" &&
		crv == "Ed25519":
	default:
		return key, false, nil
	}
	if err := key.UnmarshalJSON(entry); err != nil {
		return key, false, err
	}
	return key, true, CheckKey(key)
}
