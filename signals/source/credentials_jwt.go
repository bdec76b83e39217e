package source

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// assertionLife is how long a signed assertion is good: as long as Google allows at most is an hour; a minute is enough to
// ask once, and five leave room for clocks that differ.
const assertionLife = 5 * time.Minute

// PrivateKeyJWT is the client_credentials grant of a client that signs instead of sending a secret (RFC 7523 section 2.2,
// OpenID Connect Core section 9 "private_key_jwt"), as Okta's service apps do.
type PrivateKeyJWT struct {
	Endpoint, ID string
	Key          SigningKey
	Audience     string // empty: the endpoint's URL
	Scope        string // empty: not sent
}

func (p PrivateKeyJWT) grant(ctx context.Context, c *Client) (grant, error) {
	target, _, err := c.place(p.Endpoint)
	if err != nil {
		return grant{}, err
	}
	assertion, err := p.Key.assertion(map[string]any{"iss": p.ID, "sub": p.ID, "aud": cmp.Or(p.Audience, target)})
	if err != nil {
		return grant{}, err
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	if p.Scope != "" {
		form.Set("scope", p.Scope)
	}
	return c.tokenFor(ctx, p.Endpoint, form, nil)
}

// JWTBearer is the grant of RFC 7523 section 2.1, as Google's service accounts use it
// (https://developers.google.com/identity/protocols/oauth2/service-account): Scope is a claim there.
type JWTBearer struct {
	Endpoint, Issuer string
	Key              SigningKey
	Subject          string // on whose behalf (Google: an administrator, by domain-wide delegation); empty: not said
	Audience         string // empty: the endpoint's URL
	Scope            string
}

func (j JWTBearer) grant(ctx context.Context, c *Client) (grant, error) {
	target, _, err := c.place(j.Endpoint)
	if err != nil {
		return grant{}, err
	}
	claims := map[string]any{"iss": j.Issuer, "aud": cmp.Or(j.Audience, target)}
	if j.Subject != "" {
		claims["sub"] = j.Subject
	}
	if j.Scope != "" {
		claims["scope"] = j.Scope
	}
	assertion, err := j.Key.assertion(claims)
	if err != nil {
		return grant{}, err
	}
	return c.tokenFor(ctx, j.Endpoint, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion},
	}, nil)
}

// SigningKey signs assertions: RS256 with an RSA key of at least 2048 bits, ES256 with one on P-256. The zero key signs
// nothing.
type SigningKey struct {
	signer crypto.Signer
	id     string
}

// ParseSigningKey reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1). id is the kid that the vendor knows it by; empty:
// none is sent. The error has nothing of the key.
func ParseSigningKey(raw []byte, id string) (SigningKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return SigningKey{}, errors.New("the file holds no PEM private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if rsaKey, e := x509.ParsePKCS1PrivateKey(block.Bytes); e == nil {
			key, err = rsaKey, nil
		} else if ecKey, e := x509.ParseECPrivateKey(block.Bytes); e == nil {
			key, err = ecKey, nil
		}
	}
	if err != nil {
		return SigningKey{}, errors.New("the PEM block is no private key that can be read; write PKCS #8 without a passphrase")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < 2048 {
			return SigningKey{}, fmt.Errorf("the RSA key has %d bits; make one of at least 2048", key.N.BitLen())
		}
		return SigningKey{signer: key, id: id}, nil
	case *ecdsa.PrivateKey:
		if key.Curve.Params().BitSize != 256 || key.Curve.Params().Name != "P-256" {
			return SigningKey{}, fmt.Errorf("the key is on %s; make one on P-256, or an RSA key", key.Curve.Params().Name)
		}
		return SigningKey{signer: key, id: id}, nil
	}
	return SigningKey{}, errors.New("the key is neither RSA nor ECDSA")
}

// ServiceAccount reads the JSON key file of a Google service account: who it is, its key, and where tokens are fetched.
func ServiceAccount(raw []byte) (JWTBearer, error) {
	var file struct {
		Type  string `json:"type"`
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
		KeyID string `json:"private_key_id"`
		Token string `json:"token_uri"`
	}
	if err := CheckJSON(raw); err != nil {
		return JWTBearer{}, errors.New("the file is not the JSON key of a service account")
	}
	if json.Unmarshal(raw, &file) != nil || file.Type != "service_account" || file.Email == "" {
		return JWTBearer{}, errors.New(`the file is not the JSON key of a service account ("type": "service_account")`)
	}
	key, err := ParseSigningKey([]byte(file.Key), file.KeyID)
	if err != nil {
		return JWTBearer{}, fmt.Errorf("private_key: %w", err)
	}
	endpoint := cmp.Or(file.Token, "https://oauth2.googleapis.com/token")
	if err := CheckEndpoint(endpoint); err != nil {
		return JWTBearer{}, fmt.Errorf("token_uri: %w", err)
	}
	return JWTBearer{Endpoint: endpoint, Issuer: file.Email, Key: key}, nil
}

// assertion signs the claims with iat, exp and a jti of its own (JWS compact, RFC 7515).
func (k SigningKey) assertion(claims map[string]any) (string, error) {
	if k.signer == nil {
		return "", errors.New("there is no key to sign with")
	}
	header := map[string]any{"typ": "JWT", "alg": "RS256"}
	if _, elliptic := k.signer.(*ecdsa.PrivateKey); elliptic {
		header["alg"] = "ES256"
	}
	if k.id != "" {
		header["kid"] = k.id
	}
	now := time.Now()
	claims["iat"], claims["exp"], claims["jti"] = now.Unix(), now.Add(assertionLife).Unix(), rand.Text()
	first, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	second, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(first) + "." + base64.RawURLEncoding.EncodeToString(second)
	signature, err := k.sign(sha256.Sum256([]byte(text)))
	if err != nil {
		return "", fmt.Errorf("the assertion could not be signed: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// sign gives the signature in the form of RFC 7518 sections 3.3 and 3.4.
func (k SigningKey) sign(sum [sha256.Size]byte) ([]byte, error) {
	key, elliptic := k.signer.(*ecdsa.PrivateKey)
	if !elliptic {
		return k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	return append(fixed(r), fixed(s)...), nil
}

func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
