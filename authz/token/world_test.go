package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

// The world of these tests: two issuers with keys of their own, and an instant.
const (
	corpURL    = "https://id.corp.example"
	partnerURL = "https://id.partner.example"
	leeway     = 30 * time.Second
)

var (
	now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

	nobody identity.Thumbprint // who shows no certificate

	corpEC      = newEC(elliptic.P256())
	corpEC384   = newEC(elliptic.P384())
	corpRSA     = newRSA(2048)
	corpEd      = newEd()
	partnerEC   = newEC(elliptic.P256())
	strangersEC = newEC(elliptic.P256())
)

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newEd() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func corpKeys() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: corpEC.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
		{Key: corpRSA.Public(), KeyID: "rsa", Use: "sig"},
		{Key: corpEd.Public(), KeyID: "ed"},
		{Key: corpEC384.Public(), KeyID: "enc", Use: "enc"},
	}}
}

func corp() token.Issuer {
	return token.Issuer{Name: "corp", Issuer: corpURL, Audiences: []string{"tiergate", "https://app.acme.example"},
		Algorithms: []string{"ES256", "RS256", "EdDSA"}, Keys: corpKeys(), Leeway: leeway, AuthTime: token.AuthTimeLogin}
}

func partner() token.Issuer {
	return token.Issuer{Name: "partner", Issuer: partnerURL, Audiences: []string{"tiergate"},
		Algorithms: []string{"ES256"},
		Keys:       jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: partnerEC.Public(), KeyID: "ec"}}}, Type: "at+jwt",
		UserClaim: "email", GroupsClaim: "roles", AuthTime: token.AuthTimeLogin}
}

func newVerifier(t testing.TB, issuers ...token.Issuer) *token.Verifier {
	t.Helper()
	v, err := token.New(issuers)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

type object = map[string]any

func claims(change object) object {
	return with(object{"iss": corpURL, "aud": "tiergate", "sub": "u-1", "iat": now.Unix() - 60, "nbf": now.Unix() - 60,
		"exp": now.Unix() + 600, "groups": []string{"staff", "eng"}}, change)
}

func header(change object) object {
	return with(object{"alg": "ES256", "kid": "ec", "typ": "JWT"}, change)
}

// with changes an object; nil removes a member.
func with(o, change object) object {
	for name, value := range change {
		if value == nil {
			delete(o, name)
		} else {
			o[name] = value
		}
	}
	return o
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// signRaw makes a compact JWS of any bytes, however wrong; key decides how it is signed.
func signRaw(key any, header, payload []byte) string {
	input := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, key, digest[:])
		size := (key.Params().BitSize + 7) / 8
		signature, err = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), signErr
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(input))
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	if err != nil {
		panic(err)
	}
	return input + "." + encode(signature)
}

func sign(key any, header, claims object) string { return signRaw(key, toJSON(header), toJSON(claims)) }
