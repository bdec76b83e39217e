package redisstore

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

var _ signals.ManyPostures = (*Store)(nil)

// EachPostureAtOnce implements signals.ManyPostures: one reader for each processor, at most one for each shard, and each holds
// one page.
func (s *Store) EachPostureAtOnce(
	ctx context.Context, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error),
) (cursor signals.Cursor, err error) {
	defer s.observe("each-posture", time.Now(), &err)
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	place, err := s.tails(ctx, s.works, postures, allShards...)
	if err != nil {
		return "", s.failed(err)
	}
	all, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan int, shards)
	for shard := range shards {
		next <- shard
	}
	close(next)
	var readers sync.WaitGroup
	for range min(shards, runtime.GOMAXPROCS(0)) {
		readers.Go(func() {
			for shard := range next {
				if err := s.shardPostures(all, shard, yield, corrupt); err != nil {
					stop(err) // the first one counts
					return
				}
			}
		})
	}
	readers.Wait()
	if err := context.Cause(all); err != nil {
		return "", err
	}
	return place.cursor(), nil
}

func (s *Store) shardPostures(
	ctx context.Context, shard int, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error),
) error {
	for pages := s.pager(postures, shard); ; pages.take() {
		if err := s.usable(ctx); err != nil {
			return err
		}
		e, err := pages.peek(ctx)
		if err != nil || e == nil {
			return err
		}
		if err := yieldPosture(*e, yield, corrupt); err != nil {
			return err
		}
	}
}
