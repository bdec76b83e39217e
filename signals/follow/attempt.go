package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// steady is how long an attempt must have gone well for the next failure to count as a new one. Failures in quick
// succession, gaps too, wait longer each time.
const steady = 5 * time.Second

// follow keeps the records of a kind up to date until ctx ends.
func (f *Follower) follow(ctx context.Context, k *kind) {
	wait := f.opts.RetryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := f.attempt(ctx, k)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			wait = f.opts.RetryMin
		}
		// Half of it is chance: sidecars that lost the same server do not come back in step.
		pause := max(f.opts.RetryMin, wait/2+rand.N(wait/2+1)) //nolint:gosec // jitter is no secret
		wait = min(2*wait, f.opts.RetryMax)
		f.lose(k, err)
		if f.opts.Events.Offline != nil {
			f.opts.Events.Offline(k.name, err, pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// attempt reads everything and follows the changes until something fails. It returns why.
func (f *Follower) attempt(ctx context.Context, k *kind) error {
	cursor, err := f.load(ctx, k)
	if err != nil {
		return err
	}
	if cursor == "" {
		return errors.New("the store gave no cursor; it does not keep to signals.Records")
	}
	f.gain(k)
	watching, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { f.resync(watching, k) })
	err = f.store.WatchRecords(watching, k.name, cursor, func(c signals.Change) error {
		return f.refresh(watching, k, c.Key)
	})
	if err == nil && ctx.Err() == nil {
		err = errors.New("the watch ended without an error")
	}
	return err
}

// resync reads everything again from time to time, beside the watch, so that what no notice ever told is found.
func (f *Follower) resync(ctx context.Context, k *kind) {
	for {
		spread := f.opts.Resync / 5
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.opts.Resync - spread + rand.N(2*spread+1)): //nolint:gosec // jitter is no secret
		}
		if _, err := f.load(ctx, k); err != nil && ctx.Err() == nil && f.opts.Events.ResyncFailed != nil {
			f.opts.Events.ResyncFailed(k.name, err)
		}
	}
}

// load reads every record of a kind, and removes what the store no longer shows once it has shown all it has.
func (f *Follower) load(ctx context.Context, k *kind) (signals.Cursor, error) {
	unlock := k.lock()
	k.reading++
	unlock()
	cursor, err := f.store.EachRecord(ctx, k.name, func(r signals.Record) error { return f.seen(ctx, k, r) })
	switch {
	case errors.Is(err, signals.ErrCorrupt) && cursor != "": // some cannot be read, and all others were shown
		if f.opts.Events.Refused != nil {
			f.opts.Events.Refused(k.name, "", err)
		}
	case err != nil:
		return "", fmt.Errorf("reading all records of kind %s: %w", k.name, err)
	}
	defer k.lock()()
	var missing []string
	f.mu.RLock()
	for key, h := range k.held {
		if h.read < k.reading {
			missing = append(missing, key)
		}
	}
	f.mu.RUnlock()
	for _, key := range missing {
		f.remove(k, key)
		f.forget(k, key)
	}
	return cursor, nil
}

// forget drops a key of which nothing ever counted.
func (f *Follower) forget(k *kind, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := k.held[key]; h != nil && h.record.Revision == 0 {
		delete(k.held, key)
	}
}

// gain notes that a kind was read whole, and that its changes are followed from there.
func (f *Follower) gain(k *kind) {
	f.mu.Lock()
	first, away := !k.complete, time.Since(k.since)
	k.complete, k.inSync, k.since = true, true, time.Now()
	f.mu.Unlock()
	if first {
		f.touch()
	} else if f.opts.Events.InSync != nil {
		f.opts.Events.InSync(k.name, away)
	}
}

// lose notes that the changes of a kind are not followed; nil: because Run ends.
func (f *Follower) lose(k *kind, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k.inSync {
		k.inSync, k.since = false, time.Now()
	}
	if err != nil {
		k.lastError = err.Error()
	}
}
