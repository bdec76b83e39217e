package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// recording adds an evidence file, in a directory of the given mode.
func recording(t *testing.T, s *stage.Stage, mode os.FileMode) (file string) {
	t.Helper()
	dir := s.Path("evidence")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.Settings())
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw) + "\nevidence: {file: " + dir + "/decisions.jsonl}\n"
	if err := os.WriteFile(s.Settings(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir + "/decisions.jsonl"
}

// TestServeRecords: the file is there as soon as serve is ready, and its counts are told.
func TestServeRecords(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	file := recording(t, s, 0o700)
	stop := serving(t, s)
	if _, text := probe(s.Ports.ServeMetrics, "/metrics", http.StatusOK); !strings.Contains(text, "tiergate_evidence_held 0") {
		t.Errorf("the recorder is not counted:\n%s", text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v)", info, err)
	}
	stop()
}

// TestServeDoesNotRunWithoutItsRecord: what the settings promise an auditor is had, or there is no service.
func TestServeDoesNotRunWithoutItsRecord(t *testing.T) {
	t.Parallel()
	s := aPlace(t)
	recording(t, s, 0o777)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var stderr bytes.Buffer
	status := run(ctx, []string{"serve", "--config", s.Settings()}, io.Discard, &stderr)
	if status != exitNo || ctx.Err() != nil || !strings.Contains(stderr.String(), "evidence: the directory of the evidence file") ||
		!strings.Contains(stderr.String(), "run chmod go-w") {
		t.Errorf("exit %d: %s", status, &stderr)
	}
}
