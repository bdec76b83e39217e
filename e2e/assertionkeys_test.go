package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/tiergate/tiergate/authz/assertion/verify"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// publishing is a company whose upstreams fetch the keys over TLS, and whose keys are files.
type publishing struct {
	s      *stage.Stage
	listen string // assertion.listen
}

func newPublishing(t *testing.T) *publishing {
	t.Helper()
	s := made(stage.New(stage.Options{Store: stage.StoreEmbedded, Agent: true}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &publishing{s: s, listen: freeport.For(t)}
	p.show(t, s.Cast.Servers)
	for _, name := range []string{"current", "next", "third"} {
		p.put(t, name+".key", newSigningKey(t))
	}
	settings := string(made(os.ReadFile(s.Settings()))(t)) + fmt.Sprintf("\nassertion:\n  issuer: %s\n  lifetime: 10s\n  listen: %s\n"+
		"  keyFiles: [secrets/current.key, secrets/next.key]\n  tls: {certFile: pki/keys.pem, keyFile: pki/keys.key}\n", gatewayName, p.listen)
	p.put(t, "../settings.yaml", []byte(settings))
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := makeHealthy(soon(t, time.Minute), s, "ana-laptop"); err != nil {
		t.Fatal(err)
	}
	return p
}

func newSigningKey(t *testing.T) []byte {
	t.Helper()
	key := made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: made(x509.MarshalPKCS8PrivateKey(key))(t)})
}

// put replaces a file in one step.
func (p *publishing) put(t *testing.T, name string, content []byte) {
	t.Helper()
	draft, file := p.s.Path("draft"), p.s.Path("secrets", name)
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(draft, file); err != nil {
		t.Fatal(err)
	}
}

// show puts another certificate before assertion.listen.
func (p *publishing) show(t *testing.T, authority *devca.CA) {
	t.Helper()
	pair := made(authority.Server(time.Hour, "127.0.0.1"))(t)
	if err := pair.WriteFiles(p.s.Path("pki", "keys.pem"), p.s.Path("pki", "keys.key")); err != nil {
		t.Fatal(err)
	}
}

// kids are what is published, as who believes an authority fetches it.
func (p *publishing) kids(ctx context.Context, authority *devca.CA, path string) (status int, kids []string, err error) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: devca.Pool(authority), MinVersion: tls.VersionTLS12}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.listen+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	var set struct{ Keys []struct{ Kid string } }
	if response.StatusCode == http.StatusOK && err == nil {
		err = json.Unmarshal(raw, &set)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.Kid)
	}
	return response.StatusCode, kids, err
}

// asked is the key that signed what the application was told of ana.
func (p *publishing) asked(t *testing.T) (kid string) {
	t.Helper()
	a := p.s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost, Path: "/x"})
	var h heard
	if err := json.Unmarshal(a.Body, &h); a.Err != nil || a.Status != http.StatusOK || err != nil {
		t.Fatalf("the application refused: %d %s %v", a.Status, a.Body, a.Err)
	}
	return signedBy(t, h.Headers.Get(verify.Header))
}

func signedBy(t *testing.T, assertion string) string {
	t.Helper()
	head, _, _ := strings.Cut(assertion, ".")
	var protected struct{ Kid string }
	if err := json.Unmarshal(made(base64.RawURLEncoding.DecodeString(head))(t), &protected); err != nil {
		t.Fatal(err)
	}
	return protected.Kid
}

// TestKeysOverTLSRotate: upstreams fetch the keys over TLS and nothing else there; keys and certificate are replaced in a
// running serve, and every request meanwhile is let in by an application that verifies it.
func TestKeysOverTLSRotate(t *testing.T) {
	t.Parallel()
	p := newPublishing(t)
	v := made(verify.New(verify.Options{Issuer: gatewayName, Audience: "portal", Roots: devca.Pool(p.s.Cast.Servers),
		JWKSURL: "https://" + p.listen + "/.well-known/jwks.json"}))(t)
	standIn(t, p.s, v)
	eventually(t, p.s, stage.Request{As: "ana", Host: stage.PortalHost, Path: "/x"}, http.StatusOK) // the application has its keys
	stranger := ca(t, "stranger")
	const path = "/.well-known/jwks.json"
	status, first, err := p.kids(soon(t, 20*time.Second), p.s.Cast.Servers, path)
	if err != nil || status != http.StatusOK || len(first) != 2 {
		t.Fatalf("%d %q %v", status, first, err)
	}
	if _, _, err := p.kids(soon(t, 20*time.Second), stranger, path); err == nil {
		t.Error("who believes another authority is answered")
	}
	for _, elsewhere := range []string{"/", "/metrics", "/v1/policy", "/healthz"} {
		if status, _, err := p.kids(soon(t, 20*time.Second), p.s.Cast.Servers, elsewhere); err != nil || status != http.StatusNotFound {
			t.Errorf("%s: %d %v", elsewhere, status, err)
		}
	}
	if response, err := http.Get("http://" + p.listen + path); err == nil {
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Error("the keys are published without TLS too")
		}
	}
	before := p.asked(t)
	current, next := made(os.ReadFile(p.s.Path("secrets", "current.key")))(t), made(os.ReadFile(p.s.Path("secrets", "next.key")))(t)
	p.put(t, "current.key", next) // next was published from the start, so it signs at once
	p.put(t, "next.key", made(os.ReadFile(p.s.Path("secrets", "third.key")))(t))
	requests := 0
	for ctx := soon(t, 30*time.Second); p.asked(t) == before; time.Sleep(20 * time.Millisecond) {
		if requests++; ctx.Err() != nil {
			t.Fatal("the next key never signs")
		}
	}
	var second []string
	for ctx := soon(t, 30*time.Second); len(second) != 3 && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		_, second, err = p.kids(ctx, p.s.Cast.Servers, path) // each file comes into force when it is read
	}
	if after := p.asked(t); err != nil || len(second) != 3 || !contained(second, before, after) {
		t.Errorf("%q after %q, by %s: %v", second, first, after, err)
	}
	t.Logf("%d requests were let in while the key changed", requests)
	p.put(t, "current.key", current[:20]) // half a file
	p.show(t, stranger)
	for ctx := soon(t, 30*time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, _, err = p.kids(ctx, stranger, path); err == nil || ctx.Err() != nil {
			break
		}
	}
	if _, third, again := p.kids(soon(t, 20*time.Second), stranger, path); err != nil || again != nil || len(third) != 3 {
		t.Errorf("under another certificate, with half a key: %q, %v %v", third, err, again)
	}
	if got := p.asked(t); got == before {
		t.Error("half a file brought the key before back")
	}
}

func contained(all []string, these ...string) bool {
	for _, one := range these {
		if !strings.Contains(strings.Join(all, " "), one) {
			return false
		}
	}
	return true
}

// verifiedSoon waits until the verifier has its keys.
func verifiedSoon(t *testing.T, v *verify.Verifier, assertion string) (claims verify.Claims, err error) {
	t.Helper()
	for ctx := soon(t, 20*time.Second); ; time.Sleep(5 * time.Millisecond) {
		if claims, err = v.Verify(assertion); err == nil || ctx.Err() != nil {
			return claims, err
		}
	}
}

// TestAssertionsOverTCP: an Envoy that authz.listen names gets the same assertions as one on the socket; anybody else gets not
// even a connection, and so none.
func TestAssertionsOverTCP(t *testing.T) {
	t.Parallel()
	p := newPublishing(t)
	v := made(verify.New(verify.Options{Issuer: gatewayName, Audience: "portal", Roots: devca.Pool(p.s.Cast.Servers),
		JWKSURL: "https://" + p.listen + "/.well-known/jwks.json"}))(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = v.Run(ctx) }()
	defer func() { cancel(); <-done }()
	workloads := p.s.Cast.Workloads
	for who, row := range map[string]struct {
		pair *devca.Pair
		fine bool
	}{
		"a named Envoy":           {made(workloads.SVID(stage.SecondEnvoyID, time.Hour))(t), true},
		"another workload":        {made(workloads.SVID("spiffe://acme.example/ns/ci/sa/deployer", time.Hour))(t), false},
		"its name, by another CA": {made(ca(t, "acme.example").SVID(stage.SecondEnvoyID, time.Hour))(t), false},
		"nobody":                  {nil, false},
	} {
		config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
			InsecureSkipVerify: true} // whom the client believes is not what is shown here
		if row.pair != nil {
			config.Certificates = []tls.Certificate{row.pair.TLS()}
		}
		conn := made(grpc.NewClient(p.s.Ports.Authz, grpc.WithTransportCredentials(credentials.NewTLS(config))))(t)
		response, err := authv3.NewAuthorizationClient(conn).Check(soon(t, 20*time.Second), asks(p.s, "ana-laptop", "ana"))
		_ = conn.Close()
		said := ""
		for _, h := range response.GetOkResponse().GetHeaders() {
			if h.GetHeader().GetKey() == verify.Header {
				said = h.GetHeader().GetValue() + string(h.GetHeader().GetRawValue())
			}
		}
		if !row.fine {
			if err == nil || said != "" {
				t.Errorf("%s: %v %q", who, response, said)
			}
			continue
		}
		if err != nil || codes.Code(response.GetStatus().GetCode()) != codes.OK {
			t.Fatalf("%s: %v %v", who, response, err)
		}
		claims, err := verifiedSoon(t, v, said)
		if err != nil || claims.Subject != "corp/"+ana || claims.Audience != "portal" || claims.Tiergate.Device == "" {
			t.Errorf("%s: %+v %v", who, claims, err)
		}
	}
}
