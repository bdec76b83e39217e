package devca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// Person issues a certificate by which somebody shows who they are: one e-mail name (RFC 5280, section 4.2.1.6), and nothing
// but client authentication.
func (ca *CA) Person(email string, ttl time.Duration) (*Pair, error) {
	if email == "" {
		return nil, fmt.Errorf("a person's certificate needs an e-mail address")
	}
	return ca.issue(ttl, x509.Certificate{
		Subject: pkix.Name{CommonName: email}, EmailAddresses: []string{email},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}
