package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// paper is what the README tells to create with kubectl, out of a stage that plays nothing itself.
func paper(t *testing.T, s *stage.Stage, k *kubelet) {
	t.Helper()
	file := func(elements ...string) string {
		content, err := os.ReadFile(s.Path(elements...))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	k.configMaps["trust"] = map[string]string{
		"workloads-ca.pem": file("pki", "workloads-ca.pem"), "devices-ca.pem": file("pki", "all-devices-ca.pem"),
		"clients-ca.pem": file("pki", "ingress-clients-ca.pem"), "corp-jwks.json": file("pki", "corp-jwks.json"),
		"redis-ca.pem": file("pki", "servers-ca.pem"), "seal.pub": file("pki", "seal.pub"),
	}
	k.configMaps["istio-ca-root-cert"] = map[string]string{"root-cert.pem": file("pki", "workloads-ca.pem")}
	k.secrets["edge-tls"] = map[string]string{"tls.crt": file("pki", "ingress.pem"), "tls.key": file("pki", "ingress.key")}
	k.secrets["redis-reader"] = map[string]string{"password": valkeyPassword + "\n"}
	k.secrets["redis-writer"] = k.secrets["redis-reader"]
	k.secrets["seal-key"] = map[string]string{"seal.key": file("secrets", "seal.key")}
	k.secrets["source-secrets"] = map[string]string{"acme-mdm.whsec": file("secrets", "acme-mdm.whsec")}
	k.secrets["tiergate-bridge-tls"] = map[string]string{"tls.crt": "", "tls.key": "", "ca.crt": ""}
}

// aDirectory is a company on paper: certificates, tokens and secrets, and no process.
func aDirectory(t *testing.T) *stage.Stage {
	t.Helper()
	s, err := stage.New(stage.Options{Store: stage.StoreRedis})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const valkeyPassword = "valkey-of-the-test"

// valkeySettings are what differs when the store is a Valkey behind a socket, where TLS is not wanted.
func valkeySettings(socket string) map[string]string {
	return map[string]string{
		"address: valkey.data.svc.cluster.local:6379":    "address: " + socket,
		"\n    caFile: /etc/tiergate/trust/redis-ca.pem": "",
	}
}

// cluster is the pods of examples/bring-your-own/kubernetes, run here.
type cluster struct {
	paper           *stage.Stage // certificates, tokens, the sender of webhooks
	edge, ingest    *kubelet
	address, probes string
	processes       *stage.Supervisor
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Saw-Subject", strings.Join(r.Header["X-Tiergate-Subject"], " and "))
	}))
	t.Cleanup(app.Close)
	s := aDirectory(t)
	c := &cluster{paper: s, address: freeport.For(t), probes: freeport.For(t), processes: stage.NewSupervisor(stage.Events{})}
	all, socket, webhooks := objects(t, "kubernetes/*.yaml"), s.Path("run", "valkey.sock"), freeport.For(t)
	c.edge, c.ingest = newKubelet(t, all, "edge"), newKubelet(t, all, "ingest")
	c.edge.moved, c.ingest.moved = valkeySettings(socket), valkeySettings(socket)
	c.edge.moved["0.0.0.0:8443"], c.edge.moved["0.0.0.0:9464"] = c.address, c.probes
	c.edge.moved["127.0.0.1:8080"] = app.Listener.Addr().String()
	c.edge.moved[stage.HastyEnvoy] = stage.PatientEnvoy
	c.ingest.moved["0.0.0.0:8090"], c.ingest.moved["0.0.0.0:9465"] = webhooks, freeport.For(t)
	s.Sender.URL = "http://" + webhooks + "/v1/sources/" + stage.SourceName
	for _, k := range []*kubelet{c.edge, c.ingest} {
		paper(t, s, k)
		k.layOut(t)
	}
	t.Cleanup(func() { // before the directories go
		if err := c.processes.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.start(t, valkeyWithPassword(t, s, socket))
	return c
}

func valkeyWithPassword(t *testing.T, s *stage.Stage, socket string) stage.Process {
	t.Helper()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	return stage.Process{Name: "valkey", Path: binaries.Valkey, Log: s.Path("logs", "valkey.log"),
		Args: []string{"--port", "0", "--unixsocket", socket, "--requirepass", valkeyPassword, "--dir", s.Path("store"),
			"--appendonly", "yes", "--save", "", "--daemonize", "no"},
		Ready: func(ctx context.Context) error { return reachable(ctx, "unix", socket) }}
}

func reachable(ctx context.Context, network, address string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

func (c *cluster) start(t *testing.T, p stage.Process) {
	t.Helper()
	if err := c.processes.Start(soon(t, time.Minute), p); err != nil {
		t.Fatal(err)
	}
}

// probePasses asks what the manifest lets the kubelet ask.
func probePasses(address, path string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return err
		}
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s", path, response.Status)
		}
		return nil
	}
}

// run starts the pods in the order of the kubelet: what prepares, the sidecar until its startup probe passes, Envoy.
func (c *cluster) run(t *testing.T) {
	t.Helper()
	c.ingest.prepare(t)
	receiver := c.ingest.process(t, "ingest")
	receiver.Ready = probePasses(c.ingest.moved["0.0.0.0:9465"], "/readyz")
	c.start(t, receiver)
	c.edge.prepare(t)
	tiergate, envoy := c.edge.process(t, "tiergate"), c.edge.process(t, "envoy")
	tiergate.Ready = probePasses(c.probes, "/healthz")
	envoy.Ready = func(ctx context.Context) error { return reachable(ctx, "tcp", c.address) }
	c.start(t, tiergate)
	c.start(t, envoy)
	for ctx := soon(t, 30*time.Second); probePasses(c.probes, "/readyz")(ctx) != nil; time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("the sidecar is never ready")
		}
	}
}

func (c *cluster) eventually(t *testing.T, r stage.Request, status int, reason string) {
	t.Helper()
	r.Address = c.address
	var last stage.Answer
	for ctx := soon(t, 30*time.Second); ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		if last = c.paper.Ask(ctx, r); last.Status == status && last.Reason() == reason {
			return
		}
	}
	t.Errorf("%s %s %s: wanted %d %s, the last answer was %d %s %v", r.As, r.Method, r.Path, status, reason, last.Status,
		last.Reason(), last.Err)
}

// TestBringYourOwnKubernetes runs the manifests as they are: the containers' own commands on volumes as a kubelet lays
// them out, from webhook to answer, over a swap of the policy's ConfigMap, to the end of the pod.
func TestBringYourOwnKubernetes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.refusesUnprepared(t)
	c.run(t)
	deploy := stage.Request{As: "deployer", Method: "POST", Host: stage.PortalHost, Path: "/deploy/x", Address: c.address,
		Header: http.Header{"X-Tiergate-Subject": {"forged"}}}
	c.eventually(t, deploy, http.StatusOK, "")
	if saw := c.paper.Ask(soon(t, 20*time.Second), deploy).Header.Get("Saw-Subject"); saw != "spiffe://acme.example/ns/ci/sa/deployer" {
		t.Errorf("the application saw the subject %q", saw)
	}
	portal := stage.Request{As: "ana", Host: stage.PortalHost, Path: "/"}
	c.eventually(t, portal, http.StatusForbidden, "device-unknown")
	if receipt, err := c.paper.Report(soon(t, 20*time.Second), "ana-laptop", healthy); err != nil || receipt.Status != http.StatusAccepted {
		t.Fatalf("the webhook was answered %d: %v", receipt.Status, err)
	}
	c.eventually(t, portal, http.StatusOK, "")
	c.eventually(t, stage.Request{As: "reporter", Method: "POST", Host: stage.PortalHost, Path: "/deploy/x"}, http.StatusForbidden, "audience")

	policy := c.edge.configMaps["edge-policy"]
	policy["routes.yaml"] = replaceOnce(t, policy["routes.yaml"], "ci-deployers", "employees")
	policy["access.yaml"], _, _ = strings.Cut(policy["access.yaml"], "---\napiVersion: tiergate.dev/v1alpha1\nkind: Audience\nmetadata: {name: ci-")
	c.edge.show(t, filepath.Join(c.edge.root, "etc/tiergate/policy"), policy, 0o644)
	c.eventually(t, deploy, http.StatusForbidden, "audience")

	// Envoy ends, then the sidecar; each by SIGTERM and in time, or Stop says so.
	if err := c.processes.Stop(); err != nil {
		t.Error(err)
	}
}

// refusesUnprepared shows why there is an init container: should tiergate once take a pod's volumes as they are, it goes.
func (c *cluster) refusesUnprepared(t *testing.T) {
	t.Helper()
	for _, try := range []struct{ prepare, want string }{
		{"true", "redis-password"},
		{"install -m 0440 %s/secrets/redis/password %[1]s/run/secrets/tiergate/redis-password", "can be read by others"},
		{"chmod 0400 %s/run/secrets/tiergate/redis-password", "socket directory"},
	} {
		if strings.Contains(try.prepare, "%") {
			try.prepare = fmt.Sprintf(try.prepare, c.edge.root)
		}
		if out, err := exec.CommandContext(soon(t, 30*time.Second), "/bin/sh", "-ec", try.prepare).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		path, args, err := c.edge.command(c.edge.container(t, "tiergate"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(soon(t, 30*time.Second), path, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), try.want) {
			t.Errorf("after %q: %v, and it does not say %q:\n%s", try.prepare, err, try.want, out)
		}
	}
}
