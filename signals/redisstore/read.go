package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

// Posture implements signals.Postures.
func (s *Store) Posture(ctx context.Context, device signals.DeviceID) (p signals.Posture, err error) {
	defer s.observe("posture", time.Now(), &err)
	if err := firstOf(s.usable(ctx), signals.CheckKey("device", string(device))); err != nil {
		return p, err
	}
	raw, err := s.one(ctx, postures, string(device))
	if err != nil {
		return p, err
	}
	return decodePosture(string(device), raw)
}

// Record implements signals.Records.
func (s *Store) Record(ctx context.Context, kind, key string) (r signals.Record, err error) {
	defer s.observe("record", time.Now(), &err)
	if err := firstOf(s.usable(ctx), signals.CheckKey("kind", kind), signals.CheckKey("key", key)); err != nil {
		return r, err
	}
	sp := recordsOf(kind)
	raw, err := s.one(ctx, sp, key)
	if err != nil {
		return r, err
	}
	return sp.record(kind, key, raw)
}

func (sp space) record(kind, key, raw string) (signals.Record, error) {
	v, err := sp.decode(key, raw)
	if err != nil {
		return signals.Record{}, err
	}
	return signals.Record{Kind: kind, Key: key, Revision: v.revision, Expires: v.expires, Value: []byte(v.body)}, nil
}

// one reads one value. GETRANGE bounds what a poisoned value can cost; a large record is asked for again, with
// more time.
func (s *Store) one(ctx context.Context, sp space, key string) (string, error) {
	first := min(sp.limit, firstRead)
	if sp.expiry == "" {
		first = sp.limit
	}
	at := sp.valueKey(key)
	// GETRANGE does not tell an empty value, which is corrupt, from none, and between EXISTS and it a value may go.
	for range 3 {
		raw, exists, err := s.getRange(ctx, s.patient(ctx), key, at, first)
		if err == nil && len(raw) > first && first < sp.limit {
			raw, exists, err = s.getRange(ctx, s.works, key, at, sp.limit)
		}
		switch {
		case err != nil || raw != "":
			return raw, firstOf(s.valueFailed(sp, key, err), sp.tooLarge(key, raw))
		case !exists:
			return "", signals.ErrNotFound
		}
	}
	return "", sp.corrupt(key, "it is empty")
}

// patient is the side for a read. Who gives it less time than a write may take decides, and wants no late answer; all else
// is work, to which an answer after a slow sync of the server's disk is worth more than none.
func (s *Store) patient(ctx context.Context) *side {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= s.workTimeout() {
		return s.reads
	}
	return s.works
}

// getRange reads the beginning of a value, and whether there is one.
func (s *Store) getRange(ctx context.Context, c *side, key, at string, last int) (raw string, exists bool, err error) {
	var found *redis.IntCmd
	var value *redis.StringCmd
	_, err = c.together(ctx, shardOf(key), 0, func(pipe redis.Pipeliner) {
		found = pipe.Exists(ctx, at)
		value = pipe.GetRange(ctx, at, 0, int64(last))
	})
	if err != nil {
		return "", false, err
	}
	if raw, err = value.Result(); err != nil {
		return "", false, err
	}
	return raw, found.Val() > 0, found.Err()
}

func (s *Store) valueFailed(sp space, key string, err error) error {
	if err = s.failed(err); errors.Is(err, signals.ErrCorrupt) {
		return sp.corrupt(key, "its key has a type that tiergate did not write")
	}
	return err
}

func (sp space) tooLarge(key, raw string) error {
	if len(raw) > sp.limit {
		return sp.corrupt(key, fmt.Sprintf("it has more than %d bytes", sp.limit))
	}
	return nil
}

// entry is one value of a page, or why it cannot be read.
type entry struct {
	key string
	raw string
	err error
}

// pager walks the index of one shard in the order of keys. A page that does not arrive in time is asked for again in
// smaller pieces, so that a load ends even beside large values or on a slow line.
type pager struct {
	s     *Store
	sp    space
	shard int
	after string // the last key seen; empty: from the beginning
	size  int
	page  []entry
	done  bool
}

const pageSize = 64

func (s *Store) pager(sp space, shard int) *pager {
	return &pager{s: s, sp: sp, shard: shard, size: pageSize}
}

// peek returns the next value without taking it; nil at the end.
func (p *pager) peek(ctx context.Context) (*entry, error) {
	for len(p.page) == 0 && !p.done {
		err := p.fill(ctx)
		if timedOut(ctx, err) && p.size > 1 {
			p.size = max(1, p.size/8)
			continue
		}
		if err != nil {
			return nil, p.s.failed(err)
		}
	}
	if len(p.page) == 0 {
		return nil, nil
	}
	return &p.page[0], nil
}

func (p *pager) take() { p.page = p.page[1:] }

// fill reads one page. A key in the index without a value has expired.
func (p *pager) fill(ctx context.Context) error {
	from := "-"
	if p.after != "" {
		from = "(" + p.after
	}
	keys, err := answer(ctx, p.s.works, p.shard, func(pipe redis.Pipeliner) interface{ Result() ([]string, error) } {
		return pipe.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: tag(p.shard) + p.sp.index, ByLex: true, Start: from, Stop: "+", Count: int64(p.size),
		})
	})
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		p.done = true
		return nil
	}
	questions := p.s.works.batch()
	pipe := questions.on(p.shard)
	values, exist := make([]*redis.StringCmd, len(keys)), make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		at := p.sp.valueKey(key)
		exist[i] = pipe.Exists(ctx, at)
		values[i] = pipe.GetRange(ctx, at, 0, int64(p.sp.limit))
	}
	if err := questions.run(ctx); err != nil {
		return err
	}
	page := make([]entry, 0, len(keys))
	for i, key := range keys {
		raw, err := values[i].Result()
		if err = p.s.valueFailed(p.sp, key, err); err != nil && !errors.Is(err, signals.ErrCorrupt) {
			return err
		}
		if err == nil && raw == "" && exist[i].Val() == 1 { // expired between the two questions, or empty
			raw, err = p.s.one(ctx, p.sp, key)
			if err != nil && !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrCorrupt) {
				return err
			}
		}
		if raw != "" || err != nil && !errors.Is(err, signals.ErrNotFound) {
			page = append(page, entry{key: key, raw: raw, err: firstOf(err, p.sp.tooLarge(key, raw))})
		}
	}
	p.page, p.after = page, keys[len(keys)-1]
	return nil
}
