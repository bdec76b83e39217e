package drift

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a real Envoy and what programs it.
type rig struct {
	t       *testing.T
	dir     string
	input   xds.Input
	server  *xds.Server
	watcher *Watcher
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a temporary directory
	return dir
}

// selfSigned is a certificate that is its own CA.
func selfSigned(t *testing.T) xds.KeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		URIs: []*url.URL{{Scheme: "spiffe", Host: "acme.example", Path: "/envoy"}}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return xds.KeyPair{CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}
}

func aRoute(name, host, path, upstream, audience string) policy.Route {
	return policy.Route{Meta: policy.Meta{Name: name}, Hosts: []string{host}, Path: path, Tier: "open",
		Audiences: []string{audience}, Upstream: upstream, CORS: &policy.CORS{Origins: []string{"https://desk.acme.example",
			"https://*.pages.acme.example"}, Methods: []string{"GET"}, Credentials: true, MaxAge: time.Minute}}
}

func anInput(t *testing.T, dir string) xds.Input {
	t.Helper()
	pair := selfSigned(t)
	listener := func(name, audience string) xds.Listener {
		return xds.Listener{Name: name, Address: freeport.For(t), Audience: audience, Certificate: pair, ClientCA: pair.CertPEM}
	}
	return xds.Input{
		Audiences: []policy.Audience{{Meta: policy.Meta{Name: "staff"}},
			{Meta: policy.Meta{Name: "guests"}, Isolated: true}},
		Upstreams: []policy.Upstream{
			{Meta: policy.Meta{Name: "app"}, Endpoints: []string{freeport.For(t)}, Plaintext: true},
			{Meta: policy.Meta{Name: "vault"}, Endpoints: []string{"127.0.0.1:1", "127.0.0.2:1"}, SPIFFEID: "spiffe://acme.example/v"},
		},
		Routes: []policy.Route{aRoute("app", "app.example", "/**", "app", "staff"),
			aRoute("vault", "app.example", "/vault/{id}/**", "vault", "staff"),
			aRoute("guests", "guests.example", "/**", "app", "guests")},
		TableDigest: "table-1",
		Settings: xds.Settings{AuthzSocket: filepath.Join(dir, "authz.sock"), CheckTimeout: time.Second, Client: &pair,
			UpstreamCA: pair.CertPEM, AccessLog: filepath.Join(dir, "access.log"),
			Listeners: []xds.Listener{listener("ingress", ""), listener("guests", "guests")}},
	}
}

func (r *rig) bootstrap() xds.BootstrapOptions {
	return xds.BootstrapOptions{NodeID: "envoy-1", XDSSocket: filepath.Join(r.dir, "xds.sock"),
		AdminSocket: filepath.Join(r.dir, "envoy.sock")}
}

func (r *rig) publish() {
	r.t.Helper()
	snapshot, err := xds.Build(r.input)
	if err == nil {
		err = r.server.Publish(r.t.Context(), snapshot)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// inSync waits until the one Envoy holds all that is published.
func (r *rig) inSync() {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if status := r.server.Status(); len(status) == 1 && status[0].InSync {
			return
		}
	}
	r.t.Fatalf("Envoy does not hold what is published: %+v", r.server.Status())
}

// newRig starts an Envoy with the bootstrap as edit leaves it.
func newRig(t *testing.T, edit func(bootstrap string) string, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: shortDir(t)}
	r.input = anInput(t, r.dir)
	r.server = xds.NewServer(xds.Options{Linger: 100 * time.Millisecond})
	serve(t, r.server, filepath.Join(r.dir, "xds.sock"))
	r.publish()
	raw, err := xds.Bootstrap(r.bootstrap())
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if edit != nil {
		if text = edit(text); text == string(raw) {
			t.Fatal("nothing was edited")
		}
	}
	startEnvoy(t, r.dir, text, flags...)
	r.inSync()
	r.watcher = New(Options{Socket: filepath.Join(r.dir, "envoy.sock"), Intent: func() Intent {
		served, version := r.server.Serving()
		return Intent{Resources: served, Version: version, Bootstrap: r.bootstrap()}
	}})
	r.watcher.settles = 2 * time.Second // for an Envoy on a busy machine
	return r
}

func serve(t *testing.T, server *xds.Server, socket string) {
	t.Helper()
	g := grpc.NewServer(xds.ServerOptions()...)
	server.Register(g)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	go func() { served <- g.Serve(listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		g.Stop()
		<-served
	})
}

func startEnvoy(t *testing.T, dir, bootstrap string, flags ...string) {
	t.Helper()
	config := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(config, []byte(bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(flags) == 0 {
		flags = []string{"--drain-time-s", "1"}
	}
	cmd := exec.Command(envoyBinary(t), append([]string{"-c", config, "--concurrency", "1", "--use-dynamic-base-id",
		"--log-level", "error"}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // by that
		if t.Failed() {
			t.Logf("Envoy said:\n%s", said.String()[max(0, said.Len()-4000):])
		}
	})
}

func envoyBinary(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TIERGATE_TOOLS"); dir != "" {
		return filepath.Join(dir, "envoy")
	}
	path, err := filepath.Abs("../../.tools/bin/envoy")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	return path
}

// look compares and expects exactly the differences whose one-line form begins with these.
func (r *rig) look(want ...string) Report {
	r.t.Helper()
	report := r.watcher.Look(r.t.Context())
	if report.Fault != "" {
		r.t.Fatalf("not compared: %s", report.Fault)
	}
	var got []string
	for _, d := range report.Differences {
		got = append(got, fmt.Sprintf("%s %s %s %s: %s", d.Kind, d.Name, d.Change, d.Where, d.What))
	}
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		r.t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return report
}

// intend leaves Envoy with what it has, and means something else.
func (r *rig) intend(in xds.Input) {
	r.t.Helper()
	snapshot, err := xds.Build(in)
	if err != nil {
		r.t.Fatal(err)
	}
	elsewhere := xds.NewServer(xds.Options{})
	if err := elsewhere.Publish(r.t.Context(), snapshot); err != nil {
		r.t.Fatal(err)
	}
	r.serve(elsewhere.Serving())
}

func (r *rig) serve(served []xds.Served, version string) {
	r.watcher.intent = func() Intent { return Intent{Resources: served, Version: version, Bootstrap: r.bootstrap()} }
}
