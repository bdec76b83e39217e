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

// tails reads where the streams of a space end now.
func (s *Store) tails(ctx context.Context, client *redis.Client, sp space) (p place, err error) {
	pipe := client.Pipeline()
	var last [shards]*redis.XMessageSliceCmd
	for shard := range last {
		last[shard] = pipe.XRevRangeN(ctx, tag(shard)+sp.changes, "+", "-", 1)
	}
	if err := execute(ctx, pipe); err != nil {
		return p, err
	}
	for shard, cmd := range last {
		entries, err := cmd.Result()
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
func (s *Store) lost(ctx context.Context, client *redis.Client, sp space, seen *place) error {
	now, err := s.tails(ctx, client, sp)
	if err != nil {
		return err
	}
	for shard := range now {
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

// watch has a connection of its own, because XREAD blocks it. Closing it is what interrupts a read that blocks.
func (s *Store) watch(ctx context.Context, sp space, from signals.Cursor, yield func(signals.Change) error) error {
	if ctx.Err() != nil {
		return nil
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	client := redis.NewClient(s.client(watchTimeout))
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

func (s *Store) follow(
	ctx context.Context, client *redis.Client, sp space, from signals.Cursor, yield func(signals.Change) error,
) error {
	seen, ours := placeOf(from)
	if from == "" {
		var err error
		if seen, err = s.tails(ctx, client, sp); err != nil {
			return err
		}
	} else if !ours {
		return fmt.Errorf("cursor %.40q was not made by this kind of store: %w", from, signals.ErrGap)
	} else if err := s.lost(ctx, client, sp, &seen); err != nil {
		return err
	}
	for checked := time.Now(); ; {
		streams, err := s.next(ctx, client, sp, &seen)
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		// A stream that was removed only falls silent, also while others are busy.
		if time.Since(checked) >= watchBlock {
			if err := s.lost(ctx, client, sp, &seen); err != nil {
				return err
			}
			checked = time.Now()
		}
		for _, stream := range streams {
			if err := deliver(ctx, stream, &seen, yield); err != nil {
				return err
			}
		}
	}
}

// next waits for entries after what was seen, in all shards at once. redis.Nil: there were none for a while.
func (s *Store) next(ctx context.Context, client *redis.Client, sp space, seen *place) ([]redis.XStream, error) {
	bounded, stop := context.WithTimeout(ctx, watchBlock+watchTimeout)
	defer stop()
	args := make([]string, 0, 2*shards)
	for shard := range shards {
		args = append(args, tag(shard)+sp.changes)
	}
	args = append(args, seen[:]...)
	return client.XRead(bounded, &redis.XReadArgs{Streams: args, Count: 256, Block: watchBlock}).Result()
}

// deliver yields the entries of one shard. Each names the entry before it: if that is not the last one seen,
// something between was trimmed, or the stream is not the one that was watched.
func deliver(ctx context.Context, stream redis.XStream, seen *place, yield func(signals.Change) error) error {
	shard, err := strconv.Atoi(stream.Stream[len("tg:{"):len("tg:{00")])
	if err != nil || shard < 0 || shard >= shards {
		return fmt.Errorf("the server answered with stream %q, which was not asked for", stream.Stream)
	}
	for _, e := range stream.Messages {
		if ctx.Err() != nil {
			return nil
		}
		key, okKey := e.Values["k"].(string)
		previous, okPrevious := e.Values["p"].(string)
		if !okKey || !okPrevious || previous != seen[shard] {
			return fmt.Errorf("shard %02d of the server's changes: entry %s follows %.30q, but %s was seen: %w",
				shard, e.ID, previous, seen[shard], signals.ErrGap)
		}
		seen[shard] = e.ID
		if err := yield(signals.Change{Key: key, Cursor: seen.cursor()}); err != nil {
			return &yieldError{err}
		}
	}
	return nil
}
