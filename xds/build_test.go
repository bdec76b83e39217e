package xds

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/policy"
)

var update = flag.Bool("update", false, "write golden files anew; review them by eye")

// fixedPair is a self-signed certificate that is the same in every run, so that golden files can name it.
func fixedPair(t testing.TB) KeyPair {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "fixed"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
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

// written is a policy like the one in the design: two audiences, one of them isolated, split methods, variables,
// wildcards.
func written(t testing.TB) Input {
	pair := fixedPair(t)
	admin := route("payroll-admin", "payroll.acme.example", "/admin/**", "payroll", []string{"employees"}, "POST", "GET")
	admin.CORS = &policy.CORS{Origins: []string{"https://*.pages.acme.example", "https://desk.acme.example:8443"},
		Methods: []string{"GET"}, Headers: []string{"Authorization"}, MaxAge: 10 * time.Minute, Credentials: true}
	return Input{
		TableDigest: "sha256:table",
		Audiences:   []policy.Audience{audience("employees", false), audience("contractors", true)},
		Upstreams: []policy.Upstream{
			upstream("payroll", "127.0.0.1:8443", "spiffe://acme.example/payroll"),
			upstream("tracker", "[::1]:8080", ""),
		},
		Routes: []policy.Route{
			route("payroll", "payroll.acme.example", "/**", "payroll", []string{"employees"}),
			admin,
			route("issue-read", "tracker.acme.example *.tracker.acme.example", "/issues/{id}", "tracker",
				[]string{"employees", "contractors"}, "GET"),
			route("issue-write", "tracker.acme.example", "/issues/{id}", "tracker", []string{"contractors"}, "PUT"),
			route("attachments", "tracker.acme.example", "/issues/{id}/files/**", "tracker", []string{"contractors"}),
			route("home", "tracker.acme.example", "/", "tracker", []string{"contractors"}),
		},
		Settings: Settings{
			AuthzSocket: "/run/tiergate/authz.sock", CheckTimeout: 250 * time.Millisecond, AccessLog: "/dev/stdout",
			Listeners: []Listener{
				{Name: "ingress", Address: "127.0.0.1:8443", Certificate: pair, ClientCA: pair.CertPEM},
				{
					Name: "contractors", Address: "127.0.0.1:9443", Audience: "contractors", Certificate: pair,
					ClientCA: pair.CertPEM,
				},
			},
			Client: &pair, UpstreamCA: pair.CertPEM,
		},
	}
}

func mustBuild(t testing.TB, in Input) *Snapshot {
	t.Helper()
	snapshot, err := Build(in)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	if err := snapshot.Consistent(); err != nil {
		t.Fatalf("Consistent: %v", err)
	}
	return snapshot
}

func TestGoldenSnapshot(t *testing.T) {
	got, err := mustBuild(t, written(t)).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(got, []byte("PRIVATE KEY")) {
		t.Error("the text has a private key")
	}
	golden(t, "acme.yaml", got)
}

func TestGoldenBootstrap(t *testing.T) {
	got, err := Bootstrap(BootstrapOptions{
		NodeID: "edge-1", XDSSocket: "/run/tiergate/xds.sock", AdminSocket: "/run/tiergate/envoy.sock",
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "bootstrap.yaml", got)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	_, err := Bootstrap(BootstrapOptions{XDSSocket: "xds.sock", AdminSocket: "/" + strings.Repeat("a", maxSocketPath)})
	for _, want := range []string{"no id", `"xds.sock" is no absolute path`, "has 108 bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestUnserved(t *testing.T) {
	in := written(t)
	in.Settings.Listeners = in.Settings.Listeners[:1]
	if diff := cmp.Diff([]string{"attachments", "home", "issue-write"}, mustBuild(t, in).Unserved()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(mustBuild(t, in).Unserved(), Unserved(in)); diff != "" {
		t.Error(diff)
	}
	if got := mustBuild(t, written(t)).Unserved(); len(got) > 0 {
		t.Errorf("unserved %v", got)
	}
	in.Settings.Listeners = nil
	if s := mustBuild(t, in); len(s.Listeners()) > 0 || len(s.Clusters()) != 1 || len(s.Secrets()) > 0 {
		t.Errorf("without listeners Envoy gets %v", s.Clusters())
	}
}

func TestFaults(t *testing.T) {
	other := newAuthority(t).issue(t, ana)
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   string // kind, name, field and a part of the message
	}{
		{"no upstream", func(in *Input) { in.Routes[0].Upstream = "gone" },
			`Route payroll: spec.upstream: the policy has no upstream "gone"`},
		{"no audience", func(in *Input) { in.Routes[0].Audiences = []string{"gone"} },
			`Route payroll: spec.audiences: the policy has no audience "gone"`},
		{"path", func(in *Input) { in.Routes[0].Path = "/a/../b" },
			"Route payroll: spec.path: the path has a dot segment"},
		{"query", func(in *Input) { in.Routes[0].Path = "/a?b" }, "Route payroll: spec.path: a question mark"},
		{"host", func(in *Input) { in.Routes[0].Hosts = []string{"a", "b/c"} },
			`Route payroll: spec.hosts[1]: "b/c"`},
		{"star alone", func(in *Input) { in.Routes[0].Hosts = []string{"*"} }, `Route payroll: spec.hosts[0]: "*"`},
		{"two stars", func(in *Input) { in.Routes[0].Hosts = []string{"*.*.a"} },
			`Route payroll: spec.hosts[0]: "*.*.a"`},
		{"methods overlap", func(in *Input) { in.Routes[3].Methods = []string{"PUT", "GET"} },
			"Route issue-write: spec.methods: route issue-read takes GET"},
		{"all methods twice", func(in *Input) { in.Routes[1].Path, in.Routes[1].Methods = "/**", nil },
			"Route payroll-admin: spec.methods: another route"},
		{"some and all methods", func(in *Input) { in.Routes[1].Path = "/**" },
			"Route payroll-admin: spec.methods: another route"},
		{"same host twice", func(in *Input) { in.Routes[0].Hosts = []string{"a.example", "A.example."} },
			"Route payroll: spec.methods: another route"},
		{"endpoint is a name in plaintext", func(in *Input) { in.Upstreams[1].Endpoints = []string{"127.0.0.1:1", "payroll:1"} },
			`Upstream tracker: spec.endpoints[1]: "payroll:1" is no literal`},
		{"endpoint is neither", func(in *Input) { in.Upstreams[0].Endpoints = []string{"127.1:1"} },
			`Upstream payroll: spec.endpoints[0]: "127.1:1" is no IP address`},
		{"endpoint without port", func(in *Input) { in.Upstreams[0].Endpoints = []string{"127.0.0.1:0"} },
			`Upstream payroll: spec.endpoints[0]: "127.0.0.1:0" has port 0`},
		{"endpoint with zone", func(in *Input) { in.Upstreams[0].Endpoints = []string{"[fe80::1%eth0]:1"} },
			"Upstream payroll: spec.endpoints[0]:"},
		{"no endpoint", func(in *Input) { in.Upstreams[0].Endpoints = nil },
			"Upstream payroll: spec.endpoints: the upstream has no endpoint"},
		{"neither TLS nor plaintext", func(in *Input) { in.Upstreams[0].SPIFFEID = "" },
			"Upstream payroll: spec.spiffeID: nothing says whom"},
		{"TLS and plaintext", func(in *Input) { in.Upstreams[0].Plaintext = true },
			"Upstream payroll: spec.plaintext: plaintext has no identity"},
		{"name and plaintext", func(in *Input) { in.Upstreams[1].DNSName = "a.example" },
			"Upstream tracker: spec.plaintext: plaintext has no identity"},
		{"two identities", func(in *Input) { in.Upstreams[0].DNSName = "a.example" },
			"Upstream payroll: spec.dnsName: an upstream has one identity"},
		{"name without CA", func(in *Input) {
			in.Upstreams[0].SPIFFEID, in.Upstreams[0].DNSName = "", "a.example"
			in.Settings.Client, in.Settings.UpstreamCA = nil, nil
		}, "Upstream payroll: spec.dnsName: TLS needs a CA"},
		{"no client certificate", func(in *Input) { in.Settings.Client = nil },
			"Upstream payroll: spec.spiffeID: mTLS needs"},
		{"no upstream CA", func(in *Input) { in.Settings.UpstreamCA = nil },
			"Settings: envoy.upstreamCAFile: there is no CA"},
		{"client key of another", func(in *Input) { in.Settings.Client = &KeyPair{CertPEM: fixedPair(t).CertPEM, KeyPEM: other.KeyPEM} },
			"Settings: envoy.client: the certificate and key"},
		{"listener key of another", func(in *Input) { in.Settings.Listeners[0].Certificate.KeyPEM = other.KeyPEM },
			"Settings: envoy.listeners[ingress].tls: the certificate and key"},
		{"no client CA", func(in *Input) { in.Settings.Listeners[0].ClientCA = []byte("x") },
			"Settings: envoy.listeners[ingress].clientCAFile: there is no CA"},
		{"listener name", func(in *Input) { in.Settings.Listeners[0].Name = "a/b" },
			`Settings: envoy.listeners[a/b].name: "a/b" is no name`},
		{"listener address", func(in *Input) { in.Settings.Listeners[0].Address = "localhost:1" },
			"Settings: envoy.listeners[ingress].address:"},
		{"one name twice", func(in *Input) { in.Settings.Listeners[1].Name = "ingress" },
			"Settings: envoy.listeners[ingress].name: two listeners"},
		{"one address twice", func(in *Input) { in.Settings.Listeners[1].Address = "127.0.0.1:8443" },
			"Settings: envoy.listeners[contractors].address: 127.0.0.1:8443 is also"},
		{"unknown audience", func(in *Input) { in.Settings.Listeners[1].Audience = "gone" },
			`Settings: envoy.listeners[contractors].audience: the policy has no audience "gone"`},
		{"open audience", func(in *Input) { in.Settings.Listeners[1].Audience = "employees" },
			`Settings: envoy.listeners[contractors].audience: audience "employees" is not isolated`},
		{"no timeout", func(in *Input) { in.Settings.CheckTimeout = 0 }, "Settings: envoy.checkTimeout: 0s"},
		{"long timeout", func(in *Input) { in.Settings.CheckTimeout = time.Minute },
			"Settings: envoy.checkTimeout: 1m0s"},
		{"relative socket", func(in *Input) { in.Settings.AuthzSocket = "a.sock" },
			"Settings: runtimeDir: the socket of ext_authz"},
		{"relative log", func(in *Input) { in.Settings.AccessLog = "log" }, "Settings: envoy.accessLog.file:"},
		{"a name that is no text", func(in *Input) { in.TableDigest = "\xff" },
			"Settings: envoy: Envoy's configuration cannot be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := written(t)
			c.change(&in)
			_, err := Build(in)
			var faults Faults
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	in := written(t)
	in.Routes[0].Upstream, in.Routes[1].Path, in.Upstreams[1].Endpoints = "gone", "/a//b", nil
	in.Settings.CheckTimeout = 0
	_, err := Build(in)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 4 {
		t.Errorf("got %d faults, want 4:\n%v", len(faults), err)
	}
}
