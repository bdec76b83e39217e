// Package boltstore keeps postures and records in one file of go.etcd.io/bbolt, for a sidecar that shares its
// state with nobody. One process owns the file; a second one is refused.
//
// Every write is a synced transaction before it returns; concurrent writes share one (group commit). Postures are
// also held in memory, so that reading one never touches the disk. Change streams live in memory and are bounded:
// a watcher that falls behind, or whose cursor is from before a restart, is told so with signals.ErrGap and reads
// everything again.
package boltstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/tiergate/tiergate/signals"
)

var errClosed = errors.New("the store is closed")

// Store is a signals.Store in a file.
type Store struct {
	db      *bolt.DB
	file    string
	commits committer
	probing sync.Mutex // held while a Ping waits for the disk

	mu       sync.RWMutex // guards what follows; held for no I/O
	postures map[signals.DeviceID]held
	feeds    map[feedName]*feed
	instance string // names this opening of the file in cursors
	reach    int    // how many changes each feed remembers
	closed   chan struct{}
	isClosed bool
}

var _ signals.Store = (*Store)(nil)

// held is a posture in memory, or why it cannot be read.
type held struct {
	posture *signals.Packed
	corrupt error
}

// reach is how many changes of postures, and of each kind of record, a watcher may fall behind.
const reach = 8192

// Open opens the file, creating it with mode 0600 if there is none; its directory must exist. It waits at most a
// second for another process to let go of the file. Errors are one sentence that says what to do. The caller
// closes the store.
func Open(file string) (*Store, error) { return open(file, reach) }

func open(file string, reach int) (*Store, error) {
	if err := checkFile(file); err != nil {
		return nil, err
	}
	db, err := openFile(file)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, file: file, feeds: map[feedName]*feed{}, instance: rand.Text(), reach: reach, closed: make(chan struct{}),
	}
	s.commits = committer{db: db, file: file, after: s.announce}
	err = guard(file, func() error {
		if err := db.View(func(tx *bolt.Tx) error { return checkSum(tx, file) }); err != nil {
			return err
		}
		return s.load()
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return s, nil
}

// load reads every posture into memory.
func (s *Store) load() error {
	postures := map[signals.DeviceID]held{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketPostures).ForEach(func(key, value []byte) error {
			device := signals.DeviceID(key)
			p, err := decodePosture(device, value)
			postures[device] = held{posture: signals.Pack(&p), corrupt: err}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("the store file %s cannot be read: %w; restore it from a backup", s.file, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.postures = postures
	return nil
}

// Close waits for writes that are under way and releases the file. Watches end with an error.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.isClosed {
		s.mu.Unlock()
		return nil
	}
	s.isClosed = true
	close(s.closed)
	s.mu.Unlock()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing the store file %s: %w", s.file, err)
	}
	return nil
}

// usable says whether a call may begin.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.isClosed {
		return errClosed
	}
	return nil
}

// Ping writes to the file and syncs it. A disk that hangs is noticed by the context's deadline.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if !s.probing.TryLock() {
		return fmt.Errorf("the store file %s has not yet answered the previous probe; see whether its disk hangs", s.file)
	}
	answer := make(chan error, 1)
	go func() {
		err := s.write(func(tx *bolt.Tx) (change, error) {
			return change{}, tx.Bucket(bucketMeta).Put([]byte("ping"), []byte(time.Now().UTC().Format(time.RFC3339Nano)))
		})
		s.probing.Unlock() // before the answer, so that whoever has it may ask again
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the store file %s was not synced in time: %w", s.file, ctx.Err())
	}
}

// write runs one step in a synced transaction. What the step returns as its error is returned as it is.
func (s *Store) write(step func(*bolt.Tx) (change, error)) error {
	err := s.commits.do(step)
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return errClosed
	case errors.Is(err, errNotCommitted):
		return fmt.Errorf("the store file %s: %w; see that its disk has space and is writable", s.file, err)
	}
	return err
}

// read runs do in a read-only transaction, which must not stay open while callers' code runs.
func (s *Store) read(do func(*bolt.Tx) error) error {
	err := guard(s.file, func() error { return s.db.View(do) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return errClosed
	}
	return err
}
