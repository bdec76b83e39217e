package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// envoyStatus is what an operator is shown, and the exit status.
func envoyStatus(t *testing.T, settings string) (out string, exit int) {
	t.Helper()
	cmd := exec.CommandContext(soon(t, 30*time.Second), programsHere(t).Tiergate, "envoy", "status", "--config", settings)
	raw, _ := cmd.CombinedOutput() // the exit status tells
	return string(raw), cmd.ProcessState.ExitCode()
}

// The verb asks a running process about a real Envoy, and the settings raise the lowest version that is programmed.
func TestEnvoyStatus(t *testing.T) {
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(soon(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	shown := func(state string, exit int) string {
		t.Helper()
		var out string
		var got int
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if out, got = envoyStatus(t, s.Settings()); got == exit && strings.Contains(out, state) {
				return out
			}
		}
		t.Fatalf("exit %d, want %d and %s:\n%s", got, exit, state, out)
		return ""
	}
	if out := shown("in-sync", 0); strings.Count(out, "\n") != 2 || !strings.Contains(out, "  delta  ") {
		t.Errorf("got\n%s", out)
	}
	raw, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "\nenvoy:\n", "\nenvoy:\n  minVersion: 1.99.0\n", 1)
	if text == string(raw) {
		t.Fatal("the settings have no envoy section")
	}
	if err := os.WriteFile(s.Settings(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(soon(t, time.Minute), "serve"); err != nil {
		t.Fatal(err)
	}
	out := shown("refused", 1)
	if !strings.Contains(out, "1.99.0 is the lowest that is programmed") || !strings.Contains(out, "upgrade Envoy") {
		t.Errorf("got\n%s", out)
	}
}
