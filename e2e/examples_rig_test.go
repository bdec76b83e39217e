package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// example says of a directory below examples/ what its files cannot: who signs what.
type example struct {
	name  string
	envoy string // the SPIFFE ID of its Envoy, which upstreams admit
	// clients are the authorities that stand in the clientCAFile of each listener: a trust domain, which has a dot, or a
	// name for whoever signs laptops.
	clients map[string][]string
}

// played is an example that runs: its own settings and policy with free ports, under certificates made for it, with the
// real tiergate, the real Envoy and one process for each upstream.
type played struct {
	example
	dir         string
	settings    *config.Settings
	world       policy.World
	policy      *policy.Policy // compiled with the settings, as `serve` does
	authorities map[string]*devca.CA
	issuers     map[string]*devca.Issuer
	servers     *devca.CA
	client      *stage.Client
	processes   *stage.Supervisor
	sent        int // reports
}

const forAnHour = time.Hour

// play lays an example out and starts all of it.
func play(t *testing.T, x example) *played {
	t.Helper()
	p := layOut(t, x)
	p.load(t)
	p.start(t)
	return p
}

// layOut copies an example with all that its settings name, and starts nothing.
func layOut(t *testing.T, x example) *played {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	p := &played{example: x, dir: dir, authorities: map[string]*devca.CA{}, issuers: map[string]*devca.Issuer{},
		processes: stage.NewSupervisor(stage.Events{Exited: func(name string, err error) { t.Errorf("%s ended by itself: %v", name, err) }})}
	t.Cleanup(func() {
		if p.client != nil {
			p.client.Close()
		}
		if err := p.processes.Stop(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p.copyFiles(t)
	p.issue(t)
	return p
}

func (p *played) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

// onValkey is the store of an example that shares it. Here it is the embedded one, which is quicker to start; the demo plays
// the same example on a real Valkey.
var onValkey = regexp.MustCompile(`(?m)^store:\n  redis:\n(    .*\n)+`)

const embedded = "store:\n  embedded:\n    file: store/tiergate.db\n"

var loopback = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// copyFiles copies settings and policy; every address in them becomes a free one, the same wherever it stands.
func (p *played) copyFiles(t *testing.T) {
	t.Helper()
	for _, name := range []string{"run", "pki", "secrets", "store", "logs"} {
		if err := os.Mkdir(p.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	free := map[string]string{}
	from := filepath.Join("..", "examples", p.name)
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(from, path)
		switch {
		case err != nil || relErr != nil:
			return fmt.Errorf("%w %w", err, relErr)
		case name == "." || entry.Name() == "README.md":
			return nil
		case entry.IsDir():
			return os.MkdirAll(p.path(name), 0o700)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := onValkey.ReplaceAllString(string(raw), embedded)
		text = loopback.ReplaceAllStringFunc(text, func(address string) string {
			if free[address] == "" {
				free[address] = freeport.For(t)
			}
			return free[address]
		})
		return os.WriteFile(p.path(name), []byte(text), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// issue makes every file that the settings name, and one SVID for each upstream.
func (p *played) issue(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(p.path("settings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	documents, problems := strictyaml.Parse("settings.yaml", raw)
	var s config.Settings
	if len(problems) > 0 || len(documents) != 1 {
		t.Fatalf("%d documents: %v", len(documents), problems)
	}
	if problems := documents[0].Decode("", &s); len(problems) > 0 {
		t.Fatal(problems)
	}
	p.servers = ca(t, "servers")
	p.client = stage.NewClient(p.servers)
	var laptops []*devca.CA
	for _, d := range s.Identity.TrustDomains {
		p.authorities[d.Name] = ca(t, d.Name)
		p.write(t, d.BundleFile, p.authorities[d.Name].PEM())
	}
	for _, l := range s.Envoy.Listeners {
		var clients []*devca.CA
		for _, name := range p.clients[l.Name] {
			if p.authorities[name] == nil {
				p.authorities[name] = ca(t, name)
				laptops = append(laptops, p.authorities[name])
			}
			clients = append(clients, p.authorities[name])
		}
		if l.ClientCAFile != "" {
			p.write(t, l.ClientCAFile, devca.Bundle(clients...))
		}
		p.writePair(t, l.TLS, made(p.servers.Server(forAnHour, p.hosts(t)...)))
	}
	p.write(t, s.Identity.Devices.BundleFile, devca.Bundle(laptops...))
	for _, i := range s.Identity.Issuers {
		p.issuers[i.Name] = made(devca.NewIssuer(i.Issuer, i.Audiences[0]))(t)
		if err := p.issuers[i.Name].WriteJWKS(p.path(i.JWKSFile)); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range s.Sources {
		p.write(t, source.SecretFiles[0], []byte("whsec_"+secretKey()))
	}
	if s.Login != nil {
		p.write(t, s.Login.KeyFile, []byte(secretKey()))
	}
	p.writePair(t, *s.Envoy.Client, p.svid(p.envoy))
}

// secretKey is 32 random bytes in base64, as openssl rand -base64 32 makes them.
func secretKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // crypto/rand.Read never fails
	return base64.StdEncoding.EncodeToString(key)
}

// made hands a value on, or fails the test.
func made[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ca(t *testing.T, name string) *devca.CA { t.Helper(); return made(devca.New(name))(t) }

// svid is signed by the authority of its trust domain.
func (p *played) svid(id string) func(*testing.T) *devca.Pair {
	domain, _, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return made(p.authorities[domain].SVID(id, forAnHour))
}

func (p *played) write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(p.path(file), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *played) writePair(t *testing.T, files config.KeyPair, pair func(*testing.T) *devca.Pair) {
	t.Helper()
	if err := pair(t).WriteFiles(p.path(files.CertFile), p.path(files.KeyFile)); err != nil {
		t.Fatal(err)
	}
}

var hostLine = regexp.MustCompile(`(?m)^ +request: [A-Z]+ ([^/\s]+)/`)

// hosts are those of all cases. Each listener's certificate covers them all, so that what is refused is the request and not
// the connection.
func (p *played) hosts(t *testing.T) []string {
	t.Helper()
	seen := map[string]bool{}
	var hosts []string
	files, err := filepath.Glob(p.path("cases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		raw := made(os.ReadFile(file))(t)
		for _, match := range hostLine.FindAllSubmatch(raw, -1) {
			if host := string(match[1]); !seen[host] {
				seen[host] = true
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// load reads settings and policy as the product does.
func (p *played) load(t *testing.T) {
	t.Helper()
	var words config.Vocabulary
	for _, a := range signals.Attributes() {
		words.Attributes = append(words.Attributes, a.Name)
	}
	p.settings = made(config.Load(p.path("settings.yaml"), words))(t)
	recorded, logins := p.settings.Evidence.File != "", p.settings.Login != nil
	p.world = policy.World{Sources: map[string]policy.Source{}, Evidence: &recorded, Logins: &logins, SVIDAudiences: []string{}}
	if p.settings.Identity.JWTSVIDs != nil {
		p.world.SVIDAudiences = p.settings.Identity.JWTSVIDs.Audiences
	}
	for _, x := range p.settings.Sources {
		source := policy.Source{Attests: x.Attests, Every: x.Every}
		if e := x.EnrolledUser; e != nil {
			source.EnrolledUser = policy.EnrolledAs{Issuer: e.Issuer, Is: policy.EnrolledClaim(e.Is)}
		}
		p.world.Sources[x.Name] = source
	}
	for _, x := range p.settings.Identity.Issuers {
		p.world.Issuers = append(p.world.Issuers, x.Name)
	}
	for _, x := range p.settings.Identity.TrustDomains {
		p.world.TrustDomains = append(p.world.TrustDomains, x.Name)
	}
	compiled, problems := policyfile.Compile(made(policyfile.Read(p.settings.Policy.Dir))(t), p.world)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p.policy = compiled
}

// start starts the upstreams of the policy that prove who they are, `serve` and Envoy.
func (p *played) start(t *testing.T) {
	t.Helper()
	binaries := made(stage.FindBinaries())(t)
	var list []stage.Process
	for _, u := range p.policy.Spec().Upstreams {
		if u.Plaintext {
			continue // the test plays it
		}
		name, address := u.Meta.Name, u.Endpoints[0]
		files := config.KeyPair{CertFile: "pki/up-" + name + ".pem", KeyFile: "pki/up-" + name + ".key"}
		p.writePair(t, files, p.svid(u.SPIFFEID))
		list = append(list, stage.Process{Name: name, Path: binaries.Demo,
			Args: []string{"upstream", "-name", name, "-listen", address, "-cert", p.path(files.CertFile), "-key", p.path(files.KeyFile),
				"-ca", p.settings.Envoy.UpstreamCA, "-admit", p.envoy},
			Ready: func(ctx context.Context) error { return dialable(ctx, address) }})
	}
	config := []string{"--config", p.path("settings.yaml")}
	list = append(list, stage.Process{Name: "serve", Path: binaries.Tiergate, Args: append([]string{"serve"}, config...),
		Ready: func(ctx context.Context) error { _, err := p.probe(ctx, "/readyz"); return err }})
	bootstrap := p.path("bootstrap.yaml")
	list = append(list, stage.Process{Name: "envoy", Path: binaries.Envoy,
		Args: []string{"-c", bootstrap, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning",
			"--drain-time-s", "20"},
		Prepare: func(ctx context.Context) error {
			args := append([]string{"envoy", "bootstrap", "--admin-socket", p.path("run", "envoy.sock")}, config...)
			out, err := exec.CommandContext(ctx, binaries.Tiergate, args...).Output()
			if err != nil {
				return err
			}
			return os.WriteFile(bootstrap, out, 0o600)
		},
		Ready: func(ctx context.Context) error {
			for _, l := range p.settings.Envoy.Listeners {
				if err := dialable(ctx, l.Address); err != nil {
					return err
				}
			}
			return nil
		}})
	for _, process := range list {
		process.Log = p.path("logs", process.Name+".log")
		if err := p.processes.Start(soon(t, time.Minute), process); err != nil {
			t.Fatal(err)
		}
	}
}
