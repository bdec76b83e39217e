package evidence

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// faulty is the machine's disk with faults of a test's choosing. Each hook may be nil, and may be changed at any time
// by set.
type faulty struct {
	machine
	mu    sync.Mutex
	hooks hooks
}

type hooks struct {
	write    func(f file, p []byte) (int, error)
	sync     func() error // in the place of a good one if it fails
	truncate func() error
	rename   func() error
	remove   func() error
}

func (d *faulty) set(h hooks) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = h
}

func (d *faulty) get() hooks {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hooks
}

func (d *faulty) open(path string, flags int) (file, error) {
	f, err := d.machine.open(path, flags)
	if err != nil {
		return nil, err
	}
	return faultyFile{file: f, disk: d}, nil
}

func (d *faulty) rename(from, to string) error {
	if fault := d.get().rename; fault != nil {
		return fault()
	}
	return d.machine.rename(from, to)
}

func (d *faulty) remove(path string) error {
	if fault := d.get().remove; fault != nil {
		return fault()
	}
	return d.machine.remove(path)
}

type faultyFile struct {
	file
	disk *faulty
}

func (f faultyFile) Write(p []byte) (int, error) {
	if fault := f.disk.get().write; fault != nil {
		return fault(f.file, p)
	}
	return f.file.Write(p)
}

func (f faultyFile) Sync() error {
	if fault := f.disk.get().sync; fault != nil {
		if err := fault(); err != nil {
			return err
		}
	}
	return f.file.Sync()
}

func (f faultyFile) Truncate(size int64) error {
	if fault := f.disk.get().truncate; fault != nil {
		if err := fault(); err != nil {
			return err
		}
	}
	return f.file.Truncate(size)
}

// rig is a recorder over a faulty disk, and what it told.
type rig struct {
	*Recorder
	disk *faulty
	file string

	mu   sync.Mutex
	said []string
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	g := &rig{disk: &faulty{}}
	if o.File == "" {
		o.File = filepath.Join(t.TempDir(), "decisions.jsonl")
	}
	g.file = o.File
	o.Events = Events{
		Failed:    func(err error, _ time.Duration) { g.say("failed: " + err.Error()) },
		Recovered: func(time.Duration) { g.say("recovered") },
		Lost:      func(uint64) { g.say("lost") },
		Mended:    func(_, aside string, _ int) { g.say("mended: " + filepath.Base(aside)) },
		Rotated:   func(string) { g.say("rotated") },
	}
	recorder, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	recorder.journal.disk = g.disk
	g.Recorder = recorder
	return g
}

func (g *rig) say(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.said = append(g.said, what)
}

func (g *rig) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.said...)
}

// run starts the writer; stop ends it and returns what Run returned. It is stopped at the end of the test anyway.
func (g *rig) run(t testing.TB) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// records reads a file; every line must be whole.
func records(t testing.TB, file string) (all []Record) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r, err := range Read(f) {
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		all = append(all, r)
	}
	return all
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
