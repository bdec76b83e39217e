package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

const (
	// sweepEvery is how often the inbox is read for what another process left there.
	sweepEvery = 30 * time.Second
	// sharedSweepEvery is the same where others may receive too: what they leave is found soon.
	sharedSweepEvery = 5 * time.Second
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
	r.renew(ctx)
	leasing := r.keepLease(work)
	var workers sync.WaitGroup
	for range r.workers {
		workers.Go(func() { r.work(ctx, work) })
	}
	workers.Go(func() { r.runInventories(ctx) })
	r.keepSweeping(ctx)
	bound := time.AfterFunc(drainFor, abort)
	defer bound.Stop()
	workers.Wait()
	leasing()
	r.endLease(context.WithoutCancel(ctx))
	return nil
}

// work applies queued entries until ctx ends, then those that are still queued, unless work is cut.
func (r *Receiver) work(ctx, work context.Context) {
	for {
		key, ok := r.queues.take(ctx)
		if !ok {
			return
		}
		r.workOn(work, key)
	}
}

func (r *Receiver) workOn(ctx context.Context, key string) {
	defer r.queues.done(key)
	if ctx.Err() != nil {
		return // it stays in the inbox
	}
	if err := r.process(ctx, key); err != nil {
		if errors.Is(err, errAwaited) {
			return // the answer brings it back
		}
		from, id := splitKey(key)
		r.events.Postponed(from, id, err)
		r.signalTrouble()
	}
}

// offerIfOurs queues an entry that lies in the inbox. One that is nobody's is found by whoever sweeps first.
func (r *Receiver) offerIfOurs(e entry) {
	if r.alone || e.Owner == r.name {
		r.offer(&e)
		return
	}
	r.signalTrouble()
}

// offer queues an entry that is ours.
func (r *Receiver) offer(e *entry) {
	if key := entryKey(e.Source, e.ID); !r.queues.holds(key) {
		r.queues.add(key, r.lines(e))
	}
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
	next := time.NewTimer(spread(r.sweepAfter()))
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
		case <-r.queues.hungry:
			r.sweep(ctx)
		case <-next.C:
			if calm {
				retry = firstRetry
			}
			calm = true
			next.Reset(spread(r.sweepAfter()))
			r.sweep(ctx)
		}
	}
}

func (r *Receiver) sweepAfter() time.Duration {
	if r.alone {
		return sweepEvery
	}
	return sharedSweepEvery
}

// spread keeps receivers that share a store from sweeping in step.
func spread(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2) //nolint:gosec // it only spreads load
}

// sweep queues the entries of the inbox that are ours, and claims those that are nobody's. What is to be claimed is noted
// first: a store may hold a read transaction open while it yields.
func (r *Receiver) sweep(ctx context.Context) {
	err := r.lookAround(ctx)
	if err == nil && !r.joinsLooked {
		err = r.finishJoins(ctx)
		r.joinsLooked = err == nil
	}
	if err == nil {
		err = r.sweepInbox(ctx)
	}
	if err != nil && ctx.Err() == nil {
		r.events.SweepFailed(err)
		r.signalTrouble()
	}
}

func (r *Receiver) sweepInbox(ctx context.Context) error {
	before, found := r.room.begin(), map[string]int{}
	var free claimable
	var unsigned []signals.Record
	_, err := r.store.EachRecord(ctx, KindInbox, func(record signals.Record) error {
		from, _ := splitKey(record.Key)
		found[from]++
		if record.Value == nil { // a sealed store leaves out the value of what is not ours
			unsigned = append(unsigned, record)
			return nil
		}
		if r.queues.holds(record.Key) {
			return nil
		}
		switch e, mine, unowned := r.judge(record); {
		case mine:
			r.queues.add(record.Key, r.lines(&e))
		case unowned:
			free.add(record.Key, r.lines(&e))
		}
		return nil
	})
	r.buryUnsigned(ctx, unsigned)
	for _, key := range free.inTurns() { // also those that were read before it failed
		if from, _ := splitKey(key); r.queues.length(from) >= claimUpTo {
			r.queues.leftSome()
			continue
		}
		if claimed := r.claim(ctx, key); claimed != nil {
			return claimed
		}
	}
	if err == nil {
		r.room.counted(found, before)
	}
	return err
}
