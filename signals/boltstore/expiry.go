package boltstore

import (
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Records that expire are also listed by the second after which they are gone for certain, so that each write can
// remove a few of those whose time has come: the file does not grow with what nobody asks for again.

// expiryKey is 8 bytes of Unix seconds (big endian), 2 bytes of the kind's length, the kind, the key.
func expiryKey(kind, key string, expires time.Time) []byte {
	at := binary.BigEndian.AppendUint64(nil, uint64(max(0, expires.Unix()+1)))
	return append(append(binary.BigEndian.AppendUint16(at, uint16(len(kind))), kind...), key...)
}

func noteExpiry(tx *bolt.Tx, kind, key string, expires time.Time) error {
	if expires.IsZero() {
		return nil
	}
	return tx.Bucket(bucketExpiries).Put(expiryKey(kind, key, expires), []byte{})
}

// sweepEach is how many entries a transaction removes at most; more than one, so that a backlog shrinks.
const sweepEach = 64

// sweep removes records that have expired. An entry whose record was renewed or deleted since only removes itself.
func sweep(tx *bolt.Tx) error {
	expiries, now := tx.Bucket(bucketExpiries), time.Now()
	var due [][]byte
	cursor := expiries.Cursor()
	for entry, _ := cursor.First(); entry != nil && len(due) < sweepEach; entry, _ = cursor.Next() {
		if len(entry) >= 10 && binary.BigEndian.Uint64(entry) > uint64(max(0, now.Unix())) {
			break
		}
		due = append(due, append([]byte(nil), entry...))
	}
	for _, entry := range due {
		if err := remove(tx, entry, now); err != nil {
			return err
		}
		if err := expiries.Delete(entry); err != nil {
			return err
		}
	}
	return nil
}

func remove(tx *bolt.Tx, entry []byte, now time.Time) error {
	if len(entry) < 10 {
		return nil
	}
	rest, n := entry[10:], int(binary.BigEndian.Uint16(entry[8:]))
	if n > len(rest) {
		return nil
	}
	kind, key := rest[:n], rest[n:]
	bucket := tx.Bucket(bucketRecords).Bucket(kind)
	if bucket == nil {
		return nil
	}
	raw := bucket.Get(key)
	if raw == nil {
		return nil
	}
	if stored, err := decodeRecord(string(kind), string(key), raw); err != nil || !stored.expired(now) {
		return nil // what cannot be read is kept for whoever can
	}
	return bucket.Delete(key)
}
