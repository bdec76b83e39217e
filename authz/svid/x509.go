package svid

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// takeX509 puts an answer into force, as far as it can be read: one domain's garbage is no reason to keep another's old
// certificates.
func (s *Source) takeX509(answer *workload.X509SVIDResponse) {
	before := s.x509.Load()
	next := &x509State{certificate: before.certificate, id: before.id, domain: before.domain, bundles: map[string][]byte{}}
	if len(answer.GetSvids()) == 0 {
		s.keepX509(before, errors.New("the answer holds no SVID"))
		return
	}
	own := answer.GetSvids()[0] // "the default identity", section 5.2.1
	certificate, id, err := readSVID(own)
	switch {
	case err == nil:
		next.certificate, next.id, next.domain = certificate, id.String(), id.TrustDomain().Name()
	case before.certificate == nil:
		s.keepX509(before, err)
		return
	default:
		s.options.Events.Refused(StreamX509, "", err)
		next.why = err
	}
	// A federated bundle never stands for a domain of which we have SVIDs, whatever the agent says.
	for domain, der := range answer.GetFederatedBundles() {
		s.addBundle(next, before, domain, der)
	}
	for _, each := range slices.Backward(answer.GetSvids()) { // the default identity's last, so that it counts
		s.addBundle(next, before, each.GetSpiffeId(), each.GetBundle())
	}
	changed := next.certificate != before.certificate || !maps.EqualFunc(next.bundles, before.bundles, bytes.Equal)
	s.x509.Store(next)
	s.options.Events.Updated(next.id, next.certificate.Leaf.NotAfter, slices.Sorted(maps.Keys(next.bundles)))
	if changed {
		s.options.Changed()
	}
}

// keepX509 goes on with what was held, and keeps the reason for whoever asks.
func (s *Source) keepX509(before *x509State, why error) {
	why = fmt.Errorf("what it sends cannot be used: %w", why)
	s.x509.Store(before.because(why))
	s.options.Events.Refused(StreamX509, "", why)
}

func (s *Source) lostX509(err error) { s.x509.Store(s.x509.Load().because(err)) }

func (s *x509State) because(why error) *x509State {
	next := *s
	next.why = why
	return &next
}

// readSVID reads an SVID that is valid now. It must be what the agent calls it.
func readSVID(m *workload.X509SVID) (*tls.Certificate, spiffeid.ID, error) {
	read, err := x509svid.ParseRaw(m.GetX509Svid(), m.GetX509SvidKey())
	switch {
	case err != nil:
		return nil, spiffeid.ID{}, fmt.Errorf("the SVID of %.200q: %w", m.GetSpiffeId(), err)
	case read.ID.String() != m.GetSpiffeId():
		return nil, spiffeid.ID{}, fmt.Errorf("the SVID of %.200q is of %.200q", m.GetSpiffeId(), read.ID)
	case read.ID.Path() == "":
		return nil, spiffeid.ID{}, fmt.Errorf("the SVID of %.200q names a trust domain and no workload", m.GetSpiffeId())
	case time.Now().After(read.Certificates[0].NotAfter):
		return nil, spiffeid.ID{}, fmt.Errorf("the SVID of %.200q had run out at %s when it came; do the clocks differ?",
			m.GetSpiffeId(), read.Certificates[0].NotAfter.UTC().Format(time.RFC3339))
	}
	certificate := &tls.Certificate{PrivateKey: crypto.PrivateKey(read.PrivateKey), Leaf: read.Certificates[0]}
	for _, c := range read.Certificates {
		certificate.Certificate = append(certificate.Certificate, c.Raw)
	}
	return certificate, read.ID, nil
}

// addBundle takes a domain's bundle; one that cannot be read leaves that domain as it was.
func (s *Source) addBundle(next, before *x509State, of string, der []byte) {
	domain, err := spiffeid.TrustDomainFromString(of)
	if err != nil {
		s.options.Events.Refused(StreamX509, "", fmt.Errorf("a bundle of %.200q, which is no trust domain: %w", of, err))
		return
	}
	name := domain.Name()
	certificates, err := x509.ParseCertificates(der)
	if err == nil && len(certificates) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		s.options.Events.Refused(StreamX509, name, fmt.Errorf("the X.509 bundle of trust domain %s: %w", name, err))
		if held, there := before.bundles[name]; there {
			next.bundles[name] = held
		}
		return
	}
	var bundle []byte
	for _, c := range certificates {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	next.bundles[name] = bundle
}
