package replica

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/redisstore"
)

// valkey is a real server that keeps what it is told, on a Unix socket.
type valkey struct {
	dir string
	cmd *exec.Cmd
}

func (v *valkey) socket() string { return filepath.Join(v.dir, "s") }

func startValkey(t *testing.T) *valkey {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	v := &valkey{dir: dir}
	t.Cleanup(func() {
		v.kill()
		_ = os.RemoveAll(dir)
	})
	v.start(t)
	return v
}

func (v *valkey) start(t *testing.T) {
	t.Helper()
	tools := os.Getenv("TIERGATE_TOOLS")
	for at, _ := os.Getwd(); tools == "" && at != "/"; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			tools = filepath.Join(at, ".tools", "bin")
		}
	}
	v.cmd = exec.Command(filepath.Join(tools, "valkey-server"), "--port", "0", "--unixsocket", v.socket(),
		"--dir", v.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := v.cmd.Start(); err != nil {
		t.Fatalf("%v; run make tools, or set TIERGATE_TOOLS", err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if v.say("PING") == "+PONG\r\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("valkey-server did not start")
		}
	}
}

// say sends one inline command.
func (v *valkey) say(command string) string {
	conn, err := net.Dial("unix", v.socket())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprint(conn, command+"\r\n")
	answer := make([]byte, 100)
	n, _ := conn.Read(answer)
	return string(answer[:n])
}

func (v *valkey) kill() {
	if v.cmd != nil {
		_ = v.cmd.Process.Kill()
		_, _ = v.cmd.Process.Wait()
		v.cmd = nil
	}
}

// open opens it with patience: what is asked of it here is right or wrong, and not fast or slow.
func (v *valkey) open(t *testing.T) signals.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), redisstore.Options{Address: v.socket(), Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openBolt(t *testing.T) signals.Store {
	t.Helper()
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func revisionOf(r *Replica, alias string) signals.Revision {
	reading, err := r.Lookup(serial(alias))
	if err != nil {
		return -1
	}
	return reading.Posture.Revision
}

func put(t *testing.T, s signals.Store, p signals.Posture, expected signals.Revision) {
	t.Helper()
	if err := s.PutPosture(context.Background(), p, expected); err != nil {
		t.Fatal(err)
	}
}

func TestOverStores(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) signals.Store{
		"bolt": openBolt, "valkey": func(t *testing.T) signals.Store { return startValkey(t).open(t) },
	} {
		t.Run(name+"/a write is seen at once", func(t *testing.T) { visible(t, open(t)) })
		t.Run(name+"/many writers", func(t *testing.T) { manyWriters(t, open(t)) })
	}
}

// visible measures from the acknowledged write to the changed answer.
func visible(t *testing.T, s signals.Store) {
	seen := make(chan signals.Revision, 1)
	r := run(t, s, Options{OnChange: func(p *signals.Posture) { seen <- p.Revision }})
	<-r.Loaded()
	var took []time.Duration
	for n := signals.Revision(1); n <= 100; n++ {
		put(t, s, posture("a", n, "A"), n-1)
		began := time.Now()
		if got := <-seen; got != n {
			t.Fatalf("revision %d came, want %d", got, n)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("median %v, most %v", took[50], took[99])
	if took[50] > 100*time.Millisecond {
		t.Errorf("half of the writes took more than %v to be seen", took[50])
	}
	eventually(t, "the last one is served", func() bool { return revisionOf(r, "A") == 100 })
}

func manyWriters(t *testing.T, s signals.Store) {
	const devices, versions = 20, 10
	for i := range devices {
		put(t, s, posture(fmt.Sprint(i), 1, fmt.Sprint("S", i)), 0)
	}
	r := run(t, s, Options{Resync: 50 * time.Millisecond})
	var writers sync.WaitGroup
	for i := range devices {
		writers.Go(func() {
			for n := signals.Revision(1); n < versions; n++ {
				if err := s.PutPosture(context.Background(), posture(fmt.Sprint(i), n+1, fmt.Sprint("S", i)), n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	for i := range devices {
		eventually(t, "every device in its last version", func() bool {
			return revisionOf(r, fmt.Sprint("S", i)) == versions
		})
	}
}

// TestValkeyOutage: killed, the copy is kept; back, it goes on; emptied, the devices are gone, because the store
// says so.
func TestValkeyOutage(t *testing.T) {
	v := startValkey(t)
	s := v.open(t)
	put(t, s, posture("a", 1, "A"), 0)
	r := run(t, s, Options{})
	<-r.Loaded()
	v.kill()
	eventually(t, "the outage is noticed", func() bool { return !r.Status().InSync })
	cut := r.Status().AsOf
	time.Sleep(300 * time.Millisecond)
	if reading := expect(t, r, "A", 1, nil); !reading.AsOf.Equal(cut) || time.Since(cut) < 300*time.Millisecond {
		t.Errorf("as of %v, want %v", reading.AsOf, cut)
	}
	expect(t, r, "NOBODY", 0, ErrOffline)
	v.start(t)
	eventually(t, "in sync again", func() bool { return r.Status().InSync })
	expect(t, r, "NOBODY", 0, signals.ErrNotFound)
	eventually(t, "the store takes writes", func() bool {
		return s.PutPosture(t.Context(), posture("a", 2, "A"), 1) == nil
	})
	eventually(t, "the change is seen", func() bool { return revisionOf(r, "A") == 2 })
	v.say("FLUSHALL")
	eventually(t, "an emptied store is believed", func() bool { return r.Status().Devices == 0 && r.Status().InSync })
	expect(t, r, "A", 0, signals.ErrNotFound)
	put(t, s, posture("a", 3, "A"), 0) // a receiver's clock has moved on
	eventually(t, "and filled again", func() bool { return revisionOf(r, "A") == 3 })
}
