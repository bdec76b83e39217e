package boltstore

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // those that are parallel wait for the disk, not for processors
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func openAt(t testing.TB, file string, reach int) *Store {
	t.Helper()
	s, err := open(file, reach)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func fresh(t testing.TB) *Store { return openAt(t, filepath.Join(t.TempDir(), "store.db"), reach) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) signals.Store { return fresh(t) }, storetest.Hooks{
		Reopen: func(t *testing.T, s signals.Store) signals.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, s.(*Store).file, reach)
		},
		OpenForgetful: func(t *testing.T) signals.Store { return openAt(t, filepath.Join(t.TempDir(), "store.db"), 10) },
		Forgets:       30,
		Corruptions: []storetest.Corruption{
			plant("not JSON", "garbage"), plant("cut short", `{"schema":1,"revision":1,"posture":{"revi`),
			plant("nothing", ""), plant("null", "null"),
			plant("no schema", `{"revision":1,"posture":{"device":"d7","revision":1}}`),
			plant("a later schema", `{"schema":2,"revision":1,"posture":{"device":"d7","revision":1}}`),
			plant("no content", `{"schema":1}`),
			{Name: "another device", Posture: plant("", `{"schema":1,"posture":{"device":"d8","revision":1}}`).Posture},
		},
	})
}

// plant writes a raw value as a damaged file or a later tiergate would have left it, and reads the file again.
func plant(name, raw string) storetest.Corruption {
	write := func(t *testing.T, s signals.Store, do func(*bolt.Tx) error) {
		t.Helper()
		b := s.(*Store)
		if err := b.db.Update(do); err != nil {
			t.Fatal(err)
		}
		if err := b.load(); err != nil {
			t.Fatal(err)
		}
	}
	return storetest.Corruption{
		Name: name,
		Posture: func(t *testing.T, s signals.Store, device signals.DeviceID) {
			write(t, s, func(tx *bolt.Tx) error { return tx.Bucket(bucketPostures).Put([]byte(device), []byte(raw)) })
		},
		Record: func(t *testing.T, s signals.Store, kind, key string) {
			write(t, s, func(tx *bolt.Tx) error {
				return tx.Bucket(bucketRecords).Bucket([]byte(kind)).Put([]byte(key), []byte(raw))
			})
		},
	}
}

func small(device string, revision signals.Revision) signals.Posture {
	return signals.Posture{Device: signals.DeviceID(device), Revision: revision}
}

// TestSingleWriterDoesNotWait: bbolt's own Batch would hold a single writer for 10 ms.
func TestSingleWriterDoesNotWait(t *testing.T) {
	s := fresh(t)
	const n = 101
	var alone, bare []time.Duration // in turns, so that a slow disk is slow for both
	for i := range n {
		began := time.Now()
		if err := s.PutPosture(t.Context(), small(fmt.Sprint(i), 1), 0); err != nil {
			t.Fatal(err)
		}
		alone = append(alone, time.Since(began))
		began = time.Now()
		err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte{byte(i)}, []byte("x")) })
		if err != nil {
			t.Fatal(err)
		}
		bare = append(bare, time.Since(began))
	}
	slices.Sort(alone)
	slices.Sort(bare)
	if alone[n/2] > 4*bare[n/2]+5*time.Millisecond {
		t.Fatalf("a write takes %v, a bare transaction %v", alone[n/2], bare[n/2])
	}
}

// TestWritersShareTransactions: with 64 writers there must be far fewer transactions than writes.
func TestWritersShareTransactions(t *testing.T) {
	s := fresh(t)
	before := txid(t, s)
	done := make(chan error)
	const writers, each = 64, 10
	for w := range writers {
		go func() {
			for i := range each {
				if err := s.PutPosture(t.Context(), small(fmt.Sprintf("%d-%d", w, i), 1), 0); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if used := txid(t, s) - before; used > writers*each/4 {
		t.Fatalf("%d writes took %d transactions", writers*each, used)
	}
}

func txid(t *testing.T, s *Store) (id int) {
	t.Helper()
	if err := s.db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestExpiredRecordsLeaveTheFile: the file must not keep what nobody asks for again.
func TestExpiredRecordsLeaveTheFile(t *testing.T) {
	s := fresh(t)
	for i := range 200 {
		r := signals.Record{Kind: "k", Key: fmt.Sprint(i), Revision: 1, Expires: time.Now().Add(-10 * time.Second)}
		if i%10 == 0 {
			r.Expires = time.Now().Add(time.Hour)
		}
		if err := s.PutRecord(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutRecord(t.Context(), signals.Record{Kind: "other", Key: "a", Revision: 1}, 0); err != nil {
		t.Fatal(err)
	}
	var records, entries int
	err := s.db.View(func(tx *bolt.Tx) error {
		records = tx.Bucket(bucketRecords).Bucket([]byte("k")).Stats().KeyN
		entries = tx.Bucket(bucketExpiries).Stats().KeyN
		return nil
	})
	if err != nil || records != 20 || entries != 20 {
		t.Fatalf("%d records and %d entries are left, want 20 and 20 (%v)", records, entries, err)
	}
}

// TestRenewedRecordsStay: the listing of an earlier expiry must not take a record that was renewed since.
func TestRenewedRecordsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fresh(t)
		put := func(key string, revision, expected signals.Revision, expires time.Time) {
			t.Helper()
			r := signals.Record{Kind: "k", Key: key, Revision: revision, Expires: expires}
			if err := s.PutRecord(t.Context(), r, expected); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range []string{"renewed", "forever", "gone"} {
			put(key, 1, 0, time.Now().Add(time.Minute))
		}
		put("renewed", 2, 1, time.Now().Add(time.Hour))
		put("forever", 2, 1, time.Time{})
		time.Sleep(10 * time.Minute)
		put("other", 1, 0, time.Time{})
		for key, want := range map[string]error{"renewed": nil, "forever": nil, "gone": signals.ErrNotFound} {
			if _, err := s.Record(t.Context(), "k", key); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", key, err, want)
			}
		}
	})
}

// TestFailedCommitChangesNothing: when the disk refuses, memory, watchers and file still agree, and the store
// recovers.
func TestFailedCommitChangesNothing(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	if err := s.PutPosture(t.Context(), small("a", 1), 0); err != nil {
		t.Fatal(err)
	}
	s.db.MaxSize = 1 // as a full disk: the file may not grow
	huge := small("a", 2)
	for range 60_000 {
		huge.Aliases = append(huge.Aliases, signals.Alias{Kind: signals.AliasSerial, Value: "X"})
	}
	if err := s.PutPosture(t.Context(), huge, 1); err == nil {
		t.Fatal("a write that did not fit was acknowledged")
	}
	if p, err := s.Posture(t.Context(), "a"); err != nil || p.Revision != 1 {
		t.Fatalf("memory holds revision %d, %v", p.Revision, err)
	}
	if place := s.now(posturesFeed); place != s.cursor(1) {
		t.Fatalf("the feed stands at %s", place)
	}
	s.db.MaxSize = 0
	if err := s.PutPosture(t.Context(), huge, 1); err != nil {
		t.Fatalf("after the disk has space again: %v", err)
	}
}

func TestPingNeedsAWritableFile(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.db.MaxSize = 1
	if err := s.db.Update(func(tx *bolt.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err) // fits into the pages that are there
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Fatal("ping answers although the file is closed")
	}
}

func TestFileMode(t *testing.T) {
	s := fresh(t)
	info, err := os.Stat(s.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}
