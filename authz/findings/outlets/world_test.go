package outlets_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/redisstore"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// notice is one of a case; the later n, the later it is.
func notice(subject, n int, severity policy.Severity) findings.Notice {
	at := noon.Add(time.Duration(n) * time.Second)
	return findings.Notice{ID: fmt.Sprintf("F-%012d/opened/%s", subject, at.Format(time.RFC3339Nano)), What: findings.ToldOpened, At: at,
		Case: fmt.Sprintf("F-%012d", subject), Kind: findings.Drift, Severity: severity, Monitor: "drift",
		Subject: fmt.Sprintf("device D-%d", subject), Detail: "disk", Summary: fmt.Sprintf("disk fails on device D-%d", subject),
		Evidence: []string{"user ana@acme.example"}, Owner: "endpoint", Team: "endpoint", Person: "ana@acme.example",
		To: "endpoint@acme.example", Taxonomy: findings.Drift.Taxonomy()}
}

func event(subject, n int) outlets.Event {
	told := notice(subject, n, policy.SeverityHigh)
	return outlets.Of(&told)
}

// fake is an outlet whose answers a test decides.
type fake struct {
	mu    sync.Mutex
	taken []string // ids
	tries int
	fail  func(e *outlets.Event) error
}

func (f *fake) Send(_ context.Context, e *outlets.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.fail != nil {
		if err := f.fail(e); err != nil {
			return err
		}
	}
	f.taken = append(f.taken, e.ID)
	return nil
}

func (f *fake) Where() string  { return "here" }
func (f *fake) Target() string { return "here" }

func (f *fake) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.taken...)
}

func (f *fake) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries
}

func (f *fake) failWith(fail func(e *outlets.Event) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// bolt opens a store that is closed at the end.
func bolt(t testing.TB) signals.Store {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// start runs a queue until stop, which waits, or the end of the test.
func start(t testing.TB, q *outlets.Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = q.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func one(name string, o outlets.Outlet) []outlets.Named {
	return []outlets.Named{{Name: name, Type: "webhook", Default: true, Outlet: o}}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) { // a lease that nobody gave back lasts 30 s
		if time.Now().After(end) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

// records are those of a kind.
func records(t testing.TB, store signals.Records, kind string) (all []signals.Record) {
	t.Helper()
	if _, err := store.EachRecord(t.Context(), kind, func(r signals.Record) error { all = append(all, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func tools() string {
	if dir := os.Getenv("TIERGATE_TOOLS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", ".tools", "bin")
}

// valkey starts a real server that syncs every write before it answers, and returns its socket.
func valkey(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	server := exec.Command(filepath.Join(tools(), "valkey-server"), "--port", "0", "--unixsocket", socket, "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(dir, "log"))
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatalf("run make tools, or set TIERGATE_TOOLS: %v", err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	eventually(t, "valkey", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return socket
}

func openValkey(t testing.TB, socket string) signals.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	store, err := redisstore.Open(ctx, redisstore.Options{Address: socket, Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}
