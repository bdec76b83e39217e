package stage

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
)

// newAgentStage lays out a stage whose SVIDs come from an agent; only the agent is started.
func newAgentStage(t *testing.T) *Stage {
	t.Helper()
	s, err := New(Options{Store: StoreEmbedded, Agent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Agent.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAgentSettings: what the stage writes is what tiergate reads, and differs from the example in what it must.
func TestAgentSettings(t *testing.T) {
	s := newAgentStage(t)
	settings := loadSettings(t, s)
	if got := settings.Identity.WorkloadAPI.Socket; got != s.Agent.Socket() {
		t.Errorf("the Workload API is at %s, want %s", got, s.Agent.Socket())
	}
	if domains := settings.Identity.TrustDomains; len(domains) != 1 || domains[0].BundleFile != "" {
		t.Errorf("trust domains %+v", domains)
	}
	last := settings.Envoy.Listeners[len(settings.Envoy.Listeners)-1]
	if last.Name != ListenerWorkloads || !last.TLS.WorkloadAPI || last.Address != s.Ports.Workloads || last.ClientCAFile != "" {
		t.Errorf("listener %+v", last)
	}
	if !settings.Envoy.Client.WorkloadAPI || settings.Authz.Listen.Address != s.Ports.Authz {
		t.Errorf("client %+v, authz %+v", settings.Envoy.Client, settings.Authz.Listen)
	}
	restored, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	text := string(restored)
	for _, sub := range s.settingsSubstitutions() {
		if strings.Count(text, sub.to) != 1 {
			t.Errorf("%q occurs %d times", sub.to, strings.Count(text, sub.to))
		}
		text = strings.Replace(text, sub.to, sub.from, 1)
	}
	if text != read(t, filepath.Join(s.binaries.Example, "settings.yaml")) {
		t.Errorf("the settings differ in more than what is replaced:\n%s", restored)
	}
}

// TestIdentities: this process is every client, a child is itself, and nobody else is anybody.
func TestIdentities(t *testing.T) {
	s := newAgentStage(t)
	if mine := s.identities(agent.Caller{PID: os.Getpid()}); len(mine) != 4 || mine[0] != workloads["deployer"] {
		t.Errorf("this process is %q", mine)
	}
	for _, pid := range []int{0, 1, os.Getppid()} {
		if theirs := s.identities(agent.Caller{PID: pid}); theirs != nil {
			t.Errorf("process %d is %q", pid, theirs)
		}
	}
	sleeper := Process{Name: "envoy", Path: "/bin/sleep", Args: []string{"60"}, Log: s.log("envoy")}
	if err := s.Processes.Start(t.Context(), sleeper); err != nil {
		t.Fatal(err)
	}
	if theirs := s.identities(agent.Caller{PID: s.Processes.Pid("envoy")}); len(theirs) != 1 || theirs[0] != EnvoyID {
		t.Errorf("Envoy is %q", theirs)
	}
}

// TestWorkload: what a workload shows is what the agent gives it, and it says so where there is none.
func TestWorkload(t *testing.T) {
	s := newAgentStage(t)
	client, err := s.Workload(t.Context(), "deployer")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	pair, err := client.Pair()
	if err != nil || pair.Certificate.URIs[0].String() != workloads["deployer"] ||
		pair.Certificate.CheckSignatureFrom(s.Cast.Workloads.Certificate()) != nil {
		t.Errorf("%v, %v", pair, err)
	}
	if answer := client.Ask(t.Context(), Request{Host: PayrollHost}); answer.Err == nil || client.Certificates() != 1 {
		t.Errorf("nobody listens, and the answer is %d", answer.Status)
	}
	for name, r := range map[string]Request{"as another": {As: "ana"}, "elsewhere": {Address: "127.0.0.1:1"}, "a listener": {Listener: ListenerIngress}} {
		if answer := client.AskAnew(t.Context(), r); answer.Err == nil || !strings.Contains(answer.Err.Error(), "asks as itself") {
			t.Errorf("%s: %v", name, answer.Err)
		}
	}
	if _, err := s.Workload(t.Context(), "nobody"); err == nil {
		t.Error("a client of nobody")
	}
	if _, err := newStage(t, StoreEmbedded).Workload(t.Context(), "deployer"); err == nil {
		t.Error("a client of no agent")
	}
	if _, err := s.Rotate(t.Context(), "deployer", Request{Host: PayrollHost}); err == nil {
		t.Error("traffic to nobody")
	}
}

func TestRotationCounts(t *testing.T) {
	var r Rotation
	for _, a := range []Answer{{Status: http.StatusOK, Echo: &Echo{}}, {Status: http.StatusOK}, {Status: 503}} {
		r.count(a)
	}
	if r.Sent != 3 || r.Lost != 2 || !strings.HasPrefix(r.First, "status 200") {
		t.Errorf("%+v", r)
	}
}

// TestUpstreamOfAgent: an upstream whose SVID comes from the agent proves it, and admits Envoy alone; the same one by files.
func TestUpstreamOfAgent(t *testing.T) {
	s := newAgentStage(t)
	for name, u := range map[string]Upstream{
		"no socket":    {Name: "x", Listen: "127.0.0.1:0", WorkloadAPI: s.Path("nowhere.sock"), Admit: "no SPIFFE ID"},
		"no SPIFFE ID": {Name: "x", Listen: "127.0.0.1:0", WorkloadAPI: s.Agent.Socket(), Admit: "ana"},
		"no file":      {Name: "x", Listen: "127.0.0.1:0", CertFile: s.Path("none"), KeyFile: s.Path("none"), Admit: EnvoyID},
	} {
		if err := u.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "upstream x: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	config, done, err := (Upstream{WorkloadAPI: s.Agent.Socket(), Admit: EnvoyID}).tls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	shown, err := config.GetCertificate(nil)
	if err != nil || !config.SessionTicketsDisabled || len(config.NextProtos) != 2 {
		t.Errorf("%v, %+v", err, config)
	}
	mine := s.Cast.Pairs["deployer"]
	if err := config.VerifyPeerCertificate([][]byte{mine.Certificate.Raw}, nil); err == nil {
		t.Error("the deployer is admitted by an upstream")
	}
	if err := config.VerifyPeerCertificate([][]byte{s.Cast.Pairs["envoy"].Certificate.Raw}, nil); err != nil {
		t.Errorf("Envoy is not: %v", err)
	}
	if len(shown.Certificate) != 1 {
		t.Errorf("it shows %d certificates", len(shown.Certificate))
	}
}
