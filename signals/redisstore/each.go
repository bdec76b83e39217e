package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// EachPosture implements signals.Postures. It reads in pages: the cursor is from before the first one.
func (s *Store) EachPosture(
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
	for shard := range shards {
		if err := s.shardPostures(ctx, shard, yield, corrupt); err != nil {
			return "", err
		}
	}
	return place.cursor(), nil
}

func yieldPosture(e entry, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error)) error {
	p, err := signals.Posture{}, e.err
	if err == nil {
		p, err = decodePosture(e.key, e.raw)
	}
	if err == nil {
		return yield(p)
	}
	if corrupt != nil {
		corrupt(signals.DeviceID(e.key), err)
	}
	return nil
}

// maxNamed bounds how many unreadable records an error names.
const maxNamed = 5

// EachRecord implements signals.Records: it merges the shards, each of which is in the order of keys. Records that
// cannot be read do not stop the others; they come as one error, wrapping ErrCorrupt, after all others were
// yielded, together with the cursor.
func (s *Store) EachRecord(
	ctx context.Context, kind string, yield func(signals.Record) error,
) (cursor signals.Cursor, err error) {
	defer s.observe("each-record", time.Now(), &err)
	if err := firstOf(s.usable(ctx), signals.CheckKey("kind", kind)); err != nil {
		return "", err
	}
	sp := recordsOf(kind)
	place, err := s.tails(ctx, s.works, sp, allShards...)
	if err != nil {
		return "", s.failed(err)
	}
	var broken []error
	pages := make([]*pager, shards)
	for shard := range pages {
		pages[shard] = s.pager(sp, shard)
	}
	for {
		if err := s.usable(ctx); err != nil {
			return "", err
		}
		least, err := leastOf(ctx, pages)
		if err != nil {
			return "", err
		}
		if least == nil {
			return place.cursor(), errors.Join(broken...)
		}
		e := least.page[0]
		least.take()
		r, err := signals.Record{}, e.err
		if err == nil {
			r, err = sp.record(kind, e.key, e.raw)
		}
		if err != nil {
			if len(broken) < maxNamed {
				broken = append(broken, err)
			}
			continue
		}
		if err := yield(r); err != nil {
			return "", err
		}
	}
}

// leastOf returns the pager whose next key is the least; nil if all are at their end.
func leastOf(ctx context.Context, pages []*pager) (*pager, error) {
	var least *pager
	for _, p := range pages {
		e, err := p.peek(ctx)
		if err != nil {
			return nil, err
		}
		if e != nil && (least == nil || e.key < least.page[0].key) {
			least = p
		}
	}
	return least, nil
}
