package identity_test

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

const (
	deployer = "spiffe://acme.example/ns/ci/sa/deployer"
	stranger = "spiffe://partner.example/x"
)

// world is an authority with two trust domains and a CA of devices.
type world struct {
	acme, partner, devices *ca
	*identity.Authority
}

func newWorld(t testing.TB, binding identity.Binding) world {
	t.Helper()
	w := world{acme: newCA(t, "acme"), partner: newCA(t, "partner"), devices: newCA(t, "devices")}
	w.Authority = newAuthority(t, identity.AuthorityOptions{DeviceBinding: binding, Devices: w.devices.pem(),
		TrustDomains: map[string][]byte{"acme.example": w.acme.pem(), "partner.example": w.partner.pem()}})
	return w
}

var usual = identity.Validity{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour + time.Second)}

func fingerprint(c *x509.Certificate) signals.Alias {
	digest := sha256.Sum256(c.Raw)
	return signals.Alias{Kind: signals.AliasCertificate, Value: hex.EncodeToString(digest[:])}
}

func TestPeerBelieves(t *testing.T) {
	w := newWorld(t, "")
	bySerial := newAuthority(t, identity.AuthorityOptions{DeviceBinding: identity.BindSerialNumber,
		Devices: w.devices.pem()})
	svid, laptop := w.acme.leaf(t, []string{deployer}), w.devices.device(t, []string{"c02abc123"})
	plain := w.acme.leaf(t, []string{deployer}, func(l *x509.Certificate) { l.ExtKeyUsage = nil })
	withDNS := w.acme.leaf(t, nil, func(l *x509.Certificate) {
		names := altNames(t, 2, "ci.acme.example", "spiffe://acme.example/not-a-uri")
		uri := altNames(t, 6, deployer)
		l.ExtraExtensions = []pkix.Extension{{Id: names.Id, Value: append([]byte{0x30, byte(len(names.Value) +
			len(uri.Value) - 4)}, append(names.Value[2:], uri.Value[2:]...)...)}}
	})
	long := w.acme.leaf(t, []string{"spiffe://acme.example/" + strings.Repeat("x", 2048-22)})
	for name, c := range map[string]struct {
		authority          *identity.Authority
		encoded, principal string
		want               identity.Peer
	}{
		"nobody": {w.Authority, "", "", identity.Peer{}},
		"SVID": {w.Authority, encode(svid), deployer, identity.Peer{Workload: deployer,
			Certificate: usual}},
		"SVID without principal": {w.Authority, encode(svid), "", identity.Peer{Workload: deployer, Certificate: usual}},
		"no extended key usage": {w.Authority, encode(plain), deployer, identity.Peer{Workload: deployer,
			Certificate: usual}},
		"DNS names beside": {w.Authority, encode(withDNS), deployer, identity.Peer{Workload: deployer,
			Certificate: usual}},
		"ID of 2048 bytes": {w.Authority, encode(long), "",
			identity.Peer{Workload: identity.SPIFFEID("spiffe://acme.example/" + strings.Repeat("x", 2026)),
				Certificate: usual}},
		"other trust domain": {w.Authority, encode(w.partner.leaf(t, []string{stranger})), stranger,
			identity.Peer{Workload: stranger, Certificate: usual}},
		"every byte encoded": {w.Authority, everyByte(string(toPEM(svid))), "", identity.Peer{Workload: deployer,
			Certificate: usual}},
		"only line ends encoded": {w.Authority, strings.ReplaceAll(string(toPEM(svid)), "\n", "%0a"), "",
			identity.Peer{Workload: deployer, Certificate: usual}},
		"no last line end": {w.Authority, strings.TrimSuffix(encode(svid), "%0A"), "",
			identity.Peer{Workload: deployer, Certificate: usual}},
		"device": {w.Authority, encode(laptop), "CN=peer", identity.Peer{Device: fingerprint(laptop),
			Certificate: usual}},
		"device by serial number": {bySerial, encode(laptop), "CN=peer",
			identity.Peer{Device: signals.Alias{Kind: signals.AliasSerial, Value: "C02ABC123"}, Certificate: usual}},
	} {
		if c.want.Certificate != (identity.Validity{}) {
			c.want.Thumbprint = thumbprintIn(t, c.encoded)
		}
		for _, when := range []string{"first", "remembered"} {
			if diff := cmp.Diff(c.want, c.authority.Peer(c.encoded, c.principal, now)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, when, diff)
			}
		}
	}
}

// thumbprintIn reads a certificate in another way than the product does.
func thumbprintIn(t *testing.T, encoded string) identity.Thumbprint {
	t.Helper()
	text, err := url.PathUnescape(encoded)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("%q is not PEM", text)
	}
	return sha256.Sum256(block.Bytes)
}

func everyByte(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// TestPeerDoubts is the corpus of certificates that must name nobody. Each is a good one with one thing wrong.
func TestPeerDoubts(t *testing.T) {
	w := newWorld(t, identity.BindSerialNumber)
	good := w.acme.leaf(t, []string{deployer})
	uri := func(uris ...string) string { return encode(w.acme.leaf(t, uris)) }
	svid := func(change func(*x509.Certificate)) string { return encode(w.acme.leaf(t, []string{deployer}, change)) }
	text := string(toPEM(good))
	cases := []struct{ name, encoded, want string }{
		// spelling
		{"garbage", "garbage", "not PEM"},
		{"blank", " ", "not PEM"},
		{"64 KiB and more", strings.Repeat("a", 64<<10+1), "limit"},
		{"1 MB", strings.Repeat("%41", 1<<20/3), "limit"},
		{"% at the end", encode(good) + "%", "encodes nothing"},
		{"half an escape", encode(good) + "%4", "encodes nothing"},
		{"no hex", "%zz" + encode(good), "encodes nothing"},
		{"encoded twice", strings.ReplaceAll(encode(good), "%", "%25"), "not PEM"},
		{"plus for blank", strings.ReplaceAll(encode(good), "%20", "+"), "not PEM"},
		{"two certificates", encode(good, w.acme.leaf(t, []string{deployer})), "follows"},
		{"with its CA", encode(good, w.acme.certificate), "follows"},
		{"text behind", percent(text + "x"), "follows"},
		{"blank line behind", percent(text + "\n"), "follows"},
		{"text in front", percent("subject=CN = admin\n" + text), "spelled"},
		{"broken block in front", percent("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n" + text),
			"spelled"},
		{"PEM headers", percent(strings.Replace(text, "\n", "\nSubject: admin\n\n", 1)), "spelled"},
		{"CRLF", percent(strings.ReplaceAll(text, "\n", "\r\n")), "spelled"},
		{"one long line", percent(oneLine(text)), "spelled"},
		{"another type", percent(strings.ReplaceAll(text, "CERTIFICATE", "TRUSTED CERTIFICATE")), "another type"},
		{"no DER", encode(&x509.Certificate{Raw: []byte("no DER")}), "cannot be read"},
		{"empty block", encode(&x509.Certificate{}), ""},
		{"DER with something behind", encode(&x509.Certificate{Raw: append(good.Raw[:len(good.Raw):len(good.Raw)], 0)}),
			"cannot be read"},
		{"cut DER", encode(&x509.Certificate{Raw: good.Raw[:len(good.Raw)-1]}), "cannot be read"},
		{"changed signature", encode(&x509.Certificate{Raw: flipLast(good.Raw)}), "signed by no CA"},
		// names
		{"two SPIFFE IDs", uri(deployer, "spiffe://acme.example/admin"), "2 URI names"},
		{"the same ID twice", uri(deployer, deployer), "2 URI names"},
		{"SPIFFE ID and another URI", uri(deployer, "https://acme.example"), "2 URI names"},
		{"another URI", uri("https://acme.example/x"), "no SPIFFE ID"},
		{"trust domain alone", uri("spiffe://acme.example"), "no workload"},
		{"upper-case scheme", uri("SPIFFE://acme.example/x"), "no SPIFFE ID"},
		{"upper-case domain", uri("spiffe://ACME.example/x"), "no SPIFFE ID"},
		{"trailing slash", uri("spiffe://acme.example/x/"), "no SPIFFE ID"},
		{"dot segment", uri("spiffe://acme.example/x/../admin"), "no SPIFFE ID"},
		{"percent", uri("spiffe://acme.example/%61dmin"), "no SPIFFE ID"},
		{"port", uri("spiffe://acme.example:1/x"), "no SPIFFE ID"},
		{"query", uri("spiffe://acme.example/x?y"), "no SPIFFE ID"},
		{"2049 bytes", uri("spiffe://acme.example/" + strings.Repeat("x", 2049-22)), "no SPIFFE ID"},
		{"unknown trust domain", uri("spiffe://other.example/x"), "not trusted here"},
		{"look-alike trust domain", uri("spiffe://acme.example.evil/x"), "not trusted here"},
		// what it may be used for
		{"CA:TRUE", svid(func(l *x509.Certificate) { l.IsCA = true }), "is a CA"},
		{"the CA itself", encode(w.acme.certificate), "is a CA"},
		{"may sign certificates", svid(func(l *x509.Certificate) { l.KeyUsage |= x509.KeyUsageCertSign }), "may sign"},
		{"may sign revocation lists", svid(func(l *x509.Certificate) { l.KeyUsage |= x509.KeyUsageCRLSign }), "may sign"},
		{"for servers only", svid(func(l *x509.Certificate) {
			l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "clientAuth"},
		{"for unknown uses only", svid(func(l *x509.Certificate) {
			l.ExtKeyUsage, l.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		}), "clientAuth"},
		{"critical extension that nobody knows", svid(func(l *x509.Certificate) {
			l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true,
				Value: []byte{5, 0}})
		}), "signed by no CA"},
		// who signed it
		{"signed by itself", encode(newCA(t, "acme").leaf(t, []string{deployer})), "signed by no CA"},
		{"SVID signed by the CA of devices", encode(w.devices.leaf(t, []string{deployer})), "signed by no CA"},
		{"SVID signed by the other trust domain", encode(w.partner.leaf(t, []string{deployer})), "signed by no CA"},
		{"ours signs for the other", uri(stranger), "signed by no CA"},
		{"device signed by the CA of workloads", encode(w.acme.device(t, []string{"C02ABC123"})), "signed by no CA"},
		{"intermediate CA that is not in the bundle", encode(w.acme.sub(t, "sub").leaf(t, []string{deployer})),
			"intermediate"},
		// devices
		{"no serial number", encode(w.devices.device(t, nil)), "0 serialNumber"},
		{"two serial numbers", encode(w.devices.device(t, []string{"C02ABC123", "C02ABC124"})), "2 serialNumber"},
		{"junk serial number", encode(w.devices.device(t, []string{"To be filled by O.E.M."})), "placeholder"},
		{"serial number 0", encode(w.devices.device(t, []string{"0"})), "placeholder"},
		{"serial number of zeros", encode(w.devices.device(t, []string{"00000000"})), "placeholder"},
		{"empty serial number", encode(w.devices.device(t, []string{""})), "placeholder"},
		{"NUL in the serial number", encode(w.devices.device(t, []string{"C02ABC\x00123"})), ""},
		{"DNS name that looks like an ID", encode(w.devices.device(t, nil, func(l *x509.Certificate) {
			l.ExtraExtensions = []pkix.Extension{altNames(t, 2, deployer)}
		})), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				wantDoubt(t, w.Peer(c.encoded, "", now), identity.DoubtCertificate, c.want)
			}
		})
	}
}

func wantDoubt(t *testing.T, got identity.Peer, code identity.DoubtCode, detail string) {
	t.Helper()
	switch {
	case got.Workload != "" || got.Device != signals.Alias{} || got.Thumbprint != identity.Thumbprint{}:
		t.Errorf("names %q, %v, %s", got.Workload, got.Device, got.Thumbprint)
	case len(got.Doubts) != 1 || got.Doubts[0].Code != code || !strings.Contains(got.Doubts[0].Detail, detail):
		t.Errorf("doubts %+v; want one %s with %q", got.Doubts, code, detail)
	case len(got.Doubts[0].Detail) > 500 || strings.Contains(got.Doubts[0].Detail, "BEGIN"):
		t.Errorf("the detail holds the proof: %.600s", got.Doubts[0].Detail)
	}
}

func oneLine(text string) string {
	head, body, _ := strings.Cut(text, "\n")
	return head + "\n" + strings.ReplaceAll(strings.TrimSuffix(body, "\n-----END CERTIFICATE-----\n"), "\n", "") +
		"\n-----END CERTIFICATE-----\n"
}

func flipLast(der []byte) []byte {
	der = append([]byte{}, der...)
	der[len(der)-1] ^= 1
	return der
}

// Names with control bytes cannot be put into a certificate by crypto/x509, and some can not even be read by it;
// whoever refuses them, they name nobody (CVE-2026-47778).
func TestPeerNULInNames(t *testing.T) {
	w := newWorld(t, "")
	for _, name := range []string{deployer + "\x00", "spiffe://acme.example\x00.evil.example/x",
		"spiffe://acme.example/x\n", "spiffe://acme.example/\x7f",
		"\x00" + deployer, "spiffe://acme.example/ü", "spiffe://acme.example/\xff", ""} {
		template := &x509.Certificate{ExtraExtensions: []pkix.Extension{altNames(t, 6, name)}}
		leaf := w.acme.rawLeaf(t, template)
		wantDoubt(t, w.Peer(encode(&x509.Certificate{Raw: leaf}), "", now), identity.DoubtCertificate, "")
	}
}

func TestPeerWithoutAnyCA(t *testing.T) {
	w := newWorld(t, "")
	nobody := newAuthority(t, identity.AuthorityOptions{})
	wantDoubt(t, nobody.Peer(encode(w.acme.leaf(t, []string{deployer})), "", now), identity.DoubtCertificate,
		"identity.trustDomains")
	wantDoubt(t, nobody.Peer(encode(w.devices.device(t, nil)), "", now), identity.DoubtCertificate, "identity.devices")
}

func TestPeerPrincipal(t *testing.T) {
	w := newWorld(t, "")
	svid, laptop := encode(w.acme.leaf(t, []string{deployer})), encode(w.devices.device(t, nil))
	for _, c := range []struct{ name, encoded, principal, want string }{
		{"another ID", svid, "spiffe://acme.example/admin", "the certificate is of"},
		{"other case", svid, strings.ToUpper(deployer), "the certificate is of"},
		{"subject", svid, "CN=peer", "the certificate is of"},
		{"longer", svid, deployer + "/x", "the certificate is of"},
		{"ID with a device's certificate", laptop, deployer, "names no workload"},
		{"ID without certificate", "", deployer, "include_peer_certificate"},
		{"subject without certificate", "", "CN=peer", "include_peer_certificate"},
	} {
		wantDoubt(t, w.Peer(c.encoded, c.principal, now), identity.DoubtPrincipal, c.want)
	}
}

func TestNewAuthorityRefuses(t *testing.T) {
	acme, other := newCA(t, "acme"), newCA(t, "other")
	leaf := acme.leaf(t, []string{deployer})
	block := func(kind string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}) }
	named := func(name string) identity.AuthorityOptions {
		return identity.AuthorityOptions{TrustDomains: map[string][]byte{name: acme.pem()}}
	}
	domain := func(bundle []byte) identity.AuthorityOptions {
		return identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": bundle}}
	}
	for name, c := range map[string]struct {
		options identity.AuthorityOptions
		want    string
	}{
		"empty bundle":            {domain(nil), "no CA certificate"},
		"empty bundle of devices": {identity.AuthorityOptions{Devices: []byte{}}, "no CA certificate"},
		"no PEM":                  {domain([]byte("x")), "no CA certificate"},
		"private key":             {domain(append(acme.pem(), block("PRIVATE KEY")...)), "PRIVATE KEY"},
		"leaf":                    {domain(toPEM(leaf)), "is no CA certificate"},
		"no DER":                  {domain(block("CERTIFICATE")), "cannot be read"},
		"half a block":            {domain(append(acme.pem(), other.pem()[:200]...)), "2 PEM blocks of which 1"},
		"broken block between": {domain([]byte("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n" +
			string(acme.pem()))), "2 PEM blocks of which 1"},
		"no trust domain": {named("spiffe://acme.example"), "trust domain"},
		"upper case":      {named("Acme.example"), "trust domain"},
		"no name": {named(""),
			"trust domain"},
		"one CA for two domains": {identity.AuthorityOptions{TrustDomains: map[string][]byte{"a": acme.pem(),
			"b": toPEM(other.certificate, acme.certificate)}}, "bundles of trust domain a and of trust domain b"},
		"one CA for devices also": {identity.AuthorityOptions{TrustDomains: map[string][]byte{"a": acme.pem()},
			Devices: acme.pem()}, "bundles of trust domain a and of devices"},
		"one key, two certificates": {identity.AuthorityOptions{TrustDomains: map[string][]byte{"a": acme.pem()},
			Devices: newCAWithKey(t, "x", acme.key).pem()}, "a CA may sign for one"},
		"unknown binding": {identity.AuthorityOptions{DeviceBinding: "mac"}, `"mac"`},
	} {
		if a, err := identity.NewAuthority(c.options); err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", name, a, err, c.want)
		}
	}
	comments := append([]byte("# Acme CA, 2026\n"), append(acme.pem(), "\n# renewed\n"+string(acme.pem())...)...)
	if _, err := identity.NewAuthority(domain(comments)); err != nil {
		t.Errorf("comments: %v", err)
	}
}

// TestPeerConcurrently lets many callers share one authority; the race detector watches.
func TestPeerConcurrently(t *testing.T) {
	w := newWorld(t, "")
	var encoded []string
	for range 16 {
		encoded = append(encoded, encode(w.acme.leaf(t, []string{deployer})))
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 200 {
				if got := w.Peer(encoded[(i+j)%len(encoded)], deployer, now); got.Workload != deployer {
					t.Error(got.Doubts)
				}
			}
		})
	}
	group.Wait()
}
