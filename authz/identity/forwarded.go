package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Behind is who is behind a peer whose word on others counts, by the values of x-forwarded-client-cert as they came to
// Envoy's filters. A peer that is not listed in AuthorityOptions.Forwarders, or that says nothing, is returned as it is:
// the request is then its own.
//
// What counts is the element that this very peer added, and no other: the last one, once the element is taken away that
// our own Envoy appends of its peer. It must be By the peer's SPIFFE ID, so a proxy takes connections with the SVID that
// it makes them with; and it must be the only one that is, since a name with a comma in a client's certificate, which
// Envoy writes as it is, would else add another behind it. What proxies before it said is not followed.
//
// With Cert it is judged by the very rules of a peer's own certificate. Without, the proxy's word is all there is: one
// SPIFFE ID of a trusted domain is a workload, and no URI name and a Hash is a device, where certificates bind devices.
// Names that Envoy would write without quotes can then hold more than a name, so a proxy should send Cert.
//
// A proxy that passes on what its clients send (FORWARD_ONLY, ALWAYS_FORWARD_ONLY) must never be listed.
func (a *Authority) Behind(peer Peer, forwarded []string, at time.Time) Peer {
	if !peer.Forwards || peer.Workload == "" || len(forwarded) == 0 {
		return peer
	}
	elements, err := parseForwarded(forwarded)
	if err != nil {
		return notTold(peer, err)
	}
	if hash, given := elements[len(elements)-1].one(keyHash); given && strings.EqualFold(hash, peer.Thumbprint.String()) {
		elements = elements[:len(elements)-1]
	}
	if len(elements) == 0 {
		return peer
	}
	if err := ownElement(elements, peer.Workload); err != nil {
		return notTold(peer, err)
	}
	own := elements[len(elements)-1]
	var behind Peer
	if certificate, given := own.one(keyCert); given {
		behind, err = a.shown(own, certificate, at)
	} else {
		behind, err = a.told(own)
	}
	if err != nil {
		return notTold(peer, err)
	}
	if behind.Certificate == (Validity{}) {
		behind.Certificate = peer.Certificate
	}
	behind.Certificate = behind.Certificate.overlap(peer.Certificate)
	behind.Forwarder, behind.Forwards = peer.Workload, false
	return behind
}

func notTold(peer Peer, err error) Peer {
	return doubtful(DoubtForwarded, fmt.Sprintf("x-forwarded-client-cert from the proxy %.200q: %v", peer.Workload, err))
}

// ownElement checks that the last element is By the proxy, and that it is the only one.
func ownElement(elements []forwardedElement, proxy SPIFFEID) error {
	last := len(elements) - 1
	for i, element := range elements {
		by := element.values(keyBy)
		switch named := slices.Contains(by, string(proxy)); {
		case named && i < last:
			return fmt.Errorf("element %d is By this proxy and so is a later one or should be: a client wrote one of them, or a "+
				"request came through the proxy twice; let the proxy drop what its clients send (SANITIZE_SET)", i+1)
		case !named && i == last:
			return fmt.Errorf("the last element is not By this proxy but By %.200q: it must add an element of its own, and "+
				"take connections with the SVID that it makes them with", by)
		case i == last && slices.ContainsFunc(by,
			func(name string) bool { return name != string(proxy) && isSPIFFE(name) }):
			return fmt.Errorf("the last element is By several SPIFFE IDs: %.400q", by)
		}
	}
	// Envoy writes DNS names last, and as they stand in the certificate: a semicolon in one begins another pair.
	if i := slices.IndexFunc(elements[last], isDNS); i >= 0 && !allDNS(elements[last][i:]) {
		return errors.New("something other than DNS names follows a DNS name; Envoy writes them last")
	}
	return nil
}

func isDNS(p forwardedPair) bool { return p.key == keyDNS }

func allDNS(pairs []forwardedPair) bool {
	return !slices.ContainsFunc(pairs, func(p forwardedPair) bool { return !isDNS(p) })
}

// isSPIFFE tells a name that means to be a SPIFFE ID, well written or not.
func isSPIFFE(name string) bool {
	const scheme = "spiffe:"
	return len(name) >= len(scheme) && strings.EqualFold(name[:len(scheme)], scheme)
}

// shown is whom the certificate in an element names. What else the element says of it must be so.
func (a *Authority) shown(element forwardedElement, certificate string, at time.Time) (Peer, error) {
	found, err := a.read(certificate)
	if err != nil {
		return Peer{}, fmt.Errorf("Cert: %w", err)
	}
	hash, given, err := element.hash()
	switch {
	case err != nil:
		return Peer{}, err
	case given && hash != found.thumbprint:
		return Peer{}, errors.New("Hash is not that of Cert")
	}
	if uris := element.values(keyURI); len(uris) > 0 && !slices.Equal(uris, found.uris) &&
		(len(found.uris) > 0 || !slices.Equal(uris, []string{""})) {
		return Peer{}, fmt.Errorf("URI says %.400q and Cert %.400q", uris, found.uris)
	}
	behind := found.peer("", at)
	for i := range behind.Doubts {
		behind.Doubts[i] = Doubt{Code: DoubtForwarded, Detail: "x-forwarded-client-cert: Cert: " + behind.Doubts[i].Detail}
	}
	return behind, nil
}

// told is whom an element without a certificate names.
func (a *Authority) told(element forwardedElement) (Peer, error) {
	hash, given, err := element.hash()
	if err != nil {
		return Peer{}, err
	}
	uris := element.values(keyURI)
	if slices.Equal(uris, []string{""}) {
		uris = nil
	}
	switch {
	case len(uris) > 0 && !a.ignores(uris):
		id, err := a.toldWorkload(uris)
		return Peer{Workload: id, Thumbprint: hash}, err
	case !given:
		return Peer{}, errors.New("the element names nobody: it has neither Cert nor URI nor Hash; set " +
			"set_current_client_cert_details {cert: true, uri: true} at the proxy")
	case a.devices == nil || a.binding != BindCertificate:
		return Peer{}, errors.New("the element names a device by the Hash of its certificate, and no device is bound so " +
			"(identity.devices.bind: certificate): let the proxy send Cert")
	}
	alias, err := signals.NewAlias(signals.AliasCertificate, hash.String())
	return Peer{Device: alias, Thumbprint: hash}, err
}

func (a *Authority) toldWorkload(uris []string) (SPIFFEID, error) {
	if len(uris) != 1 {
		return "", fmt.Errorf("the element has %d URI names; an SVID has exactly one", len(uris))
	}
	id, err := ParseSPIFFEID(strings.Clone(uris[0])) // the header may end with the call
	switch {
	case err != nil:
		return "", fmt.Errorf("URI is no SPIFFE ID: %w", err)
	case id.Path() == "":
		return "", errors.New("URI names a trust domain and no workload")
	}
	if _, err := a.anchors(id); err != nil {
		return "", fmt.Errorf("URI: %w", err)
	}
	return id, nil
}

// hash reads Hash: a SHA-256 in hex, the letters in any case.
func (e forwardedElement) hash() (digest Thumbprint, given bool, err error) {
	text, given := e.one(keyHash)
	if !given {
		return digest, false, nil
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(digest) || Thumbprint(raw) == (Thumbprint{}) {
		return digest, true, errors.New("Hash is no SHA-256 in hex")
	}
	return Thumbprint(raw), true, nil
}
