package jwks

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const minRSABits = 2048 // RFC 7518, section 3.3

// algorithms are those that a token may be signed with: asymmetric all, since whoever verifies an HMAC can forge it.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512, jose.EdDSA}

// Algorithms returns the alg values (RFC 7518, RFC 8037) that some key of a set could verify.
func Algorithms() []jose.SignatureAlgorithm { return slices.Clone(algorithms) }

// CheckKey accepts public keys that are strong enough: EC, Ed25519, and RSA of 2048 bits or more.
func CheckKey(key jose.JSONWebKey) error {
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

// Fits reports whether a key may verify signatures of an algorithm: its type and curve are the algorithm's, and its alg
// and use (where it has them) allow it.
func Fits(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
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

// ambiguous reports whether a token could mean either of two different keys: both have its kid and fit its algorithm.
func ambiguous(a, b jose.JSONWebKey) bool {
	return a.KeyID != "" && a.KeyID == b.KeyID && !sameKey(a, b) &&
		slices.ContainsFunc(algorithms, func(x jose.SignatureAlgorithm) bool { return Fits(a, x) && Fits(b, x) })
}

func sameKey(a, b jose.JSONWebKey) bool {
	switch key := a.Key.(type) {
	case *rsa.PublicKey:
		return key.Equal(b.Key)
	case *ecdsa.PublicKey:
		return key.Equal(b.Key)
	case ed25519.PublicKey:
		return key.Equal(b.Key)
	}
	return false
}

// sameSet reports whether two sets verify the same tokens, in whatever order their keys stand.
func sameSet(a, b *jose.JSONWebKeySet) bool {
	within := func(x, y *jose.JSONWebKeySet) bool {
		return !slices.ContainsFunc(x.Keys, func(k jose.JSONWebKey) bool {
			return !slices.ContainsFunc(y.Keys, func(l jose.JSONWebKey) bool {
				return k.KeyID == l.KeyID && k.Use == l.Use && k.Algorithm == l.Algorithm && sameKey(k, l)
			})
		})
	}
	return within(a, b) && within(b, a)
}
