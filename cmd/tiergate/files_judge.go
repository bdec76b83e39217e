package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/jwks"
)

// warnBefore is how long before its end a certificate is warned of, or a third of its life if that is shorter: short-lived
// ones are renewed later than that.
const warnBefore = 14 * 24 * time.Hour

// judgePair wants a certificate chain of which nothing has ended, and the private key of its first certificate. (Envoy takes
// it again, and may be stricter; it then keeps what it has and says so: `tiergate envoy status`.)
func judgePair(contents [][]byte, now time.Time) (lifetime, error) {
	chain, err := certificates(contents[0])
	if err != nil {
		return lifetime{}, err
	}
	if _, err := tls.X509KeyPair(contents[0], contents[1]); err != nil {
		return lifetime{}, fmt.Errorf("the certificate and key cannot be used together: %w", err)
	}
	life := lifetime{chain[0].NotBefore, chain[0].NotAfter}
	for _, c := range chain {
		if c.NotAfter.Before(life.ends) {
			life.ends = c.NotAfter
		}
		if err := validAt(c, now); err != nil {
			return life, err
		}
	}
	return life, nil
}

// judgeBundle wants CA certificates whole, one of which counts now. It ends with the last of them: those before are how a
// CA is replaced.
func judgeBundle(contents [][]byte, now time.Time) (lifetime, error) {
	all, err := certificates(contents[0])
	if err != nil {
		return lifetime{}, err
	}
	last := all[0]
	var faults []error
	for _, c := range all {
		if c.NotAfter.After(last.NotAfter) {
			last = c
		}
		faults = append(faults, validAt(c, now))
	}
	life := lifetime{last.NotBefore, last.NotAfter}
	for _, fault := range faults {
		if fault == nil {
			return life, nil
		}
	}
	return life, faults[0]
}

func judgeKeys(contents [][]byte, _ time.Time) (lifetime, error) {
	_, err := jwks.Parse(contents[0])
	return lifetime{}, err
}

func validAt(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return notNow{fmt.Errorf("the certificate of %q counts from %s only", c.Subject, c.NotBefore.UTC().Format(time.RFC3339))}
	case now.After(c.NotAfter):
		return notNow{fmt.Errorf("the certificate of %q ended at %s", c.Subject, c.NotAfter.UTC().Format(time.RFC3339))}
	}
	return nil
}

// certificates reads PEM whole: a block that begins and does not end is half of a file.
func certificates(raw []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	begun := bytes.Count(raw, []byte("-----BEGIN "))
	for rest := raw; ; {
		block, more := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = more
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a PEM block %q in it, and only certificates belong there", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	switch {
	case begun > len(all):
		return nil, fmt.Errorf("it is not whole: %d PEM blocks begin and %d end", begun, len(all))
	case len(all) == 0:
		return nil, errors.New("there is no PEM certificate in it")
	}
	return all, nil
}

// warn tells once each of what ends soon and of what has ended.
func (f *fileSet) warn() {
	now := f.now()
	for _, g := range f.groups {
		ends := g.life.ends
		if ends.IsZero() {
			continue
		}
		ended := now.After(ends)
		soon := ends.Sub(now) < min(warnBefore, ends.Sub(g.life.begins)/3)
		if (ended && !g.expired) || (soon && !ended && !g.warned.Equal(ends)) {
			g.warned, g.expired = ends, ended
			f.told.Ends(g.name, ends, ended)
		}
	}
}
