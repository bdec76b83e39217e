package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiergate/tiergate/signals"
)

// What the store shows and nobody of ours signed, or what cannot be read, is not built upon, and no delivery waits for it:
// it would wait for ever, and the inbox would fill. So the delivery becomes a dead letter, to be retried once somebody has
// looked, and what stands in the way is left as it is, because it may stand where an alarm stood.

// undoable says why an observation cannot be applied, if that is for good; "" if the store merely failed.
func (r *Receiver) undoable(e entry, err error) (reason string) {
	if _, contested := errors.AsType[contestedError](err); contested {
		return err.Error()
	}
	if _, forbidden := errors.AsType[forbiddenError](err); forbidden {
		return err.Error()
	}
	if errors.Is(err, signals.ErrCorrupt) {
		r.events.Distrusted("device", entryKey(e.Source, e.ID), err)
		return fmt.Sprintf("what the store has of this device is not believed: %v; find out who wrote it, restore what was there "+
			"or vouch for it with `tiergate store seal`, and retry", err)
	}
	return ""
}

// unknownIfForged takes a memory that is not believed for none: the delivery is taken and applied again, which changes
// nothing, while a stranger's word that it was dealt with would lose it.
func (r *Receiver) unknownIfForged(key string, err error) error {
	if !errors.Is(err, signals.ErrCorrupt) {
		return err
	}
	r.events.Distrusted(KindDelivery, key, err)
	return signals.ErrNotFound
}

// buryUnsigned puts entries of the inbox that nobody of ours signed among the dead letters, as the walk gave them: without
// value.
func (r *Receiver) buryUnsigned(ctx context.Context, records []signals.Record) {
	for _, record := range records {
		r.events.Distrusted(KindInbox, record.Key, errUnsigned)
		if err := r.buryUnreadable(ctx, record); err != nil && ctx.Err() == nil {
			from, id := splitKey(record.Key)
			r.events.Postponed(from, id, err)
			r.signalTrouble()
		}
	}
}

var errUnsigned = errors.New("nobody of ours has signed this inbox entry")

// placeOf returns where a dead letter goes and what stands there. A forged one keeps its place and loses nobody's letter:
// the other goes beside it.
func (r *Receiver) placeOf(ctx context.Context, key string) (signals.Record, error) {
	place := key
	for n := 2; n <= attempts; n++ {
		before, err := r.store.Record(ctx, KindDeadLetter, place)
		switch {
		case err == nil:
			return before, nil
		case errors.Is(err, signals.ErrNotFound):
			return signals.Record{Key: place}, nil
		case !errors.Is(err, signals.ErrCorrupt):
			return signals.Record{}, err
		}
		r.events.Distrusted(KindDeadLetter, place, err)
		place = fmt.Sprintf("%s~%d", key, n)
	}
	return signals.Record{}, errBusy
}
