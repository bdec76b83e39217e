package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

// allShards are 0 to 15.
var allShards = func() []int {
	all := make([]int, shards)
	for i := range all {
		all[i] = i
	}
	return all
}()

// notice is one entry of a stream of changes.
type notice struct {
	shard   int
	id, key string
}

// follow yields what comes after a cursor until something fails.
func (s *Store) follow(
	ctx context.Context, c *side, sp space, from signals.Cursor, yield func(signals.Change) error,
) error {
	seen, ours := placeOf(from)
	if from == "" {
		var err error
		if seen, err = s.tails(ctx, c, sp, allShards...); err != nil {
			return err
		}
	} else if !ours {
		return fmt.Errorf("cursor %.40q was not made by this kind of store: %w", from, signals.ErrGap)
	} else if err := s.lost(ctx, c, sp, &seen, allShards...); err != nil {
		return err
	}
	told := seen
	tell := func(n notice) error {
		told[n.shard] = n.id
		if err := yield(signals.Change{Key: n.key, Cursor: told.cursor()}); err != nil {
			return &yieldError{err}
		}
		return nil
	}
	if c.cluster == nil {
		return s.lane(ctx, c, sp, seen, allShards, tell)
	}
	return s.lanes(ctx, c, sp, seen, tell)
}

// lanes follows each shard on a connection of its own: in a Cluster one XREAD reads streams of one slot only. It returns
// the first failure.
func (s *Store) lanes(ctx context.Context, c *side, sp space, seen place, tell func(notice) error) error {
	ctx, stop := context.WithCancel(ctx)
	notices, failures := make(chan notice), make(chan error, shards)
	var all sync.WaitGroup
	// Closing the connections is what ends the reads that block.
	defer func() { stop(); _ = c.Close(); all.Wait() }()
	for _, shard := range allShards {
		all.Go(func() {
			failures <- s.lane(ctx, c, sp, seen, []int{shard}, func(n notice) error {
				select {
				case notices <- n:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}
	for {
		select {
		case n := <-notices:
			if err := tell(n); err != nil {
				return err
			}
		case err := <-failures:
			return err
		}
	}
}

// lane follows some shards with one blocking read at a time.
func (s *Store) lane(ctx context.Context, c *side, sp space, seen place, of []int, tell func(notice) error) error {
	for checked := time.Now(); ; {
		streams, err := s.next(ctx, c, sp, &seen, of)
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		// A stream that was removed only falls silent, also while others are busy.
		if time.Since(checked) >= watchBlock {
			if err := s.lost(ctx, c, sp, &seen, of...); err != nil {
				return err
			}
			checked = time.Now()
		}
		for _, stream := range streams {
			if err := deliver(ctx, stream, &seen, tell); err != nil {
				return err
			}
		}
	}
}

// next waits for entries after what was seen, in some shards at once; they must lie on one server. redis.Nil: there were
// none for a while.
func (s *Store) next(ctx context.Context, c *side, sp space, seen *place, of []int) ([]redis.XStream, error) {
	bounded, stop := context.WithTimeout(ctx, s.heard)
	defer stop()
	args := make([]string, 0, 2*len(of))
	for _, shard := range of {
		args = append(args, tag(shard)+sp.changes)
	}
	for _, shard := range of {
		args = append(args, seen[shard])
	}
	return answer(bounded, c, of[0], func(pipe redis.Pipeliner) interface {
		Result() ([]redis.XStream, error)
	} {
		return pipe.XRead(bounded, &redis.XReadArgs{Streams: args, Count: 256, Block: watchBlock})
	})
}

// deliver tells the entries of one shard. Each names the entry before it: if that is not the last one seen,
// something between was trimmed, or the stream is not the one that was watched.
func deliver(ctx context.Context, stream redis.XStream, seen *place, tell func(notice) error) error {
	if len(stream.Stream) < len("tg:{00") {
		return fmt.Errorf("the server answered with stream %.40q, which was not asked for", stream.Stream)
	}
	shard, err := strconv.Atoi(stream.Stream[len("tg:{"):len("tg:{00")])
	if err != nil || shard < 0 || shard >= shards {
		return fmt.Errorf("the server answered with stream %.40q, which was not asked for", stream.Stream)
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
		if err := tell(notice{shard, e.ID, key}); err != nil {
			return err
		}
	}
	return nil
}
