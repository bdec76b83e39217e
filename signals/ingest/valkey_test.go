package ingest_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/redisstore"
)

// valkey starts a real server that syncs every write before it answers, and returns how to open a store on it, with
// patience: what is asked of it here is right or wrong, and not fast or slow.
func valkey(t testing.TB) func() *redisstore.Store {
	t.Helper()
	tools := os.Getenv("TIERGATE_TOOLS")
	if tools == "" {
		tools = filepath.Join("..", "..", ".tools", "bin")
	}
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	server := exec.Command(filepath.Join(tools, "valkey-server"), "--port", "0", "--unixsocket", socket, "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(dir, "log"))
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatalf("run make tools, or set TIERGATE_TOOLS: %v", err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return func() *redisstore.Store {
		store, err := redisstore.Open(t.Context(), redisstore.Options{Address: socket, Patience: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
}
