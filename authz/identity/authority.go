package identity

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Binding says what in a device certificate names the device. The words are those of the settings.
type Binding string

// The bindings. The zero Binding is BindCertificate.
const (
	BindCertificate  Binding = "certificate"  // the SHA-256 of the certificate's DER
	BindSerialNumber Binding = "serialNumber" // the subject's serialNumber attribute, RFC 4519 section 2.31
)

// AuthorityOptions say which CA may sign which names. No CA may stand for two: an SVID and a device certificate, or the
// SVIDs of two trust domains, are told apart by who signed them.
type AuthorityOptions struct {
	TrustDomains  map[string][]byte // name of the trust domain -> its CA certificates, PEM
	Devices       []byte            // the CA certificates (PEM) of device certificates; nil: there are none
	DeviceBinding Binding
	// BelievePrincipal takes Envoy's source.principal for the workload where Envoy sends no certificate, because Envoy has
	// verified the handshake. Then two URI names in one certificate, and its window of validity, go unseen.
	BelievePrincipal bool
}

// The certificates whose signatures are remembered: at most so many of at most so many bytes as Envoy sends them, so 16 MB
// if all are that large and 6 MB if they are as usual.
const (
	maxRemembered      = 4096
	maxRememberedBytes = 4 << 10
)

// Authority decides which names a certificate may carry. It is immutable after NewAuthority, but for a bounded memory
// of signatures that it has verified, and safe for concurrent use. The system's own CA certificates never count.
type Authority struct {
	domains          map[string][]*x509.Certificate
	devices          []*x509.Certificate
	binding          Binding
	believePrincipal bool
	memory           *Memory[string, verified] // what Envoy sent, byte for byte: a certificate is no secret
}

// NewAuthority reads the bundles. It refuses names that are no trust domain, bundles that hold anything but CA
// certificates, and a CA key that stands in two bundles.
func NewAuthority(o AuthorityOptions) (*Authority, error) {
	a := &Authority{domains: map[string][]*x509.Certificate{}, binding: o.DeviceBinding,
		believePrincipal: o.BelievePrincipal, memory: NewMemory[string, verified](maxRemembered, strings.Clone)}
	switch a.binding {
	case "":
		a.binding = BindCertificate
	case BindCertificate, BindSerialNumber:
	default:
		return nil, fmt.Errorf("a device is bound by %q or %q, not by %q", BindCertificate, BindSerialNumber, o.DeviceBinding)
	}
	owners := map[string]string{} // public key of a CA -> the bundle it stands in
	for _, name := range slices.Sorted(maps.Keys(o.TrustDomains)) {
		if err := checkTrustDomain(name); err != nil {
			return nil, fmt.Errorf("trust domain %q: %w", name, err)
		}
		anchors, err := parseBundle("trust domain "+name, o.TrustDomains[name])
		if err != nil {
			return nil, err
		}
		if err := claim(owners, anchors, "trust domain "+name); err != nil {
			return nil, err
		}
		a.domains[name] = anchors
	}
	if o.Devices == nil {
		return a, nil
	}
	var err error
	if a.devices, err = parseBundle("devices", o.Devices); err != nil {
		return nil, err
	}
	if err := claim(owners, a.devices, "devices"); err != nil {
		return nil, err
	}
	return a, nil
}

// claim notes whose CA a key is, and refuses a key that is another's already.
func claim(owners map[string]string, anchors []*x509.Certificate, of string) error {
	for _, anchor := range anchors {
		key := string(anchor.RawSubjectPublicKeyInfo)
		if other, taken := owners[key]; taken && other != of {
			return fmt.Errorf("the CA %s stands in the bundles of %s and of %s; a CA may sign for one of them only, "+
				"else either could pass for the other: give each its own CA", anchor.Subject, other, of)
		}
		owners[key] = of
	}
	return nil
}

// Peer is what the other end of the TLS connection proved. Where there is a doubt there is no name and no thumbprint.
type Peer struct {
	Workload    SPIFFEID
	Device      signals.Alias
	Thumbprint  Thumbprint // of the certificate that was verified; zero if there is none
	Certificate Validity   // where the certificate and the CA that signed it are both valid; zero if nothing was verified
	Doubts      []Doubt
}

// Peer judges the peer's certificate as Envoy sends it (AttributeContext.Peer: certificate is percent-encoded PEM,
// principal its first URI name, else a DNS name, else the subject). Neither: the zero Peer, which is nobody and no
// doubt.
//
// The memory holds what does not depend on time; the window is judged against at on every call.
func (a *Authority) Peer(encodedPEM, principal string, at time.Time) Peer {
	if encodedPEM == "" {
		return a.withoutCertificate(principal)
	}
	if len(encodedPEM) > maxCertificateBytes {
		return doubtful(DoubtCertificate, fmt.Sprintf("the peer certificate has %d bytes; the limit is %d",
			len(encodedPEM), maxCertificateBytes))
	}
	found, ok := a.memory.Get(encodedPEM)
	if !ok {
		var err error
		if found, err = a.verify(encodedPEM); err != nil {
			return doubtful(DoubtCertificate, err.Error())
		}
		if len(encodedPEM) <= maxRememberedBytes {
			a.memory.Put(encodedPEM, found)
		}
	}
	return found.peer(principal, at)
}

func (a *Authority) withoutCertificate(principal string) Peer {
	if principal == "" {
		return Peer{}
	}
	if !a.believePrincipal {
		return doubtful(DoubtPrincipal, "Envoy names a principal but sends no certificate to verify: "+
			"set include_peer_certificate: true in its ext_authz filter")
	}
	id, err := ParseSPIFFEID(principal)
	switch {
	case err != nil:
		return doubtful(DoubtPrincipal, "Envoy's principal is no SPIFFE ID and there is no certificate: "+err.Error())
	case id.Path() == "":
		return doubtful(DoubtPrincipal, "Envoy's principal names a trust domain and no workload")
	case a.domains[id.TrustDomain()] == nil:
		return doubtful(DoubtPrincipal, fmt.Sprintf("Envoy's principal is of trust domain %q, which is not trusted here",
			id.TrustDomain()))
	}
	return Peer{Workload: id}
}

func doubtful(code DoubtCode, detail string) Peer {
	return Peer{Doubts: []Doubt{{Code: code, Detail: detail}}}
}
