// Package replica keeps every posture of a store in memory, close to the decision.
//
// A decision never waits for the store: Lookup reads a map. The replica loads everything once, follows the store's
// change stream, and reads everything again now and then. When the store is out of reach it keeps what it has and
// lets it age; only what the store itself no longer shows is removed. A revision that goes back is not believed.
package replica

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
)

// The errors of Lookup that a store does not know. Lookup also answers with signals.ErrNotFound and
// signals.ErrCorrupt.
var (
	// ErrOffline: nothing is known, because the store was never read or is out of reach.
	ErrOffline = errors.New("the store is out of reach and the device is not known here")
	// ErrContested: several devices carry this alias, so that it names none of them.
	ErrContested = errors.New("several devices carry this name")
)

// Options adjust a Replica. The zero Options are fine.
type Options struct {
	Events Events
	// After a failure the replica waits between RetryMin (default 50ms) and RetryMax (default 2s), longer each time.
	RetryMin, RetryMax time.Duration
	// Resync is the time between full re-reads, less or more a fifth. Default 5m.
	Resync time.Duration
	// OnChange is called for each new or changed posture before Lookup serves it. OnRemove is called for each
	// device that is gone, after Lookup stopped serving it. Neither is ever called concurrently with itself or the
	// other. They must not modify the posture, nor call back into Run.
	OnChange func(*signals.Posture)
	OnRemove func(signals.DeviceID)
	// Checkpoint, if any, reads the checkpoint of the store (checkpoint.Read). It is read before each full read, and a load that
	// it says nothing good about fails: Lookup answers ErrOffline until it is right, or goes on with what was loaded before.
	Checkpoint func(context.Context) (*checkpoint.Checkpoint, error)
	// MaxAge is the age from which a checkpoint is told to be late. It serves nevertheless. Default 15m.
	MaxAge time.Duration
}

// Events are called for what an operator may want to see. Each may be nil; they must not block.
type Events struct {
	// Loaded: a full read is complete.
	Loaded func(devices int, took time.Duration)
	// Offline: the store failed, or its changes have a gap; the copy ages until InSync.
	Offline func(err error, retryIn time.Duration)
	// InSync: changes are followed again, after so long.
	InSync func(away time.Duration)
	// ResyncFailed: a full re-read beside a working watch failed; it is tried again at the next interval.
	ResyncFailed func(err error)
	// Regressed: the store shows an older revision than we hold; ours is kept. A restored backup, or tampering.
	Regressed func(device signals.DeviceID, held, stored signals.Revision)
	// Forgetful: a newer version lacks so many facts that an earlier one had, which no receiver takes away; they were kept,
	// and with them its names. Somebody put an older version under a receiver, which went on from it.
	Forgetful func(device signals.DeviceID, missing int)
	// Gone: the store no longer shows a device. Nothing of ours removes one: a lost or emptied store, or tampering. Its names
	// stay its own, so that another device under one of them is contested, until this process ends.
	Gone func(device signals.DeviceID)
	// Corrupt: the stored value of a device cannot be read any more.
	Corrupt func(device signals.DeviceID, err error)
	// RolledBack: the store shows an older revision of a device than the checkpoint says there was. Until a newer one comes the
	// device answers with an error wrapping signals.ErrCorrupt.
	RolledBack func(device signals.DeviceID, least, stored signals.Revision)
	// Missing: after a full read, so many devices of the checkpoint are not in the store, some of them by their marks; mostly 0.
	// Lookups find none.
	Missing func(devices int, some []checkpoint.Mark)
	// Checkpoint: one was read. late: it is older than MaxAge, so that its receiver is down or somebody put an old one back.
	Checkpoint func(c *checkpoint.Checkpoint, late bool)
	// CheckpointFailed: the one in the store cannot be believed, or was removed. What is held is kept, and nothing is loaded.
	CheckpointFailed func(err error)
	// Unchecked: there is no checkpoint and no posture was written under one: a store that no receiver of this version has
	// written to yet. What was rolled back before this start is not noticed.
	Unchecked func()
	// Contested: an alias is now carried by more than one device.
	Contested func(alias signals.Alias, devices []signals.DeviceID)
}

// Reading is what is known of a device, in the small form in which it is held.
type Reading struct {
	Posture *signals.Packed
	// AsOf is the last instant at which we knew to be in sync: now, while the store's changes are followed; else
	// the instant at which we noticed that they are not. A store that hangs is noticed by its own timeouts, within
	// about 1 s.
	AsOf time.Time
}

// Status is the state of the replica.
type Status struct {
	Loaded    bool // a full read was complete once
	InSync    bool
	AsOf      time.Time // see Reading; zero: never in sync
	Devices   int       // with a readable posture
	Corrupt   int       // whose stored value cannot be read
	LastError string    // the last failure of the store; it stays after recovery
}

// Replica is a copy of a store's postures.
type Replica struct {
	store  signals.Postures
	opts   Options
	loaded chan struct{}
	ran    atomic.Bool

	applying sync.Mutex             // held by whoever changes the copy, through OnChange and OnRemove
	reading  uint64                 // the number of the newest full read; guarded by applying
	least    *checkpoint.Checkpoint // what the store may show at least; nil: nothing is known; guarded by applying and mu

	mu        sync.RWMutex // guards what Lookup reads; held for no call of others' code
	devices   map[signals.DeviceID]*device
	gone      int // of devices: those that the store no longer shows
	aliases   map[signals.Alias]holders
	corrupt   int
	complete  bool
	inSync    bool
	lostAt    time.Time // when we noticed that we are not in sync
	lastError string
}

// New makes a replica. It starts nothing.
func New(store signals.Postures, opts Options) *Replica {
	if opts.RetryMin <= 0 {
		opts.RetryMin = 50 * time.Millisecond
	}
	if opts.RetryMax <= 0 {
		opts.RetryMax = 2 * time.Second
	}
	opts.RetryMax = max(opts.RetryMax, opts.RetryMin)
	if opts.MaxAge <= 0 {
		opts.MaxAge = 15 * time.Minute
	}
	if opts.Resync <= 0 {
		opts.Resync = 5 * time.Minute
	}
	return &Replica{
		store: store, opts: opts, loaded: make(chan struct{}),
		devices: map[signals.DeviceID]*device{}, aliases: map[signals.Alias]holders{},
	}
}

// Loaded is closed after the first complete load.
func (r *Replica) Loaded() <-chan struct{} { return r.loaded }

// Lookup finds the device that carries an alias. Its errors are signals.ErrNotFound (we are in sync and there is
// none), ErrOffline, ErrContested, and an error wrapping signals.ErrCorrupt. It allocates nothing and waits for no
// I/O.
func (r *Replica) Lookup(alias signals.Alias) (Reading, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.complete {
		return Reading{}, ErrOffline
	}
	h, found := r.aliases[alias]
	switch {
	case !found && r.inSync:
		return Reading{}, signals.ErrNotFound
	case !found:
		return Reading{}, ErrOffline
	case len(h.others) > 0:
		return Reading{}, ErrContested
	case h.first.gone && r.inSync:
		return Reading{}, signals.ErrNotFound
	case h.first.gone:
		return Reading{}, ErrOffline
	case h.first.corrupt != nil:
		return Reading{}, h.first.corrupt
	}
	return Reading{Posture: h.first.posture, AsOf: r.asOf()}, nil
}

// asOf is called with mu held.
func (r *Replica) asOf() time.Time {
	if r.inSync {
		return time.Now()
	}
	return r.lostAt
}

// Each yields every posture that can be read, in no order, as they were at one instant: each in the memory of the one before.
func (r *Replica) Each(yield func(*signals.Posture) bool) {
	var posture signals.Posture
	for _, h := range r.All() {
		if h.Corrupt != nil || h.Gone {
			continue
		}
		if h.Posture.Unpack(&posture); !yield(&posture) {
			return
		}
	}
}

// Status tells how the replica is.
func (r *Replica) Status() Status {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return Status{
		Loaded: r.complete, InSync: r.inSync, AsOf: r.asOf(), Devices: len(r.devices) - r.corrupt - r.gone, Corrupt: r.corrupt,
		LastError: r.lastError,
	}
}

// Run loads, follows the changes and, on failure, keeps what there is and tries again, until ctx ends, which is no
// error. It may be called once.
func (r *Replica) Run(ctx context.Context) error {
	if r.ran.Swap(true) {
		return errors.New("this replica has run already; make a new one")
	}
	r.follow(ctx)
	r.lose(nil)
	return nil
}
