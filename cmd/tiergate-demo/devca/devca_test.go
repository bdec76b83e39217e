package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCA(t *testing.T) *CA {
	t.Helper()
	return must[*CA](t)(New("Acme test"))
}

func verify(p *Pair, usage x509.ExtKeyUsage, roots ...*CA) error {
	_, err := p.Certificate.Verify(x509.VerifyOptions{Roots: Pool(roots...), KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// TestUsage is the truth table of which certificate proves what, and that another CA vouches for none of them.
func TestUsage(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	pair := must[*Pair](t)
	svid := pair(ca.SVID("spiffe://acme.example/ns/ci/sa/deployer", time.Hour))
	device := pair(ca.Device("ana-laptop", "C02ANA0001", time.Hour))
	server := pair(ca.Server(time.Hour, "app.acme.example", "127.0.0.1", "::1"))
	person := pair(ca.Person("ana@acme.example", time.Hour))
	if names := person.Certificate.EmailAddresses; len(names) != 1 || names[0] != "ana@acme.example" || len(person.Certificate.URIs) != 0 {
		t.Errorf("e-mail SANs %v", names)
	}
	for name, row := range map[string]struct {
		pair           *Pair
		client, server bool
	}{
		"svid":   {svid, true, true},
		"device": {device, true, false},
		"server": {server, false, true},
		"person": {person, true, false},
	} {
		if ok := verify(row.pair, x509.ExtKeyUsageClientAuth, ca) == nil; ok != row.client {
			t.Errorf("%s as a client: %v, want %v", name, ok, row.client)
		}
		if ok := verify(row.pair, x509.ExtKeyUsageServerAuth, ca) == nil; ok != row.server {
			t.Errorf("%s as a server: %v, want %v", name, ok, row.server)
		}
		if verify(row.pair, x509.ExtKeyUsageAny, other) == nil {
			t.Errorf("%s verifies against a CA that did not sign it", name)
		}
		if row.pair.Certificate.IsCA || verify(row.pair, x509.ExtKeyUsageAny, ca, other) != nil {
			t.Errorf("%s: is a CA, or does not verify against a bundle of two", name)
		}
		if row.pair.Key.Curve != elliptic.P256() {
			t.Errorf("%s: the key is not on P-256", name)
		}
	}
}

func TestNames(t *testing.T) {
	ca := newCA(t)
	pair := must[*Pair](t)
	svid := pair(ca.SVID("spiffe://acme.example/ns/ci/sa/deployer", time.Hour)).Certificate
	if len(svid.URIs) != 1 || svid.URIs[0].String() != "spiffe://acme.example/ns/ci/sa/deployer" {
		t.Errorf("URI SANs %v", svid.URIs)
	}
	device := pair(ca.Device("ana-laptop", "C02ANA0001", time.Hour)).Certificate
	if len(device.URIs)+len(device.DNSNames)+len(device.EmailAddresses)+len(device.IPAddresses) != 0 {
		t.Error("a device certificate has a SAN")
	}
	if device.Subject.SerialNumber != "C02ANA0001" || device.Subject.CommonName != "ana-laptop" {
		t.Errorf("subject %s", device.Subject)
	}
	server := pair(ca.Server(time.Hour, "app.acme.example", "127.0.0.1")).Certificate
	for _, name := range []string{"app.acme.example", "127.0.0.1"} {
		if err := server.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if server.VerifyHostname("payroll.acme.example") == nil {
		t.Error("the server certificate covers a name that it was not issued for")
	}
}

// TestSVIDBySPIFFE lets the reference implementation judge.
func TestSVIDBySPIFFE(t *testing.T) {
	ca := newCA(t)
	bundle := x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("acme.example"),
		[]*x509.Certificate{ca.Certificate()})
	svid := must[*Pair](t)(ca.SVID("spiffe://acme.example/ns/apps/sa/portal", time.Hour))
	id, _, err := x509svid.Verify([]*x509.Certificate{svid.Certificate}, bundle)
	if err != nil || id.String() != "spiffe://acme.example/ns/apps/sa/portal" {
		t.Errorf("id %s, error %v", id, err)
	}
	foreign := must[*Pair](t)(ca.SVID("spiffe://other.example/x", time.Hour))
	if _, _, err := x509svid.Verify([]*x509.Certificate{foreign.Certificate}, bundle); err == nil {
		t.Error("an SVID of another trust domain verified against this bundle")
	}
}

func TestRefused(t *testing.T) {
	if _, err := newCA(t).Person("", time.Hour); err == nil {
		t.Error("a certificate for nobody")
	}
	ca := newCA(t)
	for name, err := range map[string]error{
		"no CA name":       second(New("")),
		"no SPIFFE ID":     second(ca.SVID("https://acme.example/x", time.Hour)),
		"a trust domain":   second(ca.SVID("spiffe://acme.example", time.Hour)),
		"no serial number": second(ca.Device("ana-laptop", "", time.Hour)),
		"no common name":   second(ca.Device("", "C02ANA0001", time.Hour)),
		"no server name":   second(ca.Server(time.Hour)),
		"no issuer":        second(NewIssuer("", "aud")),
		"no audience":      second(NewIssuer("iss", "")),
	} {
		if err == nil {
			t.Errorf("%s: was issued", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestExpired(t *testing.T) {
	ca := newCA(t)
	expired := must[*Pair](t)(ca.SVID("spiffe://acme.example/a", -time.Minute))
	var invalid x509.CertificateInvalidError
	err := verify(expired, x509.ExtKeyUsageClientAuth, ca)
	if !asInvalid(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("error %v, want expired", err)
	}
}

func asInvalid(err error, into *x509.CertificateInvalidError) bool {
	e, ok := err.(x509.CertificateInvalidError)
	*into = e
	return ok
}

func TestWriteFiles(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "a.pem"), filepath.Join(dir, "a.key")
	if err := os.WriteFile(keyFile, []byte("old"), 0o644); err != nil { // the mode must not stay
		t.Fatal(err)
	}
	ca := newCA(t)
	device := must[*Pair](t)(ca.Device("ana-laptop", "C02ANA0001", time.Hour))
	if err := device.WriteFiles(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{certFile: 0o644, keyFile: 0o600} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %o", file, info.Mode(), err, want)
		}
	}
	loaded := must[tls.Certificate](t)(tls.LoadX509KeyPair(certFile, keyFile))
	sum := sha256.Sum256(loaded.Certificate[0])
	if device.Fingerprint() != hex.EncodeToString(sum[:]) {
		t.Error("the fingerprint is not the SHA-256 of what was written")
	}
	if err := device.WriteFiles(filepath.Join(dir, "none", "a.pem"), keyFile); err == nil {
		t.Error("written into a directory that is not there")
	}
}

// TestHandshake shows that both ends believe each other over a real connection.
func TestHandshake(t *testing.T) {
	ca := newCA(t)
	pair := must[*Pair](t)
	server := pair(ca.Server(time.Hour, "app.acme.example"))
	device := pair(ca.Device("ana-laptop", "C02ANA0001", time.Hour))
	a, b := net.Pipe()
	serverSide := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientCAs: Pool(ca),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13})
	clientSide := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{device.TLS()}, RootCAs: Pool(ca),
		ServerName: "app.acme.example", MinVersion: tls.VersionTLS13})
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() { done <- clientSide.Handshake() }()
	if err := serverSide.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := serverSide.ConnectionState().PeerCertificates[0].Subject.SerialNumber; got != "C02ANA0001" {
		t.Errorf("the server saw %q", got)
	}
}

func claimsOf(t *testing.T, issuer *Issuer, token string) (jwt.Claims, map[string]any, jose.Header) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(must[[]byte](t)(issuer.JWKS()), &set); err != nil {
		t.Fatal(err)
	}
	parsed := must[*jwt.JSONWebToken](t)(jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256}))
	var standard jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(set, &standard, &all); err != nil {
		t.Fatal(err)
	}
	return standard, all, parsed.Headers[0]
}

func TestToken(t *testing.T) {
	issuer := must[*Issuer](t)(NewIssuer("https://login.acme.example", "https://apps.acme.example"))
	token := must[string](t)(issuer.Token("ana@acme.example", []string{"staff"}, time.Hour, map[string]any{"acr": "phr"}))
	standard, all, header := claimsOf(t, issuer, token)
	expected := jwt.Expected{Issuer: "https://login.acme.example", Subject: "ana@acme.example",
		AnyAudience: jwt.Audience{"https://apps.acme.example"}, Time: time.Now()}
	if err := standard.ValidateWithLeeway(expected, 0); err != nil {
		t.Error(err)
	}
	if header.ExtraHeaders["typ"] != "at+jwt" || header.KeyID == "" || header.Algorithm != "ES256" {
		t.Errorf("header %+v", header)
	}
	if diff := cmp.Diff([]any{"staff"}, all["groups"]); diff != "" || all["acr"] != "phr" || all["jti"] == "" {
		t.Errorf("claims %v %s", all, diff)
	}
	if standard.Expiry.Time().Before(time.Now().Add(50 * time.Minute)) {
		t.Error("the token lives shorter than was asked")
	}
}

func TestTokenVariants(t *testing.T) {
	issuer := must[*Issuer](t)(NewIssuer("iss", "aud"))
	expired := must[string](t)(issuer.Token("ana", nil, -time.Minute, nil))
	standard, all, _ := claimsOf(t, issuer, expired)
	if err := standard.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, 0); err != jwt.ErrExpired {
		t.Errorf("error %v, want expired", err)
	}
	if _, has := all["groups"]; has {
		t.Error("groups of nobody")
	}
	bare := must[string](t)(issuer.Token("ana", nil, time.Hour, map[string]any{"aud": nil, "iss": "other"}))
	_, all, _ = claimsOf(t, issuer, bare)
	if _, has := all["aud"]; has || all["iss"] != "other" {
		t.Errorf("claims %v: extra claims neither replaced nor removed", all)
	}
	if _, err := issuer.Token("ana", nil, time.Hour, map[string]any{"x": make(chan int)}); err == nil {
		t.Error("a claim that is no JSON was signed")
	}
	// One issuer's key does not vouch for another's tokens.
	other := must[*Issuer](t)(NewIssuer("iss", "aud"))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(must[[]byte](t)(other.JWKS()), &set); err != nil {
		t.Fatal(err)
	}
	parsed := must[*jwt.JSONWebToken](t)(jwt.ParseSigned(expired, []jose.SignatureAlgorithm{jose.ES256}))
	if parsed.Claims(set, &jwt.Claims{}) == nil {
		t.Error("another issuer's key verified the token")
	}
}

func TestJWKSHasNoPrivateKey(t *testing.T) {
	issuer := must[*Issuer](t)(NewIssuer("iss", "aud"))
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := issuer.WriteJWKS(path); err != nil {
		t.Fatal(err)
	}
	raw := must[[]byte](t)(os.ReadFile(path))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Errorf("key set %s: %v", raw, err)
	}
	if _, public := set.Keys[0].Key.(*ecdsa.PublicKey); !public || strings.Contains(string(raw), `"d"`) {
		t.Error("the key set holds a private key")
	}
}
