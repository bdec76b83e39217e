package assertion

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/assertion/verify"
)

// KeyCommand is how a key file is made.
const KeyCommand = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out assertion.key"

// Parse checks one private key: P-256, alone in PEM as PKCS #8 ("PRIVATE KEY", RFC 5958) or SEC 1 ("EC PRIVATE KEY",
// RFC 5915). The error never holds the key.
func Parse(file []byte) error {
	_, err := parseKey(file)
	return err
}

func parseAll(files [][]byte) ([]*key, error) {
	var keys []*key
	for i, file := range files {
		read, err := parseKey(file)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if slices.ContainsFunc(keys, func(other *key) bool { return other.public.KeyID == read.public.KeyID }) {
			return nil, fmt.Errorf("key %d is the same as one before it", i+1)
		}
		keys = append(keys, read)
	}
	return keys, nil
}

func parseKey(file []byte) (*key, error) {
	block, rest := pem.Decode(file)
	switch {
	case block == nil:
		return nil, errors.New("it is no PEM; make one with: " + KeyCommand)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("something follows the key; a file holds one key and nothing else")
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it is PEM of type %.40q and not PRIVATE KEY; make one with: %s", block.Type, KeyCommand)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	ec, ok := private.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("it is no key on the curve P-256, which ES256 wants; make one with: " + KeyCommand)
	}
	return newKey(ec)
}

func makeKey() (*key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return newKey(private)
}

// newKey names a key by its thumbprint (RFC 7638), so that all who share it say the same name.
func newKey(private *ecdsa.PrivateKey) (*key, error) {
	public := jose.JSONWebKey{Key: &private.PublicKey, Algorithm: string(jose.ES256), Use: "sig"}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("name a key: %w", err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}},
		(&jose.SignerOptions{}).WithType(verify.Type))
	if err != nil {
		return nil, fmt.Errorf("sign with a key: %w", err)
	}
	return &key{signer: signer, public: public}, nil
}
