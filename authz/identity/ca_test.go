package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// now is the instant of these tests; certificates are valid an hour to both sides unless a test says otherwise.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// ca is a certificate authority of these tests.
type ca struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t testing.TB, template, parent *x509.Certificate, public any, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func newCA(t testing.TB, name string, change ...func(*x509.Certificate)) *ca {
	t.Helper()
	return newCAWithKey(t, name, newKey(t), change...)
}

func newCAWithKey(t testing.TB, name string, key *ecdsa.PrivateKey, change ...func(*x509.Certificate)) *ca {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour)}
	for _, f := range change {
		f(template)
	}
	return &ca{certificate: issue(t, template, template, key.Public(), key), key: key}
}

// sub makes an intermediate CA.
func (c *ca) sub(t testing.TB, name string) *ca {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-24 * time.Hour),
		NotAfter: now.Add(24 * time.Hour)}
	return &ca{certificate: issue(t, template, c.certificate, key.Public(), c.key), key: key}
}

func (c *ca) pem() []byte { return toPEM(c.certificate) }

func toPEM(certificates ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certificates {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// leaf makes a client certificate with these URI names, byte for byte.
func (c *ca) leaf(t testing.TB, uris []string, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "peer"},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth,
			x509.ExtKeyUsageServerAuth},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	if len(uris) > 0 {
		template.ExtraExtensions = append(template.ExtraExtensions, altNames(t, 6, uris...))
	}
	for _, f := range change {
		f(template)
	}
	return issue(t, template, c.certificate, newKey(t).Public(), c.key)
}

// device makes a device certificate; serials are the serialNumber attributes of its subject.
func (c *ca) device(t testing.TB, serials []string, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	return c.leaf(t, nil, append([]func(*x509.Certificate){func(l *x509.Certificate) {
		for _, serial := range serials {
			l.Subject.ExtraNames = append(l.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4,
				5}, Value: serial})
		}
	}}, change...)...)
}

// altNames is a subject alternative name extension whose bytes no library has looked at. Tag 6 is a URI, 2 a DNS name.
func altNames(t testing.TB, tag int, names ...string) pkix.Extension {
	t.Helper()
	var raw []asn1.RawValue
	for _, name := range names {
		raw = append(raw, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(name)})
	}
	value, err := asn1.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

// encode writes a certificate as Envoy does: PEM, with these five bytes percent-encoded.
func encode(certificates ...*x509.Certificate) string { return percent(string(toPEM(certificates...))) }

func percent(s string) string {
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(s)
}

func newAuthority(t testing.TB, o identity.AuthorityOptions) *identity.Authority {
	t.Helper()
	a, err := identity.NewAuthority(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// rawLeaf signs a client certificate whose extensions crypto/x509 would refuse to write or to read back.
func (c *ca) rawLeaf(t testing.TB, template *x509.Certificate) []byte {
	t.Helper()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(4), now.Add(-time.Hour), now.Add(time.Hour)
	template.Subject = pkix.Name{CommonName: "peer"}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, newKey(t).Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
