package outlets_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tiergate/tiergate/authz/findings/outlets"
)

func send(t *testing.T, o outlets.Outlet, n int) {
	t.Helper()
	e := event(1, n)
	if err := o.Send(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
}

// ids are those of the lines of a file that are JSON; broken are the others.
func ids(t *testing.T, path string) (ids []string, broken int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range bytes.Lines(raw) {
		var l struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(text, &l) != nil || l.ID == "" || !bytes.HasSuffix(text, []byte("\n")) {
			broken++
			continue
		}
		ids = append(ids, l.ID)
	}
	return ids, broken
}

func TestLinesGoOnAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.jsonl")
	j := outlets.NewJSONLines(path)
	defer j.Close()
	send(t, j, 1)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	send(t, j, 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	send(t, j, 3)
	old, _ := ids(t, path+".1")
	now, _ := ids(t, path)
	if len(old) != 1 || old[0] != event(1, 1).ID || len(now) != 1 || now[0] != event(1, 3).ID {
		t.Error(old, now)
	}
}

// TestATornLineIsEnded: what a crash cut off stands in a line of its own.
func TestATornLineIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.jsonl")
	if err := os.WriteFile(path, []byte(`{"id":"evt_1"}`+"\n"+`{"id":"evt_2","ty`), 0o600); err != nil {
		t.Fatal(err)
	}
	j := outlets.NewJSONLines(path)
	defer j.Close()
	send(t, j, 2)
	if got, broken := ids(t, path); broken != 1 || len(got) != 2 || got[1] != event(1, 2).ID {
		t.Error(got, broken)
	}
}

// TestDiskIsFull: the kernel's own ENOSPC, and no room for a whole line. Both are said, and nothing half is left.
func TestDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.jsonl")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	j := outlets.NewJSONLines(path)
	defer j.Close()
	e := event(1, 1)
	err := j.Send(t.Context(), &e)
	f, ok := errors.AsType[*outlets.Failure](err)
	if !errors.Is(err, syscall.ENOSPC) || !ok || f.Refused || !strings.Contains(err.Error(), "make room") {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil { // room again
		t.Fatal(err)
	}
	send(t, j, 1)
	send(t, j, 2)
	if got, broken := ids(t, path); broken != 0 || len(got) != 2 {
		t.Error(got, broken)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o700) }()
	gone := outlets.NewJSONLines(filepath.Join(dir, "none", "f.jsonl"))
	if err := gone.Send(t.Context(), &e); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
