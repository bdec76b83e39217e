package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiergate/tiergate/signals"
)

// ErrUnreadable: what lies there was never a delivery, so there is nothing to try again.
var ErrUnreadable = errors.New("it was never a delivery, but an inbox entry that could not be read: " +
	"have the sender send again, and drop this")

// ErrInUse: a delivery with the id of the dead letter is in the inbox: this one, from an earlier try, or what the sender has
// sent under the same id. Somebody may be about to note it as dealt with, so its id cannot be forgotten now.
var ErrInUse = errors.New("a delivery with this id is in the inbox now: look again when it has been dealt with")

// DeadLetters calls yield for every dead letter after the one of the given key ("": from the beginning), in the order of
// keys, SOURCE/ID. A record that cannot be read is yielded with its source, id, the reason and Unreadable. It stops at the
// first error that yield returns.
func (r *Receiver) DeadLetters(ctx context.Context, after string, yield func(DeadLetter) error) error {
	_, err := r.store.EachRecord(ctx, KindDeadLetter, func(record signals.Record) error {
		if record.Key <= after {
			return nil
		}
		return yield(readAnyway(record))
	})
	if errors.Is(err, signals.ErrCorrupt) {
		return nil // the others were yielded; those are not ours to read, nor to remove
	}
	return err
}

func readAnyway(record signals.Record) DeadLetter {
	letter, err := ReadDeadLetter(record)
	if err == nil && entryKey(letter.Source, letter.ID) == record.Key {
		return letter
	}
	from, id := splitKey(record.Key)
	return DeadLetter{Source: from, ID: id, Unreadable: true, Body: record.Value,
		Reason: "the dead letter itself cannot be read; somebody else wrote it, or the store is damaged"}
}

// DeadLetter returns one, or signals.ErrNotFound.
func (r *Receiver) DeadLetter(ctx context.Context, source, id string) (DeadLetter, error) {
	record, err := r.store.Record(ctx, KindDeadLetter, entryKey(source, id))
	if err != nil {
		return DeadLetter{}, err
	}
	return readAnyway(record), nil
}

// Retry puts a dead letter back into the inbox: first its id is forgotten, since what is remembered is not applied; then the
// entry is written; then the letter goes. Wherever that ends, the letter is still there or the entry is, and what is
// applied twice changes nothing. If it fails again in the meantime, the new letter stays. The error may be
// signals.ErrNotFound, ErrUnreadable, ErrInUse or the store's.
func (r *Receiver) Retry(ctx context.Context, source, id string) error {
	key := entryKey(source, id)
	record, err := r.store.Record(ctx, KindDeadLetter, key)
	if err != nil {
		return err
	}
	letter := readAnyway(record)
	if letter.Unreadable {
		return ErrUnreadable
	}
	switch _, err := r.store.Record(ctx, KindInbox, key); {
	case err == nil:
		return ErrInUse
	case !errors.Is(err, signals.ErrNotFound):
		return err
	}
	if err := r.forgetID(ctx, key); err != nil {
		return err
	}
	e := entry{
		Source: source, ID: id, Received: letter.Received, Owner: r.name, ContentType: letter.ContentType, Body: letter.Body,
	}
	if err := r.put(ctx, e); errors.Is(err, signals.ErrConflict) {
		return ErrInUse // the sender was faster
	} else if err != nil {
		return err
	}
	r.room.add(source)
	err = r.store.DeleteRecord(ctx, KindDeadLetter, key, record.Revision)
	if err != nil && !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrConflict) {
		return fmt.Errorf("it lies in the inbox and still among the dead letters: %w", err)
	}
	r.offerIfOurs(e)
	r.events.Retried(source, id)
	return nil
}

// forgetID makes a delivery that was dealt with one that may come again.
func (r *Receiver) forgetID(ctx context.Context, key string) error {
	record, err := r.store.Record(ctx, KindDelivery, key)
	if err == nil {
		err = r.store.DeleteRecord(ctx, KindDelivery, key, record.Revision)
	}
	if errors.Is(err, signals.ErrNotFound) || errors.Is(err, signals.ErrConflict) {
		return nil // it has expired, or somebody else retries
	}
	return err
}

// Drop throws a dead letter away. Its id stays remembered. The error may be signals.ErrNotFound or the store's.
func (r *Receiver) Drop(ctx context.Context, source, id string) error {
	record, err := r.store.Record(ctx, KindDeadLetter, entryKey(source, id))
	if err != nil {
		return err
	}
	if err := r.store.DeleteRecord(ctx, KindDeadLetter, record.Key, record.Revision); err != nil {
		return err
	}
	r.events.Discarded(source, id)
	return nil
}
