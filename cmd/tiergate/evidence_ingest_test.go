package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
)

// recordingReceiver is a receiver of a shared store whose settings name a record of steps.
func recordingReceiver(t *testing.T, w *watchers, name string) (settings string) {
	t.Helper()
	edit(t, filepath.Join(w.dir, "policy", "all.yaml"), "require: [disk-encrypted]}", "require: [disk-encrypted], exceptions: {maxDuration: 2d}}")
	text := fmt.Sprintf(findingSettings, "run", w.socket, "127.0.0.1:0", w.hook)
	text = strings.Replace(text, `metrics: {listen: "127.0.0.1:0"}`, `metrics: {listen: "127.0.0.1:0"}, evidence: {file: `+name+`}`, 1)
	settings = filepath.Join(w.dir, "receiver.yaml")
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return settings
}

func begun(settings string) (stop func() (status int, stderr string)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() { ended <- run(ctx, []string{"ingest", "--config", settings}, io.Discard, &stderr) }()
	return func() (int, string) {
		cancel()
		return <-ended, stderr.String()
	}
}

// TestIngestRecordsSteps: a step is on the disk by the time that whoever took it is answered, with who, why and under which
// policy; a receiver that is started again goes on in the same file.
func TestIngestRecordsSteps(t *testing.T) {
	t.Parallel()
	w := newWatchers(t)
	settings := recordingReceiver(t, w, "steps.jsonl")
	file := filepath.Join(w.dir, "steps.jsonl")
	var steps []string
	read := func() {
		t.Helper()
		steps = nil
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for r, err := range evidence.Read(f) {
			if err != nil || r.Change == nil || r.Change.Policy == "" || time.Since(r.Change.At) > time.Minute {
				t.Fatalf("%+v, %v", r, err)
			}
			c := r.Change
			steps = append(steps, fmt.Sprint(c.Kind, " ", c.Name, " ", c.Step, " ", c.Ticket, " ", strings.Contains(c.By, "uid ")))
		}
	}
	for i, want := range []string{"exception loaner requested IT-1 true", "exception loaner revoked  true"} {
		stop := begun(settings)
		w.soon("the receiver listens", func() bool {
			return run(t.Context(), []string{"exception", "list", "--config", settings}, io.Discard, io.Discard) == exitFine
		})
		if i == 0 {
			w.say(exitFine, "exception", "request", "--name", "loaner", "--subject", "corp/ana", "--device", "C02LOANER01", "--route", "app",
				"--signal", "disk-encrypted", "--reason", "loaner", "--ticket", "IT-1", "--for", "4h", "--config", settings)
		} else {
			w.say(exitFine, "exception", "revoke", "loaner", "--reason", "returned", "--config", settings)
		}
		read()
		if len(steps) != i+1 || steps[i] != want {
			t.Errorf("%q, not %q", steps, want)
		}
		if status, said := stop(); status != exitFine {
			t.Errorf("exit %d: %s", status, said)
		}
	}
}

// TestIngestDoesNotRunWithoutItsRecord: what the settings promise an auditor is had, or nobody can ask for anything.
func TestIngestDoesNotRunWithoutItsRecord(t *testing.T) {
	t.Parallel()
	w := newWatchers(t)
	if err := os.Mkdir(filepath.Join(w.dir, "open"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(w.dir, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	settings := recordingReceiver(t, w, "open/steps.jsonl")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var stderr bytes.Buffer
	if status := run(ctx, []string{"ingest", "--config", settings}, io.Discard, &stderr); status != exitNo || ctx.Err() != nil ||
		!strings.Contains(stderr.String(), "run chmod go-w") {
		t.Errorf("exit %d: %s", status, &stderr)
	}
}
