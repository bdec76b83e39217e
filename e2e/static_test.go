package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// staticEnvoy starts a second Envoy, of `tiergate envoy config` alone, beside the one that tiergate programs. It returns
// the addresses of its listeners, by the name of each.
func staticEnvoy(t *testing.T, s *stage.Stage) map[string]string {
	t.Helper()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{stage.ListenerIngress: freeport.For(t), stage.ListenerContracts: freeport.For(t)}
	text := strings.Replace(string(raw), s.Ports.Ingress, addresses[stage.ListenerIngress], 1)
	text = strings.Replace(text, s.Ports.Contractors, addresses[stage.ListenerContracts], 1)
	file := s.Path("settings-static.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, err := exec.CommandContext(t.Context(), binaries.Tiergate, "envoy", "config", "--config", file,
		"--admin-socket", s.Path("run", "static-admin.sock"), "--node-id", "static").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"PRIVATE KEY", "LS0tLS1CRUdJTi", "tiergate_xds", "ads: {}"} {
		if strings.Contains(string(printed), never) {
			t.Errorf("the configuration has %q", never)
		}
	}
	config := s.Path("static.yaml")
	if err := os.WriteFile(config, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), binaries.Envoy, "--mode", "validate", "-c", config).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if err := s.Processes.Start(soon(t, time.Minute), stage.Process{Name: "static-envoy", Path: binaries.Envoy,
		Log:  s.Path("logs", "static-envoy.log"),
		Args: []string{"-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"},
		Ready: func(ctx context.Context) error {
			answer := s.Ask(ctx, stage.Request{As: "deployer", Host: stage.PayrollHost, Path: "/admin/runs",
				Address: addresses[stage.ListenerIngress]})
			if answer.Err == nil && answer.Status != http.StatusOK {
				answer.Err = fmt.Errorf("status %d %s", answer.Status, answer.Body)
			}
			return answer.Err
		}}); err != nil {
		t.Fatal(err)
	}
	return addresses
}

// staticCorpus is everybody, at every host and path that tells something, on both listeners.
func staticCorpus() []stage.Request {
	hosts := map[string][]string{stage.ListenerIngress: {stage.PortalHost, stage.PayrollHost},
		stage.ListenerContracts: {stage.ContractorHost, stage.PortalHost}}
	who := map[string][]string{stage.ListenerIngress: {"ana", "ana-key", "ben", "deployer", "reporter", "cleo"},
		stage.ListenerContracts: {"cleo", "ana"}} // the last may not enter there at all
	forged := http.Header{"X-Tiergate-Subject": {"corp/root"}, "X-Forwarded-Client-Cert": {"URI=" + stage.EnvoyID}}
	var all []stage.Request
	for listener, names := range hosts {
		for _, as := range who[listener] {
			for _, host := range names {
				for _, what := range []stage.Request{
					{}, {Path: "/admin/runs?x=1"}, {Path: "/admin/runs", Method: http.MethodDelete, HTTP1: true},
					{Path: "/a/../admin/x", HTTP1: true}, {Path: "/x%2fy"}, {Path: "/admin", NoToken: true, Header: forged},
				} {
					what.As, what.Listener, what.Host = as, listener, host
					all = append(all, what)
				}
			}
		}
	}
	return all
}

// alike is what of an answer must not depend on how Envoy came by its configuration.
func alike(a stage.Answer) map[string]any {
	all := map[string]any{"status": a.Status, "protocol": a.Proto, "reason": a.Reason(), "decided": a.DecisionID() != "",
		"reached": a.Err == nil, "content": a.Header.Get("Content-Type"), "server": a.Header.Get("Server")}
	if a.Problem != nil {
		all["tier"], all["unmet"], all["detail"] = a.Problem.Tier, a.Problem.Unmet, a.Problem.Detail
	}
	if e := a.Echo; e != nil {
		names := map[string]int{}
		for name, values := range e.Headers {
			names[name] = len(values)
		}
		all["echo"] = []any{e.Upstream, e.Peer, e.Method, e.Host, e.Path, names, e.Headers["x-tiergate-subject"]}
	}
	return all
}

// TestStaticConfigurationAnswersAlike: what `tiergate envoy config` prints is what xDS delivers, by what it answers.
func TestStaticConfigurationAnswersAlike(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreEmbedded)
	addresses := staticEnvoy(t, s)
	counts, asked := map[string]int{}, 0
	for _, r := range staticCorpus() {
		programmed := s.Ask(soon(t, 10*time.Second), r)
		other := r
		other.Address = addresses[r.Listener]
		static := s.Ask(soon(t, 10*time.Second), other)
		asked++
		counts[fmt.Sprint(programmed.Status, " ", programmed.Reason())]++
		if want, got := alike(programmed), alike(static); !reflect.DeepEqual(want, got) {
			t.Errorf("%+v:\nprogrammed %v\nstatic     %v %v", r, want, got, static.Err)
		}
	}
	t.Logf("%d requests to both: %v", asked, counts)
	if asked < 50 || len(counts) < 5 {
		t.Error("the corpus tells too little")
	}
}
