package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

// place is, per shard, the id of the last entry seen; "0-0" in a stream that was empty.
type place [shards]string

const cursorVersion = "v1"

func (p *place) cursor() signals.Cursor {
	return signals.Cursor(cursorVersion + "," + strings.Join(p[:], ","))
}

// placeOf reads a cursor; false if it is none of ours.
func placeOf(c signals.Cursor) (p place, ok bool) {
	fields := strings.Split(string(c), ",")
	if len(fields) != shards+1 || fields[0] != cursorVersion {
		return p, false
	}
	for i, id := range fields[1:] {
		if _, _, ok := parseID(id); !ok {
			return p, false
		}
		p[i] = id
	}
	return p, true
}

// parseID splits a stream id: milliseconds, and a number within these.
func parseID(id string) (ms, n uint64, ok bool) {
	first, second, found := strings.Cut(id, "-")
	ms, errMS := strconv.ParseUint(first, 10, 64)
	n, errN := strconv.ParseUint(second, 10, 64)
	return ms, n, found && errMS == nil && errN == nil
}

func before(a, b string) bool {
	aMS, aN, _ := parseID(a)
	bMS, bN, _ := parseID(b)
	return aMS < bMS || aMS == bMS && aN < bN
}

// tails reads where the streams of a space end now, of the shards that are asked for.
func (s *Store) tails(ctx context.Context, c *side, sp space, of ...int) (p place, err error) {
	questions := c.batch()
	var last [shards]*redis.XMessageSliceCmd
	for _, shard := range of {
		last[shard] = questions.on(shard).XRevRangeN(ctx, tag(shard)+sp.changes, "+", "-", 1)
	}
	if err := questions.run(ctx); err != nil {
		return p, err
	}
	for _, shard := range of {
		entries, err := last[shard].Result()
		if err != nil {
			return p, err
		}
		p[shard] = "0-0"
		if len(entries) > 0 {
			p[shard] = entries[0].ID
		}
	}
	return p, nil
}

// lost says whether a stream ends before what was already seen: the server was emptied, restored or failed over.
func (s *Store) lost(ctx context.Context, c *side, sp space, seen *place, of ...int) error {
	now, err := s.tails(ctx, c, sp, of...)
	if err != nil {
		return err
	}
	for _, shard := range of {
		if before(now[shard], seen[shard]) {
			return fmt.Errorf("shard %02d of the server's changes ends at %s, but %s was seen: %w",
				shard, now[shard], seen[shard], signals.ErrGap)
		}
	}
	return nil
}

// WatchPostures implements signals.Postures.
func (s *Store) WatchPostures(ctx context.Context, from signals.Cursor, yield func(signals.Change) error) (err error) {
	defer s.observe("watch-postures", time.Now(), &err)
	return s.watch(ctx, postures, from, yield)
}

// WatchRecords implements signals.Records. An expiry is no change.
func (s *Store) WatchRecords(
	ctx context.Context, kind string, from signals.Cursor, yield func(signals.Change) error,
) (err error) {
	defer s.observe("watch-records", time.Now(), &err)
	if err := signals.CheckKey("kind", kind); err != nil {
		return err
	}
	return s.watch(ctx, recordsOf(kind), from, yield)
}

// watch has connections of its own, because XREAD blocks them. Closing them is what interrupts a read that blocks.
func (s *Store) watch(ctx context.Context, sp space, from signals.Cursor, yield func(signals.Change) error) error {
	if ctx.Err() != nil {
		return nil
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	client := newSide(&s.opts, s.heard, maxPosture)
	over, stop := context.WithCancel(ctx)
	defer stop()
	closing := make(chan struct{})
	go func() {
		defer close(closing)
		select {
		case <-over.Done():
		case <-s.closed:
		}
		_ = client.Close()
	}()
	defer func() { stop(); <-closing }()
	err := s.follow(ctx, client, sp, from, yield)
	var failure *yieldError
	switch {
	case errors.As(err, &failure):
		return failure.error
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, signals.ErrGap):
		return err
	}
	return s.failed(err)
}

// yieldError carries an error of yield past what is made of the server's errors.
type yieldError struct{ error }
