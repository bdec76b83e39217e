package devca

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
)

// Pair is an issued certificate and its private key.
type Pair struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// CertificatePEM returns the certificate; the chain is one long, the CA signs leaves directly.
func (p *Pair) CertificatePEM() []byte { return certificatePEM(p.Certificate) }

// KeyPEM returns the key as PKCS #8.
func (p *Pair) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of %q: %w", p.Certificate.Subject, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// TLS returns the pair for crypto/tls.
func (p *Pair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Certificate.Raw}, PrivateKey: p.Key, Leaf: p.Certificate}
}

// Fingerprint is Fingerprint of the pair's certificate.
func (p *Pair) Fingerprint() string { return Fingerprint(p.Certificate) }

// WriteFiles writes the certificate (mode 0644) and the key (0600), replacing what was there.
func (p *Pair) WriteFiles(certFile, keyFile string) error {
	key, err := p.KeyPEM()
	if err != nil {
		return err
	}
	if err := writeFile(keyFile, key, 0o600); err != nil {
		return err
	}
	return writeFile(certFile, p.CertificatePEM(), 0o644)
}

// Fingerprint names a certificate as MDM systems report it: the SHA-256 of its DER, 64 lower-case hex digits.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// writeFile replaces a file, so that the mode holds even if it was there with another one.
func writeFile(path string, content []byte, mode os.FileMode) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, content, mode)
}
