package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// settle is how long a resumed watch must have nothing new before we call ourselves in sync: what was written
// while the store was away arrives first. A store that never falls silent counts as caught up after settleMost.
const (
	settle     = 100 * time.Millisecond
	settleMost = 2 * time.Second
)

// steady is how long an attempt must have gone well for the next failure to count as a new one. Failures in quick
// succession, gaps too, wait longer each time.
const steady = 5 * time.Second

// probe is no device: reading it only tells whether the store answers.
const probe signals.DeviceID = "tiergate-replica-probe"

// follow keeps the copy up to date until ctx ends.
func (r *Replica) follow(ctx context.Context) {
	var cursor signals.Cursor
	wait := r.opts.RetryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := r.attempt(ctx, &cursor)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, signals.ErrGap) {
			cursor = ""
		}
		if time.Since(began) > steady {
			wait = r.opts.RetryMin
		}
		// Half of it is chance: sidecars that lost the same server do not come back in step.
		pause := max(r.opts.RetryMin, wait/2+rand.N(wait/2+1)) //nolint:gosec // jitter is no secret
		wait = min(2*wait, r.opts.RetryMax)
		r.lose(err)
		if r.opts.Events.Offline != nil {
			r.opts.Events.Offline(err, pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// attempt loads if there is no cursor to go on from, and follows the changes until something fails. It returns why.
func (r *Replica) attempt(ctx context.Context, cursor *signals.Cursor) error {
	if *cursor == "" {
		from, err := r.load(ctx)
		if err != nil {
			return err
		}
		if *cursor = from; from == "" {
			return errors.New("the store gave no cursor; it does not keep to signals.Postures")
		}
		r.gain(true)
	} else if _, err := r.store.Posture(ctx, probe); err != nil &&
		!errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrCorrupt) {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { r.resync(watching) })
	moved := make(chan struct{}, 1)
	beside.Go(func() { r.catchUp(watching, moved) })
	err := r.store.WatchPostures(watching, *cursor, func(c signals.Change) error {
		id := signals.DeviceID(c.Key)
		err := r.refresh(id, func() (signals.Posture, error) { return r.store.Posture(watching, id) })
		if err != nil {
			return err
		}
		*cursor = c.Cursor
		select {
		case moved <- struct{}{}:
		default:
		}
		return nil
	})
	if err == nil && ctx.Err() == nil {
		err = errors.New("the watch ended without an error")
	}
	return err
}

// catchUp calls a resumed watch in sync once it has nothing new to tell.
func (r *Replica) catchUp(ctx context.Context, moved <-chan struct{}) {
	latest, quiet := time.NewTimer(settleMost), time.NewTimer(settle)
	defer latest.Stop()
	defer quiet.Stop()
	for !r.wasInSync() {
		select {
		case <-ctx.Done():
			return
		case <-moved:
			quiet.Reset(settle)
			continue
		case <-quiet.C:
		case <-latest.C:
		}
		if ctx.Err() == nil {
			r.gain(false)
		}
	}
}

// resync reads everything again from time to time, beside the watch, so that what no notice ever told is found.
func (r *Replica) resync(ctx context.Context) {
	for {
		spread := r.opts.Resync / 5
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.opts.Resync - spread + rand.N(2*spread+1)): //nolint:gosec // jitter is no secret
		}
		if _, err := r.load(ctx); err != nil && ctx.Err() == nil {
			if r.opts.Events.ResyncFailed != nil {
				r.opts.Events.ResyncFailed(err)
			}
		}
	}
}

// load reads everything, and removes what the store no longer shows once it has shown all it has.
func (r *Replica) load(ctx context.Context) (signals.Cursor, error) {
	began := time.Now()
	checked, err := r.readCheckpoint(ctx)
	if err != nil {
		return "", err
	}
	r.applying.Lock()
	r.reading++
	r.applying.Unlock()
	marked := false
	cursor, err := r.store.EachPosture(ctx, func(p signals.Posture) error {
		marked = marked || p.Checkpointed
		r.apply(p)
		return ctx.Err()
	}, r.spoil)
	if err != nil {
		return "", fmt.Errorf("reading all postures: %w", err)
	}
	if !checked {
		if err := r.unchecked(marked); err != nil {
			return "", err
		}
	}
	r.applying.Lock()
	var missing []signals.DeviceID
	for id, d := range r.devices {
		if d.read < r.reading && !d.gone {
			missing = append(missing, id)
		}
	}
	for _, id := range missing {
		r.drop(id)
	}
	devices := len(r.devices) - r.gone
	r.applying.Unlock()
	r.tellMissing()
	if r.opts.Events.Loaded != nil {
		r.opts.Events.Loaded(devices, time.Since(began))
	}
	return cursor, nil
}

func (r *Replica) wasInSync() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.inSync
}

// gain notes that we are in sync, by a full read or without.
func (r *Replica) gain(full bool) {
	r.mu.Lock()
	news, since := !r.inSync, r.lostAt
	r.inSync = true
	if full && !r.complete {
		r.complete = true
		close(r.loaded)
	}
	r.mu.Unlock()
	if news && !since.IsZero() && r.opts.Events.InSync != nil {
		r.opts.Events.InSync(time.Since(since))
	}
}

// lose notes that we are not; nil: because Run ends.
func (r *Replica) lose(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inSync {
		r.inSync, r.lostAt = false, time.Now()
	}
	if err != nil {
		r.lastError = err.Error()
	}
}
