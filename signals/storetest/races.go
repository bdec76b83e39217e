package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/tiergate/tiergate/signals"
)

// parallel calls do for 0..n-1 from several goroutines and fails on the first error.
func parallel(t *testing.T, workers, n int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	failures := make(chan error, workers)
	for w := range workers {
		all.Go(func() {
			for i := w; i < n; i += workers {
				if err := do(i); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failures)
	must(t, <-failures)
}

func runRaces(t *testing.T, open func(t *testing.T) signals.Store) {
	t.Run("no update of a posture is lost", func(t *testing.T) { countPostures(t, open(t)) })
	t.Run("no update of a record is lost", func(t *testing.T) { countRecords(t, open(t)) })
	t.Run("one of many creates", func(t *testing.T) { oneCreates(t, open(t)) })
	t.Run("a full read and the watch after it lose nothing", func(t *testing.T) { readThenWatch(t, open(t)) })
	t.Run("yield may write", func(t *testing.T) { yieldWrites(t, open(t)) })
}

const (
	writers    = 8
	increments = 25
)

func countPostures(t *testing.T, s signals.Store) {
	parallel(t, writers, writers*increments, func(int) error {
		for {
			p, err := s.Posture(t.Context(), "counter")
			if err != nil && !errors.Is(err, signals.ErrNotFound) {
				return err
			}
			err = s.PutPosture(t.Context(), posture("counter", p.Revision+1), p.Revision)
			if !errors.Is(err, signals.ErrConflict) {
				return err
			}
		}
	})
	p, err := s.Posture(t.Context(), "counter")
	must(t, err)
	if p.Revision != writers*increments {
		t.Fatalf("counted to %d, want %d", p.Revision, writers*increments)
	}
}

func countRecords(t *testing.T, s signals.Store) {
	parallel(t, writers, writers*increments, func(int) error {
		for {
			r, err := s.Record(t.Context(), "k", "counter")
			if err != nil && !errors.Is(err, signals.ErrNotFound) {
				return err
			}
			n, _ := strconv.Atoi(string(r.Value))
			next := signals.Record{Kind: "k", Key: "counter", Revision: r.Revision + 1, Value: []byte(strconv.Itoa(n + 1))}
			if err = s.PutRecord(t.Context(), next, r.Revision); !errors.Is(err, signals.ErrConflict) {
				return err
			}
		}
	})
	r, err := s.Record(t.Context(), "k", "counter")
	must(t, err)
	if string(r.Value) != strconv.Itoa(writers*increments) {
		t.Fatalf("counted to %s, want %d", r.Value, writers*increments)
	}
}

func oneCreates(t *testing.T, s signals.Store) {
	for round := range 10 {
		var mu sync.Mutex
		created := 0
		parallel(t, writers, writers, func(i int) error {
			r := record("claim", fmt.Sprint(round), 1)
			r.Value = []byte{byte(i)}
			err := s.PutRecord(t.Context(), r, 0)
			if errors.Is(err, signals.ErrConflict) {
				return nil
			}
			mu.Lock()
			created++
			mu.Unlock()
			return err
		})
		if created != 1 {
			t.Fatalf("%d created the same record", created)
		}
	}
}

// readThenWatch is what a replica does: read everything while others write, then follow the changes. In the end it
// must know every device in its last version.
func readThenWatch(t *testing.T, s signals.Store) {
	const devices, versions = 40, 15
	for i := range devices {
		put(t, s, posture(fmt.Sprint("d", i), 1), 0)
	}
	var writing sync.WaitGroup
	started := make(chan struct{})
	failed := make(chan error, 1)
	writing.Go(func() {
		for v := signals.Revision(1); v < versions; v++ {
			for i := range devices {
				if err := s.PutPosture(context.Background(), posture(fmt.Sprint("d", i), v+1), v); err != nil {
					failed <- err
					return
				}
			}
			if v == 1 {
				close(started)
			}
		}
	})
	defer writing.Wait()
	<-started
	all, cursor := readAll(t, s)
	l := watchPostures(t, s, cursor)
	behind := func() bool {
		for i := range devices {
			if all[signals.DeviceID(fmt.Sprint("d", i))].Revision != versions {
				return true
			}
		}
		return false
	}
	for behind() {
		select {
		case err := <-failed:
			t.Fatal(err)
		default:
		}
		c := l.next(t)
		p, err := s.Posture(t.Context(), signals.DeviceID(c.Key))
		must(t, err)
		all[p.Device] = p
	}
}

// yieldWrites: a reader may write while it reads, and what it wrote is either read or announced.
func yieldWrites(t *testing.T, s signals.Store) {
	const n = 150
	parallel(t, 8, n, func(i int) error {
		if err := s.PutRecord(t.Context(), record("k", fmt.Sprintf("%03d", i), 1), 0); err != nil {
			return err
		}
		return s.PutPosture(t.Context(), posture(fmt.Sprintf("d%03d", i), 1), 0)
	})
	expect, written := map[string]bool{}, 0
	cursor, err := s.EachPosture(t.Context(), func(p signals.Posture) error {
		device := fmt.Sprintf("new%03d", written)
		written++
		if p.Revision == 1 && len(p.Device) == 4 {
			expect[device] = true
			return s.PutPosture(t.Context(), posture(device, 1), 0)
		}
		return nil
	}, nil)
	must(t, err)
	l := watchPostures(t, s, cursor)
	for len(expect) > 0 {
		delete(expect, l.next(t).Key)
	}
	seen := 0
	_, err = s.EachRecord(t.Context(), "k", func(r signals.Record) error {
		seen++
		return s.DeleteRecord(t.Context(), "k", r.Key, r.Revision)
	})
	must(t, err)
	if seen != n || len(recordsOf(t, s, "k")) != 0 {
		t.Fatalf("%d seen, %d left", seen, len(recordsOf(t, s, "k")))
	}
}
