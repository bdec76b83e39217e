package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Events is told what happens on a stage. Nil callbacks are skipped.
type Events struct {
	// Started: a process is ready, so long after it was started.
	Started func(name string, pid int, took time.Duration)
	// Exited: a process ended that nobody told to end.
	Exited func(name string, err error)
}

// Process is what a Supervisor runs.
type Process struct {
	Name string
	Path string // the program
	Args []string
	Log  string // the file that gets its standard output and error
	// Prepare runs before each start, for what can only be known then. Nil: nothing to prepare.
	Prepare func(ctx context.Context) error
	// Ready is asked again and again until it returns nil. Nil: ready at once.
	Ready       func(ctx context.Context) error
	ReadyWithin time.Duration // default 1 min
	StopWithin  time.Duration // from SIGTERM to SIGKILL, default 20 s
}

// Supervisor runs child processes, each in a session of its own. Its methods may be called concurrently.
type Supervisor struct {
	events Events

	mu       sync.Mutex
	children []*child // in the order of their first start
	forks    chan func()
}

type child struct {
	process Process
	command *exec.Cmd
	done    chan struct{} // closed once it has ended and was reaped
	err     error         // how it ended; read after done

	started time.Time

	mu    sync.Mutex
	ready bool
	told  bool // to end
}

// NewSupervisor returns a supervisor of nothing yet.
func NewSupervisor(events Events) *Supervisor { return &Supervisor{events: events} }

// Start runs a process and returns when it is ready. If it is not, within its time or because it ended, it is killed
// and the error holds the last lines that it wrote.
func (s *Supervisor) Start(ctx context.Context, p Process) error {
	if p.ReadyWithin == 0 {
		p.ReadyWithin = time.Minute
	}
	if p.StopWithin == 0 {
		p.StopWithin = 20 * time.Second
	}
	if s.running(p.Name) != nil {
		return fmt.Errorf("%s is already running", p.Name)
	}
	if p.Prepare != nil {
		if err := p.Prepare(ctx); err != nil {
			return fmt.Errorf("prepare %s: %w", p.Name, err)
		}
	}
	c, err := s.spawn(p)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if err := c.awaitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s %w%s", p.Name, err, lastWords(p.Log)), c.kill())
	}
	if s.events.Started != nil {
		s.events.Started(p.Name, c.command.Process.Pid, time.Since(c.started))
	}
	return nil
}

// Restart starts a process again that has ended, with what it was started with.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	c := s.find(name)
	if c == nil {
		return fmt.Errorf("%s was never started", name)
	}
	return s.Start(ctx, c.process)
}

// Kill ends a process by SIGKILL and returns once it is gone.
func (s *Supervisor) Kill(name string) error {
	c := s.running(name)
	if c == nil {
		return fmt.Errorf("%s is not running", name)
	}
	return c.kill()
}

// End ends one process by SIGTERM, after its time by SIGKILL.
func (s *Supervisor) End(name string) error {
	c := s.running(name)
	if c == nil {
		return fmt.Errorf("%s is not running", name)
	}
	return c.end()
}

// Pid returns the process id, 0 if it is not running.
func (s *Supervisor) Pid(name string) int {
	if c := s.running(name); c != nil {
		return c.command.Process.Pid
	}
	return 0
}

// Stop ends all processes, the last started first, each by SIGTERM and after its time by SIGKILL. It is idempotent, and
// the supervisor can start processes again afterwards.
func (s *Supervisor) Stop() error {
	s.mu.Lock()
	children, forks := slices.Clone(s.children), s.forks
	s.forks = nil
	s.mu.Unlock()
	var faults []error
	for _, c := range slices.Backward(children) {
		if !c.ended() {
			faults = append(faults, c.end())
		}
	}
	if forks != nil {
		close(forks)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.children = slices.DeleteFunc(s.children, func(c *child) bool { return slices.Contains(children, c) })
	return errors.Join(faults...)
}

func (s *Supervisor) find(name string) *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.children {
		if c.process.Name == name {
			return c
		}
	}
	return nil
}

func (s *Supervisor) running(name string) *child {
	if c := s.find(name); c != nil && !c.ended() {
		return c
	}
	return nil
}

func (s *Supervisor) spawn(p Process) (*child, error) {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	c := &child{process: p, command: exec.Command(p.Path, p.Args...), done: make(chan struct{}), started: time.Now()}
	c.command.Stdout, c.command.Stderr = log, log
	c.command.SysProcAttr = childAttributes()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.onForkThread(c.command.Start); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(s.children, func(o *child) bool { return o.process.Name == p.Name }); i >= 0 {
		s.children[i] = c // it keeps its place in the order
	} else {
		s.children = append(s.children, c)
	}
	go c.reap(s.events)
	return c, nil
}

// onForkThread runs start on one thread that lives until Stop: Linux sends a child its parent-death signal when the
// thread that forked it ends, not when the process does (prctl(2), PR_SET_PDEATHSIG). The caller holds s.mu.
func (s *Supervisor) onForkThread(start func() error) error {
	if s.forks == nil {
		forks := make(chan func())
		s.forks = forks
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // all children are gone; the thread may serve others
			for fork := range forks {
				fork()
			}
		}()
	}
	result := make(chan error, 1)
	s.forks <- func() { result <- start() }
	return <-result
}

func (c *child) reap(events Events) {
	c.err = c.command.Wait()
	close(c.done)
	c.mu.Lock()
	unexpected := c.ready && !c.told
	c.mu.Unlock()
	if unexpected && events.Exited != nil {
		events.Exited(c.process.Name, c.err)
	}
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

const readyEvery = 20 * time.Millisecond

func (c *child) awaitReady(ctx context.Context) error {
	deadline := time.NewTimer(c.process.ReadyWithin)
	defer deadline.Stop()
	for {
		err := c.tryReady(ctx)
		if err == nil && !c.ended() {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("ended before it was ready (%s)", c.command.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("was not waited for: %w", ctx.Err())
		case <-deadline.C:
			return fmt.Errorf("was not ready within %s: %w", c.process.ReadyWithin, err)
		case <-time.After(readyEvery):
		}
	}
}

// tryReady asks once. Whoever ends after it has said yes ends unexpectedly.
func (c *child) tryReady(ctx context.Context) error {
	if c.process.Ready != nil {
		try, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := c.process.Ready(try); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
	return nil
}

func (c *child) signal(sig os.Signal) error {
	c.mu.Lock()
	c.told = true
	c.mu.Unlock()
	if err := c.command.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", c.process.Name, err)
	}
	return nil
}

func (c *child) kill() error {
	err := c.signal(syscall.SIGKILL)
	<-c.done
	return err
}

func (c *child) end() error {
	err := c.signal(syscall.SIGTERM)
	select {
	case <-c.done:
		return err
	case <-time.After(c.process.StopWithin):
		return errors.Join(err, c.kill())
	}
}

// Tail returns the last lines that a process wrote, at most n.
func (s *Supervisor) Tail(name string, n int) []string {
	if c := s.find(name); c != nil {
		return tail(c.process.Log, n)
	}
	return nil
}

const tailBytes = 64 << 10

func tail(path string, n int) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	raw := make([]byte, tailBytes)
	from := int64(0)
	if info, err := file.Stat(); err == nil {
		from = max(0, info.Size()-tailBytes)
	}
	read, _ := file.ReadAt(raw, from) // at the end of the file this is io.EOF with what there was
	text := strings.TrimRight(string(raw[:read]), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}

func lastWords(log string) string {
	lines := tail(log, 12)
	if len(lines) == 0 {
		return fmt.Sprintf("; it wrote nothing to %s", log)
	}
	return fmt.Sprintf("; the last lines of %s:\n  %s", log, strings.Join(lines, "\n  "))
}
