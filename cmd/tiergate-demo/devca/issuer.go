package devca

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// Issuer signs JWT access tokens (RFC 9068) with one ES256 key, as an OpenID provider would. Its methods may be called
// concurrently.
type Issuer struct {
	issuer   string
	audience string
	keyID    string
	key      *ecdsa.PrivateKey
}

// NewIssuer makes an issuer with a fresh key. issuer and audience are the iss and aud of its tokens.
func NewIssuer(issuer, audience string) (*Issuer, error) {
	if issuer == "" || audience == "" {
		return nil, errors.New("an issuer of tokens needs its own name and an audience")
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(public)
	return &Issuer{
		issuer: issuer, audience: audience, key: key, keyID: base64.RawURLEncoding.EncodeToString(sum[:12]),
	}, nil
}

// Name returns the iss of the tokens.
func (i *Issuer) Name() string { return i.issuer }

// Audience returns the aud of the tokens.
func (i *Issuer) Audience() string { return i.audience }

// JWKS returns the public key as a JSON Web Key Set (RFC 7517, section 5).
func (i *Issuer) JWKS() ([]byte, error) {
	return json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: &i.key.PublicKey, KeyID: i.keyID, Algorithm: string(jose.ES256), Use: "sig",
	}}}, "", "  ")
}

// WriteJWKS writes the key set to a file that all may read.
func (i *Issuer) WriteJWKS(path string) error {
	set, err := i.JWKS()
	if err != nil {
		return err
	}
	return writeFile(path, set, 0o644)
}

// Token signs an access token for a person. extra claims override the standard ones; a value of nil removes the claim,
// so that tests can make tokens that lack one. A ttl below zero makes a token that has expired.
func (i *Issuer) Token(subject string, groups []string, ttl time.Duration, extra map[string]any) (string, error) {
	issued := time.Now().Add(-time.Second)
	if ttl < 0 {
		issued = issued.Add(ttl - time.Hour)
	}
	claims := map[string]any{
		"iss": i.issuer, "aud": i.audience, "sub": subject, "client_id": "tiergate-demo", "jti": uuid.NewString(),
		"iat": issued.Unix(), "nbf": issued.Unix(), "exp": time.Now().Add(ttl).Unix(),
	}
	if len(groups) > 0 {
		claims["groups"] = groups
	}
	maps.Copy(claims, extra)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return i.sign("at+jwt", subject, claims)
}

// SET signs a Security Event Token (RFC 8417) about one event of now, as an OpenID SSF 1.0 transmitter would. subject is its
// sub_id (RFC 9493). The id that comes with it is its jti.
func (i *Issuer) SET(event string, subject map[string]any) (token, id string, err error) {
	id = uuid.NewString()
	now := time.Now()
	token, err = i.sign("secevent+jwt", id, map[string]any{"iss": i.issuer, "aud": i.audience, "jti": id, "iat": now.Unix(),
		"sub_id": subject, "events": map[string]any{event: map[string]any{"event_timestamp": now.Unix()}}})
	return token, id, err
}

// sign makes a JWT of a type; what names it in an error.
func (i *Issuer) sign(typ, what string, claims map[string]any) (string, error) {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader(jose.HeaderKey("kid"), i.keyID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, options)
	if err != nil {
		return "", fmt.Errorf("make a signer of tokens: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode the claims of %s: %w", what, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign the token of %s: %w", what, err)
	}
	return signed.CompactSerialize()
}
