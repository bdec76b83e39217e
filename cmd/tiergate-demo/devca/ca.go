package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	caLifetime = 30 * 24 * time.Hour
	// backdate covers clocks that run a little behind the issuer's.
	backdate = time.Minute
)

// CA is a self-signed certificate authority. Its methods may be called concurrently.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes a CA with a fresh key that is valid for 30 days.
func New(commonName string) (*CA, error) { return NewFor(commonName, caLifetime) }

// NewFor makes a CA with a fresh key that is valid for so long, at least a second.
func NewFor(commonName string, lifetime time.Duration) (*CA, error) {
	if commonName == "" {
		return nil, errors.New("a CA needs a common name")
	}
	if lifetime < time.Second {
		return nil, fmt.Errorf("a CA cannot live for %s; certificates count whole seconds", lifetime)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Acme"}, CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &CA{certificate: certificate, key: key}, nil
}

// Certificate returns the CA's own certificate. It must not be modified.
func (ca *CA) Certificate() *x509.Certificate { return ca.certificate }

// PEM returns the CA's certificate as a PEM bundle of one.
func (ca *CA) PEM() []byte { return certificatePEM(ca.certificate) }

// Bundle returns the certificates of several CAs as one PEM bundle.
func Bundle(cas ...*CA) []byte {
	var bundle []byte
	for _, ca := range cas {
		bundle = append(bundle, ca.PEM()...)
	}
	return bundle
}

// Pool returns the CAs as roots for crypto/x509.
func Pool(cas ...*CA) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.certificate)
	}
	return pool
}

// SVID issues an X.509-SVID: one URI SAN, the SPIFFE ID, for client and server use (SPIFFE X.509-SVID, sections 2
// and 4). A ttl below zero makes one that has expired.
func (ca *CA) SVID(spiffeID string, ttl time.Duration) (*Pair, error) {
	id, err := spiffeid.FromString(spiffeID)
	if err != nil {
		return nil, fmt.Errorf("%q is no SPIFFE ID: %w", spiffeID, err)
	}
	if id.Path() == "" {
		return nil, fmt.Errorf("%q names a trust domain; a workload's SPIFFE ID has a path", spiffeID)
	}
	return ca.issue(ttl, x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"SPIFFE"}},
		URIs:        []*url.URL{id.URL()},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
}

// Device issues a device certificate: for clients, no SAN at all, the hardware serial number in the subject's
// serialNumber attribute (RFC 4519, section 2.31). A ttl below zero makes one that has expired.
func (ca *CA) Device(commonName, serialNumber string, ttl time.Duration) (*Pair, error) {
	if commonName == "" || serialNumber == "" {
		return nil, errors.New("a device certificate needs a common name and a serial number")
	}
	return ca.issue(ttl, x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Acme"}, CommonName: commonName, SerialNumber: serialNumber},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Server issues a server certificate for DNS names and IP addresses. A ttl below zero makes one that has expired.
func (ca *CA) Server(ttl time.Duration, names ...string) (*Pair, error) {
	if len(names) == 0 {
		return nil, errors.New("a server certificate needs a name")
	}
	template := x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Acme"}, CommonName: names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return ca.issue(ttl, template)
}

// issue completes a template and signs it with a fresh key.
func (ca *CA) issue(ttl time.Duration, template x509.Certificate) (*Pair, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = newSerial(); err != nil {
		return nil, err
	}
	now := time.Now()
	template.NotBefore, template.NotAfter = now.Add(-backdate), now.Add(ttl)
	if template.NotAfter.After(ca.certificate.NotAfter) { // nobody outlives who vouches for them
		template.NotAfter = ca.certificate.NotAfter
	}
	if !template.NotBefore.Before(template.NotAfter) {
		template.NotBefore = template.NotAfter.Add(-time.Hour)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	certificate, err := sign(&template, ca.certificate, key, ca.key)
	if err != nil {
		return nil, err
	}
	return &Pair{Certificate: certificate, Key: key}, nil
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", template.Subject, err)
	}
	return x509.ParseCertificate(der)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// newSerial is positive and fits the 20 octets of RFC 5280, section 4.1.2.2.
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(1)), nil
}

func certificatePEM(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}
