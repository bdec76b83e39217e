package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// week is the README's first week, in a directory of its own.
type week struct {
	t         *testing.T
	dir       string
	stage     *stage.Stage // lends certificates, tokens and free ports; none of its own processes runs
	processes *stage.Supervisor
}

// TestReadmeFirstWeek runs every command of the README's first week, in its order, with a real Envoy: from an empty directory
// to a tier that is enforced, and back.
func TestReadmeFirstWeek(t *testing.T) {
	t.Parallel()
	w := newWeek(t)
	w.day("monday")
	w.furnish()
	w.day("tuesday")

	if status, reason := w.ask("ana"); status == http.StatusForbidden || reason == "identity-missing" {
		t.Errorf("a laptop that nobody has reported, while the tier monitors: %d %s", status, reason)
	}
	if status, reason := w.ask("cleo-borrowing"); status != http.StatusForbidden || reason != "isolated" {
		t.Errorf("a contractor, while the tier monitors: %d %s", status, reason)
	}
	w.recorded("ana@acme.example")
	if said := w.day("wednesday"); !strings.Contains(said, "device-unknown") || !strings.Contains(said, "ana@acme.example") {
		t.Errorf("whom would it hit? %s", said)
	}
	before := w.inForce()
	if said := w.day("friday"); !strings.Contains(said, "ana@acme.example") || !strings.Contains(said, "tightens") {
		t.Errorf("what changes: %s", said)
	}
	w.until("ana", func(status int, reason string) bool {
		return status == http.StatusForbidden && reason == "device-unknown"
	})
	w.back(before)
	w.until("ana", func(status int, _ string) bool { return status != http.StatusForbidden })
	if now := w.inForce(); now != before {
		t.Errorf("in force is %s, want %s again", now, before)
	}
}

func newWeek(t *testing.T) *week {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg") // short, for it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w := &week{t: t, dir: dir, stage: made(stage.New(stage.Options{Store: stage.StoreEmbedded}))(t),
		processes: stage.NewSupervisor(stage.Events{})}
	t.Cleanup(func() {
		if err := w.processes.Stop(); err != nil {
			t.Error(err)
		}
		if err := w.stage.Close(); err != nil {
			t.Error(err)
		}
	})
	binaries := made(stage.FindBinaries())(t)
	if err := os.Symlink(filepath.Dir(binaries.Tiergate), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	return w
}

// day runs the lines of one day as they are printed, each of which must say yes, and returns what they said.
func (w *week) day(name string) string {
	w.t.Helper()
	return w.run(readme(w.t, "<!-- e2e:first-week-"+name+" -->"))
}

func (w *week) run(lines string) string {
	w.t.Helper()
	var all strings.Builder
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, " &") {
			w.start(strings.TrimSuffix(line, " &"))
			continue
		}
		all.WriteString(w.command(line))
	}
	return all.String()
}

func (w *week) command(line string) string {
	w.t.Helper()
	command := exec.CommandContext(soon(w.t, time.Minute), "bash", "-c", line)
	command.Dir = w.dir
	out, err := command.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// start runs what the README puts into the background, until it is ready.
func (w *week) start(line string) {
	w.t.Helper()
	words := strings.Fields(line)
	binaries := made(stage.FindBinaries())(w.t)
	p := stage.Process{Name: filepath.Base(words[0]), Path: "/bin/sh", Log: filepath.Join(w.dir, words[0][strings.LastIndexByte(words[0], '/')+1:]+".log"),
		ReadyWithin: 30 * time.Second}
	switch p.Name {
	case "tiergate":
		p.Ready = func(ctx context.Context) error { return ok200(ctx, "http://"+w.stage.Ports.ServeMetrics+"/readyz") }
	case "envoy":
		line = strings.Replace(line, "envoy ", binaries.Envoy+" --use-dynamic-base-id --concurrency 1 ", 1)
		p.Ready = func(ctx context.Context) error {
			if answer := w.request(ctx, "ana"); answer.DecisionID() == "" {
				return fmt.Errorf("nobody decides: %d %w", answer.Status, answer.Err)
			}
			return nil
		}
	default:
		w.t.Fatalf("the README starts %s", line)
	}
	p.Args = []string{"-c", "cd " + w.dir + " && exec " + line}
	if err := w.processes.Start(soon(w.t, 40*time.Second), p); err != nil {
		w.t.Fatal(err)
	}
}

// furnish puts what the settings name where they name it, and other ports in the place of the usual ones.
func (w *week) furnish() {
	w.t.Helper()
	acme := filepath.Join(w.dir, "acme")
	for from, to := range map[string]string{"pki": "pki", "secrets": "secrets"} {
		if err := os.RemoveAll(filepath.Join(acme, to)); err != nil {
			w.t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(acme, to), os.DirFS(w.stage.Path(from))); err != nil {
			w.t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"pki/all-devices-ca.pem": "pki/devices-ca.pem", "secrets/acme-mdm.whsec": "secrets/mdm.whsec"} {
		if err := os.Rename(filepath.Join(acme, from), filepath.Join(acme, to)); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(acme, "secrets", "mdm.whsec"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(acme, "settings.yaml")
	text := string(made(os.ReadFile(file))(w.t))
	for from, to := range map[string]string{"127.0.0.1:8443": w.stage.Ports.Ingress, "127.0.0.1:8444": w.stage.Ports.Contractors,
		"127.0.0.1:8090": w.stage.Ports.Ingest, "127.0.0.1:9464": w.stage.Ports.ServeMetrics} {
		text = replaceOnce(w.t, text, from, to)
	}
	text = replaceOnce(w.t, text, stage.HastyEnvoy, stage.PatientEnvoy)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// back rolls back to a digest, in the place of the one that the README makes up.
func (w *week) back(digest string) {
	w.t.Helper()
	lines := readme(w.t, "<!-- e2e:first-week-back -->")
	hex := strings.TrimPrefix(digest, "sha256:")
	if said := w.run(replaceOnce(w.t, lines, "rollback 3f9a1c22", "rollback "+hex[:8])); !strings.Contains(said, hex[:8]) {
		w.t.Errorf("the history does not name %s:\n%s", hex[:8], said)
	}
}

func (w *week) request(ctx context.Context, as string) stage.Answer {
	return w.stage.Ask(ctx, stage.Request{As: as, Host: stage.PortalHost, Path: "/"})
}

// ask tells how a request is answered. No application runs: who is admitted gets Envoy's own 503 with tiergate's decision.
func (w *week) ask(as string) (status int, reason string) {
	w.t.Helper()
	answer := w.request(soon(w.t, 10*time.Second), as)
	if answer.Err != nil || answer.DecisionID() == "" && answer.Status != http.StatusServiceUnavailable {
		w.t.Errorf("%s: nobody decided: %d %v", as, answer.Status, answer.Err)
	}
	return answer.Status, answer.Reason()
}

// recorded waits until somebody stands in the records, which a decision does not wait for.
func (w *week) recorded(who string) {
	w.t.Helper()
	for ctx := soon(w.t, 30*time.Second); ; time.Sleep(20 * time.Millisecond) {
		raw, err := os.ReadFile(filepath.Join(w.dir, "acme", "evidence", "decisions.jsonl"))
		if strings.Contains(string(raw), who) {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("%s is never on record: %v", who, err)
		}
	}
}

func (w *week) until(as string, enough func(int, string) bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status, reason := w.ask(as)
		if enough(status, reason) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s is still answered %d %s", as, status, reason)
		}
	}
}

// inForce is the digest that the running process judges by.
func (w *week) inForce() string {
	w.t.Helper()
	out := made(askSocket(soon(w.t, 10*time.Second), filepath.Join(w.dir, "acme", "run", "admin.sock"), "/v1/policy"))(w.t)
	var status stage.PolicyStatus
	if err := json.Unmarshal([]byte(out), &status); err != nil || status.Fault != "" || status.Digest == "" {
		w.t.Fatalf("%s: %v", out, err)
	}
	return status.Digest
}

func ok200(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}
