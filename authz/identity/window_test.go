package identity_test

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// TestPeerBoundaries: notAfter is the last valid second (RFC 5280, 4.1.2.5), and the window is judged at every call, in
// whatever order instants come.
func TestPeerBoundaries(t *testing.T) {
	begin, last := now.Add(-time.Hour), now.Add(time.Hour)
	end := last.Add(time.Second)
	wide := newCA(t, "wide")
	narrow := newCA(t, "narrow", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = begin, last })
	for name, c := range map[string]struct {
		by     *ca
		change func(*x509.Certificate)
	}{
		"window of the certificate": {wide, func(*x509.Certificate) {}},
		"window of its CA": {narrow, func(l *x509.Certificate) {
			l.NotBefore,
				l.NotAfter = begin.Add(-9*time.Hour), last.Add(9*time.Hour)
		}},
		"begin of the CA, end of the certificate": {newCA(t, "x", func(c *x509.Certificate) { c.NotBefore = begin }),
			func(l *x509.Certificate) { l.NotBefore = begin.Add(-9 * time.Hour) }},
	} {
		a := newAuthority(t, identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": c.by.pem()}})
		encoded := encode(c.by.leaf(t, []string{deployer}, c.change))
		for range 2 {
			for _, at := range []struct {
				time.Time
				valid bool
			}{{end, false}, {begin.Add(-1), false}, {begin, true}, {now, true}, {last, true}, {end.Add(-1), true}, {end, false},
				{end.Add(100000 * time.Hour), false}, {time.Time{}, false}} {
				got := a.Peer(encoded, deployer, at.Time)
				if want := (identity.Validity{NotBefore: begin, NotAfter: end}); got.Certificate != want {
					t.Errorf("%s: window %+v, want %+v", name, got.Certificate, want)
				}
				if at.valid && (got.Workload != deployer || got.Doubts != nil) {
					t.Errorf("%s, %s: %+v", name, at.Time, got)
				}
				if !at.valid {
					wantDoubt(t, got, identity.DoubtCertificate, "valid from")
				}
			}
		}
	}
}

func TestPeerNeverEnding(t *testing.T) {
	forever := func(c *x509.Certificate) { c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }
	by := newCA(t, "ca", forever)
	a := newAuthority(t, identity.AuthorityOptions{Devices: by.pem()})
	got := a.Peer(encode(by.device(t, nil, forever)), "", now)
	if len(got.Doubts) > 0 {
		t.Fatal(got.Doubts)
	}
	if _, err := json.Marshal(identity.Assemble(got, identity.Proven{}, nil)); err != nil {
		t.Errorf("the subject cannot be written down: %v", err)
	}
}

// TestPeerEmptyWindow: a certificate that was over before its CA began was never valid.
func TestPeerEmptyWindow(t *testing.T) {
	by := newCA(t, "ca", func(c *x509.Certificate) { c.NotBefore = now.Add(-time.Hour) })
	a := newAuthority(t, identity.AuthorityOptions{Devices: by.pem()})
	encoded := encode(by.device(t, nil, func(l *x509.Certificate) {
		l.NotBefore, l.NotAfter = now.Add(-9*time.Hour),
			now.Add(-8*time.Hour)
	}))
	for _, at := range []time.Time{now, now.Add(-8*time.Hour - time.Minute)} {
		wantDoubt(t, a.Peer(encoded, "", at), identity.DoubtCertificate, "signed by no CA")
	}
}

// TestPeerCARenewed: two certificates of one CA key stand in the bundle; what they cover together counts.
func TestPeerCARenewed(t *testing.T) {
	key := newKey(t)
	window := func(from, until time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, until }
	}
	older := newCAWithKey(t, "ca", key, window(now.Add(-48*time.Hour), now))
	newer := newCAWithKey(t, "ca", key, window(now.Add(-time.Minute), now.Add(48*time.Hour)))
	a := newAuthority(t, identity.AuthorityOptions{Devices: append(older.pem(), newer.pem()...)})
	encoded := encode(older.device(t, nil, window(now.Add(-time.Hour), now.Add(time.Hour))))
	for _, c := range []struct{ at, from, until time.Time }{
		{now.Add(-30 * time.Minute), now.Add(-time.Hour), now.Add(time.Second)},
		{now.Add(-time.Second), now.Add(-time.Minute), now.Add(time.Hour + time.Second)},
		{now.Add(30 * time.Minute), now.Add(-time.Minute), now.Add(time.Hour + time.Second)},
		{now.Add(-30 * time.Minute), now.Add(-time.Hour), now.Add(time.Second)},
	} {
		got := a.Peer(encoded, "", c.at)
		if want := (identity.Validity{NotBefore: c.from, NotAfter: c.until}); len(got.Doubts) > 0 || got.Certificate != want {
			t.Errorf("at %s: %+v, want %+v", c.at, got, want)
		}
	}
	wantDoubt(t, a.Peer(encoded, "", now.Add(2*time.Hour)), identity.DoubtCertificate, "valid from")
}

// TestPeerIntermediateInBundle: an intermediate CA that stands in the bundle is trusted by itself.
func TestPeerIntermediateInBundle(t *testing.T) {
	root := newCA(t, "root")
	sub := root.sub(t, "sub")
	bundle := toPEM(root.certificate, sub.certificate)
	a := newAuthority(t, identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": bundle}})
	if got := a.Peer(encode(sub.leaf(t, []string{deployer})), deployer, now); got.Workload != deployer {
		t.Error(got.Doubts)
	}
}

// TestPeerNameConstraints: a CA that is confined to another domain signs nothing here.
func TestPeerNameConstraints(t *testing.T) {
	for permitted, want := range map[string]identity.SPIFFEID{"acme.example": deployer, "other.example": ""} {
		by := newCA(t, "ca", func(c *x509.Certificate) {
			c.PermittedURIDomains, c.PermittedDNSDomainsCritical = []string{permitted}, true
		})
		a := newAuthority(t, identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": by.pem()}})
		if got := a.Peer(encode(by.leaf(t, []string{deployer})), "", now); got.Workload != want ||
			(want == "") != (len(got.Doubts) == 1) {
			t.Errorf("confined to %s: %+v", permitted, got)
		}
	}
}
