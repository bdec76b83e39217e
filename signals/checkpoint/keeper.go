package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Options of a Keeper. Only Name has no default.
type Options struct {
	Name   string           // of this receiver, unique among those that share the store
	Every  time.Duration    // between two turns; default 30s
	Now    func() time.Time // default time.Now
	Events Events
}

// Events are called for what an operator may want to see. Each may be nil; they must not block.
type Events struct {
	// Sealed: the checkpoint was written: so many devices, so many bytes in records that had changed.
	Sealed func(devices, written int, took time.Duration)
	// Failed: the store failed; it is tried again.
	Failed func(err error)
	// Distrusted: what is stored of the checkpoint is not what receivers wrote; it is written anew.
	Distrusted func(err error)
	// Withheld: there is no whole checkpoint although devices were written under one, so none is made of what the store shows
	// now: somebody has to look, and to vouch for it (`tiergate store seal --yes`), or another receiver still knows.
	Withheld func(err error)
	// RolledBack: the store shows an older version of a device than there was; 0: none at all.
	RolledBack func(device signals.DeviceID, known, shown signals.Revision)
	// Repaired: a version that this receiver wrote within the last minutes and that the store no longer had was written again.
	Repaired func(device signals.DeviceID)
	// Lost: after a walk, so many devices of the checkpoint are no longer in the store, some of them by their marks; mostly 0.
	Lost func(devices int, some []Mark)
}

// reached is how far a device has come, and the number of the last walk that it was seen in, or since.
type reached struct {
	revision signals.Revision
	walk     uint32
}

// Keeper keeps the checkpoint of a store. Every receiver has one: it learns of all that is written, and refuses to go on from
// an older version; one of them writes. Its methods may be called at once.
type Keeper struct {
	store signals.Store // sealed
	opts  Options
	read  chan struct{} // closed when what was stored is known

	mu      sync.Mutex
	known   [parts]map[Mark]reached
	walk    uint32
	walked  bool
	marked  bool // the store shows devices that were written under a checkpoint
	trusted bool // there is a checkpoint that can be gone on from
	pending map[signals.DeviceID]int
	recent  recent

	last   map[string]signals.Revision // of each record, the newest seen or written; only of turn
	cursor signals.Cursor              // where to go on from; empty: after a walk; only of follow
}

// New makes a keeper of a sealed store (signals.Sealed). It starts nothing.
func New(store signals.Store, opts Options) *Keeper {
	if opts.Every <= 0 {
		opts.Every = 30 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	k := &Keeper{store: store, opts: opts, read: make(chan struct{}), pending: map[signals.DeviceID]int{},
		last: map[string]signals.Revision{}, recent: recent{of: map[signals.DeviceID]*signals.Packed{}}}
	for part := range k.known {
		k.known[part] = map[Mark]reached{}
	}
	return k
}

// Run follows the store and writes until ctx ends; then it writes once more what it knows. It returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { k.follow(ctx) })
	first := make(chan struct{})
	all.Go(func() { k.awaitWalk(ctx, first) })
	tick := time.NewTicker(k.opts.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-first:
			first = nil
		case <-tick.C:
		}
		k.turn(ctx)
	}
	all.Wait()
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer stop()
	k.turn(last)
	return nil
}

// awaitWalk makes the first turn come as soon as it can.
func (k *Keeper) awaitWalk(ctx context.Context, done chan<- struct{}) {
	for ctx.Err() == nil {
		if k.hasWalked() {
			close(done)
			return
		}
		pause(ctx, 10*time.Millisecond)
	}
}

func (k *Keeper) hasWalked() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.walked
}

// raise notes that a device has come so far.
func (k *Keeper) raise(device signals.DeviceID, revision signals.Revision) {
	k.raiseMark(MarkOf(device), revision)
}

func (k *Keeper) raiseMark(m Mark, revision signals.Revision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	part := k.known[m.part()]
	part[m] = reached{max(part[m].revision, revision), k.walk}
}

// revision is how far a device has come; 0: there is none.
func (k *Keeper) revision(device signals.DeviceID) signals.Revision {
	m := MarkOf(device)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[m.part()][m].revision
}

// The pauses after a failure of the store.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
)

// follow learns what the store has and what is written, until ctx ends.
func (k *Keeper) follow(ctx context.Context) {
	wait := retryMin
	for ctx.Err() == nil {
		began := k.opts.Now()
		err := k.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		if k.opts.Now().Sub(began) > 5*time.Second {
			wait = retryMin
		}
		tell(k.opts.Events.Failed, fmt.Errorf("the revisions of devices cannot be followed: %w", err))
		pause(ctx, wait)
		wait = min(2*wait, retryMax)
	}
}

func (k *Keeper) attempt(ctx context.Context) error {
	select {
	case <-k.read:
	default:
		s, err := read(ctx, k.store)
		if err != nil {
			return err
		}
		k.learn(s)
		close(k.read)
	}
	if k.cursor == "" {
		cursor, err := k.look(ctx)
		if err != nil {
			return err
		}
		k.cursor = cursor
	}
	err := k.store.WatchPostures(ctx, k.cursor, func(c signals.Change) error {
		k.count(signals.DeviceID(c.Key), 1)
		k.cursor = c.Cursor
		return nil
	})
	if errors.Is(err, signals.ErrGap) {
		k.cursor = ""
	}
	return err
}

// count keeps, of each turn, the notices of a device less our own writes: what is left over somebody else has written. A
// notice that comes a turn later than our write costs one read.
func (k *Keeper) count(device signals.DeviceID, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pending[device] += n; k.pending[device] == 0 {
		delete(k.pending, device)
	}
}

// learn takes over what is stored of the checkpoint.
func (k *Keeper) learn(s *stored) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for part := range s.parts {
		for _, list := range [][]entry{s.parts[part].base, s.parts[part].delta} {
			for _, e := range list {
				if before := k.known[part][e.mark]; before.revision < e.revision {
					k.known[part][e.mark] = reached{e.revision, before.walk}
				}
			}
		}
	}
}

// look walks all devices: what is newer than known is learned, what is older or gone is told, and mended if we can.
func (k *Keeper) look(ctx context.Context) (signals.Cursor, error) {
	k.mu.Lock()
	k.walk++
	clear(k.pending)
	k.mu.Unlock()
	marked := false
	var suspects []signals.DeviceID
	cursor, err := k.store.EachPosture(ctx, func(p signals.Posture) error {
		if p.Revision < k.revision(p.Device) {
			suspects = append(suspects, p.Device) // or it was written just now
		}
		k.raise(p.Device, p.Revision)
		marked = marked || p.Checkpointed
		return ctx.Err()
	}, func(device signals.DeviceID, _ error) { k.raise(device, 0) }) // the replicas tell
	if err != nil {
		return "", fmt.Errorf("reading all postures: %w", err)
	}
	k.mu.Lock()
	k.walked, k.marked = true, k.marked || marked
	suspects = append(suspects, k.recent.devices()...)
	k.mu.Unlock()
	for _, device := range suspects {
		if _, err := k.check(ctx, device); err != nil && !errors.Is(err, signals.ErrCorrupt) && !errors.Is(err, signals.ErrNotFound) {
			return "", err
		}
	}
	k.tellLost()
	return cursor, nil
}

func (k *Keeper) tellLost() {
	const most = 10
	k.mu.Lock()
	var some []Mark
	lost := 0
	for _, part := range k.known {
		for m, r := range part {
			if r.walk == k.walk || r.revision == 0 {
				continue
			}
			if lost++; len(some) < most {
				some = append(some, m)
			}
		}
	}
	k.mu.Unlock()
	if k.opts.Events.Lost != nil {
		k.opts.Events.Lost(lost, some)
	}
}

func tell[T any](f func(T), what T) {
	if f != nil {
		f(what)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
