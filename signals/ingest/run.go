package ingest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

const (
	// sweepEvery is how often the inbox is read for what another process left there.
	sweepEvery = 30 * time.Second
	// After trouble the inbox is read sooner: at first after firstRetry, then after twice the time, up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	// drainFor bounds the work that is finished after Run's context has ended.
	drainFor = 5 * time.Second
)

// Run applies what the inbox holds, also what an earlier process left there, until ctx ends. Then it finishes what has
// been queued, for at most 5 seconds; what is left stays in the inbox. It returns nil. It may not run twice at once.
func (r *Receiver) Run(ctx context.Context) error {
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var workers sync.WaitGroup
	for range r.workers {
		workers.Go(func() { r.work(ctx, work) })
	}
	r.keepSweeping(ctx)
	bound := time.AfterFunc(drainFor, abort)
	defer bound.Stop()
	workers.Wait()
	return nil
}

// work applies queued entries until ctx ends, then those that are still queued, unless work is cut.
func (r *Receiver) work(ctx, work context.Context) {
	for {
		select {
		case key := <-r.queue:
			r.workOn(work, key)
			continue
		default: // the queue comes before the end
		}
		select {
		case key := <-r.queue:
			r.workOn(work, key)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Receiver) workOn(ctx context.Context, key string) {
	defer r.release(key)
	if ctx.Err() != nil {
		return // it stays in the inbox
	}
	if err := r.process(ctx, key); err != nil {
		from, id := splitKey(key)
		r.events.Postponed(from, id, err)
		r.signalTrouble()
	}
}

// offer queues an entry that was kept just now. A full queue is no loss: the next sweep finds the entry.
func (r *Receiver) offer(key string) {
	if !r.claim(key) {
		return
	}
	select {
	case r.queue <- key:
	default:
		r.release(key)
		r.signalTrouble()
	}
}

// claim reports whether the key is now the caller's to queue; it is not while it is queued or worked on.
func (r *Receiver) claim(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claimed[key] {
		return false
	}
	r.claimed[key] = true
	return true
}

func (r *Receiver) release(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.claimed, key)
}

func (r *Receiver) signalTrouble() {
	select {
	case r.trouble <- struct{}{}:
	default:
	}
}

// keepSweeping reads the inbox at once and then again and again, sooner after trouble, until ctx ends.
func (r *Receiver) keepSweeping(ctx context.Context) {
	retry, calm := firstRetry, true
	next := time.NewTimer(spread(sweepEvery))
	defer next.Stop()
	r.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.trouble:
			if calm {
				calm = false
				next.Reset(spread(retry))
				retry = min(2*retry, lastRetry)
			}
		case <-next.C:
			if calm {
				retry = firstRetry
			}
			calm = true
			next.Reset(spread(sweepEvery))
			r.sweep(ctx)
		}
	}
}

// spread keeps receivers that share a store from sweeping in step.
func spread(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2) //nolint:gosec // it only spreads load
}

// sweep queues all entries of the inbox. The keys are read first: a store may hold a read transaction open while it
// yields, and the workers write.
func (r *Receiver) sweep(ctx context.Context) {
	var keys []string
	_, err := r.store.EachRecord(ctx, KindInbox, func(record signals.Record) error {
		keys = append(keys, record.Key)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		r.events.SweepFailed(err)
		r.signalTrouble()
	}
	for _, key := range keys { // also those that were read before it failed
		if !r.claim(key) {
			continue
		}
		select {
		case r.queue <- key:
		case <-ctx.Done():
			r.release(key)
			return
		}
	}
}
