package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("STAGE_TEST_ORPHAN") != "" {
		orphanage()
		return
	}
	goleak.VerifyTestMain(m)
}

// shell is a process of a supervisor that runs a script.
func shell(t *testing.T, name, script string) Process {
	t.Helper()
	return Process{Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), name+".log")}
}

func fileExists(path string) func(context.Context) error {
	return func(context.Context) error { _, err := os.Stat(path); return err }
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestSupervisorOrderAndStop(t *testing.T) {
	order := filepath.Join(t.TempDir(), "order")
	s := NewSupervisor(Events{Exited: func(name string, err error) { t.Errorf("%s ended unexpectedly: %v", name, err) }})
	var pids []int
	for _, name := range []string{"first", "second", "third"} {
		up := filepath.Join(t.TempDir(), "up")
		p := shell(t, name, fmt.Sprintf(`trap 'echo %s >> %s; exit 0' TERM; touch %s; while :; do sleep 0.01; done`, name, order, up))
		p.Ready, p.StopWithin = fileExists(up), time.Minute
		if err := s.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		pid := s.Pid(name)
		if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
			t.Errorf("%s: process group %d of pid %d, %v: not its own", name, pgid, pid, err)
		}
		pids = append(pids, pid)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(order)
	if err != nil || string(raw) != "third\nsecond\nfirst\n" {
		t.Errorf("ended in the order %q, %v", raw, err)
	}
	if slices.ContainsFunc(pids, alive) {
		t.Error("a process is still there, or was not reaped")
	}
	if err := s.Stop(); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func TestSupervisorNotReady(t *testing.T) {
	for name, row := range map[string]struct {
		script string
		within time.Duration
		ctx    func(context.Context) (context.Context, context.CancelFunc)
		want   []string
	}{
		"ends": {"echo port 1 is taken >&2; exit 3", time.Minute, nil, []string{"ended before", "exit status 3", "port 1 is taken"}},
		"hangs": {"echo starting; exec sleep 60", 300 * time.Millisecond, nil,
			[]string{"not ready within 300ms", "nobody answers", "starting"}},
		"canceled": {"exec sleep 60", time.Minute, canceled, []string{"not waited for", "wrote nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSupervisor(Events{})
			defer s.Stop()
			p := shell(t, name, row.script)
			p.ReadyWithin = row.within
			p.Ready = func(context.Context) error {
				for start := time.Now(); name == "hangs" && tail(p.Log, 1) == nil && time.Since(start) < 30*time.Second; {
					time.Sleep(5 * time.Millisecond) // however late it gets to say that it starts
				}
				return errors.New("nobody answers")
			}
			ctx := t.Context()
			if row.ctx != nil {
				var cancel context.CancelFunc
				ctx, cancel = row.ctx(ctx)
				defer cancel()
			}
			err := s.Start(ctx, p)
			for _, part := range row.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v lacks %q", err, part)
				}
			}
			if s.Pid(name) != 0 {
				t.Error("it was left running")
			}
		})
	}
}

func canceled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

func TestSupervisorRefuses(t *testing.T) {
	s := NewSupervisor(Events{})
	defer s.Stop()
	sleeper := shell(t, "sleeper", "exec sleep 60")
	if err := s.Start(t.Context(), sleeper); err != nil {
		t.Fatal(err)
	}
	noProgram, noLog, unprepared := shell(t, "a", ""), shell(t, "b", ""), shell(t, "c", "")
	noProgram.Path = "/nonexistent/envoy"
	noLog.Log = "/nonexistent/x.log"
	unprepared.Prepare = func(context.Context) error { return errors.New("no bootstrap") }
	for name, err := range map[string]error{
		"already running": s.Start(t.Context(), sleeper),
		"no program":      s.Start(t.Context(), noProgram),
		"no log":          s.Start(t.Context(), noLog),
		"not prepared":    s.Start(t.Context(), unprepared),
		"kill of nobody":  s.Kill("nobody"),
		"end of nobody":   s.End("nobody"),
		"restart of none": s.Restart(t.Context(), "nobody"),
		"restart of one":  s.Restart(t.Context(), "sleeper"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSupervisorKillAndRestart(t *testing.T) {
	var mu sync.Mutex
	var exited []string
	s := NewSupervisor(Events{Exited: func(name string, _ error) { mu.Lock(); exited = append(exited, name); mu.Unlock() }})
	defer s.Stop()
	p := shell(t, "serve", "echo up; exec sleep 60")
	ups := 1
	p.Ready = func(context.Context) error {
		if len(tail(p.Log, 5)) < ups {
			return errors.New("not up")
		}
		return nil
	}
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	before := s.Pid("serve")
	if err := s.Kill("serve"); err != nil {
		t.Fatal(err)
	}
	if alive(before) || s.Pid("serve") != 0 {
		t.Error("it survived, or was not reaped")
	}
	ups = 2
	if err := s.Restart(t.Context(), "serve"); err != nil {
		t.Fatal(err)
	}
	if after := s.Pid("serve"); after == 0 || after == before {
		t.Errorf("pid %d after %d", after, before)
	}
	if lines := s.Tail("serve", 5); !slices.Equal(lines, []string{"up", "up"}) {
		t.Errorf("the log of both runs is %q", lines)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(exited) != 0 {
		t.Errorf("told of %v, which was asked for", exited)
	}
}

func TestSupervisorTellsUnexpectedEnd(t *testing.T) {
	told := make(chan string, 1)
	s := NewSupervisor(Events{Exited: func(name string, err error) { told <- fmt.Sprint(name, " ", err) }})
	defer s.Stop()
	fall := filepath.Join(t.TempDir(), "fall")
	if err := s.Start(t.Context(), shell(t, "fragile", "until test -e "+fall+"; do sleep 0.02; done; exit 7")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fall, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-told:
		if got != "fragile exit status 7" {
			t.Errorf("told %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody was told")
	}
}

func TestSupervisorKillsWhoDoesNotListen(t *testing.T) {
	s := NewSupervisor(Events{})
	up := filepath.Join(t.TempDir(), "up")
	p := shell(t, "deaf", "trap '' TERM; touch "+up+"; while :; do sleep 0.05; done")
	p.Ready, p.StopWithin = fileExists(up), 200*time.Millisecond
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	pid, began := s.Pid("deaf"), time.Now()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) || time.Since(began) >= 5*time.Second { // it was given 200 ms, and who says nothing of it gets 20 s
		t.Errorf("alive %v after %s", alive(pid), time.Since(began))
	}
}

// orphanage is a supervisor that is about to be killed.
func orphanage() {
	s := NewSupervisor(Events{})
	err := s.Start(context.Background(), Process{Name: "child", Path: "/bin/sleep", Args: []string{"60"}, Log: os.DevNull})
	fmt.Println(s.Pid("child"), err)
	// Threads that come and go must not take the child with them.
	for range 20 {
		go func() { runtime.LockOSThread() }() // the thread ends with its goroutine
	}
	time.Sleep(200 * time.Millisecond)
	fmt.Println("waiting")
	time.Sleep(time.Minute)
}

func TestChildrenDieWithTheirSupervisor(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // only Linux promises it
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "STAGE_TEST_ORPHAN=1")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var fault, word string
	if _, err := fmt.Fscan(out, &pid, &fault, &word); err != nil || fault != "<nil>" || word != "waiting" {
		t.Fatalf("pid %d fault %s word %s: %v", pid, fault, word, err)
	}
	if !alive(pid) {
		t.Error("the child died with a thread that had nothing to do with it")
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // it was killed
	for start := time.Now(); !gone(pid); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("process %d outlived its supervisor", pid)
		}
	}
}

// gone holds for a zombie as well: whoever adopted it has yet to reap it.
func gone(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(raw), ") Z ")
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if tail(path, 3) != nil {
		t.Error("lines of no file")
	}
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(path, 2); !slices.Equal(got, []string{"line 19998", "line 19999"}) {
		t.Errorf("tail %q", got)
	}
}
