package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/token"
)

const window = time.Minute

var (
	clientEC  = newEC(corpEC.Curve)
	clientRSA = newRSA(2048)
	clientEd  = newEd()

	// target is the request that proofs are for.
	target = token.Target{Method: "GET", Scheme: "https", Host: "app.acme.example", Path: "/reports/7?full=1"}
)

const targetURI = "https://app.acme.example/reports/7"

func publicOf(key any) any {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key.Public()
	case *rsa.PrivateKey:
		return key.Public()
	case ed25519.PrivateKey:
		return key.Public()
	}
	return nil
}

// thumbprint is the RFC 7638 thumbprint of a key.
func thumbprint(key any) string {
	sum, err := (&jose.JSONWebKey{Key: publicOf(key)}).Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return encode(sum)
}

// keyBound is a token that is bound to a key.
func keyBound(key any) string {
	return sign(corpEC, header(nil), claims(object{"cnf": object{"jkt": thumbprint(key)}}))
}

func ath(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return encode(sum[:])
}

func proofHeader(key any, change object) object {
	alg := "ES256"
	switch key.(type) {
	case *rsa.PrivateKey:
		alg = "RS256"
	case ed25519.PrivateKey:
		alg = "EdDSA"
	}
	return with(object{"typ": "dpop+jwt", "alg": alg, "jwk": jose.JSONWebKey{Key: publicOf(key)}}, change)
}

func proofClaims(raw string, change object) object {
	return with(object{"jti": "-BwC3ESc6acc2lTc", "htm": "GET", "htu": targetURI, "iat": now.Unix(), "ath": ath(raw)},
		change)
}

// proof is a proof of a key for a token and the target.
func proof(key any, raw string, head, change object) string {
	return sign(key, proofHeader(key, head), proofClaims(raw, change))
}

func byKey(raw string, proofs ...string) *token.Credential {
	return &token.Credential{Scheme: token.SchemeDPoP, Token: raw, Proofs: proofs, Target: target}
}

func newDPoP(t testing.TB, issuers ...token.Issuer) *token.Verifier {
	t.Helper()
	v, err := token.New(issuers, token.WithDPoP(window))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
