package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// verified is a certificate whose signature was checked: one name, and for each CA that signed it the window in which
// both are valid.
type verified struct {
	workload   SPIFFEID
	device     signals.Alias
	thumbprint Thumbprint
	windows    []Validity
	uris       []string // all of its URI names
	forwards   bool     // the workload is a proxy whose word on others counts
}

// verify reads a certificate and checks who signed it.
func (a *Authority) verify(encodedPEM string) (verified, error) {
	leaf, err := decodeCertificate(encodedPEM)
	if err != nil {
		return verified{}, err
	}
	if err := checkLeaf(leaf); err != nil {
		return verified{}, err
	}
	uris, err := uriNames(leaf)
	switch {
	case err != nil:
		return verified{}, err
	case a.ignores(uris):
		return a.verifyDevice(leaf, uris)
	case len(uris) == 1:
		return a.verifyWorkload(leaf, uris[0])
	}
	return verified{}, fmt.Errorf("the peer certificate has %d URI names; an SVID has exactly one", len(uris))
}

func (a *Authority) verifyWorkload(leaf *x509.Certificate, uri string) (verified, error) {
	id, err := ParseSPIFFEID(uri)
	if err != nil {
		return verified{}, fmt.Errorf("the URI name of the peer certificate is no SPIFFE ID: %w", err)
	}
	if id.Path() == "" {
		return verified{}, errors.New("the SPIFFE ID of the peer certificate names a trust domain and no workload")
	}
	anchors, err := a.anchors(id)
	if err != nil {
		return verified{}, err
	}
	windows := signedBy(leaf, anchors)
	if len(windows) == 0 {
		return verified{}, fmt.Errorf("the peer certificate was signed by no CA in the bundle of trust domain %q%s",
			id.TrustDomain(), leafAlone)
	}
	return verified{workload: id, thumbprint: thumbprintOf(leaf), windows: windows, uris: []string{uri},
		forwards: a.forwards(id)}, nil
}

// anchors are the CA certificates of an ID's trust domain.
func (a *Authority) anchors(id SPIFFEID) ([]*x509.Certificate, error) {
	domain := id.TrustDomain()
	anchors, known := a.domains[domain]
	switch {
	case known:
		return anchors, nil
	case slices.Contains(a.awaited, domain):
		return nil, fmt.Errorf("the CA certificates of trust domain %q are awaited from the Workload API: see in log and "+
			"metrics whether its agent is reached and delivers that domain's bundle", domain)
	}
	return nil, fmt.Errorf("it is of trust domain %q, which is not trusted here: add it to identity.trustDomains if it "+
		"should be", domain)
}

func (a *Authority) verifyDevice(leaf *x509.Certificate, uris []string) (verified, error) {
	if a.devices == nil {
		return verified{}, errors.New("the peer certificate has no URI name, so it is no SVID, " +
			"and no CA of device certificates is set (identity.devices)")
	}
	windows := signedBy(leaf, a.devices)
	if len(windows) == 0 {
		return verified{}, errors.New("the peer certificate was signed by no CA in the bundle of devices" + leafAlone)
	}
	thumbprint := thumbprintOf(leaf)
	alias, err := a.nameOf(leaf, thumbprint)
	if err != nil {
		return verified{}, err
	}
	return verified{device: alias, thumbprint: thumbprint, windows: windows, uris: uris}, nil
}

const leafAlone = " (Envoy sends the peer's own certificate alone: an intermediate CA must stand in the bundle)"

func (a *Authority) nameOf(leaf *x509.Certificate, thumbprint Thumbprint) (signals.Alias, error) {
	if a.binding == BindSerialNumber {
		serial, err := subjectSerial(leaf)
		if err != nil {
			return signals.Alias{}, err
		}
		return signals.NewAlias(signals.AliasSerial, serial)
	}
	return signals.NewAlias(signals.AliasCertificate, thumbprint.String())
}

// signedBy returns, for each CA that signed the certificate, the window in which both are valid. Every CA is tried at
// an instant of its own window, so that the answer does not depend on when it is asked for.
func signedBy(leaf *x509.Certificate, anchors []*x509.Certificate) []Validity {
	var windows []Validity
	for _, anchor := range anchors {
		window := windowOf(leaf).overlap(windowOf(anchor))
		if !window.Covers(window.NotBefore) || window.NotBefore.IsZero() { // crypto/x509 takes the zero time for now
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(anchor)
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(),
			CurrentTime: window.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err == nil {
			windows = append(windows, window)
		}
	}
	return windows
}

// peer judges what was verified at an instant and against Envoy's own word.
func (v verified) peer(principal string, at time.Time) Peer {
	window := v.window(at)
	peer := Peer{Certificate: window}
	if !window.Covers(at) {
		peer.Doubts = append(peer.Doubts, Doubt{Code: DoubtCertificate, Detail: fmt.Sprintf(
			"the peer certificate and its CA are valid from %s until before %s and now is %s: renew it, or correct the clock",
			window.NotBefore.Format(time.RFC3339), window.NotAfter.Format(time.RFC3339), at.UTC().Format(time.RFC3339Nano))})
	}
	switch {
	case v.workload != "" && principal != "" && principal != string(v.workload):
		peer.Doubts = append(peer.Doubts, Doubt{Code: DoubtPrincipal,
			Detail: fmt.Sprintf("Envoy's principal is %.200q and the certificate is of %.200q", principal, v.workload)})
	case v.workload == "" && strings.HasPrefix(principal, spiffeScheme):
		peer.Doubts = append(peer.Doubts, Doubt{Code: DoubtPrincipal,
			Detail: fmt.Sprintf("Envoy's principal is %.200q and the certificate names no workload", principal)})
	}
	if len(peer.Doubts) == 0 {
		peer.Workload, peer.Device, peer.Thumbprint = v.workload, v.device, v.thumbprint
		peer.Forwards = v.forwards
	}
	return peer
}

// window is the longest of the windows that cover the instant; if none does, the one that ends last.
func (v verified) window(at time.Time) Validity {
	best := v.windows[0]
	for _, w := range v.windows[1:] {
		if covers := w.Covers(at); covers != best.Covers(at) {
			if covers {
				best = w
			}
		} else if w.NotAfter.After(best.NotAfter) {
			best = w
		}
	}
	return best
}
