package redisstore

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a real Valkey on a Unix socket of its own.
type server struct {
	socket string
	dir    string
	port   int // of TCP; 0: none
	args   []string
	cmd    *exec.Cmd
	raw    *redis.Client // to look behind the store
}

// tool finds a program of the repository's .tools/bin, or of TIERGATE_TOOLS. Without it the test fails: what was
// not run was not proved.
func tool(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("TIERGATE_TOOLS")
	for at, _ := os.Getwd(); dir == "" && at != "/"; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			dir = filepath.Join(at, ".tools", "bin")
		}
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%s is missing; run make tools, or set TIERGATE_TOOLS: %v", file, err)
	}
	return file
}

// serve starts a server that keeps an append-only file, with more arguments as they would stand in its configuration.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, socket: filepath.Join(dir, "s"), args: args}
	s.raw = redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket, DisableIdentity: true, PoolSize: 4, ReadTimeout: time.Minute})
	t.Cleanup(func() {
		_ = s.raw.Close()
		s.kill()
		_ = os.RemoveAll(dir)
	})
	s.start(t)
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	args := append([]string{"--port", "0", "--unixsocket", s.socket, "--unixsocketperm", "700",
		"--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(s.dir, "log")}, s.args...)
	s.cmd = exec.Command(tool(t, "valkey-server"), args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", s.socket)
		if err == nil {
			_, _ = fmt.Fprint(conn, "PING\r\n")
			answer := make([]byte, 200)
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := conn.Read(answer)
			_ = conn.Close()
			if got := string(answer[:n]); strings.HasPrefix(got, "+PONG") || strings.HasPrefix(got, "-NOAUTH") {
				return
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Fatalf("the server did not start: %v\n%s", err, log)
		}
	}
}

func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_, _ = s.cmd.Process.Wait()
	s.cmd = nil
}

// restart ends the server as an operator would, and starts it again over the same data.
func (s *server) restart(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	_, _ = s.cmd.Process.Wait()
	s.cmd = nil
	s.start(t)
}

func (s *server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// patience is more than a loaded machine needs: most of what is asked is right or wrong, and not fast or slow.
const patience = 20 * time.Second

// open opens it with patience.
func (s *server) open(t testing.TB, change func(*Options)) *Store {
	t.Helper()
	return s.openWithin(t, patience, change)
}

// openHasty opens it with the patience of the product.
func (s *server) openHasty(t testing.TB, change func(*Options)) *Store {
	t.Helper()
	return s.openWithin(t, 0, change)
}

func (s *server) openWithin(t testing.TB, patience time.Duration, change func(*Options)) *Store {
	t.Helper()
	opts := Options{Address: s.socket, Patience: patience}
	if change != nil {
		change(&opts)
	}
	store, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	answer, err := s.raw.Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return answer
}
