package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxCertificateBytes bounds what Envoy may send as source.certificate; a real one has 1 to 4 KiB.
const maxCertificateBytes = 64 << 10

// object identifiers of RFC 5280 (4.2.1.6) and RFC 4519 (2.31).
var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
)

// decodeCertificate reads exactly one certificate from percent-encoded PEM.
//
// The PEM must be spelled as an encoder spells it: encoding/pem would skip what it cannot read and take a later block,
// and then two readers of one header could see two certificates.
func decodeCertificate(encoded string) (*x509.Certificate, error) {
	text, err := percentDecode(encoded)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("the peer certificate is not PEM")
	case block.Type != "CERTIFICATE":
		return nil, errors.New("the peer certificate is PEM of another type than CERTIFICATE")
	case len(rest) > 0:
		return nil, errors.New("something follows the peer certificate; Envoy sends exactly one")
	}
	canonical := string(pem.EncodeToMemory(block))
	if got := string(text); len(block.Headers) > 0 || got != canonical && got+"\n" != canonical {
		return nil, errors.New("the PEM of the peer certificate is not spelled as an encoder spells it")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the peer certificate cannot be read: %w", err)
	}
	return certificate, nil
}

// percentDecode undoes percent-encoding and nothing else: a '+' stays, it belongs to base64.
func percentDecode(s string) ([]byte, error) {
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			decoded = append(decoded, s[i])
			continue
		}
		octet, err := hex.DecodeString(s[i+1 : min(i+3, len(s))])
		if err != nil || len(octet) != 1 {
			return nil, errors.New("the peer certificate has a % that encodes nothing")
		}
		decoded = append(decoded, octet[0])
		i += 2
	}
	return decoded, nil
}

// uriNames returns the URIs of the subject alternative name, byte for byte; crypto/x509 would pass them through a URI
// parser. They are read from the one extension that RFC 5280 allows (crypto/x509 refuses a second).
func uriNames(certificate *x509.Certificate) ([]string, error) {
	var uris []string
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return nil, errors.New("the subject alternative name of the peer certificate cannot be read")
		}
		for rest := names.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				return nil, errors.New("the subject alternative name of the peer certificate cannot be read")
			}
			if name.Class == asn1.ClassContextSpecific && name.Tag == 6 { // uniformResourceIdentifier
				uris = append(uris, string(name.Bytes))
			}
		}
	}
	return uris, nil
}

// subjectSerial returns the one serialNumber attribute of the subject.
func subjectSerial(certificate *x509.Certificate) (string, error) {
	var serials []string
	for _, attribute := range certificate.Subject.Names {
		if !attribute.Type.Equal(oidSerialNumber) {
			continue
		}
		text, ok := attribute.Value.(string)
		if !ok {
			return "", errors.New("the serialNumber in the device certificate's subject is no text")
		}
		serials = append(serials, text)
	}
	if len(serials) != 1 {
		return "", fmt.Errorf("the device certificate's subject has %d serialNumber attributes; exactly one names the device",
			len(serials))
	}
	return serials[0], nil
}

// checkLeaf refuses what may not authenticate a client: a CA, or a certificate that may sign others (X.509-SVID
// specification, section 5.2), and an extended key usage without clientAuth.
func checkLeaf(certificate *x509.Certificate) error {
	switch {
	case certificate.IsCA:
		return errors.New("the peer certificate is a CA; a CA signs and is nobody")
	case certificate.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return errors.New("the peer certificate may sign certificates or revocation lists; it names nobody")
	case !mayAuthenticateClients(certificate):
		return errors.New("the extended key usage of the peer certificate does not include clientAuth")
	}
	return nil
}

func mayAuthenticateClients(certificate *x509.Certificate) bool {
	if len(certificate.ExtKeyUsage)+len(certificate.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, usage := range certificate.ExtKeyUsage {
		if usage == x509.ExtKeyUsageClientAuth || usage == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

// windowOf turns the validity of a certificate, whose notAfter is the last second in which it is valid (RFC 5280,
// section 4.1.2.5), into ours, whose end is the first instant in which it is not. Envoy judges in whole seconds too,
// so both end at the same instant. 9999-12-31T23:59:59Z means "no end" there and stays as it is: the year 10000 cannot
// be written.
func windowOf(certificate *x509.Certificate) Validity {
	end := certificate.NotAfter.UTC()
	if after := end.Add(time.Second); after.Year() <= 9999 {
		end = after
	}
	return Validity{NotBefore: certificate.NotBefore.UTC(), NotAfter: end}
}

// overlap is the window in which both are open; it may be empty.
func (v Validity) overlap(w Validity) Validity {
	if w.NotBefore.After(v.NotBefore) {
		v.NotBefore = w.NotBefore
	}
	if w.NotAfter.Before(v.NotAfter) {
		v.NotAfter = w.NotAfter
	}
	return v
}

// parseBundle reads CA certificates from PEM. Text between the blocks is a comment; a block that is no CA certificate
// is an error, because a bundle that silently lost one refuses people for reasons nobody finds.
func parseBundle(of string, bundle []byte) ([]*x509.Certificate, error) {
	var anchors []*x509.Certificate
	begun := strings.Count(string(bundle), "-----BEGIN ")
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the bundle of %s holds a %s; it may hold CA certificates only", of, block.Type)
		}
		anchor, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in the bundle of %s cannot be read: %w", len(anchors)+1, of, err)
		}
		if !anchor.BasicConstraintsValid || !anchor.IsCA {
			return nil, fmt.Errorf("certificate %d (%s) in the bundle of %s is no CA certificate (basic constraints CA:TRUE)",
				len(anchors)+1, anchor.Subject, of)
		}
		anchors = append(anchors, anchor)
	}
	switch {
	case len(anchors) != begun:
		return nil, fmt.Errorf("the bundle of %s has %d PEM blocks of which %d can be read", of, begun, len(anchors))
	case len(anchors) == 0:
		return nil, fmt.Errorf("the bundle of %s holds no CA certificate in PEM", of)
	}
	return anchors, nil
}
