package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// DeadLetter is a delivery that cannot be applied, with all that is needed to try again once its reason is gone.
type DeadLetter struct {
	Source   string    `json:"source"`
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Reason   string    `json:"reason"`
	// Unreadable: it was never a delivery, but an inbox entry that we had not written or that was damaged.
	Unreadable bool `json:"unreadable,omitempty"`
	// ContentType and Body are what the sender sent. Of an inbox entry that could not be read, Body is the entry.
	ContentType string `json:"contentType,omitempty"`
	Body        []byte `json:"body"`
}

// ReadDeadLetter reads a record of KindDeadLetter. The error wraps signals.ErrCorrupt.
func ReadDeadLetter(record signals.Record) (DeadLetter, error) {
	var letter DeadLetter
	if err := json.Unmarshal(record.Value, &letter); err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter %s: %w: %w", record.Key, signals.ErrCorrupt, err)
	}
	return letter, nil
}

// bury puts a delivery among the dead letters, in place of one with the same id.
func (r *Receiver) bury(ctx context.Context, letter DeadLetter) error {
	value, err := json.Marshal(letter)
	if err != nil {
		return err
	}
	before, err := r.placeOf(ctx, entryKey(letter.Source, letter.ID))
	if err != nil {
		return err
	}
	return r.store.PutRecord(ctx, signals.Record{
		Kind: KindDeadLetter, Key: before.Key, Revision: signals.NextRevision(before.Revision, r.now()), Value: value,
	}, before.Revision)
}
