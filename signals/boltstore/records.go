package boltstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tiergate/tiergate/signals"
)

// find reads a record in a transaction: nil if there is none or it has expired.
func find(tx *bolt.Tx, kind, key string) (*storedRecord, error) {
	bucket := tx.Bucket(bucketRecords).Bucket([]byte(kind))
	if bucket == nil {
		return nil, nil
	}
	raw := bucket.Get([]byte(key))
	if raw == nil {
		return nil, nil
	}
	stored, err := decodeRecord(kind, key, raw)
	if err != nil || stored.expired(time.Now()) {
		return nil, err
	}
	return &stored, nil
}

func (r storedRecord) record(kind, key string) signals.Record {
	return signals.Record{Kind: kind, Key: key, Revision: r.Revision, Expires: r.Expires, Value: r.Value}
}

// Record implements signals.Records.
func (s *Store) Record(ctx context.Context, kind, key string) (signals.Record, error) {
	if err := firstOf(s.usable(ctx), signals.CheckKey("kind", kind), signals.CheckKey("key", key)); err != nil {
		return signals.Record{}, err
	}
	var stored *storedRecord
	err := s.read(func(tx *bolt.Tx) (err error) {
		stored, err = find(tx, kind, key)
		return err
	})
	switch {
	case err != nil:
		return signals.Record{}, err
	case stored == nil:
		return signals.Record{}, signals.ErrNotFound
	}
	return stored.record(kind, key), nil
}

// PutRecord implements signals.Records. A stored value that cannot be read is not overwritten (ErrCorrupt).
func (s *Store) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	err := firstOf(s.usable(ctx), signals.CheckKey("kind", r.Kind), signals.CheckKey("key", r.Key),
		signals.CheckRevision(r.Revision, expected))
	if err != nil {
		return err
	}
	expires := r.Expires
	if !expires.IsZero() {
		expires = expires.Round(0).UTC()
	}
	stored := storedRecord{Schema: schema, Revision: r.Revision, Expires: expires, Value: r.Value}
	stored.Sum = stored.sum(r.Kind, r.Key)
	raw, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("record %s/%q cannot be stored: %w", r.Kind, r.Key, err)
	}
	return s.write(func(tx *bolt.Tx) (change, error) {
		old, err := find(tx, r.Kind, r.Key)
		if err != nil {
			return change{}, err
		}
		if old == nil && expected != 0 || old != nil && old.Revision != expected {
			return change{}, signals.ErrConflict
		}
		bucket, err := tx.Bucket(bucketRecords).CreateBucketIfNotExists([]byte(r.Kind))
		if err != nil {
			return change{}, err
		}
		if err := bucket.Put([]byte(r.Key), raw); err != nil {
			return change{}, err
		}
		return change{feed: feedName{kind: r.Kind}, key: r.Key}, noteExpiry(tx, r.Kind, r.Key, expires)
	})
}

// DeleteRecord implements signals.Records.
func (s *Store) DeleteRecord(ctx context.Context, kind, key string, expected signals.Revision) error {
	if err := firstOf(s.usable(ctx), signals.CheckKey("kind", kind), signals.CheckKey("key", key)); err != nil {
		return err
	}
	return s.write(func(tx *bolt.Tx) (change, error) {
		old, err := find(tx, kind, key)
		switch {
		case err != nil:
			return change{}, err
		case old == nil:
			return change{}, signals.ErrNotFound
		case old.Revision != expected:
			return change{}, signals.ErrConflict
		}
		bucket := tx.Bucket(bucketRecords).Bucket([]byte(kind))
		return change{feed: feedName{kind: kind}, key: key}, bucket.Delete([]byte(key))
	})
}

// maxNamed bounds how many unreadable records an error names.
const maxNamed = 5

// EachRecord implements signals.Records. Records that cannot be read do not stop the others; they come as one error,
// wrapping ErrCorrupt, after all others were yielded, together with the cursor.
func (s *Store) EachRecord(ctx context.Context, kind string, yield func(signals.Record) error) (signals.Cursor, error) {
	if err := firstOf(s.usable(ctx), signals.CheckKey("kind", kind)); err != nil {
		return "", err
	}
	s.mu.Lock()
	cursor := s.now(feedName{kind: kind})
	s.mu.Unlock()
	var broken []error
	for from := []byte(nil); ; {
		if err := s.usable(ctx); err != nil {
			return "", err
		}
		page, next, bad, err := s.page(kind, from)
		if err != nil {
			return "", err
		}
		broken = append(broken, bad[:min(len(bad), max(0, maxNamed-len(broken)))]...)
		for _, r := range page {
			if err := yield(r); err != nil {
				return "", err
			}
		}
		if next == nil {
			return cursor, errors.Join(broken...)
		}
		from = next
	}
}

// Bounds of a page: yield must be free to write, and a write waits for open reads when the file grows, so that no
// transaction stays open while yield runs.
const (
	pageRecords = 256
	pageBytes   = 4 << 20
)

// page reads the records after a key, the key of the last one seen (nil: none left), and what could not be read.
func (s *Store) page(kind string, after []byte) (page []signals.Record, next []byte, broken []error, err error) {
	err = s.read(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketRecords).Bucket([]byte(kind))
		if bucket == nil {
			return nil
		}
		cursor, at, size := bucket.Cursor(), time.Now(), 0
		key, raw := cursor.First()
		if after != nil {
			if key, raw = cursor.Seek(after); bytes.Equal(key, after) {
				key, raw = cursor.Next()
			}
		}
		for ; key != nil; key, raw = cursor.Next() {
			stored, err := decodeRecord(kind, string(key), raw)
			if err != nil {
				broken = append(broken, err)
			} else if !stored.expired(at) {
				page = append(page, stored.record(kind, string(key)))
			}
			if size += len(raw); len(page)+len(broken) >= pageRecords || size >= pageBytes {
				next = bytes.Clone(key)
				return nil
			}
		}
		return nil
	})
	return page, next, broken, err
}

// WatchRecords implements signals.Records. An expiry is no change.
func (s *Store) WatchRecords(
	ctx context.Context, kind string, from signals.Cursor, yield func(signals.Change) error,
) error {
	if err := signals.CheckKey("kind", kind); err != nil {
		return err
	}
	return s.watch(ctx, feedName{kind: kind}, from, yield)
}
