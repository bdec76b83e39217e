package e2e_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const deployersID = "spiffe://acme.example/ns/ci/sa/deployer"

// The tags of names in a subjectAltName (RFC 5280, section 4.2.1.6).
const (
	sanEmail = 1
	sanDNS   = 2
	sanURI   = 6
	sanIP    = 7
)

type san struct {
	tag   int
	bytes string
}

func uri(text string) san { return san{sanURI, text} }

// sans is a subjectAltName of these names, byte for byte: crypto/x509 would refuse to write most of them.
func sans(t *testing.T, names ...san) []pkix.Extension {
	t.Helper()
	raw := make([]asn1.RawValue, len(names))
	for i, n := range names {
		raw[i] = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: n.tag, Bytes: []byte(n.bytes)}
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: made(asn1.Marshal(raw))(t)}}
}

// leaf is a good SVID's template but for its names.
func leaf(names []pkix.Extension) x509.Certificate {
	return x509.Certificate{NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, ExtraExtensions: names}
}

// oddNames are SPIFFE IDs that are none, or are others than one might read.
func oddNames() map[string][]san {
	const td = "acme.example"
	all := map[string][]san{
		"no name": nil, "DNS": {{sanDNS, "deployer.acme.example"}}, "the ID as DNS": {{sanDNS, deployersID}}, "the ID as email": {{sanEmail, deployersID}},
		"IP": {{sanIP, "\x7f\x00\x00\x01"}}, "twice the same": {uri(deployersID), uri(deployersID)}, "a URL before": {uri("https://x.example"), uri(deployersID)},
		"a URL behind": {uri(deployersID), uri("https://x.example")}, "another workload before": {uri("spiffe://acme.example/x"), uri(deployersID)},
		"another workload behind": {uri(deployersID), uri("spiffe://acme.example/x")}, "empty behind": {uri(deployersID), uri("")},
		"empty before": {uri(""), uri(deployersID)}, "another domain behind": {uri(deployersID), uri("spiffe://partner.example/x")},
		"three": {uri(deployersID), uri(deployersID + "2"), uri(deployersID + "3")},
	}
	for _, id := range []string{
		"", "spiffe:", "spiffe://", "spiffe:///ns/ci/sa/deployer", "SPIFFE://" + td + "/ns/ci/sa/deployer", "Spiffe://" + td + "/ns/ci/sa/deployer",
		"spiffe://ACME.example/ns/ci/sa/deployer", "spiffe://Acme.Example/ns/ci/sa/deployer", deployersID + "/", deployersID + "//", deployersID + "?",
		deployersID + "?x=y", deployersID + "#", deployersID + "#x", "spiffe://u@" + td + "/ns/ci/sa/deployer", "spiffe://u:p@" + td + "/ns/ci/sa/deployer",
		"spiffe://@" + td + "/ns/ci/sa/deployer", "spiffe://" + td + ":443/ns/ci/sa/deployer", "spiffe://" + td + ":/ns/ci/sa/deployer",
		"spiffe://" + td + "./ns/ci/sa/deployer", "spiffe://" + td + "/ns/ci/sa/./deployer", "spiffe://" + td + "/ns/ci/sa/x/../deployer",
		"spiffe://" + td + "/x/../ns/ci/sa/deployer", "spiffe://" + td + "/ns/ci//sa/deployer", "spiffe://" + td + "//ns/ci/sa/deployer",
		"spiffe://" + td + "/ns/ci/sa/..", "spiffe://" + td + "/ns/ci/sa/.", "spiffe://" + td + "/ns/ci/sa/deploye%72", "spiffe://" + td + "/ns%2fci/sa/deployer",
		"spiffe://" + td + "/ns/ci/sa/%2e%2e/deployer", "spiffe://" + td + "/ns/ci/sa/deployer%00", deployersID + "\x00", "spiffe://" + td + "\x00/ns/ci/sa/deployer",
		deployersID + "\x00.evil.example", deployersID + "\n", deployersID + "\r\nx-a: b", deployersID + "\t", deployersID + " ", " " + deployersID, deployersID + "\x7f",
		deployersID + "\xff", deployersID + "é", "spiffe://acme.exаmple/ns/ci/sa/deployer", "spiffe://acme.example.evil.example/ns/ci/sa/deployer",
		"spiffe://evil-acme.example/ns/ci/sa/deployer", "spiffe://evil.example/ns/ci/sa/deployer", "spiffe://example/ns/ci/sa/deployer",
		"spiffe://ns.acme.example/ns/ci/sa/deployer", "spiffe://" + td, "spiffe://" + td + "/", "spiffe:/" + td + "/ns/ci/sa/deployer",
		"spiffe:" + td + "/ns/ci/sa/deployer", `spiffe:\\` + td + `\ns\ci\sa\deployer`, `spiffe://` + td + `/ns/ci/sa\deployer`, "https://" + td + "/ns/ci/sa/deployer",
		"urn:" + deployersID, deployersID + ";x", deployersID + ",URI=" + deployersID, deployersID + `"`, "spiffe://" + td + "/ns/ci/sa/*", "spiffe://*/ns/ci/sa/deployer",
		"spiffe://[::1]/ns/ci/sa/deployer", "spiffe://xn--acme-9na.example/ns/ci/sa/deployer", "spiffe://" + td + "/" + strings.Repeat("a", 2049-len("spiffe://acme.example/")),
		"spiffe://" + td + "/ns/ci/sa/" + strings.Repeat("a", 20000), "spiffe://" + strings.Repeat("a", 256) + "/ns/ci/sa/deployer",
	} {
		all[brief(id)] = []san{uri(id)}
	}
	return all
}

// oddCertificates bear a good name and are wrong otherwise; each says why it is refused before anybody reads the name.
func oddCertificates(t *testing.T) map[string]x509.Certificate {
	t.Helper()
	all := map[string]x509.Certificate{}
	put := func(name string, change func(*x509.Certificate)) {
		c := leaf(sans(t, uri(deployersID)))
		change(&c)
		all[name] = c
	}
	put("expired", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = c.NotBefore.Add(-time.Hour), time.Now().Add(-time.Second)
	})
	put("not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour / 2) })
	put("ends before it begins", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotAfter, c.NotBefore })
	put("a CA", func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
	})
	put("a CA by basic constraints", func(c *x509.Certificate) { c.IsCA = true })
	put("may sign certificates", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign })
	put("may sign CRLs", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign })
	put("no digital signature", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
	put("for servers only", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	put("for code", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
	put("a critical extension that nobody knows", func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
	})
	put("names twice", func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, c.ExtraExtensions...) })
	put("names of rubbish", func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte("rubbish") })
	put("names of nothing", func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte{0x30, 0} })
	return all
}

// TestCertificateCorpus: certificates that the trusted authority signed, and that name nobody, or more than one, or
// another, or must not be believed. The handshake fails or tiergate answers 401; no upstream is reached.
func TestCertificateCorpus(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	counts := map[string]int{}
	show := func(name string, ca *devca.CA, template x509.Certificate) got {
		pair, err := ca.Odd(template)
		if err != nil {
			t.Errorf("%s cannot be signed: %v", name, err)
			return got{}
		}
		return newWire(t, s, s.Ports.Ingress, pair, true).ask(sent{method: "GET", target: "/admin/x", host: stage.PayrollHost})
	}
	refused := func(name string, a got) {
		t.Helper()
		switch {
		case a.Status == 0:
			counts["no handshake"]++
		case a.Status == http.StatusUnauthorized && a.written():
			counts["401"]++
		default:
			t.Errorf("%s: %d %s %v", name, a.Status, a.Body, a.Err)
		}
	}
	control := func() {
		t.Helper()
		if a := show("a good one", s.Cast.Workloads, leaf(sans(t, uri(deployersID)))); a.Status != http.StatusOK {
			t.Fatalf("a good one: %d %s %v", a.Status, a.Body, a.Err)
		}
	}
	control()
	for name, names := range oddNames() {
		template := leaf(nil)
		if names != nil {
			template = leaf(sans(t, names...))
		}
		refused(name, show(name, s.Cast.Workloads, template))
	}
	control()
	for name, template := range oddCertificates(t) {
		refused(name, show(name, s.Cast.Workloads, template))
	}
	refused("a good one of another authority", show("", made(devca.New("Acme workloads"))(t), leaf(sans(t, uri(deployersID)))))
	refused("a good one of the laptops' authority", show("", s.Cast.Devices, leaf(sans(t, uri(deployersID)))))
	control()
	t.Logf("%v", counts)
	if counts["401"] < 40 || counts["no handshake"] < 4 {
		t.Errorf("%v: the corpus tells too little", counts)
	}
}
