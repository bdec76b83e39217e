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
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// readme returns the text between a fence that follows a marker and the end of that fence.
func readme(t *testing.T, marker string) string {
	t.Helper()
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), marker)
	_, rest, fence := strings.Cut(rest, "```")
	_, rest, line := strings.Cut(rest, "\n")
	block, _, end := strings.Cut(rest, "\n```")
	if !found || !fence || !line || !end {
		t.Fatalf("README.md has no block after %q", marker)
	}
	return block + "\n"
}

// replaceOnce insists that the README says what the test is about to change for this machine.
func replaceOnce(t *testing.T, text, old, replacement string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("README.md: %q stands there %d times", old, n)
	}
	return strings.Replace(text, old, replacement, 1)
}

// ownEnvoy runs an Envoy with the README's own configuration, changed only in places, ports and patience, before a running
// tiergate: a busy machine may take longer than 250 ms, which says nothing about answers. It returns the listener's address.
func ownEnvoy(t *testing.T, s *stage.Stage, change func(string) string) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Tiergate-") {
				w.Header()["Saw-"+name] = values
			}
		}
	}))
	t.Cleanup(app.Close)
	address := freeport.For(t)
	_, port, _ := strings.Cut(address, ":")
	text := readme(t, "<!-- e2e:own-envoy -->")
	text = replaceOnce(t, text, "port_value: 8443", "port_value: "+port)
	text = replaceOnce(t, text, "port_value: 8080", fmt.Sprintf("port_value: %d", app.Listener.Addr().(*net.TCPAddr).Port))
	text = replaceOnce(t, text, "/run/tiergate/authz.sock", s.Path("run", "authz.sock"))
	text = replaceOnce(t, text, "cluster_name: tiergate}, timeout: 0.25s}", "cluster_name: tiergate}, timeout: 2s}")
	text = strings.ReplaceAll(text, "pki/", s.Path("pki")+"/")
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(change(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	processes := stage.NewSupervisor(stage.Events{})
	t.Cleanup(func() {
		if err := processes.Stop(); err != nil {
			t.Error(err)
		}
	})
	err = processes.Start(soon(t, time.Minute), stage.Process{
		Name: "envoy", Path: binaries.Envoy, Log: filepath.Join(t.TempDir(), "envoy.log"),
		Args:  []string{"-c", file, "--use-dynamic-base-id", "--concurrency", "1"},
		Ready: func(ctx context.Context) error { return dialable(ctx, address) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func dialable(ctx context.Context, address string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// TestReadmeOwnEnvoy: the configuration that the README gives to those who keep their own Envoy works as printed.
func TestReadmeOwnEnvoy(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	address := ownEnvoy(t, s, func(text string) string { return text })
	forged := http.Header{"X-Tiergate-Subject": {"forged"}}
	ask := func(r stage.Request) stage.Answer {
		r.Address = address
		return s.Ask(soon(t, 10*time.Second), r)
	}
	answer := ask(stage.Request{As: "ana", Host: stage.PortalHost, Header: forged})
	if answer.Status != http.StatusOK || answer.Header.Get("Saw-X-Tiergate-Subject") != "corp/ana@acme.example" ||
		len(answer.Header.Values("Saw-X-Tiergate-Subject")) != 1 {
		t.Errorf("an employee: %d %v %v", answer.Status, answer.Header, answer.Err)
	}
	if answer := ask(stage.Request{As: "ben", Host: stage.PortalHost}); answer.Status != http.StatusForbidden || answer.Reason() != "device-unknown" {
		t.Errorf("an unknown laptop: %d %s", answer.Status, answer.Reason())
	}
	if answer := ask(stage.Request{As: "deployer", Host: stage.PayrollHost, Path: "/other"}); answer.Status != http.StatusForbidden || answer.Reason() != "no-route" {
		t.Errorf("a path that no route has: %d %s", answer.Status, answer.Reason())
	}
}

// TestFailOpenEnvoyIsStillRefused: an Envoy that somebody set to failure_mode_allow admits when tiergate is gone, which is
// why ours never is; but while tiergate answers, a fault or a doubt is a written denial and is not bypassed.
func TestFailOpenEnvoyIsStillRefused(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	address := ownEnvoy(t, s, func(text string) string {
		return replaceOnce(t, text, "failure_mode_allow: false", "failure_mode_allow: true ")
	})
	for name, r := range map[string]stage.Request{
		"nobody":            {As: "ana", NoToken: true},
		"a forged token":    {As: "ana", Token: "forged"},
		"an unknown laptop": {As: "ben"},
		"two readings":      {As: "ana", Path: "/a;b"},
		"odd bytes":         {As: "ana", Header: http.Header{"X-Odd": {"\xff\xfe"}}, NoToken: true},
	} {
		r.Host, r.Address = stage.PortalHost, address
		if answer := s.Ask(soon(t, 10*time.Second), r); answer.Status < 400 || answer.Err != nil {
			t.Errorf("%s: %d %s %v", name, answer.Status, answer.Reason(), answer.Err)
		}
	}
}

// TestReadmePolicyFault: the fault that the README shows is the fault that is printed.
func TestReadmePolicyFault(t *testing.T) {
	t.Parallel()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "policy"), os.DirFS(filepath.Join(binaries.Example, "policy"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "policy", "access", "tiers.yaml")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(raw), "require: [disk-encrypted", "require: [disk-encryptd", 1)
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(soon(t, 20*time.Second), binaries.Tiergate, "policy", "check", "policy")
	command.Dir = dir
	out, _ := command.CombinedOutput()
	if want := readme(t, "Every fault is named in one run"); !strings.HasPrefix(string(out), want) || command.ProcessState.ExitCode() != 1 {
		t.Errorf("exit %d, printed\n%s\nthe README shows\n%s", command.ProcessState.ExitCode(), out, want)
	}
}

// TestReadmeCommands runs the commands of the README that need no running company, and finds every file that it links.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(readme(t, "## Write a policy")) {
		if line = strings.TrimSpace(line); line == "make build" || line == "" {
			continue // what the tests were started with
		}
		command := exec.CommandContext(soon(t, 20*time.Second), "bash", "-c", line)
		command.Dir = ".."
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(raw), -1) {
		if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
			t.Errorf("README.md links to %s: %v", link[1], err)
		}
	}
}
