package xds

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// TestMain lets more tests run at once than there are cores, unless it was told how many: they mostly wait for Envoy.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel").Value; parallel.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := parallel.Set("6"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// tool finds a pinned tool; that it is missing is a failure, never a skip.
func tool(t *testing.T, name string) string {
	t.Helper()
	if dir := os.Getenv("TIERGATE_TOOLS"); dir != "" {
		return filepath.Join(dir, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, ".tools", "bin", name)
			if _, err := os.Stat(path); err != nil {
				t.Fatalf("%v: run make tools", err)
			}
			return path
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("there is no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// shortDir is a directory whose sockets fit into a socket address.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// rig is a real Envoy between a control plane, a decision service and upstreams of the test's own.
type rig struct {
	t      *testing.T // the test that is running; root outlives its subtests
	root   *testing.T
	dir    string
	pki    *authority
	authz  *decider
	server *Server
	events *recorder
	in     Input

	stopXDS, stopAuthz func()
	stopEnvoy          func()
	admin              *http.Client

	sotw      bool                // Envoy takes the state of the world
	bootstrap func(string) string // changes the bootstrap, if it is set
	tune      func(*Server)       // changes each server before it serves, if it is set
	serving   []grpc.ServerOption // default ServerOptions
}

func newRig(t *testing.T, pki *authority, in Input, with ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, root: t, dir: shortDir(t), pki: pki, events: &recorder{}}
	for _, w := range with {
		w(r)
	}
	r.authz = &decider{}
	client := r.pki.issue(t, "spiffe://acme.example/envoy")
	in.TableDigest = "table-1"
	in.Settings.AuthzSocket = filepath.Join(r.dir, "authz.sock")
	in.Settings.CheckTimeout = MaxCheckTimeout // the machine may be busy
	in.Settings.Client, in.Settings.UpstreamCA = &client, r.pki.caPEM
	in.Settings.AccessLog = filepath.Join(r.dir, "access.log")
	for i := range in.Settings.Listeners {
		l := &in.Settings.Listeners[i]
		l.Address, l.Certificate = freeport.For(t), r.pki.issue(t, "spiffe://acme.example/envoy")
		if l.ClientCertificates != CertificateNone && len(l.TrustDomains) == 0 {
			l.ClientCA = r.pki.caPEM
		}
	}
	r.in = in
	r.startAuthz()
	r.startXDS()
	r.publish(in)
	r.startEnvoy()
	return r
}

func (r *rig) build(in Input) *Snapshot {
	r.t.Helper()
	snapshot, err := Build(in)
	if err != nil {
		r.t.Fatalf("Build: %v", err)
	}
	if err := snapshot.Consistent(); err != nil {
		r.t.Fatalf("Consistent: %v", err)
	}
	return snapshot
}

func (r *rig) publish(in Input) *Snapshot {
	r.t.Helper()
	snapshot := r.build(in)
	r.publishSnapshot(snapshot)
	return snapshot
}

func (r *rig) publishSnapshot(snapshot *Snapshot) {
	r.t.Helper()
	if err := r.server.Publish(r.t.Context(), snapshot); err != nil {
		r.t.Fatalf("Publish: %v", err)
	}
}

// startXDS serves a fresh control plane on the socket; stopXDS ends it as a stopping process would.
func (r *rig) startXDS() {
	r.server = NewServer(Options{Events: r.events.events(), Linger: 500 * time.Millisecond})
	if r.tune != nil {
		r.tune(r.server)
	}
	if r.serving == nil {
		r.serving = ServerOptions()
	}
	g := grpc.NewServer(r.serving...)
	r.server.Register(g)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.server.Run(ctx) }()
	stopServing := serveUnix(r.root, g, filepath.Join(r.dir, "xds.sock"))
	r.stopXDS = onceCleanup(r.root, func() {
		cancel()
		if err := <-ran; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		stopServing()
	})
}

func (r *rig) startAuthz() {
	g := grpc.NewServer()
	r.authz.register(g)
	r.stopAuthz = onceCleanup(r.root, serveUnix(r.root, g, filepath.Join(r.dir, "authz.sock")))
}

// serveUnix serves until the returned function is called, which waits for a graceful stop.
func serveUnix(t *testing.T, g *grpc.Server, path string) (stop func()) {
	t.Helper()
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	return func() {
		kill := time.AfterFunc(2*time.Second, g.Stop)
		g.GracefulStop()
		kill.Stop()
		<-done
	}
}

func onceCleanup(t *testing.T, stop func()) func() {
	done := false
	once := func() {
		if !done {
			done = true
			stop()
		}
	}
	t.Cleanup(once)
	return once
}

func (r *rig) startEnvoy() {
	t := r.t
	t.Helper()
	adminSocket := filepath.Join(r.dir, "envoy.sock")
	bootstrap, err := Bootstrap(BootstrapOptions{
		NodeID: "envoy-1", XDSSocket: filepath.Join(r.dir, "xds.sock"), AdminSocket: adminSocket, StateOfTheWorld: r.sotw,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.bootstrap != nil {
		bootstrap = []byte(r.bootstrap(string(bootstrap)))
	}
	config := filepath.Join(r.dir, "envoy.yaml")
	if err := os.WriteFile(config, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	logPath := filepath.Join(r.dir, "envoy.log")
	cmd := exec.Command(tool(t, "envoy"), "-c", config, "--concurrency", "1", "--use-dynamic-base-id",
		"--log-path", logPath, "--drain-time-s", "1", "--file-flush-interval-msec", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.stopEnvoy = onceCleanup(r.root, func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(logPath)
			t.Logf("Envoy said:\n%s%s", tail(string(text), 6000), stderr.String())
		}
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", adminSocket)
	}}
	r.admin = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	r.eventually("Envoy is ready", func() error {
		ready, err := r.adminGet("/ready")
		if err != nil {
			return err
		}
		if !strings.HasPrefix(ready, "LIVE") {
			return errors.New(ready)
		}
		return nil
	})
	for _, l := range r.in.Settings.Listeners {
		r.eventually("listener "+l.Name, func() error {
			conn, err := net.Dial("tcp", l.Address)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

func (r *rig) adminGet(path string) (string, error) {
	response, err := r.admin.Get("http://admin" + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// stat sums the counters and gauges of which the expression is the whole name; what does not exist yet is 0.
func (r *rig) stat(name string) int {
	r.t.Helper()
	text, err := r.adminGet("/stats?filter=" + url.QueryEscape("^"+name+"$"))
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(text) {
		if _, number, ok := strings.Cut(line, ": "); ok {
			value := 0
			fmt.Sscan(number, &value)
			sum += value
		}
	}
	return sum
}

func (r *rig) eventually(what string, probe func() error) {
	r.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = probe(); err == nil {
			return
		}
	}
	r.t.Fatalf("%s: %v", what, err)
}

// settled waits until the Envoy holds the snapshot.
func (r *rig) settled(snapshot *Snapshot) {
	r.t.Helper()
	r.eventually("Envoy holds the snapshot", func() error {
		status := r.server.Status()
		if len(status) == 1 && status[0].InSync && r.events.lastSettled() == snapshot.Digest() {
			return nil
		}
		return fmt.Errorf("status %+v, settled %q, want %q", status, r.events.lastSettled(), snapshot.Digest())
	})
}

// route, upstream and audience make the documents of a small policy.
func route(name, host, path, upstream string, audiences []string, methods ...string) policy.Route {
	return policy.Route{
		Meta: policy.Meta{Name: name}, Hosts: strings.Fields(host), Path: path, Methods: methods,
		Tier: "open", Audiences: audiences, Upstream: upstream,
	}
}

func upstream(name, address, id string) policy.Upstream {
	return policy.Upstream{
		Meta: policy.Meta{Name: name}, Endpoints: []string{address}, SPIFFEID: id, Plaintext: id == "",
	}
}

func audience(name string, isolated bool) policy.Audience {
	return policy.Audience{Meta: policy.Meta{Name: name}, Isolated: isolated}
}
