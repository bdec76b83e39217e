package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

// prologue compares the revision. Everything that can fail on a key of the wrong type is read before anything is
// written, because a script is not rolled back. A refusal that must be as durable as what it found writes the
// fence: WAITAOF then waits for that, and so for the earlier write that may have been stored without having been
// synced.
//
// KEYS: value, index, changes, fence [, expiries]
// ARGV: expected revision, key, notices to keep, "1" to fence [, value, expiry in ms or ""]
const prologue = `
local head, found = redis.call('GETRANGE', KEYS[1], 0, 63), '0'
redis.call('ZSCORE', KEYS[2], ARGV[2])
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
if KEYS[5] then redis.call('ZSCORE', KEYS[5], ARGV[2]) end
if head ~= '' or redis.call('EXISTS', KEYS[1]) == 1 then
  found = string.match(head, '^1 ([1-9]%d*) %-?%d+\n')
end
if found ~= ARGV[1] then
  if ARGV[4] == '1' then redis.call('SET', KEYS[4], '1') end
  if not found then return 'CORRUPT' end
  if found == '0' then return 'ABSENT' end
  return 'CONFLICT'
end
local function announce()
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'k', ARGV[2], 'p', last[1] and last[1][1] or '0-0')
end
`

var putScript = redis.NewScript(prologue + `
redis.call('SET', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
if KEYS[5] then
  local now = redis.call('TIME')
  now = now[1] .. string.format('%03d', math.floor(tonumber(now[2]) / 1000))
  if ARGV[6] == '' then
    redis.call('ZREM', KEYS[5], ARGV[2])
  else
    redis.call('PEXPIREAT', KEYS[1], ARGV[6])
    redis.call('ZADD', KEYS[5], ARGV[6], ARGV[2])
  end
  local gone = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. now, 'LIMIT', 0, 16)
  if #gone > 0 then
    redis.call('ZREM', KEYS[2], unpack(gone))
    redis.call('ZREM', KEYS[5], unpack(gone))
  end
end
announce()
return 'OK'`)

var deleteScript = redis.NewScript(prologue + `
if found == '0' then return 'ABSENT' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[2])
announce()
return 'OK'`)

// change runs one of the scripts and says what came of it.
func (s *Store) change(
	ctx context.Context, script *redis.Script, sp space, key string, expected signals.Revision, more ...any,
) error {
	at := tag(shardOf(key))
	keys := []string{sp.valueKey(key), at + sp.index, at + sp.changes, at + "fence"}
	if sp.expiry != "" {
		keys = append(keys, at+sp.expiry)
	}
	args := append([]any{int64(expected), key, s.keep, s.fencing()}, more...)
	answer, err := s.script(ctx, script, shardOf(key), keys, args...)
	switch {
	case err != nil:
		return err
	case answer == "OK":
		return nil
	case answer == "CONFLICT":
		return signals.ErrConflict
	case answer == "ABSENT" && script == deleteScript:
		return signals.ErrNotFound
	case answer == "ABSENT":
		return signals.ErrConflict
	case answer == "CORRUPT":
		return sp.corrupt(key, "what is stored is not overwritten, because it may hold what must not be lost")
	}
	return s.strange(answer)
}

// script runs a script that the server may not know yet.
func (s *Store) script(ctx context.Context, script *redis.Script, shard int, keys []string, args ...any) (string, error) {
	answer, err := s.durably(ctx, shard, func(pipe redis.Pipeliner) *redis.Cmd {
		return script.EvalSha(ctx, pipe, keys, args...)
	})
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		answer, err = s.durably(ctx, shard, func(pipe redis.Pipeliner) *redis.Cmd {
			return script.Eval(ctx, pipe, keys, args...)
		})
	}
	return answer, err
}

// fencing tells a script whether a refusal must be as durable as what it found.
func (s *Store) fencing() int {
	if s.opts.waits() {
		return 1
	}
	return 0
}

func (s *Store) strange(answer string) error {
	return fmt.Errorf("redis at %s answered %q to a script of ours; see that nothing stands between", s.where, answer)
}

// durably runs one command and, on the same connection, WAITAOF; it returns the command's answer only when that is as
// durable as WaitAOF and WaitReplicas ask.
func (s *Store) durably(ctx context.Context, shard int, command func(redis.Pipeliner) *redis.Cmd) (string, error) {
	var cmd *redis.Cmd
	patience := time.Duration(0)
	if s.opts.waits() {
		patience = aofPatience(ctx)
	}
	wait, err := s.works.together(ctx, shard, patience, func(pipe redis.Pipeliner) { cmd = command(pipe) })
	if err != nil {
		return "", s.failed(err)
	}
	if err := cmd.Err(); err != nil {
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			return "", err
		}
		return "", s.failed(err)
	}
	if wait != nil {
		if err := s.synced(wait); err != nil {
			return "", err
		}
	}
	answer, _ := cmd.Text()
	return answer, nil
}

// aofPatience leaves the server's answer time to arrive before the context ends: it looks at its clock every 100 ms.
func aofPatience(ctx context.Context) time.Duration {
	patience := aofTimeout
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)-150*time.Millisecond)
	}
	return max(patience, time.Millisecond)
}

// synced reads the answer of WAITAOF. A server that does not sync answers [0 0] after the whole time, and no error.
func (s *Store) synced(wait *redis.Cmd) error {
	counts, err := wait.Int64Slice()
	switch {
	case err != nil:
		return s.failed(err)
	case len(counts) == 2 && counts[1] < int64(s.opts.WaitReplicas):
		return fmt.Errorf("redis at %s has taken the write, but %d of %d replicas have synced it to their append-only "+
			"files in time, so it does not count as durable; see that the replicas run with appendonly yes, or set "+
			"waitReplicas here", s.where, counts[1], s.opts.WaitReplicas)
	case len(counts) != 2 || counts[0] < int64(s.opts.WaitAOF):
		return fmt.Errorf("redis at %s has taken the write but not synced it to its append-only file in time, so "+
			"it does not count as durable; set appendonly yes and appendfsync everysec or always there, "+
			"or waitAOF: 0 here", s.where)
	}
	return nil
}

// failed is explain for a call whose context may have ended meanwhile.
func (s *Store) failed(err error) error {
	select {
	case <-s.closed:
		return errClosed
	default:
		return s.explain(err)
	}
}

// PutPosture implements signals.Postures. A stored value that cannot be read is not overwritten (ErrCorrupt): it
// may hold an alarm; only who knows its revision, and so has read it before it broke, may write the next one. With
// WaitAOF a conflict, too, is only said when what it conflicts with is durable.
func (s *Store) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) (err error) {
	defer s.observe("put-posture", time.Now(), &err)
	err = firstOf(s.usable(ctx), signals.CheckKey("device", string(p.Device)), signals.CheckRevision(p.Revision, expected))
	if err != nil {
		return err
	}
	raw, err := encodePosture(p)
	if err != nil {
		return err
	}
	return s.change(ctx, putScript, postures, string(p.Device), expected, raw)
}

// PutRecord implements signals.Records. Records expire by the server's clock, in whole milliseconds.
func (s *Store) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) (err error) {
	defer s.observe("put-record", time.Now(), &err)
	err = firstOf(s.usable(ctx), signals.CheckKey("kind", r.Kind), signals.CheckKey("key", r.Key), signals.CheckRevision(r.Revision, expected))
	if err != nil {
		return err
	}
	raw, expires, err := rawRecord(r)
	if err != nil {
		return err
	}
	return s.change(ctx, putScript, recordsOf(r.Kind), r.Key, expected, raw, expires)
}

// rawRecord returns a record as it is stored, and when it expires in the words of PEXPIREAT; empty: never.
func rawRecord(r signals.Record) (raw, expires string, err error) {
	if len(r.Value) > maxRecord-64 {
		return "", "", fmt.Errorf("record %s/%q has %d bytes; the limit is %d", r.Kind, r.Key, len(r.Value), maxRecord-64)
	}
	if !r.Expires.IsZero() {
		if year := r.Expires.Year(); year < 1970 || year > 2261 {
			return "", "", fmt.Errorf("record %s/%q expires in the year %d; that cannot be stored", r.Kind, r.Key, year)
		}
		expires = fmt.Sprint(max(1, r.Expires.UnixMilli()))
	}
	return encode(value{revision: r.Revision, expires: r.Expires, body: string(r.Value)}), expires, nil
}

// DeleteRecord implements signals.Records.
func (s *Store) DeleteRecord(ctx context.Context, kind, key string, expected signals.Revision) (err error) {
	defer s.observe("delete-record", time.Now(), &err)
	if err := firstOf(s.usable(ctx), signals.CheckKey("kind", kind), signals.CheckKey("key", key)); err != nil {
		return err
	}
	return s.change(ctx, deleteScript, recordsOf(kind), key, expected)
}
