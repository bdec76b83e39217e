package xds

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// authority is a small CA.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	caPEM []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, caPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t *testing.T, id string) KeyPair {
	t.Helper()
	return a.issueUntil(t, id, time.Now().Add(time.Hour))
}

func (a *authority) issueUntil(t *testing.T, id string, notAfter time.Time) KeyPair {
	t.Helper()
	var uris []*url.URL
	for _, name := range strings.Fields(id) { // several names, for who has them
		uri, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		uris = append(uris, uri)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "leaf"}, URIs: uris,
		DNSNames: []string{"envoy.acme.example"}, NotBefore: notAfter.Add(-2 * time.Hour), NotAfter: notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return KeyPair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

// decider allows everything, puts one header on and remembers what it was asked; a test may decide otherwise.
type decider struct {
	authv3.UnimplementedAuthorizationServer
	mu     sync.Mutex
	decide func(*authv3.CheckRequest) *authv3.CheckResponse
	asked  []*authv3.CheckRequest
}

func (d *decider) register(g *grpc.Server) {
	authv3.RegisterAuthorizationServer(g, d)
	healthv1.RegisterHealthServer(g, health.NewServer())
}

func (d *decider) Check(_ context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, request)
	if d.decide != nil {
		return d.decide(request), nil
	}
	return allowWith("x-tiergate-subject", "corp/ana"), nil
}

func (d *decider) set(decide func(*authv3.CheckRequest) *authv3.CheckResponse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decide = decide
}

// last forgets all but the newest question.
func (d *decider) last() *authv3.CheckRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		return nil
	}
	newest := d.asked[len(d.asked)-1]
	d.asked = nil
	return newest
}

func allowWith(name, value string) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: 0},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{{
				Header:       &corev3.HeaderValue{Key: name, Value: value},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}},
		}},
	}
}

// headersNamed are the values of one header, in the order in which they came.
func headersNamed(request *authv3.CheckRequest, name string) []string {
	var values []string
	for _, h := range request.GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		if h.GetKey() == name {
			values = append(values, string(h.GetRawValue()))
		}
	}
	return values
}

// echo is what an upstream saw.
type echo struct {
	Upstream, Method, Host, Path string
	Header                       http.Header
}

func echoHandler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(echo{name, r.Method, r.Host, r.URL.RequestURI(), r.Header})
	})
}

func plainUpstream(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(echoHandler(name))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// tlsUpstream demands a client certificate of the authority and shows the given SPIFFE ID.
func tlsUpstream(t *testing.T, a *authority, name, id, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	pair := a.issue(t, id)
	certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.caPEM)
	server := httptest.NewUnstartedServer(echoHandler(name))
	server.Listener.Close()
	server.Listener = l
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
}

func (a answer) echo(t *testing.T) echo {
	t.Helper()
	var e echo
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("no upstream answered: %d %s", a.status, a.body)
	}
	return e
}

// recorder remembers events.
type recorder struct {
	mu      sync.Mutex
	lines   []string
	nacks   []Nack
	settled []string
}

func (r *recorder) events() Events {
	note := func(line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, line)
	}
	return Events{
		Connected:    func(n NodeStatus) { note("connected " + n.Node) },
		Disconnected: func(n NodeStatus) { note("disconnected " + n.Node) },
		Refused:      func(n NodeStatus) { note("refused " + n.Node) },
		Acked:        func(a Ack) { note("acked " + a.Type) },
		Nacked: func(n Nack) {
			note("nacked " + n.Type)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.nacks = append(r.nacks, n)
		},
		Settled: func(digest, _ string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.settled = append(r.settled, digest)
		},
	}
}

func (r *recorder) lastSettled() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.settled) == 0 {
		return ""
	}
	return r.settled[len(r.settled)-1]
}

func (r *recorder) has(line string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.lines, line)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, ", ")
}
