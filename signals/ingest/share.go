package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Several receivers share the work through the records of the store; streams with consumer groups would be a second queue
// beside the inbox, and bbolt has none. An inbox entry names the receiver that works on it: who took the delivery, unless
// much waits there already, then nobody. Every receiver holds a lease, a record that expires. What belongs to nobody, or to
// a receiver without a lease, is claimed by compare-and-set on the entry, so that one gets it. A clock that is off makes a
// lease too short or too long, and so an entry worked on twice or late; what is applied twice changes nothing.
const (
	// KindReceiver are the leases; the key is the receiver's name.
	KindReceiver = "receiver"
	leaseFor     = 30 * time.Second
	renewEvery   = 10 * time.Second
	// shareBeyond is how many entries of a source may wait here before new ones are left to whoever has time.
	shareBeyond = 1024
	// claimUpTo is how many may wait here after a sweep has claimed some; the others shall find something too. When fewer
	// than claimBelow are left, there is another sweep at once.
	claimUpTo, claimBelow = shareBeyond, shareBeyond / 4
)

// lease is the value of a KindReceiver record.
type lease struct {
	Renewed time.Time `json:"renewed"`
}

// keepLease renews the lease until ctx ends or stop is called; stop waits.
func (r *Receiver) keepLease(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(renewEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.renew(ctx)
			}
		}
	})
	return func() { cancel(); renewing.Wait() }
}

// renew writes the lease. That it fails is told; the store is then likely to fail for everything else too.
func (r *Receiver) renew(ctx context.Context) {
	if r.alone {
		return
	}
	if err := r.writeLease(ctx); err != nil && ctx.Err() == nil {
		r.events.LeaseFailed(err)
	}
}

func (r *Receiver) writeLease(ctx context.Context) error {
	value, err := json.Marshal(lease{Renewed: r.now().Round(0).UTC()})
	if err != nil {
		return err
	}
	for range attempts { // a receiver of the same name may run elsewhere; then it is one lease of both
		before, err := r.store.Record(ctx, KindReceiver, r.name)
		if err != nil && !errors.Is(err, signals.ErrNotFound) {
			return err
		}
		now := r.now()
		err = r.store.PutRecord(ctx, signals.Record{
			Kind: KindReceiver, Key: r.name, Revision: signals.NextRevision(before.Revision, now),
			Expires: now.Add(leaseFor), Value: value,
		}, before.Revision)
		if !errors.Is(err, signals.ErrConflict) {
			return err
		}
	}
	return errBusy
}

// endLease lets the others go on at once with what is left.
func (r *Receiver) endLease(ctx context.Context) {
	if r.alone {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	held, err := r.store.Record(ctx, KindReceiver, r.name)
	if err == nil {
		err = r.store.DeleteRecord(ctx, KindReceiver, r.name, held.Revision)
	}
	if err != nil && !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrConflict) {
		r.events.LeaseFailed(fmt.Errorf("the others go on when it has run out: %w", err))
	}
}

// lookAround finds the receivers that hold a lease, ourselves included, whether or not ours could be written.
func (r *Receiver) lookAround(ctx context.Context) error {
	live := map[string]bool{r.name: true}
	if !r.alone {
		_, err := r.store.EachRecord(ctx, KindReceiver, func(record signals.Record) error {
			if record.Value != nil { // a sealed store leaves out the value of what is not ours
				live[record.Key] = true
			}
			return nil
		})
		if err != nil && !errors.Is(err, signals.ErrCorrupt) {
			return err
		}
	}
	r.liveMu.Lock()
	defer r.liveMu.Unlock()
	r.live = live
	return nil
}

// fellows is the number of receivers that share the store, at least 1.
func (r *Receiver) fellows() int {
	r.liveMu.Lock()
	defer r.liveMu.Unlock()
	return max(1, len(r.live))
}

func (r *Receiver) isLive(name string) bool {
	r.liveMu.Lock()
	defer r.liveMu.Unlock()
	return r.live[name]
}

// owner is who shall work on a delivery that is kept now: we, or whoever has time.
func (r *Receiver) owner(source string) string {
	if !r.alone && r.fellows() > 1 && r.queues.length(source) >= shareBeyond {
		return ""
	}
	return r.name
}

// judge tells whether an inbox entry is ours to work on, and else whether nobody works on it. One that cannot be read is
// anybody's: to bury it twice does no harm.
func (r *Receiver) judge(record signals.Record) (e entry, mine, unowned bool) {
	e, readable := readEntry(record)
	if r.alone || !readable || e.Owner == r.name {
		return e, true, false
	}
	if _, known := r.sources[e.Source]; !known && r.now().Sub(e.Received) < strayFor {
		return e, false, false // a receiver with newer settings may know it
	}
	return e, false, !r.isLive(e.Owner)
}

// claimable are entries that nobody works on, with what they are to be claimed by: of a flood from one device no more, at
// first, than of every other device.
type claimable struct {
	keys  []string
	ranks map[string]int
	lines map[line]int // how many there are
}

func (c *claimable) add(key string, lines []line) {
	if c.ranks == nil {
		c.ranks, c.lines = map[string]int{}, map[line]int{}
	}
	for _, l := range lines {
		c.ranks[key] = max(c.ranks[key], c.lines[l])
		c.lines[l]++
	}
	c.keys = append(c.keys, key)
}

func (c *claimable) inTurns() []string {
	slices.SortStableFunc(c.keys, func(a, b string) int { return c.ranks[a] - c.ranks[b] })
	return c.keys
}

func readEntry(record signals.Record) (e entry, ok bool) {
	err := json.Unmarshal(record.Value, &e)
	return e, err == nil && entryKey(e.Source, e.ID) == record.Key
}

// claim makes an entry ours and queues it, if it still is nobody's.
func (r *Receiver) claim(ctx context.Context, key string) error {
	record, err := r.store.Record(ctx, KindInbox, key)
	if errors.Is(err, signals.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e, _, unowned := r.judge(record)
	if !unowned {
		return nil
	}
	e.Owner = r.name
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	before := record.Revision
	record.Revision, record.Value = signals.NextRevision(before, r.now()), value
	err = r.store.PutRecord(ctx, record, before)
	if errors.Is(err, signals.ErrConflict) {
		return nil // another one was faster, or it is dealt with
	}
	if err == nil {
		r.queues.add(key, r.lines(&e))
	}
	return err
}
