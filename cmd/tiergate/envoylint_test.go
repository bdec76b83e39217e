package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/xds/lint"
)

// linted runs `envoy lint` and returns its report and exit status.
func linted(t *testing.T, args ...string) (report lintReport, status int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"envoy", "lint", "-o", "json"}, args...), &out, &errs)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
	}
	return report, status, errs.String()
}

// TestLintOfTheExamples: the bootstrap that we give away is clean; the Envoy of the root README has no hole, and is otherwise
// without just those limits that the README says it leaves out.
func TestLintOfTheExamples(t *testing.T) {
	t.Parallel()
	if report, status, stderr := linted(t, "../../examples/bring-your-own/envoy/bootstrap.yaml"); status != exitFine ||
		report.Clusters != 1 {
		t.Errorf("exit %d, %+v %s", status, report, stderr)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "<!-- e2e:own-envoy -->\n```yaml\n")
	text, rest, ok := strings.Cut(text, "\n```\n")
	if !ok {
		t.Fatal("the README has no Envoy of one's own")
	}
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	report, status, stderr := linted(t, file, "--fail-on", "hole")
	if status != exitFine {
		t.Errorf("exit %d, %+v %s", status, report, stderr)
	}
	_, named, _ := strings.Cut(rest, "leaves out what `envoy lint` calls weak")
	named, _, _ = strings.Cut(named, "\n\n")
	var codes []string
	for _, f := range report.Findings {
		if !strings.Contains(named, "`"+f.Code+"`") {
			t.Errorf("the README does not say of its Envoy: %+v", f)
		}
		codes = append(codes, f.Code)
	}
	for i, word := range strings.Split(named, "`") {
		if i%2 == 1 && !slices.Contains(codes, word) {
			t.Errorf("the README says of its Envoy %s, which it has not", word)
		}
	}
}

// TestLintOfARunningEnvoy: over its admin socket; the answer of /config_dump is read and has the same finding as the file.
func TestLintOfARunningEnvoy(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, file := filepath.Join(dir, "admin.sock"), filepath.Join(dir, "envoy.yaml")
	config := "admin: {address: {pipe: {path: " + socket + "}}}\nlayered_runtime: {layers: [{name: admin, admin_layer: {}}]}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	envoy, err := filepath.Abs("../../.tools/bin/envoy")
	if dir := os.Getenv("TIERGATE_TOOLS"); dir != "" {
		envoy = filepath.Join(dir, "envoy")
	}
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(envoy, "-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		t.Fatalf("%v: run make tools", err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	var report lintReport
	var status int
	var stderr string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if report, status, stderr = linted(t, "unix:"+socket); stderr == "" {
			break
		}
	}
	if status != exitNo || len(report.Findings) != 1 || report.Findings[0].Code != "runtime-switch" ||
		report.Findings[0].Severity != lint.Weak || report.Findings[0].Where !=
		"configs[0].bootstrap.layered_runtime.layers[0].admin_layer" {
		t.Errorf("exit %d, %+v %s", status, report, stderr)
	}
}

// TestLintAsksAdminInterfacesOnly: an answer that is none of an Envoy is an error, and no redirection is followed.
func TestLintAsksAdminInterfacesOnly(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	_, status, stderr := linted(t, server.URL)
	if status != exitNo || !strings.Contains(stderr, "answers 302 Found to /config_dump") || len(asked) != 1 ||
		<-asked != "/config_dump?include_eds" {
		t.Errorf("exit %d, %s", status, stderr)
	}
	if _, status, stderr = linted(t, "http://"+freeport.For(t)); status != exitNo || !strings.Contains(stderr, "no Envoy answers on") {
		t.Errorf("exit %d, %s", status, stderr)
	}
}
