package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

// aMesh is a place whose trust domain follows an agent, which is not started, and that listens for Envoys on TCP.
func aMesh(t *testing.T) (*stage.Stage, *mesh, string) {
	t.Helper()
	s := aPlace(t)
	m := &mesh{t: t, cas: map[string]*devca.CA{"acme.example": aCA(t), "partner.example": aCA(t)}}
	var err error
	m.agent, err = agent.New(agent.Options{Socket: s.Path("run", "spire.sock"), TrustDomains: m.cas, TTL: time.Hour,
		Identities: func(agent.Caller) []string { return []string{ownID} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.agent.Stop(); err != nil {
			t.Error(err)
		}
	})
	address := freeport.For(t)
	edit(t, s.Settings(), "      bundleFile: pki/workloads-ca.pem\n",
		"    - name: partner.example\n  workloadAPI: {socket: run/spire.sock}\n"+
			"  jwtSVIDs: {audiences: [tiergate]}\n")
	edit(t, s.Settings(), "      clientCAFile: pki/ingress-clients-ca.pem ", "      clientTrustDomains: [partner.example, acme.example] ")
	edit(t, s.Settings(), "\nlog:", "\nauthz: {listen: {address: \""+address+"\", envoys: [\""+envoyID+"\"]}}\nlog:")
	return s, m, address
}

// TestServeWithoutTheAgent: serve starts, says what it waits for, and is ready once the agent is there; it then serves the
// Envoy that is named, over TCP, and nobody else.
func TestServeWithoutTheAgent(t *testing.T) {
	t.Parallel()
	s, m, address := aMesh(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var stderr bytes.Buffer
	status := -1
	running.Go(func() { status = run(ctx, []string{"serve", "--config", s.Settings()}, io.Discard, &stderr) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if status != exitFine {
			t.Errorf("exit %d: %s", status, &stderr)
		}
	})
	soon(t, "the reason why it is not ready", func() bool {
		_, text := probe(s.Ports.ServeMetrics, "/readyz", http.StatusServiceUnavailable)
		return strings.Contains(text, "no CA certificates of trust domain acme.example, partner.example yet") &&
			strings.Contains(text, "the agent is out of reach")
	})
	m.start()
	if code, text := probe(s.Ports.ServeMetrics, "/readyz", http.StatusOK); code != http.StatusOK {
		t.Fatalf("with the agent: %d %s", code, text)
	}
	server := &tcpServer{address: address}
	if err := ask(server.dial(t, m.svid(envoyID, time.Hour), 0, func(string) {})); err != nil {
		t.Errorf("the named Envoy: %v", err)
	}
	if err := ask(server.dial(t, m.svid("spiffe://acme.example/other", time.Hour), 0, func(string) {})); err == nil {
		t.Error("somebody else is served")
	}
	// A TLS 1.3 client learns of its refusal before it is counted, and after its own handshake, so grpc may have come a second time.
	refused := regexp.MustCompile(`(?m)^tiergate_authz_connections_refused_total [1-9]`)
	var text string
	soon(t, "both streams of the agent, and that a connection was refused", func() bool {
		_, text = probe(s.Ports.ServeMetrics, "/metrics", http.StatusOK)
		return strings.Contains(text, `tiergate_workload_api_reachable{stream="jwt"} 1`) && refused.MatchString(text)
	})
	for _, want := range []string{`tiergate_workload_api_reachable{stream="x509"} 1`, `tiergate_workload_api_reachable{stream="jwt"} 1`,
		"tiergate_svid_expires_timestamp_seconds 1", "tiergate_trust_domains_without_bundle 0",
		`tiergate_trust_changes_total{result="taken"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics without %s", want)
		}
	}
	if err := m.agent.Stop(); err != nil {
		t.Fatal(err)
	}
	soon(t, "word that the agent is gone", func() bool {
		_, text := probe(s.Ports.ServeMetrics, "/metrics", http.StatusOK)
		return strings.Contains(text, `tiergate_workload_api_reachable{stream="x509"} 0`)
	})
	if code, text := probe(s.Ports.ServeMetrics, "/readyz", http.StatusOK); code != http.StatusOK {
		t.Errorf("an agent that goes away takes the process out of service: %d %s", code, text)
	}
}

// TestClientsFollowTheWorkloadAPI: the listener is there when it is known whom to admit, its secret follows every CA, and
// the listener itself stays the same, byte for byte.
func TestClientsFollowTheWorkloadAPI(t *testing.T) {
	t.Parallel()
	s, m, _ := aMesh(t)
	settings, err := loadSettings(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "error", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	store, err := openStore(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // nothing was written
	sc, err := newSidecar(settings, o, store)
	if err != nil {
		t.Fatal(err)
	}
	published := make(chan *xds.Snapshot, 64)
	sc.reloader.republish = func(_ context.Context, snapshot *xds.Snapshot) error {
		published <- snapshot
		return nil
	}
	if err := sc.reloader.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := sc.build(sc.reloader.inForce)
	if err != nil || len(before.Listeners()) != 1 || before.Listeners()[0].GetName() != "contractors" {
		t.Fatalf("before it is known whom to admit: %v, %v", before.Listeners(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, p := range append(sc.keys, part{"policy", sc.reloader.run}) {
		running.Go(func() {
			if err := p.run(ctx); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	m.start()
	admitted := func(snapshot *xds.Snapshot) string {
		for _, secret := range snapshot.Secrets() {
			if secret.GetName() == "ingress/client-ca" {
				// Each domain's certificates, in SPIFFECertValidatorConfig.
				return string(secret.GetValidationContext().GetCustomValidatorConfig().GetTypedConfig().GetValue())
			}
		}
		return ""
	}
	first := <-published
	for _, ca := range m.cas {
		if !strings.Contains(admitted(first), string(ca.PEM())) {
			t.Errorf("a bundle is missing in\n%s", admitted(first))
		}
	}
	if err := m.agent.PrepareCA("acme.example"); err != nil {
		t.Fatal(err)
	}
	second := <-published
	if strings.Count(admitted(second), "BEGIN") != 3 {
		t.Errorf("after a CA was published:\n%s", admitted(second))
	}
	if len(first.Listeners()) != 2 || len(second.Listeners()) != 2 {
		t.Fatalf("%d and %d listeners", len(first.Listeners()), len(second.Listeners()))
	}
	for i, l := range second.Listeners() {
		if !proto.Equal(l, first.Listeners()[i]) {
			t.Errorf("listener %s changed with a CA", l.GetName())
		}
	}
}

// TestRefreshFails: what fails is told once and tried again, and a policy that is not there is no reason to do anything.
func TestRefreshFails(t *testing.T) {
	t.Parallel()
	f := followDir(t)
	f.r.refresh(t.Context()) // there is no policy yet
	var mu sync.Mutex
	var told []string
	fault, tries := errors.New("no such file"), 0
	f.r.again = make(chan struct{}, 1)
	f.r.republish = func(context.Context, *xds.Snapshot) error { return nil }
	f.r.refreshFailed = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err.Error())
	}
	for name, text := range versionText("1") {
		if err := os.WriteFile(f.dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.r.build = func(*policy.Policy) (*xds.Snapshot, error) { // the first call is that of the policy itself
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries == 2 || tries == 3 {
			return nil, fault
		}
		return nil, nil
	}
	f.run(t)
	f.r.refreshSoon()
	f.r.refreshSoon() // it never waits
	soon(t, "the attempt that succeeds", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return tries == 4
	})
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(told, "; ") != "no such file" {
		t.Errorf("told %q", told)
	}
}
