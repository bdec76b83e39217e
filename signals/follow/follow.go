// Package follow keeps all records of some kinds of a store in memory, close to whoever needs them at once.
//
// A Follower reads everything, follows the store's changes, and reads everything again now and then, so that a change that
// no notice ever told is seen, too. When the store is out of reach it keeps what it has until that expires. What cannot be
// read, or was signed by nobody (see signals.Sealed), counts as absent. A revision that goes back is not believed while the
// process lives: not for a record that was deleted in between, either.
package follow

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Options adjust a Follower. Kinds must be set; all else may be left out.
type Options struct {
	Kinds []string // of records that are followed
	// Keep are those of Kinds whose records take something away, so that nothing is to be won by removing one: a record that
	// the store no longer shows, or shows unreadable, is kept as it was until it expires.
	Keep []string
	// After a failure the follower waits between RetryMin (default 50ms) and RetryMax (default 2s), longer each time.
	RetryMin, RetryMax time.Duration
	// Resync is the time between full re-reads, less or more a fifth. Default 5m.
	Resync time.Duration
	// Batch is the least time between two calls of OnChange. Default 10ms.
	Batch time.Duration
	// OnChange is told everything that counts now, in no order: after the first full read of any kind, and when something was
	// written, removed or has expired. It is never called concurrently with itself, and does not hold up the following. What it
	// gets is its own but for the values, which nobody may change.
	OnChange func(all []signals.Record)
	Events   Events
}

// Events are called for what an operator may want to see. Each may be nil; they must not block.
type Events struct {
	// Offline: the store failed, or its changes of a kind have a gap; what is held stays until InSync.
	Offline func(kind string, err error, retryIn time.Duration)
	// InSync: the changes of a kind are followed again, after so long.
	InSync func(kind string, away time.Duration)
	// ResyncFailed: a full re-read beside a working watch failed; it is tried again at the next interval.
	ResyncFailed func(kind string, err error)
	// Refused: a record cannot be read, or was signed by nobody who counts; it is told once until that changes. Key is empty
	// where the store does not say which.
	Refused func(kind, key string, err error)
	// Regressed: the store shows an older revision than there was; it counts for nothing. A restored backup, or tampering.
	Regressed func(kind, key string, held, stored signals.Revision)
	// Kept: the store no longer shows a record of a kind that is kept (Options.Keep). A lost or emptied store, or tampering.
	Kept func(kind, key string)
}

// Status is how a Follower stands with one kind.
type Status struct {
	Loaded    bool      // a full read was complete once
	InSync    bool      // its changes are followed
	Since     time.Time // of InSync; zero: never in sync
	Records   int       // that count
	Refused   int       // that are in the store and count for nothing
	LastError string    // the last failure of the store; it stays after recovery
}

// Follower is a copy of a store's records of some kinds.
type Follower struct {
	store  signals.Records
	opts   Options
	kinds  map[string]*kind // never changed
	dirty  chan struct{}    // holds one if OnChange has something to hear
	loaded chan struct{}
	ran    atomic.Bool
	mu     sync.RWMutex // guards what is in kinds; held for no call of others' code
}

// New makes a Follower. It starts nothing.
func New(store signals.Records, opts Options) *Follower {
	opts.RetryMin = orElse(opts.RetryMin, 50*time.Millisecond)
	opts.RetryMax = max(orElse(opts.RetryMax, 2*time.Second), opts.RetryMin)
	opts.Resync = orElse(opts.Resync, 5*time.Minute)
	opts.Batch = orElse(opts.Batch, 10*time.Millisecond)
	f := &Follower{store: store, opts: opts, kinds: map[string]*kind{}, dirty: make(chan struct{}, 1),
		loaded: make(chan struct{})}
	for _, name := range opts.Kinds {
		f.kinds[name] = &kind{name: name, keep: slices.Contains(opts.Keep, name), applying: make(chan struct{}, 1),
			held: map[string]*held{}}
	}
	return f
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Run reads, follows the changes and, on failure, keeps what there is and tries again, until ctx ends, which is no error. It
// may be called once.
func (f *Follower) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return errors.New("this follower has run already; make a new one")
	}
	var all sync.WaitGroup
	for _, k := range f.kinds {
		all.Go(func() {
			f.follow(ctx, k)
			f.lose(k, nil)
		})
	}
	f.publish(ctx)
	all.Wait()
	return nil
}

// Loaded is closed when all kinds were read once, and OnChange has returned with them.
func (f *Follower) Loaded() <-chan struct{} { return f.loaded }

// InSync tells whether the changes of all kinds are followed, and since when; if not, since when not (zero: they never were).
func (f *Follower) InSync() (since time.Time, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	ok = true
	for _, k := range f.kinds {
		switch {
		case k.inSync != ok && ok: // the first that is not
			since, ok = k.since, false
		case k.inSync == ok && ok && k.since.After(since), k.inSync == ok && !ok && k.since.Before(since):
			since = k.since
		}
	}
	return since, ok
}

// Status tells how it stands with a kind; a kind that is not followed has the zero Status.
func (f *Follower) Status(name string) Status {
	f.mu.RLock()
	defer f.mu.RUnlock()
	k := f.kinds[name]
	if k == nil {
		return Status{}
	}
	s := Status{Loaded: k.complete, InSync: k.inSync, Since: k.since, LastError: k.lastError}
	at := time.Now()
	for _, h := range k.held {
		if h.counts(at) {
			s.Records++
		}
		if h.refused {
			s.Refused++
		}
	}
	return s
}

// Get returns the record as the store showed it last, if there is one and it has not expired. Nobody may change its value.
func (f *Follower) Get(kind, key string) (signals.Record, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if k := f.kinds[kind]; k != nil {
		if h := k.held[key]; h != nil && h.counts(time.Now()) {
			return h.record, true
		}
	}
	return signals.Record{}, false
}

// Each yields every record of a kind that counts, in no order, as they were at one instant.
func (f *Follower) Each(kind string, yield func(signals.Record) bool) {
	f.mu.RLock()
	var all []signals.Record
	if k := f.kinds[kind]; k != nil {
		all = k.appendTo(nil, time.Now())
	}
	f.mu.RUnlock()
	for _, r := range all {
		if !yield(r) {
			return
		}
	}
}
