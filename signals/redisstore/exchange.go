package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiergate/tiergate/signals"
)

var _ signals.Exchanger = (*Store)(nil)

// exchangeScript is putScript on the first record, which must not exist, and deleteScript on the second, or nothing. As
// there, all that can fail is read before anything is written. Both have one key, and so one shard and slot.
//
// KEYS: fence, then of each record value, index, changes, expiries
// ARGV: key, notices to keep, "1" to fence, expected revision of the second, value of the first, its expiry in ms or ""
var exchangeScript = redis.NewScript(`
local last = {}
for i = 2, 6, 4 do
  redis.call('ZSCORE', KEYS[i + 1], ARGV[1])
  last[i] = redis.call('XREVRANGE', KEYS[i + 2], '+', '-', 'COUNT', 1)
  redis.call('ZSCORE', KEYS[i + 3], ARGV[1])
end
local found = string.match(redis.call('GETRANGE', KEYS[6], 0, 63), '^1 ([1-9]%d*) %-?%d+\n')
if redis.call('EXISTS', KEYS[2]) == 1 or found ~= ARGV[4] then
  if ARGV[3] == '1' then redis.call('SET', KEYS[1], '1') end
  return 'CONFLICT'
end
local function announce(i)
  redis.call('XADD', KEYS[i + 2], 'MAXLEN', '~', ARGV[2], '*', 'k', ARGV[1], 'p', last[i][1] and last[i][1][1] or '0-0')
end
redis.call('SET', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
if ARGV[6] == '' then
  redis.call('ZREM', KEYS[5], ARGV[1])
else
  redis.call('PEXPIREAT', KEYS[2], ARGV[6])
  redis.call('ZADD', KEYS[5], ARGV[6], ARGV[1])
end
local now = redis.call('TIME')
now = now[1] .. string.format('%03d', math.floor(tonumber(now[2]) / 1000))
local gone = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. now, 'LIMIT', 0, 16)
if #gone > 0 then
  redis.call('ZREM', KEYS[3], unpack(gone))
  redis.call('ZREM', KEYS[5], unpack(gone))
end
announce(2)
redis.call('DEL', KEYS[6])
redis.call('ZREM', KEYS[7], ARGV[1])
redis.call('ZREM', KEYS[9], ARGV[1])
announce(6)
return 'OK'`)

// Exchange implements signals.Exchanger.
func (s *Store) Exchange(
	ctx context.Context, put signals.Record, remove string, expected signals.Revision,
) (err error) {
	defer s.observe("exchange", time.Now(), &err)
	err = firstOf(s.usable(ctx), signals.CheckKey("kind", put.Kind), signals.CheckKey("key", put.Key),
		signals.CheckKey("kind", remove), signals.CheckRevision(put.Revision, 0))
	if err == nil && put.Kind == remove {
		err = fmt.Errorf("record %s/%q cannot be put and deleted in one step", put.Kind, put.Key)
	}
	if err != nil {
		return err
	}
	raw, expires, err := rawRecord(put)
	if err != nil {
		return err
	}
	at := tag(shardOf(put.Key))
	keys := []string{at + "fence"}
	for _, sp := range []space{recordsOf(put.Kind), recordsOf(remove)} {
		keys = append(keys, sp.valueKey(put.Key), at+sp.index, at+sp.changes, at+sp.expiry)
	}
	answer, err := s.script(ctx, exchangeScript, shardOf(put.Key), keys,
		put.Key, s.keep, s.fencing(), int64(expected), raw, expires)
	switch {
	case err != nil:
		return err
	case answer == "OK":
		return nil
	case answer == "CONFLICT":
		return signals.ErrConflict
	}
	return s.strange(answer)
}
