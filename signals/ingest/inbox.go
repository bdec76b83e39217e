package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// The kinds of records that ingest keeps. The key of an inbox entry, a remembered delivery and a dead letter is
// SOURCE/DELIVERY-ID; that of an alias is the alias as it is written, and its value the DeviceID.
const (
	KindInbox      = "inbox"
	KindDelivery   = "delivery"
	KindDeadLetter = "deadletter"
	KindAlias      = "alias"
)

// rememberFor is how long a delivery's id is known: senders retry for up to 75 hours.
const rememberFor = 4 * 24 * time.Hour

// entry is a delivery in the inbox.
type entry struct {
	Source      string    `json:"source"`
	ID          string    `json:"id"`
	Received    time.Time `json:"received"`
	ContentType string    `json:"contentType,omitempty"`
	Body        []byte    `json:"body"`
}

// memory is what is remembered of a delivery that was dealt with.
type memory struct {
	Digest string `json:"digest"` // SHA-256 of the body, hex
}

func entryKey(from, id string) string { return from + "/" + id }

// splitKey is for reports about an entry that cannot be read.
func splitKey(key string) (from, id string) {
	from, id, _ = strings.Cut(key, "/")
	return from, id
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// arrival is what keep found.
type arrival int

const (
	arrivalNew arrival = iota
	arrivalRepeated
	arrivalOther // the id was used before, for other bytes
)

// keep makes a delivery durable, once. Any error means that it is not known to be durable.
func (r *Receiver) keep(ctx context.Context, d source.Delivery) (arrival, error) {
	key := entryKey(d.Source, d.ID)
	seen, err := r.remembered(ctx, key)
	switch {
	case err == nil && seen.Digest == digest(d.Body):
		return arrivalRepeated, nil
	case err == nil:
		return arrivalOther, nil
	case !errors.Is(err, signals.ErrNotFound):
		return 0, err
	}
	value, err := json.Marshal(entry{
		Source: d.Source, ID: d.ID, Received: d.Received, ContentType: d.Header.Get("Content-Type"), Body: d.Body,
	})
	if err != nil {
		return 0, err
	}
	record := signals.Record{Kind: KindInbox, Key: key, Revision: signals.NextRevision(0, d.Received), Value: value}
	err = r.store.PutRecord(ctx, record, 0)
	if !errors.Is(err, signals.ErrConflict) {
		return arrivalNew, err
	}
	waiting, err := r.store.Record(ctx, KindInbox, key)
	if err != nil {
		return 0, err // also if it was dealt with just now: the sender asks again and is told
	}
	var before entry
	if json.Unmarshal(waiting.Value, &before) == nil && digest(before.Body) != digest(d.Body) {
		return arrivalOther, nil
	}
	return arrivalRepeated, nil
}

// remembered returns what is known of a delivery that was dealt with, or ErrNotFound.
func (r *Receiver) remembered(ctx context.Context, key string) (memory, error) {
	record, err := r.store.Record(ctx, KindDelivery, key)
	if err != nil {
		return memory{}, err
	}
	var m memory
	if err := json.Unmarshal(record.Value, &m); err != nil {
		return memory{}, fmt.Errorf("delivery %s: %w: %w", key, signals.ErrCorrupt, err)
	}
	return m, nil
}

// remember notes that a delivery was dealt with; that it was noted before is fine.
func (r *Receiver) remember(ctx context.Context, key string, body []byte) error {
	value, err := json.Marshal(memory{Digest: digest(body)})
	if err != nil {
		return err
	}
	now := r.now()
	err = r.store.PutRecord(ctx, signals.Record{
		Kind: KindDelivery, Key: key, Revision: signals.NextRevision(0, now), Expires: now.Add(rememberFor), Value: value,
	}, 0)
	if errors.Is(err, signals.ErrConflict) {
		return nil
	}
	return err
}

// forget takes a delivery that was dealt with out of the inbox; that somebody else did is fine.
func (r *Receiver) forget(ctx context.Context, record signals.Record) error {
	err := r.store.DeleteRecord(ctx, KindInbox, record.Key, record.Revision)
	if errors.Is(err, signals.ErrNotFound) {
		return nil
	}
	return err
}
