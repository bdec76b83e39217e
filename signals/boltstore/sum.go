package boltstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A page that a disk changed, lost or brought back in an older version may be well-formed all the same, and an older posture
// may be a healthier one. The file therefore keeps a sum of all its postures, written in the same transaction as each of
// them: the exclusive or of the SHA-256 of every key with its value. Damage is no adversary; whoever may write the file
// needs no damage.

// keyPosturesSum holds the sum, in bucketMeta.
var keyPosturesSum = []byte("postures-sum")

var errDamaged = errors.New("restore it from a backup, or move it away to start empty and let the sources report again")

// mark is what one posture adds to the sum, and taking it away is the same.
func mark(sum, key, value []byte) {
	if value == nil {
		return
	}
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	for i, b := range h.Sum(nil) {
		sum[i] ^= b
	}
}

func sumOf(tx *bolt.Tx) []byte {
	sum := make([]byte, sha256.Size)
	_ = tx.Bucket(bucketPostures).ForEach(func(key, value []byte) error { // it only fails where this fails
		mark(sum, key, value)
		return nil
	})
	return sum
}

// putPosture writes a posture's value and the sum with it.
func putPosture(tx *bolt.Tx, key, value []byte) error {
	meta, bucket := tx.Bucket(bucketMeta), tx.Bucket(bucketPostures)
	sum := bytes.Clone(meta.Get(keyPosturesSum))
	if len(sum) != sha256.Size {
		return errors.New("the sum of the postures is gone; the file is damaged: see `tiergate store check`")
	}
	mark(sum, key, bucket.Get(key))
	mark(sum, key, value)
	if err := bucket.Put(key, value); err != nil {
		return err
	}
	return meta.Put(keyPosturesSum, sum)
}

// checkSum refuses a file whose postures are not those that were written last.
func checkSum(tx *bolt.Tx, file string) error {
	if !bytes.Equal(sumOf(tx), tx.Bucket(bucketMeta).Get(keyPosturesSum)) {
		return fmt.Errorf("the store file %s is damaged: its postures are not those that were written last, and an alarm may be "+
			"lost; %w", file, errDamaged)
	}
	return nil
}
