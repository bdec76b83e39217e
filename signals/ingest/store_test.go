package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// memory is a signals.Store in maps. Its clock is time.Now, which synctest replaces.
type memory struct {
	mu       sync.Mutex
	postures map[signals.DeviceID]signals.Posture
	records  map[[2]string]signals.Record
	writes   int // versions of devices that carry a name
}

func newMemory() *memory {
	return &memory{postures: map[signals.DeviceID]signals.Posture{}, records: map[[2]string]signals.Record{}}
}

func (m *memory) Posture(_ context.Context, device signals.DeviceID) (signals.Posture, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, found := m.postures[device]
	if !found {
		return signals.Posture{}, signals.ErrNotFound
	}
	p.Aliases, p.Facts = slices.Clone(p.Aliases), slices.Clone(p.Facts)
	return p, nil
}

func (m *memory) PutPosture(_ context.Context, p signals.Posture, expected signals.Revision) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.postures[p.Device].Revision != expected {
		return signals.ErrConflict
	}
	if p.Device == "" || p.Revision <= expected {
		return fmt.Errorf("posture %q: revision %d does not follow %d", p.Device, p.Revision, expected)
	}
	m.postures[p.Device] = p
	if len(p.Aliases) > 0 {
		m.writes++
	}
	return nil
}

func (m *memory) EachPosture(context.Context, func(signals.Posture) error, func(signals.DeviceID, error)) (signals.Cursor, error) {
	return "", errors.New("the receiver does not read all postures")
}

func (m *memory) WatchPostures(context.Context, signals.Cursor, func(signals.Change) error) error {
	return errors.New("the receiver does not watch postures")
}

// record returns a live record. The lock is held.
func (m *memory) record(kind, key string) (signals.Record, bool) {
	r, found := m.records[[2]string{kind, key}]
	return r, found && (r.Expires.IsZero() || time.Now().Before(r.Expires))
}

func (m *memory) Record(ctx context.Context, kind, key string) (signals.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return signals.Record{}, err
	}
	r, found := m.record(kind, key)
	if !found {
		return signals.Record{}, signals.ErrNotFound
	}
	return r, nil
}

func (m *memory) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	before, _ := m.record(r.Kind, r.Key)
	if before, found := m.record(r.Kind, r.Key); (found && before.Revision != expected) || (!found && expected != 0) {
		return signals.ErrConflict
	}
	if r.Revision <= before.Revision {
		return fmt.Errorf("record %s %s: revision %d does not follow %d", r.Kind, r.Key, r.Revision, before.Revision)
	}
	m.records[[2]string{r.Kind, r.Key}] = r
	return nil
}

func (m *memory) DeleteRecord(_ context.Context, kind, key string, expected signals.Revision) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, found := m.record(kind, key)
	if !found {
		return signals.ErrNotFound
	}
	if before.Revision != expected {
		return signals.ErrConflict
	}
	delete(m.records, [2]string{kind, key})
	return nil
}

func (m *memory) EachRecord(_ context.Context, kind string, yield func(signals.Record) error) (signals.Cursor, error) {
	for _, r := range m.kind(kind) {
		if err := yield(r); err != nil {
			return "", err
		}
	}
	return "", nil
}

// kind returns the live records of a kind, sorted by key.
func (m *memory) kind(kind string) []signals.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	var records []signals.Record
	for _, at := range slices.SortedFunc(maps.Keys(m.records), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if r, live := m.record(at[0], at[1]); live && at[0] == kind {
			records = append(records, r)
		}
	}
	return records
}

func (m *memory) WatchRecords(context.Context, string, signals.Cursor, func(signals.Change) error) error {
	return errors.New("the receiver does not watch records")
}

func (m *memory) Ping(context.Context) error { return nil }
func (m *memory) Close() error               { return nil }

// born returns the postures of devices that carry a name.
func (m *memory) born() map[signals.DeviceID]signals.Posture {
	m.mu.Lock()
	defer m.mu.Unlock()
	born := maps.Clone(m.postures)
	maps.DeleteFunc(born, func(_ signals.DeviceID, p signals.Posture) bool { return len(p.Aliases) == 0 })
	return born
}

var errDown = errors.New("the store is down")

// wrapped asks before and after each call whether it fails. A failure after the call is a lost answer: the write is
// done.
type wrapped struct {
	*memory
	before func(op string) error
	after  func(op string) error
	around func(op string, call func() error) error // instead of both
}

func (w *wrapped) do(op string, call func() error) error {
	if w.around != nil {
		return w.around(op, call)
	}
	if w.before != nil {
		if err := w.before(op); err != nil {
			return err
		}
	}
	err := call()
	if w.after != nil {
		if lost := w.after(op); lost != nil {
			return lost
		}
	}
	return err
}

func (w *wrapped) Posture(ctx context.Context, device signals.DeviceID) (p signals.Posture, err error) {
	err = w.do("Posture", func() (err error) { p, err = w.memory.Posture(ctx, device); return err })
	return p, err
}

func (w *wrapped) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	return w.do("PutPosture", func() error { return w.memory.PutPosture(ctx, p, expected) })
}

func (w *wrapped) Record(ctx context.Context, kind, key string) (r signals.Record, err error) {
	err = w.do("Record "+kind, func() (err error) { r, err = w.memory.Record(ctx, kind, key); return err })
	return r, err
}

func (w *wrapped) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	return w.do("PutRecord "+r.Kind, func() error { return w.memory.PutRecord(ctx, r, expected) })
}

func (w *wrapped) DeleteRecord(ctx context.Context, kind, key string, expected signals.Revision) error {
	return w.do("DeleteRecord "+kind, func() error { return w.memory.DeleteRecord(ctx, kind, key, expected) })
}

func (w *wrapped) EachRecord(ctx context.Context, kind string, yield func(signals.Record) error) (c signals.Cursor, err error) {
	err = w.do("EachRecord "+kind, func() (err error) { c, err = w.memory.EachRecord(ctx, kind, yield); return err })
	return c, err
}
