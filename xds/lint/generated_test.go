package lint

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/dump"
)

// input is a policy with an isolated audience, and two listeners; the files of pki stand in dir.
func input(t *testing.T, dir string) xds.Input {
	t.Helper()
	pair := xds.KeyPair{CertPEM: readFile(t, filepath.Join(dir, "pki/cert.pem")), KeyPEM: readFile(t, filepath.Join(dir, "pki/key.pem"))}
	ca := readFile(t, filepath.Join(dir, "pki/ca.pem"))
	route := func(name, host, upstream, audience string) policy.Route {
		return policy.Route{Meta: policy.Meta{Name: name}, Hosts: []string{host}, Path: "/**", Tier: "open",
			Audiences: []string{audience}, Upstream: upstream}
	}
	return xds.Input{
		TableDigest: "table-1",
		Tiers:       []policy.Tier{{Meta: policy.Meta{Name: "open"}}},
		Audiences:   []policy.Audience{{Meta: policy.Meta{Name: "staff"}}, {Meta: policy.Meta{Name: "partners"}, Isolated: true}},
		Upstreams: []policy.Upstream{
			{Meta: policy.Meta{Name: "app"}, Endpoints: []string{"127.0.0.1:18080"}, Plaintext: true},
			{Meta: policy.Meta{Name: "payroll"}, Endpoints: []string{"127.0.0.1:18443"}, SPIFFEID: "spiffe://acme.example/payroll"},
		},
		Routes: []policy.Route{route("app", "app.acme.example", "app", "staff"), route("pay", "pay.acme.example", "payroll", "staff"),
			route("partner", "partner.acme.example", "app", "partners")},
		Settings: xds.Settings{
			AuthzSocket: filepath.Join(dir, "authz.sock"), CheckTimeout: time.Second, AccessLog: filepath.Join(dir, "access.log"),
			Client: &pair, UpstreamCA: ca,
			Listeners: []xds.Listener{
				{Name: "ingress", Address: freeport.For(t), Certificate: pair, ClientCA: ca},
				{Name: "partners", Address: freeport.For(t), Audience: "partners", Certificate: pair, ClientCA: ca},
			},
		},
	}
}

func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	pki(t, dir)
	return dir
}

// TestWhatTiergateWritesIsClean: in all forms that the settings can give it.
func TestWhatTiergateWritesIsClean(t *testing.T) {
	t.Parallel()
	dir := workDir(t)
	issuer := xds.TokenIssuer{Name: "corp", Issuer: "https://id.acme.example", Audiences: []string{"app"}, JWKS: []byte(
		`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
			`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)}
	for name, change := range map[string]func(*xds.Input){
		"as it comes":     func(*xds.Input) {},
		"with forwarders": func(in *xds.Input) { in.Settings.Forwarders = true },
		"with tokens":     func(in *xds.Input) { in.Settings.TokenIssuers = []xds.TokenIssuer{issuer} },
		"with health":     func(in *xds.Input) { in.Settings.Health = freeport.For(t) },
		"with streamed access logs alone": func(in *xds.Input) {
			in.Settings.AccessLog, in.Settings.AccessLogService = "", &xds.AccessLogService{Socket: filepath.Join(dir, "als.sock")}
		},
		"with other trust domains": func(in *xds.Input) {
			in.Settings.Listeners[1].TrustDomains = map[string][]byte{"a.example": in.Settings.Listeners[1].ClientCA,
				"b.example": in.Settings.Listeners[1].ClientCA}
			in.Settings.Listeners[1].ClientCA = nil
		},
		"with names": func(in *xds.Input) {
			in.Settings.Listeners[0].ClientSPIFFEIDs = []string{"spiffe://acme.example/ns/*"}
		},
		"users with tokens, certificates as they like": func(in *xds.Input) {
			in.Settings.TokenIssuers = []xds.TokenIssuer{issuer}
			in.Settings.Listeners[0].ClientCertificates = xds.CertificateOptional
		},
		"an upstream by its DNS name": func(in *xds.Input) {
			in.Upstreams[1].SPIFFEID, in.Upstreams[1].DNSName = "", "pay.acme.example"
			in.Upstreams[1].Endpoints = []string{"pay.acme.example:443"}
		},
		"an upstream that speaks HTTP/2":  func(in *xds.Input) { in.Upstreams[1].Protocol = policy.ProtocolHTTP2 },
		"a route with upgrades":           func(in *xds.Input) { in.Routes[0].WebSocket = true },
		"nothing to listen on at present": func(in *xds.Input) { in.Settings.Listeners[1].Awaited = true },
	} {
		in := input(t, dir)
		change(&in)
		snapshot, err := xds.Build(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		config, err := dump.FromSnapshot(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		text, err := snapshot.YAML()
		if err != nil {
			t.Fatal(err)
		}
		for form, found := range map[string][]Finding{"snapshot": Check(config), "YAML": checked(t, text, name)} {
			if len(found) > 0 {
				t.Errorf("%s, %s:\n%s", name, form, list(found))
			}
		}
	}
}

// TestOnlyNotedIsDocumented: without an access log, what tiergate writes has the note that README.md tells of.
func TestOnlyNotedIsDocumented(t *testing.T) {
	t.Parallel()
	in := input(t, workDir(t))
	in.Settings.AccessLog = ""
	snapshot, err := xds.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	config, err := dump.FromSnapshot(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Check(config) {
		if f.Code != "log-without-decision" {
			t.Errorf("%+v", f)
		}
	}
}

// TestBootstrapAndStaticAreClean: what `envoy bootstrap` and `envoy config` print.
func TestBootstrapAndStaticAreClean(t *testing.T) {
	t.Parallel()
	dir := workDir(t)
	files := xds.StaticFiles{CertFile: dir + "/pki/cert.pem", KeyFile: dir + "/pki/key.pem", CAFile: dir + "/pki/ca.pem"}
	static, err := xds.Static(input(t, dir), xds.StaticOptions{NodeID: "envoy", AdminSocket: dir + "/envoy.sock",
		Listeners: map[string]xds.StaticFiles{"ingress": files, "partners": files}, Client: files, UpstreamCA: files.CAFile})
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := xds.Bootstrap(xds.BootstrapOptions{NodeID: "envoy", XDSSocket: dir + "/xds.sock", AdminSocket: dir + "/envoy.sock"})
	if err != nil {
		t.Fatal(err)
	}
	for form, raw := range map[string][]byte{"static": static, "bootstrap": bootstrap} {
		if found := checked(t, raw, form); len(found) > 0 {
			t.Errorf("%s:\n%s", form, list(found))
		}
	}
}

// running is an Envoy that a control plane of ours programs.
func running(t *testing.T, dir string, snapshot *xds.Snapshot) *http.Client {
	t.Helper()
	server, g := xds.NewServer(xds.Options{}), grpc.NewServer(xds.ServerOptions()...)
	server.Register(g)
	socket, admin := filepath.Join(dir, "xds.sock"), filepath.Join(dir, "envoy.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		g.Stop()
		<-served
	})
	if err := server.Publish(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	bootstrap, err := xds.Bootstrap(xds.BootstrapOptions{NodeID: "envoy", XDSSocket: socket, AdminSocket: admin})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(tool(t, "envoy"), "-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", admin)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func dumpOf(client *http.Client) ([]byte, error) {
	answer, err := client.Get("http://envoy/config_dump?include_eds")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// TestRunningEnvoyIsClean: what a real Envoy says of itself has no finding, and reads as what it was given.
func TestRunningEnvoyIsClean(t *testing.T) {
	t.Parallel()
	dir := workDir(t)
	snapshot, err := xds.Build(input(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	meant, err := dump.FromSnapshot(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	client := running(t, dir, snapshot)
	var why string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		raw, err := dumpOf(client)
		if err != nil {
			why = err.Error()
			continue
		}
		config, err := dump.Read(raw, "config_dump")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := outline(config), outline(meant); got != want {
			why = fmt.Sprintf("it has\n%s\nand was given\n%s", got, want)
			continue
		}
		if !strings.Contains(outline(meant), "cluster ingress/appEDS[127.0.0.1:18080]") {
			t.Errorf("the endpoints are not read:\n%s", outline(meant))
		}
		if found := Check(config); len(found) > 0 || !config.Bootstrap.Has() {
			t.Errorf("found:\n%s", list(found))
		}
		return
	}
	t.Fatal(why)
}

// outline says what leads where.
func outline(c *dump.Config) string {
	var lines []string
	for _, l := range c.Listeners {
		for _, chain := range l.Chains {
			for _, h := range chain.HTTP {
				lines = append(lines, fmt.Sprint("listener ", l.Name, l.Addresses, h.Table, len(h.Filters), chain.TLS.Type()))
				for _, table := range c.TablesOf(h) {
					for _, host := range table.Hosts {
						for _, r := range host.Routes {
							lines = append(lines, fmt.Sprint("route ", table.Name, host.Domains, r.Name, r.Clusters, r.Direct))
						}
					}
				}
			}
		}
	}
	for _, cluster := range c.Clusters {
		if cluster.Name != "tiergate_xds" { // the bootstrap's own
			lines = append(lines, fmt.Sprint("cluster ", cluster.Name, cluster.Type, cluster.Endpoints, cluster.TLS.Type()))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
