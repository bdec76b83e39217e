package svid_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tiergate/tiergate/authz/svid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is a Workload API that says whatever a test wants it to.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	t      *testing.T
	socket string

	mu     sync.Mutex
	x509   *workload.X509SVIDResponse
	jwt    *workload.JWTBundlesResponse
	refuse error // nil: serve
	moved  chan struct{}
	server *grpc.Server
	served chan struct{}
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, socket: filepath.Join(dir, "api.sock"), moved: make(chan struct{})}
	t.Cleanup(func() {
		a.stop()
		_ = os.RemoveAll(dir) // it is in the temporary directory
	})
	return a
}

// says changes what the agent says, and sends it to whoever listens.
func (a *agent) says(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	close(a.moved)
	a.moved = make(chan struct{})
}

func (a *agent) start() {
	a.t.Helper()
	listener, err := net.Listen("unix", a.socket)
	if err != nil {
		a.t.Fatal(err)
	}
	server, served := grpc.NewServer(), make(chan struct{})
	workload.RegisterSpiffeWorkloadAPIServer(server, a)
	a.server, a.served = server, served
	go func() {
		defer close(served)
		_ = server.Serve(listener) // it ends with Stop
	}()
}

// stop ends the agent as if it were killed.
func (a *agent) stop() {
	if a.server != nil {
		a.server.Stop()
		<-a.served
		a.server = nil
	}
}

func (a *agent) FetchX509SVID(_ *workload.X509SVIDRequest, s grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	return serve(a, s, func() *workload.X509SVIDResponse { return a.x509 })
}

func (a *agent) FetchJWTBundles(_ *workload.JWTBundlesRequest, s grpc.ServerStreamingServer[workload.JWTBundlesResponse]) error {
	return serve(a, s, func() *workload.JWTBundlesResponse { return a.jwt })
}

func serve[A any](a *agent, s grpc.ServerStreamingServer[A], answer func() *A) error {
	if md, _ := metadata.FromIncomingContext(s.Context()); strings.Join(md["workload.spiffe.io"], "") != "true" {
		return status.Error(codes.InvalidArgument, "the security header is missing")
	}
	for {
		a.mu.Lock()
		now, moved, refuse := answer(), a.moved, a.refuse
		a.mu.Unlock()
		if refuse != nil {
			return refuse
		}
		if now != nil {
			if err := s.Send(now); err != nil {
				return err
			}
		}
		select {
		case <-s.Context().Done():
			return nil
		case <-moved:
		}
	}
}

// told is what a Source told, line by line.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *told) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.lines, "\n"), part)
}

func (l *told) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(strings.Join(l.lines, "\n"), part)
}

// follow runs a Source of the agent until the test ends.
func follow(t *testing.T, a *agent) (*svid.Source, *told) {
	t.Helper()
	l := &told{}
	source, err := svid.New(svid.Options{Socket: a.socket, JWT: true, Changed: func() { l.add("changed") }, Events: svid.Events{
		Updated:     func(id string, _ time.Time, domains []string) { l.add("updated %s %v", id, domains) },
		KeysUpdated: func(domains []string) { l.add("keys %v", domains) },
		Refused:     func(s svid.Stream, domain string, err error) { l.add("refused %s %q %v", s, domain, err) },
		Failed:      func(s svid.Stream, err error, _ time.Duration) { l.add("failed %s %v", s, err) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- source.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return source, l
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: it did not come", what)
}

// ca signs the SVIDs of these tests.
type ca struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newCA(t *testing.T, name string) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour)}
	return &ca{sign(t, template, template, key, key), key}
}

func sign(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// svid is what the agent says of an identity.
func (c *ca) svid(t *testing.T, id string, lasts time.Duration) *workload.X509SVID {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), URIs: []*url.URL{uri}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts)}, c.certificate, key, c.key)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &workload.X509SVID{SpiffeId: id, X509Svid: leaf.Raw, X509SvidKey: pkcs8, Bundle: c.certificate.Raw}
}

func (c *ca) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw}))
}

// keySet is a JWK set; each key is public unless it is marked.
func (c *ca) keySet(t *testing.T, use string, private bool) []byte {
	t.Helper()
	key := jose.JSONWebKey{Key: c.key.Public(), KeyID: c.certificate.Subject.CommonName, Use: use}
	if private {
		key.Key = c.key
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
