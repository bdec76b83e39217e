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
// SOURCE/DELIVERY-ID; that of an alias is the alias as it is written, and its value a Claim.
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
	Owner       string    `json:"owner,omitempty"` // the receiver that works on it, see share.go
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
	arrivalOther   // the id was used before, for other bytes
	arrivalFull    // the source has too much in the inbox
	arrivalTooMany // the source has too many ids to remember
)

// keep makes a delivery durable, once. Any error means that it is not known to be durable. What is known already is
// acknowledged again however full it is. wait is when a source that has too much may come again.
func (r *Receiver) keep(ctx context.Context, d source.Delivery) (found arrival, wait time.Duration, err error) {
	key := entryKey(d.Source, d.ID)
	if found, err := r.dealtWith(ctx, key, d.Body); !errors.Is(err, signals.ErrNotFound) {
		return found, 0, err
	}
	if !r.room.enter(d.Source, r.fellows()) {
		r.signalTrouble() // count anew soon
		found, err := r.waits(ctx, key, d.Body)
		if errors.Is(err, signals.ErrNotFound) {
			return arrivalFull, 0, nil
		}
		return found, 0, err
	}
	wait, ok, err := r.reserve(ctx, d.Source)
	if err != nil || !ok {
		r.room.leave(d.Source)
		if err != nil {
			return 0, 0, err
		}
		found, err := r.waits(ctx, key, d.Body)
		if errors.Is(err, signals.ErrNotFound) {
			return arrivalTooMany, wait, nil
		}
		return found, 0, err
	}
	e := entry{
		Source: d.Source, ID: d.ID, Received: d.Received, Owner: r.owner(d.Source), ContentType: d.Header.Get("Content-Type"),
		Body: d.Body,
	}
	err = r.put(ctx, e)
	if err == nil {
		if r.queues.holds(key) { // a worker is just ending with the same delivery, and does not see that it lies there again
			r.signalTrouble()
		}
		r.offerIfOurs(e)
	}
	if !errors.Is(err, signals.ErrConflict) {
		return arrivalNew, 0, err // after an error it may be there, so its place stays taken until the next sweep
	}
	r.room.leave(d.Source)
	r.unreserve(ctx, d.Source)
	found, err = r.waits(ctx, key, d.Body)
	if errors.Is(err, signals.ErrNotFound) { // a worker was done with it between the two looks
		found, err = r.dealtWith(ctx, key, d.Body)
	}
	return found, 0, err
}

// dealtWith compares a delivery with what is remembered of the one of its id; ErrNotFound if nothing is.
func (r *Receiver) dealtWith(ctx context.Context, key string, body []byte) (arrival, error) {
	seen, err := r.remembered(ctx, key)
	switch {
	case err != nil:
		return 0, err
	case seen.Digest != digest(body):
		return arrivalOther, nil
	}
	return arrivalRepeated, nil
}

// put writes a new inbox entry; ErrConflict if one has its key.
func (r *Receiver) put(ctx context.Context, e entry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return r.store.PutRecord(ctx, signals.Record{
		Kind: KindInbox, Key: entryKey(e.Source, e.ID), Revision: signals.NextRevision(0, r.now()), Value: value,
	}, 0)
}

// waits compares a delivery with the one of its id that waits in the inbox; ErrNotFound if none does.
func (r *Receiver) waits(ctx context.Context, key string, body []byte) (arrival, error) {
	waiting, err := r.store.Record(ctx, KindInbox, key)
	if err != nil {
		return 0, err
	}
	var before entry
	if json.Unmarshal(waiting.Value, &before) == nil {
		if digest(before.Body) != digest(body) {
			return arrivalOther, nil
		}
		r.offerIfOurs(before)
	}
	return arrivalRepeated, nil
}

// remembered returns what is known of a delivery that was dealt with, or ErrNotFound.
func (r *Receiver) remembered(ctx context.Context, key string) (memory, error) {
	record, err := r.store.Record(ctx, KindDelivery, key)
	if err != nil {
		return memory{}, r.unknownIfForged(key, err)
	}
	var m memory
	if err := json.Unmarshal(record.Value, &m); err != nil {
		return memory{}, r.unknownIfForged(key, fmt.Errorf("%w: %w", signals.ErrCorrupt, err))
	}
	return m, nil
}

// remember notes that a delivery was dealt with; that it was noted before is fine.
func (r *Receiver) remember(ctx context.Context, note signals.Record) error {
	err := r.store.PutRecord(ctx, note, 0)
	if errors.Is(err, signals.ErrConflict) {
		return nil
	}
	return err
}

// finished notes that a delivery was dealt with, and then takes it out of the inbox; in one step where the store can.
func (r *Receiver) finished(ctx context.Context, waited signals.Record, body []byte) error {
	value, err := json.Marshal(memory{Digest: digest(body)})
	if err != nil {
		return err
	}
	now := r.now()
	note := signals.Record{Kind: KindDelivery, Key: waited.Key, Revision: signals.NextRevision(0, now),
		Expires: now.Add(rememberFor), Value: value}
	if store, ok := r.store.(signals.Exchanger); ok {
		switch err := store.Exchange(ctx, note, waited.Kind, waited.Revision); {
		case err == nil:
			from, _ := splitKey(waited.Key)
			r.room.leave(from)
			return nil
		case !errors.Is(err, signals.ErrConflict) && !errors.Is(err, errors.ErrUnsupported):
			return err
		}
	}
	if err := r.remember(ctx, note); err != nil {
		return err
	}
	return r.forget(ctx, waited)
}

// forget takes a delivery that was dealt with out of the inbox; that somebody else did is fine.
func (r *Receiver) forget(ctx context.Context, record signals.Record) error {
	err := r.store.DeleteRecord(ctx, KindInbox, record.Key, record.Revision)
	if errors.Is(err, signals.ErrNotFound) {
		return nil
	}
	if err == nil {
		from, _ := splitKey(record.Key)
		r.room.leave(from)
	}
	return err
}
