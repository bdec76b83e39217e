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
	TrustDomains map[string][]byte // name of the trust domain -> its CA certificates, PEM
	// Awaited are trust domains that are trusted and whose CA certificates are not there yet: their certificates are
	// doubted, with words for that.
	Awaited       []string
	Devices       []byte // the CA certificates (PEM) of device certificates; nil: there are none
	DeviceBinding Binding
	// IgnoreURINames are beginnings of URI names that a device certificate may carry and that name nobody, such as
	// tag:microsoft.com,2022-09-14:sid: of Intune. Each has at least 5 bytes and none could begin a SPIFFE ID. A certificate
	// counts as a device's only if all of its URI names begin so: beside a SPIFFE ID they are a second name, which no SVID
	// has.
	IgnoreURINames []string
	// Forwarders are the proxies whose x-forwarded-client-cert counts (see Behind), of TrustDomains and Awaited alone.
	Forwarders []SPIFFEPattern
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
	domains    map[string][]*x509.Certificate
	awaited    []string
	devices    []*x509.Certificate
	binding    Binding
	ignored    []string
	forwarders []SPIFFEPattern
	memory     *Memory[string, verified] // what Envoy sent, byte for byte: a certificate is no secret
}

// NewAuthority reads the bundles. It refuses names that are no trust domain, bundles that hold anything but CA
// certificates, a CA key that stands in two bundles, URI names that may not be ignored, and forwarders of other domains.
func NewAuthority(o AuthorityOptions) (*Authority, error) {
	a := &Authority{domains: map[string][]*x509.Certificate{}, awaited: slices.Clone(o.Awaited), binding: o.DeviceBinding,
		memory: NewMemory[string, verified](maxRemembered, strings.Clone)}
	switch a.binding {
	case "":
		a.binding = BindCertificate
	case BindCertificate, BindSerialNumber:
	default:
		return nil, fmt.Errorf("a device is bound by %q or %q, not by %q", BindCertificate, BindSerialNumber, o.DeviceBinding)
	}
	if err := a.setNames(o); err != nil {
		return nil, err
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

// minIgnoredBytes keeps a slip of the pen from ignoring every name.
const minIgnoredBytes = 5

func (a *Authority) setNames(o AuthorityOptions) error {
	for _, prefix := range o.IgnoreURINames {
		lower := strings.ToLower(prefix)
		switch {
		case len(prefix) < minIgnoredBytes:
			return fmt.Errorf("the ignored URI name %q has %d bytes; the least is %d", prefix, len(prefix), minIgnoredBytes)
		case strings.HasPrefix("spiffe:", lower) || isSPIFFE(prefix):
			return fmt.Errorf("the ignored URI name %q could begin a SPIFFE ID, and none of those may be ignored", prefix)
		}
	}
	for _, pattern := range o.Forwarders {
		_, known := o.TrustDomains[pattern.TrustDomain()]
		if !known && !slices.Contains(o.Awaited, pattern.TrustDomain()) {
			return fmt.Errorf("the forwarder %q is of trust domain %q, which is not trusted here: add the domain, or remove "+
				"the forwarder", pattern, pattern.TrustDomain())
		}
	}
	a.ignored, a.forwarders = slices.Clone(o.IgnoreURINames), slices.Clone(o.Forwarders)
	return nil
}

// ignores reports whether all of the URI names are ignored ones. No name at all is one of those, too.
func (a *Authority) ignores(uris []string) bool {
	for _, uri := range uris {
		if !slices.ContainsFunc(a.ignored, func(prefix string) bool { return strings.HasPrefix(uri, prefix) }) {
			return false
		}
	}
	return true
}

// forwards reports whether a workload is listed as a proxy whose word counts.
func (a *Authority) forwards(id SPIFFEID) bool {
	return slices.ContainsFunc(a.forwarders, func(pattern SPIFFEPattern) bool { return pattern.Match(id) })
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
	Forwarder   SPIFFEID // the proxy that told of this peer; empty: nobody did, this is the peer itself
	Forwards    bool     // it is listed as a proxy whose word on others counts (AuthorityOptions.Forwarders)
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
		return withoutCertificate(principal)
	}
	found, err := a.read(encodedPEM)
	if err != nil {
		return doubtful(DoubtCertificate, err.Error())
	}
	return found.peer(principal, at)
}

// read verifies a certificate, or remembers that it did.
func (a *Authority) read(encodedPEM string) (verified, error) {
	if len(encodedPEM) > maxCertificateBytes {
		return verified{}, fmt.Errorf("the peer certificate has %d bytes; the limit is %d", len(encodedPEM),
			maxCertificateBytes)
	}
	found, ok := a.memory.Get(encodedPEM)
	if ok {
		return found, nil
	}
	found, err := a.verify(encodedPEM)
	if err == nil && len(encodedPEM) <= maxRememberedBytes {
		a.memory.Put(encodedPEM, found)
	}
	return found, err
}

// withoutCertificate believes no name alone: two URI names in one certificate, and its window of validity, would go unseen.
func withoutCertificate(principal string) Peer {
	if principal == "" {
		return Peer{}
	}
	return doubtful(DoubtPrincipal, "Envoy names a principal but sends no certificate to verify: "+
		"set include_peer_certificate: true in its ext_authz filter")
}

func doubtful(code DoubtCode, detail string) Peer {
	return Peer{Doubts: []Doubt{{Code: code, Detail: detail}}}
}
