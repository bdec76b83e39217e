package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/signals"
)

const (
	// maxCensusTries bounds how often a record is merged anew because another sidecar wrote it meanwhile.
	maxCensusTries = 20
	// lastFlush bounds the write of what was counted when the process ends.
	lastFlush = 3 * time.Second
	// censusWriters write at once; after maxCensusFailures in a row the rest waits for the next time.
	censusWriters     = 8
	maxCensusFailures = 16
)

type censusKey struct{ kind, key string }

// censusDelta is what was counted and is to be added to one record. Until it is known to be there it stays what it is, under
// its number: an answer that was lost is found out by it, and nothing counts twice.
type censusDelta struct {
	n        uint64
	sighting *inventory.Sighting // or
	use      *inventory.Use      // or
	device   *inventory.DeviceUse
}

// Run writes what was counted every so often until ctx ends, and then once more.
func (c *Census) Run(ctx context.Context) error {
	tick := time.NewTicker(c.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, stop := context.WithTimeout(context.WithoutCancel(ctx), c.last)
			defer stop()
			_ = c.flush(last, 0) // told by then
			return nil
		case <-tick.C:
			_ = c.flush(ctx, c.opts.Rate) // told, and tried again
		}
	}
}

// Flush writes what was counted now, as Run does. The error is the first of the records that could not be written; what they
// were to say is kept for the next time.
func (c *Census) Flush(ctx context.Context) error { return c.flush(ctx, 0) }

// flush writes at most rate records in a second; 0: no bound.
func (c *Census) flush(ctx context.Context, rate int) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	start := time.Now()
	todo := c.takeAll()
	jobs, done := make(chan censusKey), sync.WaitGroup{}
	var mu sync.Mutex // guards written, streak and first
	written, streak := make([]censusKey, 0, len(todo)), 0
	var first error
	for range censusWriters {
		done.Go(func() {
			for key := range jobs {
				err := c.add(ctx, key, todo[key])
				mu.Lock()
				if err == nil {
					written, streak = append(written, key), 0
				} else {
					streak++
					if first == nil {
						first = err
					}
				}
				mu.Unlock()
			}
		})
	}
	pace := pacer{rate: rate, start: start}
	for key := range todo {
		pace.wait(ctx)
		mu.Lock()
		down := streak >= maxCensusFailures
		mu.Unlock()
		if down {
			break // the store is away; all of it waits
		}
		jobs <- key
	}
	close(jobs)
	done.Wait()
	for _, key := range written {
		delete(todo, key)
	}
	c.pending = todo
	if told := c.opts.Events.Flushed; told != nil {
		told(len(written), len(todo), c.beyond.Swap(0), time.Since(start), first)
	}
	return first
}

// takeAll is all that is to be written: what could not be before, and what was counted since.
func (c *Census) takeAll() map[censusKey]censusDelta {
	c.batch++
	todo := maps.Clone(c.pending)
	for _, use := range c.takeDays() {
		todo[censusKey{inventory.UseKind, use.Key()}] = censusDelta{n: c.batch, use: use}
	}
	c.pendDevices(todo)
	for i := range c.shards {
		for id, sighting := range c.takeShard(&c.shards[i]) {
			todo[censusKey{inventory.RecordKind, id}] = censusDelta{n: c.batch, sighting: sighting}
		}
	}
	return todo
}

// takeShard is what was counted of a shard's identities, but for those of which something before could not be written: they
// go on counting. An identity that was not seen for long is forgotten.
func (c *Census) takeShard(shard *censusShard) map[string]*inventory.Sighting {
	taken := map[string]*inventory.Sighting{}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for id, known := range shard.seen.all {
		s := &known.is
		if _, waits := c.pending[censusKey{inventory.RecordKind, id}]; waits {
			continue
		}
		if delta := s.take(id, c.opts.Sidecar); delta != nil {
			taken[id] = delta
		} else if s.idle > idleFlushes {
			shard.seen.forget(id)
			c.known.Add(-1)
		}
	}
	return taken
}

// add merges a delta into its record, unless it is there already.
func (c *Census) add(ctx context.Context, key censusKey, delta censusDelta) error {
	for range maxCensusTries {
		stored, err := c.records.Record(ctx, key.kind, key.key)
		if err != nil && !errors.Is(err, signals.ErrNotFound) {
			return fmt.Errorf("%s %s: %w", key.kind, key.key, err)
		}
		now := c.opts.Now()
		value, expires, there := c.merged(key, delta, stored.Value, now)
		if there {
			return nil
		}
		err = c.records.PutRecord(ctx, signals.Record{Kind: key.kind, Key: key.key, Value: value, Expires: expires,
			Revision: signals.NextRevision(stored.Revision, now)}, stored.Revision)
		if err == nil {
			return nil
		}
		if !errors.Is(err, signals.ErrConflict) {
			return fmt.Errorf("%s %s: %w", key.kind, key.key, err)
		}
	}
	return fmt.Errorf("%s %s: other sidecars wrote it %d times meanwhile: %w", key.kind, key.key, maxCensusTries, signals.ErrConflict)
}

// merged is a record's value with a delta added; there: the delta was added before. What is stored and is no such record says
// nothing.
func (c *Census) merged(key censusKey, delta censusDelta, stored []byte, now time.Time) (value []byte, expires time.Time, there bool) {
	spoilt := func(err error) {
		if told := c.opts.Events.Spoilt; told != nil {
			told(key.kind, key.key, err)
		}
	}
	if delta.device != nil {
		return c.mergedDevice(key, delta.device, stored, now, spoilt)
	}
	if delta.use != nil {
		var use inventory.Use
		if stored != nil {
			var err error
			if use, err = inventory.ParseUse(key.key, stored); err != nil {
				spoilt(err)
			}
		}
		if c.opts.Writer != "" && !use.Batches.Take(c.opts.Writer, delta.n, now) {
			return nil, time.Time{}, true
		}
		use.Merge(delta.use)
		return use.JSON(), now.Add(inventory.Keep), false
	}
	var sighting inventory.Sighting
	if stored != nil {
		var err error
		if sighting, err = inventory.ParseSighting(key.key, stored); err != nil {
			spoilt(err)
		}
	}
	if c.opts.Writer != "" && !sighting.Batches.Take(c.opts.Writer, delta.n, now) {
		return nil, time.Time{}, true
	}
	sighting.Merge(delta.sighting)
	return sighting.JSON(), later(sighting.Last, now).Add(inventory.Keep), false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pacer spreads writes over time.
type pacer struct {
	rate  int
	start time.Time
	done  int
}

func (p *pacer) wait(ctx context.Context) {
	const chunk = 50
	if p.done++; p.rate == 0 || p.done%chunk != 0 {
		return
	}
	ahead := time.Duration(p.done)*time.Second/time.Duration(p.rate) - time.Since(p.start)
	if ahead <= 0 {
		return
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
