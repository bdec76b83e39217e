package devca

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// JWTAuthority signs the JWT-SVIDs of one trust domain with one ES256 key. Its methods may be called concurrently.
type JWTAuthority struct {
	domain spiffeid.TrustDomain
	keyID  string
	key    *ecdsa.PrivateKey
}

// NewJWTAuthority makes an authority with a fresh key. The key's ID is random: keys of one domain never share one.
func NewJWTAuthority(trustDomain string) (*JWTAuthority, error) {
	domain, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return nil, fmt.Errorf("%q is no trust domain: %w", trustDomain, err)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return &JWTAuthority{domain: domain, keyID: uuid.NewString(), key: key}, nil
}

// Key is the public key as a bundle shows it (SPIFFE Trust Domain and Bundle, section 4.2.2).
func (a *JWTAuthority) Key() jose.JSONWebKey {
	return jose.JSONWebKey{Key: &a.key.PublicKey, KeyID: a.keyID, Use: "jwt-svid"}
}

// Sign issues a JWT-SVID (JWT-SVID specification, sections 2 and 3) for an identity of the trust domain. A ttl below zero
// makes one that has expired.
func (a *JWTAuthority) Sign(id spiffeid.ID, audience []string, ttl time.Duration) (string, error) {
	if !id.MemberOf(a.domain) || id.Path() == "" {
		return "", fmt.Errorf("%q is no workload of %s", id, a.domain)
	}
	if len(audience) == 0 {
		return "", errors.New("a JWT-SVID needs an audience")
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader(jose.HeaderKey("kid"), a.keyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: a.key}, options)
	if err != nil {
		return "", fmt.Errorf("make a signer of JWT-SVIDs: %w", err)
	}
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"sub": id.String(), "aud": audience, "iat": now.Add(min(0, ttl) - time.Second).Unix(), "exp": now.Add(ttl).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign the JWT-SVID of %s: %w", id, err)
	}
	return signed.CompactSerialize()
}
