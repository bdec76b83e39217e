package devca

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
)

// Odd signs a certificate as the template says: names, times, usages and extensions are the caller's, however wrong, so
// that what comes out may be one that crypto/x509 itself does not read. A missing serial number is filled in. It is for
// tests of what must be refused although this CA vouches for it.
func (ca *CA) Odd(template x509.Certificate) (tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.SerialNumber == nil {
		if template.SerialNumber, err = newSerial(); err != nil {
			return tls.Certificate{}, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign an odd certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// SignRaw signs a JWS in compact form (RFC 7515, section 7.1) by ES256 with the issuer's own key, whatever its header and
// payload hold, JSON or not. It is for tests of what must be refused although the signature is right.
func (i *Issuer) SignRaw(header, payload []byte) (string, error) {
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...) // RFC 7518, section 3.4
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Public is the key that verifies the issuer's tokens.
func (i *Issuer) Public() *ecdsa.PublicKey { return &i.key.PublicKey }

// KeyID is the kid of the issuer's tokens.
func (i *Issuer) KeyID() string { return i.keyID }
