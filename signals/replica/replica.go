// Package replica keeps every posture of a store in memory, close to the decision. It is loaded once, follows the store's
// changes, and during an outage it keeps what it has and lets that age: an outage of the store is not the devices' silence.
package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// The errors of Lookup, besides signals.ErrNotFound (we are in sync and there is none) and signals.ErrCorrupt.
var (
	// ErrOffline: the store is out of reach, and the copy, if any, has no such device. It may exist.
	ErrOffline = errors.New("the store is out of reach and the device is not in the copy")
	// ErrContested: two devices carry this name, so it names neither.
	ErrContested = errors.New("two devices carry this name")
)

// Events is how a replica is observed. Any of them may be nil; none may block.
type Events struct {
	Loaded    func(devices int, took time.Duration)                         // a complete copy was read
	Lost      func(err error)                                               // the store went out of reach; the copy is kept and ages
	Regressed func(device signals.DeviceID, held, offered signals.Revision) // an older revision was offered and not taken
	Corrupt   func(device signals.DeviceID, err error)                      // a stored value cannot be read
}

// Options are what a replica needs besides its store.
type Options struct {
	// OnChange is told each new or changed posture before Lookup serves it, OnRemove each device that is gone. Never
	// concurrently.
	OnChange func(*signals.Posture)
	OnRemove func(signals.DeviceID)
	Events   Events
	Resync   time.Duration // how often everything is read again, default 5 minutes
	RetryMin time.Duration // first wait after a failure, default 50 ms; doubled up to RetryMax, default 2 s
	RetryMax time.Duration
}

// Reading is one posture and the last instant at which the copy was known to be in step with the store. The posture is
// shared and must not be modified.
type Reading struct {
	Posture *signals.Posture
	AsOf    time.Time
}

// Status is what a replica says of itself.
type Status struct {
	Loaded    bool      `json:"loaded"`
	InSync    bool      `json:"inSync"`
	AsOf      time.Time `json:"asOf"`
	Devices   int       `json:"devices"`
	LastError string    `json:"lastError,omitempty"`
}

// entry is what is held of a device: its posture, or the names by which it was known before its value became unreadable.
type entry struct {
	posture *signals.Posture
	aliases []signals.Alias
	corrupt error
}

// Replica is safe for concurrent use.
type Replica struct {
	store  signals.Postures
	opts   Options
	loaded chan struct{}

	mu      sync.RWMutex
	devices map[signals.DeviceID]*entry
	aliases map[signals.Alias][]signals.DeviceID // more than one is a contest
	ready   bool
	inSync  bool
	asOf    time.Time
	lastErr error
}

// New starts nothing.
func New(store signals.Postures, opts Options) *Replica {
	opts.Resync = orElse(opts.Resync, 5*time.Minute)
	opts.RetryMin, opts.RetryMax = orElse(opts.RetryMin, 50*time.Millisecond), orElse(opts.RetryMax, 2*time.Second)
	return &Replica{
		store: store, opts: opts, loaded: make(chan struct{}),
		devices: map[signals.DeviceID]*entry{}, aliases: map[signals.Alias][]signals.DeviceID{},
	}
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Loaded is closed after the first complete load.
func (r *Replica) Loaded() <-chan struct{} { return r.loaded }

// Lookup finds the device that carries a name. AsOf is set even where there is an error.
func (r *Replica) Lookup(alias signals.Alias) (Reading, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	reading := Reading{AsOf: r.asOf}
	if r.inSync {
		reading.AsOf = time.Now()
	}
	switch devices := r.aliases[alias]; {
	case len(devices) > 1:
		return reading, ErrContested
	case len(devices) == 0 && r.inSync:
		return reading, signals.ErrNotFound
	case len(devices) == 0:
		return reading, ErrOffline
	default:
		e := r.devices[devices[0]]
		if e.corrupt != nil {
			return reading, e.corrupt
		}
		reading.Posture = e.posture
		return reading, nil
	}
}

// Each calls yield for every readable posture until it returns false. The replica may change meanwhile.
func (r *Replica) Each(yield func(*signals.Posture) bool) {
	r.mu.RLock()
	postures := make([]*signals.Posture, 0, len(r.devices))
	for _, e := range r.devices {
		if e.corrupt == nil {
			postures = append(postures, e.posture)
		}
	}
	r.mu.RUnlock()
	for _, p := range postures {
		if !yield(p) {
			return
		}
	}
}

// Status tells how the copy stands to the store.
func (r *Replica) Status() Status {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := Status{Loaded: r.ready, InSync: r.inSync, AsOf: r.asOf, Devices: len(r.devices)}
	if r.inSync {
		s.AsOf = time.Now()
	}
	if r.lastErr != nil {
		s.LastError = r.lastErr.Error()
	}
	return s
}

// Run loads and follows the store until ctx ends, which is not an error. Nothing that the store does ends it.
func (r *Replica) Run(ctx context.Context) error {
	wait := r.opts.RetryMin
	for ctx.Err() == nil {
		err := r.follow(ctx, func() { wait = r.opts.RetryMin })
		if ctx.Err() != nil {
			break
		}
		if err == nil || errors.Is(err, signals.ErrGap) {
			continue // time to read everything again
		}
		r.lost(err)
		// Jitter keeps a fleet of sidecars from coming back in one instant.
		timer := time.NewTimer(wait/2 + rand.N(wait/2+1)) //nolint:gosec // jitter is no secret
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		wait = min(2*wait, r.opts.RetryMax)
	}
	return nil
}

// follow reads everything, then applies changes until the next full reading is due (nil) or something fails.
func (r *Replica) follow(ctx context.Context, reached func()) error {
	cursor, err := r.load(ctx)
	if err != nil {
		return err
	}
	reached()
	round, cancel := context.WithTimeout(ctx, r.opts.Resync)
	defer cancel()
	return r.store.WatchPostures(round, cursor, func(c signals.Change) error {
		return r.refresh(ctx, signals.DeviceID(c.Key))
	})
}

// load reads the whole store. Devices that it no longer has are forgotten.
func (r *Replica) load(ctx context.Context) (signals.Cursor, error) {
	start := time.Now()
	seen := map[signals.DeviceID]bool{}
	cursor, err := r.store.EachPosture(ctx,
		func(p signals.Posture) error { seen[p.Device] = true; r.take(&p); return nil },
		func(d signals.DeviceID, err error) { seen[d] = true; r.spoil(d, err) })
	if err != nil {
		return "", fmt.Errorf("read all postures: %w", err)
	}
	r.mu.RLock()
	var gone []signals.DeviceID
	for d := range r.devices {
		if !seen[d] {
			gone = append(gone, d)
		}
	}
	r.mu.RUnlock()
	for _, d := range gone {
		r.forget(d)
	}
	r.mu.Lock()
	first := !r.ready
	r.ready, r.inSync, r.lastErr = true, true, nil
	devices := len(r.devices)
	r.mu.Unlock()
	if first {
		close(r.loaded)
	}
	if r.opts.Events.Loaded != nil {
		r.opts.Events.Loaded(devices, time.Since(start))
	}
	return cursor, nil
}

// refresh reads one device that has changed.
func (r *Replica) refresh(ctx context.Context, device signals.DeviceID) error {
	p, err := r.store.Posture(ctx, device)
	switch {
	case err == nil:
		r.take(&p)
	case errors.Is(err, signals.ErrNotFound):
		r.forget(device)
	case errors.Is(err, signals.ErrCorrupt):
		r.spoil(device, err)
	default:
		return fmt.Errorf("read the posture of %s: %w", device, err)
	}
	return nil
}

// take puts a posture into the copy unless the copy is newer: revisions never go back.
func (r *Replica) take(p *signals.Posture) {
	r.mu.RLock()
	held := r.devices[p.Device]
	r.mu.RUnlock()
	if held != nil && held.posture != nil {
		if p.Revision < held.posture.Revision {
			if r.opts.Events.Regressed != nil {
				r.opts.Events.Regressed(p.Device, held.posture.Revision, p.Revision)
			}
			return
		}
		if p.Revision == held.posture.Revision && held.corrupt == nil {
			return
		}
	}
	if r.opts.OnChange != nil {
		r.opts.OnChange(p)
	}
	r.put(p.Device, &entry{posture: p, aliases: p.Aliases})
}

// spoil marks a device whose stored value cannot be read. Its names still lead to it, so that it is not taken for unknown.
func (r *Replica) spoil(device signals.DeviceID, err error) {
	if r.opts.Events.Corrupt != nil {
		r.opts.Events.Corrupt(device, err)
	}
	r.mu.RLock()
	e := entry{corrupt: err}
	if held := r.devices[device]; held != nil {
		e.posture, e.aliases = held.posture, held.aliases
	}
	r.mu.RUnlock()
	r.put(device, &e)
}

func (r *Replica) forget(device signals.DeviceID) {
	r.put(device, nil)
	if r.opts.OnRemove != nil {
		r.opts.OnRemove(device)
	}
}

// put replaces what is held of a device, nil for nothing, and keeps the names in step.
func (r *Replica) put(device signals.DeviceID, next *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if held := r.devices[device]; held != nil {
		for _, alias := range held.aliases {
			rest := slices.DeleteFunc(slices.Clone(r.aliases[alias]), func(d signals.DeviceID) bool { return d == device })
			if len(rest) == 0 {
				delete(r.aliases, alias)
			} else {
				r.aliases[alias] = rest
			}
		}
	}
	if next == nil {
		delete(r.devices, device)
		return
	}
	r.devices[device] = next
	for _, alias := range next.aliases {
		r.aliases[alias] = append(slices.Clip(r.aliases[alias]), device)
	}
}

// lost keeps the copy and lets it age.
func (r *Replica) lost(err error) {
	r.mu.Lock()
	if r.inSync {
		r.asOf = time.Now()
	}
	r.inSync, r.lastErr = false, err
	r.mu.Unlock()
	if r.opts.Events.Lost != nil {
		r.opts.Events.Lost(err)
	}
}
