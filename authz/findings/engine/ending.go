package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/signals"
)

// KindEnding is the kind of the records that say that the coming end of an exception of the policy directory was told; the key
// is its name and its end. Those of run time have it in their history.
const KindEnding = "exception-ending"

// ending tells of exceptions that are about to end: first, and then that it was told, so that a crash tells twice.
func (e *Engine) ending(ctx context.Context, v *findings.View) {
	if e.options.Noticed != nil {
		for _, due := range approvals.Due(v.Exceptions, v.At) {
			if !e.tellEnding(ctx, v, &due) {
				return
			}
			if err := e.options.Noticed(ctx, due.Exception); err != nil {
				e.failed(err)
			}
		}
	}
	for _, due := range approvals.DueOfDirectory(v.Policy, v.At) {
		key := due.Exception + " " + due.Ends.UTC().Format(time.RFC3339)
		if e.endings[key] { // also where somebody else has written a record of that name, which is not believed
			continue
		}
		switch _, err := e.options.Cases.Records.Record(ctx, KindEnding, key); {
		case err == nil:
			continue
		case !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrCorrupt):
			e.failed(fmt.Errorf("whether the end of exception %s was told cannot be read: %w", due.Exception, err))
			return
		}
		if !e.tellEnding(ctx, v, &due) {
			return
		}
		e.endings[key] = true
		now := e.options.Cases.Now()
		err := e.options.Cases.Records.PutRecord(ctx, signals.Record{Kind: KindEnding, Key: key, Value: []byte("{}"),
			Revision: signals.NextRevision(0, now), Expires: due.Ends.Add(24 * time.Hour)}, 0)
		if err != nil && !errors.Is(err, signals.ErrConflict) {
			e.failed(fmt.Errorf("that the end of exception %s was told could not be stored: %w", due.Exception, err))
		}
	}
}

// tellEnding hands a notice over; false: it is handed over at the next look.
func (e *Engine) tellEnding(ctx context.Context, v *findings.View, due *approvals.Notice) bool {
	if e.options.Cases.Tell == nil {
		return true
	}
	if err := e.options.Cases.Tell(ctx, []findings.Notice{findings.ExceptionEnding(v.Policy, *due, v.At)}); err != nil {
		e.failed(fmt.Errorf("that exception %s ends could not be told, and is at the next look: %w", due.Exception, err))
		return false
	}
	return true
}
