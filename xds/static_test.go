package xds

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// inDir puts the certificates of the golden policy into files and names them.
func inDir(t *testing.T, in Input, dir string) StaticOptions {
	t.Helper()
	pair := fixedPair(t)
	put := func(name string, raw []byte) string {
		path := filepath.Join(dir, name)
		if dir != "/etc/tiergate" {
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	files := StaticFiles{CertFile: put("cert.pem", pair.CertPEM), KeyFile: put("key.pem", pair.KeyPEM), CAFile: put("ca.pem", pair.CertPEM)}
	o := StaticOptions{NodeID: "edge-1", AdminSocket: "/run/tiergate/envoy.sock", Listeners: map[string]StaticFiles{},
		Client: files, UpstreamCA: files.CAFile}
	for _, l := range in.Settings.Listeners {
		o.Listeners[l.Name] = files
	}
	return o
}

func TestGoldenStatic(t *testing.T) {
	in := written(t)
	in.Settings.Listeners, in.Routes = in.Settings.Listeners[:1], in.Routes[:1]
	got, err := Static(in, inDir(t, in, "/etc/tiergate"))
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"PRIVATE KEY", "LS0tLS1", "ads: {}"} {
		if bytes.Contains(got, []byte(private)) {
			t.Errorf("the text has %q", private)
		}
	}
	golden(t, "static.yaml", got)
}

func TestStaticRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Input, *StaticOptions)
		want   string
	}{
		"no id":                 {func(_ *Input, o *StaticOptions) { o.NodeID = "" }, "the node has no id"},
		"relative admin socket": {func(_ *Input, o *StaticOptions) { o.AdminSocket = "a.sock" }, `the socket of admin: "a.sock" is no absolute path`},
		"a key in no file": {func(_ *Input, o *StaticOptions) { o.Listeners["ingress"] = StaticFiles{CertFile: "/c"} },
			"secret ingress/certificate: its private key is in no file"},
		"a listener that waits": {func(in *Input, _ *StaticOptions) { in.Settings.Listeners[0].Awaited = true },
			"listener ingress: whom it lets in rotates"},
		"a policy that cannot be programmed": {func(in *Input, _ *StaticOptions) { in.Routes[0].Upstream = "gone" },
			`the policy has no upstream "gone"`},
	} {
		t.Run(name, func(t *testing.T) {
			in := written(t)
			o := inDir(t, in, "/etc/tiergate")
			c.change(&in, &o)
			if _, err := Static(in, o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestStaticNamesOnlyWholeFiles: where more may connect than the file says, naming the file would shut them out.
func TestStaticNamesOnlyWholeFiles(t *testing.T) {
	in := written(t)
	other := newAuthority(t)
	in.Settings.Listeners[0].TrustDomains = map[string][]byte{"partner.example": other.caPEM}
	got, err := Static(in, inDir(t, in, "/etc/tiergate"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(got, []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("%d certificates stand in the text, want the two that ingress trusts", n)
	}
}

// judged is what Envoy says of a configuration.
func judged(t *testing.T, config []byte, path string) (string, bool) {
	t.Helper()
	command := exec.Command(tool(t, "envoy"), "--mode", "validate", "-c", path, "--concurrency", "1", "-l", "critical")
	command.Stdin = bytes.NewReader(config)
	said, err := command.CombinedOutput()
	return string(said), err == nil
}

func TestEnvoyTakesTheStaticConfiguration(t *testing.T) {
	in := written(t)
	dir := t.TempDir()
	got, err := Static(in, inDir(t, in, dir))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(path, got, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, ok := judged(t, nil, path); !ok {
		t.Error(said)
	}
}

// TestPreflight: Envoy judges all that a snapshot has, through a pipe: what it would refuse over xDS it refuses here, and
// for the same reason; what neither we nor its API's constraints find.
func TestPreflight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*Snapshot)
		want  string // "": it is fine
	}{
		"fine": {func(*Snapshot) {}, ""},
		"a route's expression": {func(s *Snapshot) {
			s.resources.routes[0] = proto.CloneOf(s.resources.routes[0])
			s.resources.routes[0].VirtualHosts[0].Routes[0].Match = regexMatch("(")
		}, "missing )"},
		"two hosts alike": {func(s *Snapshot) {
			s.resources.routes[0] = proto.CloneOf(s.resources.routes[0])
			s.resources.routes[0].VirtualHosts = append(s.resources.routes[0].VirtualHosts,
				&routev3.VirtualHost{Name: "again", Domains: s.resources.routes[0].VirtualHosts[0].Domains})
		}, "unique"},
		"a listener's filter": {func(s *Snapshot) {
			l := proto.CloneOf(s.resources.listeners[0])
			l.ListenerFilters = append(l.ListenerFilters, &listenerv3.ListenerFilter{Name: "nosuch"})
			s.resources.listeners[0] = l
		}, "nosuch"},
		"a key of another": {func(s *Snapshot) {
			for i, secret := range s.resources.secrets {
				if secret.GetTlsCertificate() != nil {
					spoilt := proto.CloneOf(secret)
					spoilt.GetTlsCertificate().PrivateKey = inline(newAuthority(t).issue(t, ana).KeyPEM)
					s.resources.secrets[i] = spoilt
				}
			}
		}, "Failed to load private key"},
		"a secret that is not there": {func(s *Snapshot) {
			kept := []*tlsv3.Secret{}
			for _, secret := range s.resources.secrets {
				if secret.GetValidationContext() == nil {
					kept = append(kept, secret)
				}
			}
			s.resources.secrets = kept
		}, "static"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := written(t)
			in.Settings.AccessLog = "/nowhere/that/exists/access.log"
			snapshot := mustBuild(t, in)
			c.spoil(snapshot)
			config, err := snapshot.Preflight()
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(config) || bytes.Contains(config, []byte(`"ads"`)) {
				t.Error("it is no JSON, or leads to xDS")
			}
			said, ok := judged(t, config, "/dev/fd/0")
			if ok != (c.want == "") || !strings.Contains(said, c.want) {
				t.Errorf("Envoy says %q, want %q", said, c.want)
			}
		})
	}
}
