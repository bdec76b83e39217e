package replica

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/signals"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errOut = errors.New("connection refused")

// fake is a store that fails as it is told.
type fake struct {
	mu       sync.Mutex
	postures map[signals.DeviceID]signals.Posture
	corrupt  map[signals.DeviceID]bool
	changes  []signals.DeviceID
	gap      bool // the next watch ends with ErrGap
	out      bool
	woken    chan struct{}
	reads    int           // full reads that were begun
	attempts []time.Time   // of anything, while out
	delay    time.Duration // of a full read, per posture
	slow     time.Duration // of the read of one posture
	asked    int           // reads of one posture
}

func newFake() *fake {
	return &fake{
		postures: map[signals.DeviceID]signals.Posture{}, corrupt: map[signals.DeviceID]bool{}, woken: make(chan struct{}),
	}
}

func (f *fake) wake() {
	close(f.woken)
	f.woken = make(chan struct{})
}

// put stores without looking at revisions: a store may be restored, or written by an attacker.
func (f *fake) put(p signals.Posture) {
	f.quietly(p)
	f.notice(p.Device)
}

// quietly is put without a notice.
func (f *fake) quietly(p signals.Posture) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.postures[p.Device] = p
	delete(f.corrupt, p.Device)
}

func (f *fake) notice(device signals.DeviceID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, device)
	f.wake()
}

func (f *fake) spoil(device signals.DeviceID) {
	f.mu.Lock()
	f.corrupt[device] = true
	f.mu.Unlock()
	f.notice(device)
}

func (f *fake) forget(device signals.DeviceID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.postures, device)
	delete(f.corrupt, device)
}

func (f *fake) fail(out, gap bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out, f.gap = out, gap
	f.wake()
}

func (f *fake) failure() error {
	if f.out {
		f.attempts = append(f.attempts, time.Now())
		return errOut
	}
	return nil
}

func (f *fake) Posture(_ context.Context, device signals.DeviceID) (signals.Posture, error) {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	time.Sleep(slow)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if err := f.failure(); err != nil {
		return signals.Posture{}, err
	}
	p, ok := f.postures[device]
	switch {
	case f.corrupt[device]:
		return signals.Posture{}, signals.ErrCorrupt
	case !ok:
		return signals.Posture{}, signals.ErrNotFound
	}
	return p, nil
}

func (f *fake) PutPosture(context.Context, signals.Posture, signals.Revision) error {
	return errors.New("a replica does not write")
}

func (f *fake) EachPosture(
	ctx context.Context, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error),
) (signals.Cursor, error) {
	f.mu.Lock()
	f.reads++
	err, at, all, delay := f.failure(), len(f.changes), []signals.Posture{}, f.delay
	broken := []signals.DeviceID{}
	for _, p := range f.postures {
		if !f.corrupt[p.Device] {
			all = append(all, p)
		}
	}
	for device := range f.corrupt {
		broken = append(broken, device)
	}
	f.mu.Unlock()
	if err != nil {
		return "", err
	}
	for _, device := range broken {
		corrupt(device, signals.ErrCorrupt)
	}
	for _, p := range all {
		if delay > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(delay):
			}
		}
		f.mu.Lock()
		err := f.failure()
		f.mu.Unlock()
		if err == nil {
			err = yield(p)
		}
		if err != nil {
			return "", err
		}
	}
	return signals.Cursor(strconv.Itoa(at) + "!"), nil
}

func (f *fake) WatchPostures(ctx context.Context, from signals.Cursor, yield func(signals.Change) error) error {
	at, err := strconv.Atoi(string(from[:len(from)-1]))
	if err != nil {
		return err
	}
	for {
		f.mu.Lock()
		err, gap, woken, rest := f.failure(), f.gap, f.woken, slices.Clone(f.changes[at:])
		f.gap = f.gap && err != nil
		f.mu.Unlock()
		switch {
		case err != nil:
			return err
		case gap:
			return signals.ErrGap
		}
		for _, device := range rest {
			at++
			if err := yield(signals.Change{Key: string(device), Cursor: signals.Cursor(strconv.Itoa(at) + "!")}); err != nil {
				return err
			}
		}
		if len(rest) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		}
	}
}

func serial(value string) signals.Alias {
	return signals.Alias{Kind: signals.AliasSerial, Value: value}
}

// posture is a device that carries serial numbers.
func posture(device string, revision signals.Revision, serials ...string) signals.Posture {
	p := signals.Posture{Device: signals.DeviceID(device), Revision: revision}
	for _, s := range serials {
		p.Aliases = append(p.Aliases, serial(s))
	}
	return p
}

// run runs a replica until the test ends.
func run(t *testing.T, store signals.Postures, opts Options) *Replica {
	t.Helper()
	r := New(store, opts)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// expect looks an alias up: revision 0 wants the error.
func expect(t *testing.T, r *Replica, alias string, revision signals.Revision, want error) Reading {
	t.Helper()
	reading, err := r.Lookup(serial(alias))
	switch {
	case want != nil && !errors.Is(err, want):
		t.Fatalf("%s: got %v and %v, want %v", alias, reading.Posture, err, want)
	case want != nil && reading.Posture != nil:
		t.Fatalf("%s: a posture came with %v", alias, err)
	case want == nil && (err != nil || reading.Posture.Revision != revision):
		t.Fatalf("%s: got %v and %v, want revision %d", alias, reading.Posture, err, revision)
	}
	return reading
}
