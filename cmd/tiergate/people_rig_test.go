package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// authority signs certificates for people.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	pair := a.issue(x509.Certificate{Subject: pkix.Name{CommonName: "people"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign})
	a.key = pair.PrivateKey.(*ecdsa.PrivateKey) //nolint:forcetypeassert // made below
	a.cert = pair.Leaf
	return a
}

// issue signs a template; the first one signs itself.
func (a *authority) issue(template x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = &template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// person is a certificate with these e-mail names, or SPIFFE IDs.
func (a *authority) person(names ...string) *tls.Certificate {
	template := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if strings.Contains(name, "://") {
			u, err := url.Parse(name)
			if err != nil {
				a.t.Fatal(err)
			}
			template.URIs = append(template.URIs, u)
		} else {
			template.EmailAddresses = append(template.EmailAddresses, name)
		}
	}
	pair := a.issue(template)
	return &pair
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// reception is an ingest.approvals of this test: people by certificates of one CA and tokens of one issuer.
type reception struct {
	t                        *testing.T
	dir, base                string
	people, servers, another *authority
	issuer, elsewhere        *devca.Issuer
	store                    signals.Store
	files                    *fileSet
}

// newReception serves what tells who came: an approvals.Caller at GET /who, and at POST /who what was sent.
func newReception(t *testing.T, change func(*config.Approvals)) *reception {
	t.Helper()
	return newReceptionAt(t, time.Now, change)
}

// newReceptionAt is newReception with a clock of the test's.
func newReceptionAt(t *testing.T, now func() time.Time, change func(*config.Approvals)) *reception {
	t.Helper()
	r := &reception{t: t, people: newAuthority(t), servers: newAuthority(t), another: newAuthority(t)}
	var err error
	if r.dir, err = os.MkdirTemp("", "tg"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(r.dir) })
	if r.issuer, err = devca.NewIssuer("https://login.acme.example", "approvals"); err != nil {
		t.Fatal(err)
	}
	if r.elsewhere, err = devca.NewIssuer("https://login.acme.example", "approvals"); err != nil { // the name, with another key
		t.Fatal(err)
	}
	server := r.servers.issue(x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	r.write("people.pem", r.people.pem())
	r.writePair("server", &server)
	if err := r.issuer.WriteJWKS(filepath.Join(r.dir, "jwks.json")); err != nil {
		t.Fatal(err)
	}
	r.write("settings.yaml", []byte(`runtimeDir: run
store: {embedded: {file: store.db}}
identity:
  issuers:
    - {name: corp, issuer: "https://login.acme.example", audiences: [apps], jwksFile: jwks.json, leeway: 0s, authTime: login,
       claims: {email: email}}
ingest:
  approvals:
    {listen: "127.0.0.1:0", tls: {certFile: server.pem, keyFile: server.key}, clientCAFile: people.pem, issuers: [corp],
     audiences: [approvals], maxLogin: 1h, rate: 1000}
log: {level: error}
`))
	s, err := loadSettings(filepath.Join(r.dir, "settings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s.Ingest.Approvals)
	}
	r.serve(s, now)
	return r
}

func (r *reception) serve(s *config.Settings, now func() time.Time) {
	t := r.t
	o, err := newObserver(s.Log)
	if err != nil {
		t.Fatal(err)
	}
	if r.store, err = openStore(s); err != nil {
		t.Fatal(err)
	}
	if r.files, err = receiverFiles(s, o); err != nil {
		t.Fatal(err)
	}
	p, _, err := newPeople(s, r.store, r.files, o)
	if err != nil {
		t.Fatal(err)
	}
	p.now, p.replays = now, authz.NewReplays(r.store, authz.ReplayOptions{Within: time.Minute}) // however slow the disk
	listener, err := listenTCP(s.Ingest.Approvals.Listen, "ingest.approvals.listen")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, req *http.Request) {
		who, err := callerOf(req)
		approvalAnswer(w, who, err)
	})
	mux.HandleFunc("POST /who", func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		approvalAnswer(w, len(raw), err)
	})
	r.base = "https://" + strings.Replace(listener.Addr().String(), "127.0.0.1", "localhost", 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx, listener, p.door(mux)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = r.store.Close()
	})
}

func (r *reception) write(name string, text []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reception) writePair(name string, pair *tls.Certificate) {
	r.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	r.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

// token is one of the issuer's, of a login just now.
func (r *reception) token(of string, ttl time.Duration, more map[string]any) string {
	r.t.Helper()
	claims := map[string]any{"auth_time": time.Now().Unix()}
	for name, value := range more {
		claims[name] = value
	}
	raw, err := r.issuer.Token(of, []string{"leads"}, ttl, claims)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// coming is one request.
type coming struct {
	method, path, body string
	cert               *tls.Certificate
	token              string // with its scheme
	header             map[string]string
	tls12              bool
}

// reply is what came of it; err: there was no answer.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (a *reply) who(t *testing.T) approvals.Caller {
	t.Helper()
	var who approvals.Caller
	if err := json.Unmarshal(a.body, &who); err != nil {
		t.Errorf("%d %s: %v", a.status, a.body, err)
	}
	return who
}

func (r *reception) come(c *coming) reply {
	r.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(r.servers.cert)
	settings := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if c.tls12 {
		settings.MaxVersion = tls.VersionTLS12
	}
	if c.cert != nil { // whatever the server asks for
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
	}
	method, path := c.method, c.path
	if method == "" {
		method = http.MethodGet
	}
	if path == "" {
		path = "/who"
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, bytes.NewReader([]byte(c.body)))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	if c.token != "" {
		req.Header.Set("Authorization", c.token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: raw, err: err}
}
