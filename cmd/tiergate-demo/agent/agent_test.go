package agent

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// TestX509 fetches by the reference client, and lets it judge what it got.
func TestX509(t *testing.T) {
	w := newWorld(t, Options{}, deployer, partner)
	source := w.source(t)
	svid, err := source.GetX509SVID()
	if err != nil || svid.ID.String() != deployer {
		t.Fatalf("%v, %v", svid, err)
	}
	if id, _, err := x509svid.Verify(svid.Certificates, source); err != nil || id != svid.ID {
		t.Errorf("%v, %v", id, err)
	}
	if left := time.Until(svid.Certificates[0].NotAfter); left > time.Hour || left < time.Hour-time.Minute {
		t.Errorf("it lasts %s, want the default hour", left)
	}
	if a, b := authoritiesOf(t, source, acmeDomain), authoritiesOf(t, source, partnerDomain); len(a) != 1 || len(b) != 1 ||
		a[0].Equal(b[0]) {
		t.Errorf("bundles %v and %v", a, b)
	}
	client := newClient(t, w)
	all, err := client.FetchX509SVIDs(soon(t))
	if err != nil || len(all) != 2 || all[1].ID.String() != partner {
		t.Errorf("%v, %v", all, err)
	}
	if !all[0].Certificates[0].Equal(svid.Certificates[0]) {
		t.Error("one identity has two certificates at once")
	}
	bundles, err := client.FetchX509Bundles(soon(t))
	if err != nil || bundles.Len() != 2 || !bundles.Has(acmeDomain) || !bundles.Has(partnerDomain) {
		t.Errorf("%v, %v", bundles, err)
	}
}

func newClient(t *testing.T, w *world) *workloadapi.Client {
	t.Helper()
	client, err := workloadapi.New(soon(t), workloadapi.WithAddr("unix://"+w.Socket()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestNobodyElse: a process that is not registered gets nothing, and learns why; one that is no longer loses its stream.
func TestNobodyElse(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	source := w.source(t)
	w.mu.Lock()
	w.other = true
	w.mu.Unlock()
	client := newClient(t, w)
	ctx := soon(t)
	_, svid := client.FetchX509SVID(ctx)
	_, bundles := client.FetchX509Bundles(ctx)
	_, keys := client.FetchJWTBundles(ctx)
	_, token := client.FetchJWTSVID(ctx, jwtParams("payroll"))
	_, judged := client.ValidateJWTSVID(ctx, "a.b.c", "payroll")
	for name, err := range map[string]error{"svid": svid, "bundles": bundles, "keys": keys, "token": token, "judged": judged} {
		if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "no identity issued") {
			t.Errorf("%s: %v", name, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := workloadapi.NewX509Source(short, w.client()); err == nil {
		t.Error("a source for nobody")
	}
	before := serial(t, source)
	if err := w.SetTTL(time.Minute); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if serial(t, source) != before {
		t.Error("who is registered no more was given a new SVID")
	}
	w.mu.Lock()
	w.other = false
	w.mu.Unlock()
	until(t, "registered again", func() bool { return serial(t, source) != before })
	w.register(deployer, "spiffe://elsewhere.example/x")
	if _, err := client.FetchX509SVID(ctx); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "elsewhere.example") {
		t.Errorf("a foreign trust domain: %v", err)
	}
	w.register("https://acme.example/x")
	if _, err := client.FetchX509SVID(ctx); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "no SPIFFE ID") {
		t.Errorf("no SPIFFE ID: %v", err)
	}
}

// TestSecurityHeader: without it a browser could be talked into asking.
func TestSecurityHeader(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	connection, err := grpc.NewClient("unix://"+w.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	api := workload.NewSpiffeWorkloadAPIClient(connection)
	for name, pairs := range map[string][]string{
		"none": nil, "false": {securityHeader, "false"}, "twice": {securityHeader, "true", securityHeader, "true"},
	} {
		ctx := metadata.AppendToOutgoingContext(soon(t), pairs...)
		_, unary := api.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"a"}})
		stream, err := api.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(unary) != codes.InvalidArgument || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, %v", name, unary, err)
		}
	}
	ctx := metadata.AppendToOutgoingContext(soon(t), securityHeader, "true")
	if _, err := api.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"a"}}); err != nil {
		t.Error(err)
	}
	if _, err := api.FetchWITSVID(ctx, &workload.WITSVIDRequest{}); err != nil {
		t.Error(err) // the answer is on the stream
	}
}

// TestRestart: a source survives an agent that is gone for a while, with what it had; then it follows again.
func TestRestart(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	source := w.source(t)
	before, ca := serial(t, source), authoritiesOf(t, source, acmeDomain)[0]
	for range 3 {
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := w.Stop(); err != nil {
			t.Errorf("the second time: %v", err)
		}
		if _, err := os.Stat(w.Socket()); !os.IsNotExist(err) {
			t.Errorf("the socket of an agent that is gone: %v", err)
		}
		if serial(t, source) != before {
			t.Error("the source lost its SVID")
		}
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		if err := w.Start(); err == nil {
			t.Error("it started twice")
		}
		if err := w.SetTTL(time.Minute); err != nil {
			t.Fatal(err)
		}
		until(t, "a new SVID after the restart", func() bool { return serial(t, source) != before })
		before = serial(t, source)
	}
	if now := authoritiesOf(t, source, acmeDomain); len(now) != 1 || !now[0].Equal(ca) {
		t.Error("the CA is another after a restart")
	}
}

func TestRun(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.source(t)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(context.Background()); err == nil {
		t.Error("ran twice")
	}
}

func TestNotMade(t *testing.T) {
	anybody := func(Caller) []string { return nil }
	domains := map[string]*devca.CA{"acme.example": nil}
	for name, o := range map[string]Options{
		"no socket":       {Identities: anybody, TrustDomains: domains},
		"no identities":   {Socket: "/nowhere", TrustDomains: domains},
		"no trust domain": {Socket: "/nowhere", Identities: anybody},
		"a bad one":       {Socket: "/nowhere", Identities: anybody, TrustDomains: map[string]*devca.CA{"Acme Example": nil}},
		"no time to live": {Socket: "/nowhere", Identities: anybody, TrustDomains: domains, TTL: time.Second},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// TestSocketIsTaken: only a socket that nobody serves is replaced.
func TestSocketIsTaken(t *testing.T) {
	w := newWorld(t, Options{}, deployer)
	o := w.options
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err == nil || !strings.Contains(err.Error(), "another agent serves") {
		t.Errorf("beside another: %v", err)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Errorf("over a socket that was left behind: %v", err)
	}
	if info, err := os.Stat(o.Socket); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("over a file: %v", err)
	}
	o.Socket += "/none/at.sock"
	if nowhere, err := New(o); err != nil || nowhere.Start() == nil {
		t.Errorf("nowhere: %v", err)
	}
}

// TestOnlyProcesses: what has no process at its other end is not served.
func TestOnlyProcesses(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, _, err := (attestation{}).ServerHandshake(a); err == nil {
		t.Error("a pipe was attested")
	}
	if _, _, err := (attestation{}).ClientHandshake(soon(t), "", a); err == nil {
		t.Error("it is for servers")
	}
	if _, err := callerOf(context.Background()); status.Code(err) != codes.Internal {
		t.Errorf("nobody: %v", err)
	}
	if got := (attestation{}).Clone().Info().SecurityProtocol; got != "SO_PEERCRED" {
		t.Error(got)
	}
	if err := (Caller{PID: 7, UID: 8}).String(); err != "pid 7 of uid 8" {
		t.Error(err)
	}
	if err := errors.Join((attestation{}).OverrideServerName("x")); err != nil {
		t.Error(err)
	}
}
