package signals

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// The errors that a store answers with. Anything else means that it could not be reached or could not be believed.
var (
	// ErrNotFound: there is no such device or record.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the revision that the caller expected is not the stored one; read again, merge again, write again.
	ErrConflict = errors.New("the record has changed since it was read")
	// ErrGap: the change stream no longer reaches back to the cursor; read everything again.
	ErrGap = errors.New("the change stream does not reach back that far")
	// ErrCorrupt: what is stored cannot be read as what it should be. It counts as unknown, never as absent.
	ErrCorrupt = errors.New("the stored value cannot be read")
)

// Cursor is a place in a change stream. The zero Cursor is "now".
type Cursor string

// Change says that something was written. It carries no value: the reader asks for the newest.
type Change struct {
	Key    string // a DeviceID, or the key of a record
	Cursor Cursor // the place after this change
}

// Postures keeps the posture of every device. The suite in signals/storetest binds its implementations.
type Postures interface {
	// Posture returns the newest version, ErrNotFound, or an error wrapping ErrCorrupt.
	Posture(ctx context.Context, device DeviceID) (Posture, error)
	// PutPosture stores p if the stored revision is expected (0: there must be none), else ErrConflict. The change notice
	// is written in the same atomic step. When it returns nil the posture is as durable as the store was set to be.
	PutPosture(ctx context.Context, p Posture, expected Revision) error
	// EachPosture calls yield for every posture, in no order, and returns the cursor at which WatchPostures loses nothing
	// that yield did not see. It stops at the first error that yield returns. A value that cannot be read is given to
	// corrupt, which may be nil, and does not stop the others.
	EachPosture(ctx context.Context, yield func(Posture) error, corrupt func(DeviceID, error)) (Cursor, error)
	// WatchPostures calls yield for each change after from, in the order written (per device), until ctx ends (which is
	// not an error), yield fails, the stream has a gap (ErrGap) or the store fails.
	WatchPostures(ctx context.Context, from Cursor, yield func(Change) error) error
}

// ManyPostures is a Postures that can read on several processors at once.
type ManyPostures interface {
	// EachPostureAtOnce is EachPosture, but for that it calls yield and corrupt from several goroutines at once. None of them
	// is left when it returns.
	EachPostureAtOnce(ctx context.Context, yield func(Posture) error, corrupt func(DeviceID, error)) (Cursor, error)
}

// Record is anything else that must survive or be shared: deliveries, alias claims, later approvals and findings. Its
// value is bytes that the domain package of its kind writes and reads.
type Record struct {
	Kind     string
	Key      string
	Revision Revision
	Expires  time.Time // zero: never
	Value    []byte
}

// Records keeps records of many kinds. The suite in signals/storetest binds its implementations.
type Records interface {
	// Record returns the newest version or ErrNotFound; an expired record is not found.
	Record(ctx context.Context, kind, key string) (Record, error)
	// PutRecord stores r if the stored revision is expected (0: there must be none, or an expired one), else ErrConflict.
	PutRecord(ctx context.Context, r Record, expected Revision) error
	// DeleteRecord removes the record if its revision is expected, else ErrConflict; ErrNotFound if there is none.
	DeleteRecord(ctx context.Context, kind, key string, expected Revision) error
	// EachRecord calls yield for every record of a kind in the order of keys, see EachPosture.
	EachRecord(ctx context.Context, kind string, yield func(Record) error) (Cursor, error)
	// WatchRecords calls yield for each change of a kind, deletions included, see WatchPostures.
	WatchRecords(ctx context.Context, kind string, from Cursor, yield func(Change) error) error
}

// Store is both, with an end. Close is idempotent.
type Store interface {
	Postures
	Records
	// Ping tells whether the store can be reached and written, within the context's deadline.
	Ping(ctx context.Context) error
	Close() error
}

// maxKeyBytes bounds the names of kinds, records and devices in a store.
const maxKeyBytes = 4096

// CheckKey refuses names that a stored form could not give back; what says what they name.
func CheckKey(what, key string) error {
	switch {
	case key == "":
		return fmt.Errorf("the %s is empty; it must name something", what)
	case len(key) > maxKeyBytes:
		return fmt.Errorf("the %s has %d bytes; the limit is %d", what, len(key), maxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("the %s %q is not UTF-8", what, key)
	}
	return nil
}

// CheckRevision refuses a write that would let a revision stand still or go back.
func CheckRevision(next, expected Revision) error {
	if expected < 0 || next <= expected {
		return fmt.Errorf("revision %d does not follow %d; make it with signals.NextRevision", next, expected)
	}
	return nil
}
