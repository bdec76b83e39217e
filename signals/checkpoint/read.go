package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Checkpoint is what a receiver has sealed: each of these devices had come this far at this instant. It is immutable.
type Checkpoint struct {
	At      time.Time        // when it was sealed, by the receiver's clock
	Ordinal signals.Revision // never goes back
	By      string           // the receiver
	table   table
}

// Of makes a checkpoint without a store, such as a test needs.
func Of(at time.Time, ordinal signals.Revision, by string, devices map[signals.DeviceID]signals.Revision) *Checkpoint {
	c := &Checkpoint{At: at, Ordinal: ordinal, By: by}
	for device, revision := range devices {
		m := MarkOf(device)
		c.table[m.part()] = join(c.table[m.part()], []entry{{m, revision}})
	}
	return c
}

// Revision is the least that the store may show of a device; 0: it is not in the checkpoint.
func (c *Checkpoint) Revision(device signals.DeviceID) signals.Revision {
	return c.table.revision(MarkOf(device))
}

// Devices is how many there are.
func (c *Checkpoint) Devices() int { return c.table.devices() }

// Without returns the devices of the checkpoint that are not among those given.
func (c *Checkpoint) Without(there iter.Seq[signals.DeviceID]) []Mark { return c.table.without(there) }

// Read returns the checkpoint of a sealed store (signals.Sealed), signals.ErrNotFound if there is nothing of one, an error
// wrapping signals.ErrCorrupt if what is there cannot be believed as a whole, or the store's error.
func Read(ctx context.Context, records signals.Records) (*Checkpoint, error) {
	s, err := read(ctx, records)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the checkpoint cannot be read: %w", err)
	case len(s.faults) > 0:
		return nil, fmt.Errorf("the checkpoint is not believed: %w: %w", errors.Join(s.faults...), signals.ErrCorrupt)
	case s.head == nil:
		return nil, fmt.Errorf("there is no checkpoint: %w", signals.ErrNotFound)
	}
	c := &Checkpoint{At: s.head.At, Ordinal: s.revisions[headKey], By: s.head.By}
	for part := range c.table {
		c.table[part] = join(s.parts[part].base, s.parts[part].delta)
	}
	return c, nil
}

const headKey = "head"

func baseKey(part int) string  { return fmt.Sprintf("base/%02d", part) }
func deltaKey(part int) string { return fmt.Sprintf("delta/%02d", part) }

// head is the value of the record that binds the parts together.
type head struct {
	At    time.Time                  `json:"at"`
	By    string                     `json:"by"`
	Parts [parts][2]signals.Revision `json:"parts"` // of base and delta; 0: there was none
}

// stored is what was found in the store.
type stored struct {
	head      *head // nil: there is none that can be believed
	parts     [parts]struct{ base, delta []entry }
	bad       [parts]bool // it has to be written anew
	revisions map[string]signals.Revision
	faults    []error
	unsigned  bool // something of it nobody of ours has signed, so that its revision is not known
}

// read fails only if the store does. The delta of a part is read before its base: a writer replaces them the other way
// round, so that nothing falls between.
func read(ctx context.Context, records signals.Records) (*stored, error) {
	s := &stored{revisions: map[string]signals.Revision{}}
	value, err := s.value(ctx, records, headKey, 0)
	if err != nil {
		return nil, err
	}
	if value != nil {
		s.readHead(value)
	}
	expected := head{}
	if s.head != nil {
		expected = *s.head
	}
	for part := range parts {
		delta, err := s.entries(ctx, records, part, deltaKey(part), expected.Parts[part][1])
		if err != nil {
			return nil, err
		}
		base, err := s.entries(ctx, records, part, baseKey(part), expected.Parts[part][0])
		if err != nil {
			return nil, err
		}
		s.parts[part].base, s.parts[part].delta = base, delta
	}
	if s.head == nil && len(s.revisions) > 0 && len(s.faults) == 0 {
		s.faults = append(s.faults, errors.New("its head is missing: somebody removed it, or its first writer is not done"))
	}
	return s, nil
}

func (s *stored) readHead(value []byte) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	var h head
	if err := d.Decode(&h); err != nil || h.At.IsZero() {
		s.faults = append(s.faults, fmt.Errorf("its head is signed and cannot be read: %v", err)) //nolint:errorlint // told
		return
	}
	s.head = &h
}

func (s *stored) entries(
	ctx context.Context, records signals.Records, part int, key string, least signals.Revision,
) ([]entry, error) {
	before := len(s.faults)
	value, err := s.value(ctx, records, key, least)
	if err != nil {
		return nil, err
	}
	entries, err := decode(part, value)
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("its %s is signed and cannot be read: %w", key, err))
	}
	s.bad[part] = s.bad[part] || len(s.faults) > before
	return entries, nil
}

// value reads one record, and notes what is wrong with it. An error is the store's.
func (s *stored) value(
	ctx context.Context, records signals.Records, key string, least signals.Revision,
) ([]byte, error) {
	r, err := records.Record(ctx, Kind, key)
	switch {
	case err == nil:
		s.revisions[key] = r.Revision
		if r.Revision < least {
			s.faults = append(s.faults, fmt.Errorf("its %s has revision %d, and the head names %d: somebody put an older one back",
				key, r.Revision, least))
		}
		return r.Value, nil
	case errors.Is(err, signals.ErrCorrupt):
		s.unsigned = true
		s.faults = append(s.faults, err)
		return nil, nil
	case errors.Is(err, signals.ErrNotFound):
		if least > 0 {
			s.faults = append(s.faults, fmt.Errorf("its %s is missing: somebody removed it", key))
		}
		return nil, nil
	}
	return nil, err
}

// findRevisions learns those of records that nobody of ours signed, which is what it takes to write over them.
func (s *stored) findRevisions(ctx context.Context, records signals.Records) error {
	_, err := records.EachRecord(ctx, Kind, func(r signals.Record) error {
		if _, known := s.revisions[r.Key]; !known {
			s.revisions[r.Key] = r.Revision
		}
		return nil
	})
	if errors.Is(err, signals.ErrCorrupt) {
		return nil // what has not even a revision is told when it is written
	}
	return err
}
