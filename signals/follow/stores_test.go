package follow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
		"--dir", v.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "local")
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

func put(t *testing.T, s signals.Store, kind, key string, revision, expected signals.Revision, ends time.Time) {
	t.Helper()
	r := signals.Record{Kind: kind, Key: key, Revision: revision, Expires: ends, Value: fmt.Append(nil, kind, key, revision)}
	if err := s.PutRecord(context.Background(), r, expected); err != nil {
		t.Fatal(err)
	}
}

func (o *told) is(want revisions) func() bool {
	return func() bool {
		last, _ := o.last()
		return last != nil && fmt.Sprint(last) == fmt.Sprint(want)
	}
}

func TestOverStores(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) signals.Store{
		"bolt": openBolt, "valkey": func(t *testing.T) signals.Store { return startValkey(t).open(t) },
	} {
		t.Run(name+"/written, deleted, expired", func(t *testing.T) { overStore(t, open(t)) })
		t.Run(name+"/many writers", func(t *testing.T) { manyWriters(t, open(t)) })
	}
}

func overStore(t *testing.T, s signals.Store) {
	var o told
	put(t, s, "k", "there", 3, 0, time.Time{})
	put(t, s, "other", "strange", 3, 0, time.Time{})
	f := run(t, s, o.options("k", "l"))
	<-f.Loaded()
	eventually(t, "what was there", o.is(revisions{"there": 3}))
	put(t, s, "l", "second", 1, 0, time.Time{})
	var soon time.Time
	seen := false
	for n, life := signals.Revision(1), 500*time.Millisecond; !seen && n < 5; n, life = n+1, 4*life { // a busy machine may not see it at once
		soon = time.Now().Add(life)
		put(t, s, "k", "brief", n, 0, soon)
		eventually(t, "what was written is seen, or has ended", func() bool {
			seen = o.is(revisions{"there": 3, "brief": n, "second": 1})()
			return seen || time.Now().After(soon.Add(20*time.Millisecond))
		})
	}
	if !seen {
		t.Error("what was written was never seen")
	}
	if err := s.DeleteRecord(t.Context(), "k", "there", 3); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what expired and what was deleted are gone", o.is(revisions{"second": 1}))
	if time.Now().Before(soon) {
		t.Error("it was gone before its end")
	}
	eventually(t, "in sync", func() bool { _, ok := f.InSync(); return ok })
	o.nothingWrong(t)
}

func manyWriters(t *testing.T, s signals.Store) {
	const keys, versions = 20, 15
	var o told
	f := run(t, s, o.options("k"))
	<-f.Loaded()
	want := revisions{}
	var writers sync.WaitGroup
	for i := range keys {
		key := fmt.Sprint("k", i)
		want[key] = versions
		writers.Go(func() {
			for n := signals.Revision(1); n <= versions; n++ {
				put(t, s, "k", key, n, n-1, time.Time{})
			}
		})
	}
	writers.Wait()
	eventually(t, "every record in its last version", o.is(want))
	o.nothingWrong(t)
}

// TestValkeyOutage: killed, what there was stays; back, it goes on; hung, it goes on; emptied, the records are gone but for
// those that take away, and nothing old comes back.
func TestValkeyOutage(t *testing.T) {
	v := startValkey(t)
	s := v.open(t)
	put(t, s, "grants", "a", 2, 0, time.Time{})
	put(t, s, "takes", "b", 2, 0, time.Time{})
	var o told
	opts := o.options("grants", "takes")
	opts.Keep = []string{"takes"}
	hasty, err := redisstore.New(redisstore.Options{Address: v.socket()}) // with the patience of the product
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hasty.Close() })
	f := run(t, hasty, opts)
	<-f.Loaded()
	inSync := func() bool { _, ok := f.InSync(); return ok }
	v.kill()
	eventually(t, "the outage is noticed", func() bool { return !inSync() })
	eventually(t, "what was held stays", o.is(revisions{"a": 2, "b": 2}))
	v.start(t)
	eventually(t, "in sync again", inSync)
	eventually(t, "the store takes writes", func() bool {
		return s.PutRecord(t.Context(), signals.Record{Kind: "grants", Key: "a", Revision: 3, Value: []byte("x")}, 2) == nil
	})
	eventually(t, "the change is seen", o.is(revisions{"a": 3, "b": 2}))
	go v.say("DEBUG SLEEP 1")
	time.Sleep(100 * time.Millisecond)
	eventually(t, "the store takes writes after it hung", func() bool {
		err := hasty.PutRecord(t.Context(), signals.Record{Kind: "grants", Key: "c", Revision: 1, Value: []byte("x")}, 0)
		return err == nil || errors.Is(err, signals.ErrConflict) // that is one of before, which took longer than its answer
	})
	eventually(t, "the change is seen", o.is(revisions{"a": 3, "b": 2, "c": 1}))
	v.say("FLUSHALL")
	eventually(t, "an emptied store", o.is(revisions{"b": 2}))
	eventually(t, "is followed", inSync)
	put(t, s, "grants", "a", 2, 0, time.Time{}) // as somebody who kept a copy would
	put(t, s, "grants", "d", 1, 0, time.Time{})
	eventually(t, "what is new", o.is(revisions{"b": 2, "d": 1}))
}

// nothingWrong: no record was refused or went back. That a busy machine's server was late for a moment is no fault.
func (o *told) nothingWrong(t *testing.T) {
	t.Helper()
	for _, said := range o.said() {
		if !strings.HasPrefix(said, "offline") && !strings.HasPrefix(said, "in sync") {
			t.Errorf("said %q", said)
		}
	}
}
