package redisstore

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// shards never changes: it is part of where everything lies.
const shards = 16

// header is what each value begins with: schema, revision, expiry. The script reads it too, so it is text.
const schema = "1"

// What a value may have at most. A posture of all attributes from ten sources has less than 100 KiB; a record may
// be a delivery, of 16 MiB at most.
const (
	maxPosture = 1 << 20
	maxRecord  = 24 << 20
	firstRead  = 64 << 10 // of a record: nearly all fit, and one command tells
)

// space is where one sort of thing lies: the postures, or one kind of records.
type space struct {
	value   string // before the key of a value
	index   string
	expiry  string // empty: nothing expires
	changes string
	limit   int
	what    string
}

var postures = space{
	value: "posture:", index: "postures", changes: "posture-changes", limit: maxPosture, what: "posture",
}

// recordsOf makes kinds and keys unambiguous by the kind's length.
func recordsOf(kind string) space {
	return space{
		value: "record:" + strconv.Itoa(len(kind)) + ":" + kind + ":", index: "records:" + kind,
		expiry: "record-expiries:" + kind, changes: "record-changes:" + kind, limit: maxRecord, what: "record " + kind,
	}
}

func shardOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % shards)
}

// tag is the part in braces that alone decides the slot of a Cluster: it stands first, so that braces in keys are
// harmless.
func tag(shard int) string { return fmt.Sprintf("tg:{%02d}:", shard) }

func (sp space) valueKey(key string) string { return tag(shardOf(key)) + sp.value + key }

func (sp space) corrupt(key, why string) error {
	return fmt.Errorf("%s %q: %s: %w", sp.what, key, why, signals.ErrCorrupt)
}

// value is what is stored under one key.
type value struct {
	revision signals.Revision
	expires  time.Time
	body     string
}

func encode(v value) string {
	expires := int64(0)
	if !v.expires.IsZero() {
		expires = v.expires.UnixNano()
	}
	return fmt.Sprintf("%s %d %d\n%s", schema, v.revision, expires, v.body)
}

// decode is strict: whatever this version would not have written is corrupt.
func (sp space) decode(key, raw string) (value, error) {
	head, body, ok := strings.Cut(raw, "\n")
	fields := strings.Split(head, " ")
	if !ok || len(fields) != 3 || len(head) > 60 {
		return value{}, sp.corrupt(key, "it does not begin with schema, revision and expiry")
	}
	if fields[0] != schema {
		return value{}, sp.corrupt(key, fmt.Sprintf("it has schema %q, this tiergate reads %s", fields[0], schema))
	}
	revision, errR := strconv.ParseInt(fields[1], 10, 64)
	expires, errE := strconv.ParseInt(fields[2], 10, 64)
	if errR != nil || errE != nil || revision < 1 {
		return value{}, sp.corrupt(key, "its revision or expiry is no number")
	}
	v := value{revision: signals.Revision(revision), body: body}
	if expires != 0 {
		v.expires = time.Unix(0, expires).UTC()
	}
	return v, nil
}

func encodePosture(p signals.Posture) (string, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("posture %q cannot be stored: %w", p.Device, err)
	}
	if len(body) > maxPosture-64 {
		return "", fmt.Errorf("posture %q has %d bytes; the limit is %d", p.Device, len(body), maxPosture-64)
	}
	return encode(value{revision: p.Revision, body: string(body)}), nil
}

func decodePosture(device, raw string) (signals.Posture, error) {
	v, err := postures.decode(device, raw)
	if err != nil {
		return signals.Posture{}, err
	}
	var p signals.Posture
	if err := json.Unmarshal([]byte(v.body), &p); err != nil {
		return signals.Posture{}, postures.corrupt(device, err.Error())
	}
	switch {
	case string(p.Device) != device:
		return signals.Posture{}, postures.corrupt(device, fmt.Sprintf("it is that of %q", p.Device))
	case p.Revision != v.revision:
		return signals.Posture{}, postures.corrupt(device, "its two revisions differ")
	}
	return p, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
