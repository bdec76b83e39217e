package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is a key that tokens can be bound to. Its methods may be called concurrently.
type Key struct {
	signer     jose.Signer
	thumbprint string
}

// NewKey makes an ES256 key.
func NewKey() (*Key, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return nil, fmt.Errorf("make a signer of DPoP proofs: %w", err)
	}
	digest, err := (&jose.JSONWebKey{Key: &key.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("take the thumbprint of a key: %w", err)
	}
	return &Key{signer, base64.RawURLEncoding.EncodeToString(digest)}, nil
}

// Thumbprint is the jkt of tokens that are bound to the key (RFC 9449, section 6.1; RFC 7638).
func (k *Key) Thumbprint() string { return k.thumbprint }

// Proof makes a DPoP proof for one request (RFC 9449, section 4.2), now and with a fresh jti. address is its URL without
// query and fragment; access is the token that it is sent with, empty at the token endpoint.
func (k *Key) Proof(method, address, access string) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": time.Now().Unix()}
	if access != "" {
		digest := sha256.Sum256([]byte(access))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	proof, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a DPoP proof: %w", err)
	}
	return proof.CompactSerialize()
}
