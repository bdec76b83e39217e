package outlets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Errors of what people do.
var (
	ErrUnknown = errors.New("there is no such outlet")
	ErrNone    = errors.New("there is no such dead letter")
)

// errEnough ends a walk.
var errEnough = errors.New("enough")

// Letter is an event that nobody took.
type Letter struct {
	Outlet   string    `json:"outlet"`
	ID       string    `json:"id"` // Event.ID
	Type     string    `json:"type"`
	About    string    `json:"about"`
	Summary  string    `json:"summary"`
	At       time.Time `json:"at"`
	Queued   time.Time `json:"queued"`
	Died     time.Time `json:"died"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	key      string
}

// bury makes a dead letter of an item; fresh: it is not in the queue. The oldest gives way where there are too many.
func (q *Queue) bury(ctx context.Context, l *line, it *item, reason string, fresh bool) error {
	now := q.options.Now()
	l.mu.Lock()
	dying := it.entry
	full := l.dead >= q.options.MaxDead
	l.mu.Unlock()
	dying.Died, dying.Error = now.UTC(), cut(reason, 400)
	if full {
		if err := q.discardOldest(ctx, l); err != nil {
			return err
		}
	}
	record := signals.Record{Kind: KindDead, Key: it.key, Revision: signals.NextRevision(0, now), Expires: now.Add(deadFor),
		Value: dying.encode()}
	err := errors.ErrUnsupported
	if exchanger, ok := q.records.(signals.Exchanger); ok && !fresh {
		err = exchanger.Exchange(ctx, record, KindQueue, it.revision)
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, signals.ErrConflict) {
		err = q.records.PutRecord(ctx, record, 0)
		if errors.Is(err, signals.ErrConflict) { // it is there from an earlier attempt
			err = nil
		}
		if err == nil && !fresh {
			err = q.remove(ctx, it)
		}
	}
	if err != nil {
		return err
	}
	l.removed(it)
	l.mu.Lock()
	l.dead++
	l.mu.Unlock()
	q.options.Events.Dead(l.Name, &dying.Event, dying.Error)
	return nil
}

// discardOldest makes room, and says so.
func (q *Queue) discardOldest(ctx context.Context, l *line) error {
	var oldest *signals.Record
	_, err := q.records.EachRecord(ctx, KindDead, func(r signals.Record) error {
		if outletOf(r.Key) == l.Name {
			oldest = &r
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if oldest != nil {
		err := q.records.DeleteRecord(ctx, KindDead, oldest.Key, oldest.Revision)
		if err != nil && !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrConflict) {
			return err
		}
		q.options.Events.Discarded(l.Name, idOfKey(oldest.Key), "there was no room for another dead letter")
	}
	l.mu.Lock()
	l.dead = max(0, l.dead-1)
	l.mu.Unlock()
	return nil
}

func idOfKey(key string) string {
	return "evt_" + key[strings.LastIndexByte(key, '-')+1:]
}

// Letters are the dead letters of an outlet, the oldest first, at most so many; more tells that there are others.
func (q *Queue) Letters(ctx context.Context, outlet string, most int) (letters []Letter, more bool, err error) {
	letters = []Letter{}
	_, err = q.records.EachRecord(ctx, KindDead, func(r signals.Record) error {
		if outlet != "" && outletOf(r.Key) != outlet {
			return nil
		}
		if len(letters) == most {
			more = true
			return errEnough
		}
		letter := Letter{Outlet: outletOf(r.Key), ID: idOfKey(r.Key), Reason: "it cannot be read, or nobody of ours has signed it", key: r.Key}
		if it := q.read(&r, nil); it != nil {
			letter.Type, letter.About, letter.Summary, letter.At = it.Event.Type, it.Event.About, it.Event.Data.Summary, it.Event.At
			letter.Queued, letter.Died, letter.Reason, letter.Attempts = it.Queued, it.Died, it.Error, it.Attempts
		}
		letters = append(letters, letter)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return letters, more, err
}

// Retry puts dead letters back into the queue, all or those with an id; an outlet that was disabled is enabled, and what waits
// is tried at once. It returns how many were put back. Errors: ErrUnknown, ErrNone.
func (q *Queue) Retry(ctx context.Context, outlet, id string) (int, error) {
	l := q.lines[outlet]
	if l == nil {
		return 0, q.unknown(outlet)
	}
	done, err := q.eachDead(ctx, outlet, id, func(r *signals.Record) error {
		it := q.read(r, nil)
		if it == nil {
			return nil // it is nobody's word
		}
		now := q.options.Now()
		again := entry{Event: it.Event, Queued: now.UTC()}
		err := q.records.PutRecord(ctx, signals.Record{Kind: KindQueue, Key: r.Key, Revision: signals.NextRevision(r.Revision, now),
			Value: again.encode()}, 0)
		if err != nil && !errors.Is(err, signals.ErrConflict) {
			return err
		}
		return q.records.DeleteRecord(ctx, KindDead, r.Key, r.Revision)
	})
	if err != nil {
		return done, err
	}
	if err := q.enableNow(ctx, l); err != nil {
		return done, err
	}
	return done, q.reload(ctx)
}

// Drop throws dead letters away, all or those with an id; waiting: what still waits too. The outlet need not be in the
// settings any more. It returns how many there were. Errors: ErrNone.
func (q *Queue) Drop(ctx context.Context, outlet, id string, waiting bool) (int, error) {
	drop := func(kind string) func(r *signals.Record) error {
		return func(r *signals.Record) error {
			err := q.records.DeleteRecord(ctx, kind, r.Key, r.Revision)
			if err == nil {
				q.options.Events.Discarded(outlet, idOfKey(r.Key), "somebody dropped it")
			}
			return err
		}
	}
	done, err := q.each(ctx, KindDead, outlet, id, drop(KindDead))
	if err == nil && waiting {
		var more int
		more, err = q.each(ctx, KindQueue, outlet, id, drop(KindQueue))
		done += more
	}
	if err == nil && done == 0 && id != "" {
		err = fmt.Errorf("%s of outlet %s: %w; see tiergate outlet show %s", id, outlet, ErrNone, outlet)
	}
	if err != nil {
		return done, err
	}
	return done, q.reload(ctx)
}

func (q *Queue) eachDead(ctx context.Context, outlet, id string, do func(*signals.Record) error) (int, error) {
	done, err := q.each(ctx, KindDead, outlet, id, do)
	if err == nil && done == 0 && id != "" {
		err = fmt.Errorf("%s of outlet %s: %w; see tiergate outlet show %s", id, outlet, ErrNone, outlet)
	}
	return done, err
}

// each does something with the records of an outlet, which are read first, since a store may not be written while it is
// walked. What somebody else deleted or changed meanwhile is left to them.
func (q *Queue) each(ctx context.Context, kind, outlet, id string, do func(*signals.Record) error) (done int, err error) {
	var records []signals.Record
	if _, err := q.records.EachRecord(ctx, kind, func(r signals.Record) error {
		if outletOf(r.Key) == outlet && (id == "" || idOfKey(r.Key) == id) {
			records = append(records, r)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for i := range records {
		switch err := do(&records[i]); {
		case err == nil:
			done++
		case !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrConflict):
			return done, err
		}
	}
	return done, nil
}

// enableNow enables an outlet in the store, whoever holds it, and here.
func (q *Queue) enableNow(ctx context.Context, l *line) error {
	for range 5 {
		s, revision, err := q.readState(ctx, l.Name)
		if err != nil {
			return err
		}
		if revision != 0 && s.Disabled != "" {
			s.Disabled = ""
			err = q.writeState(ctx, l.Name, &s, revision)
		}
		if err == nil {
			q.enable(l, &s)
			return nil
		}
		if !errors.Is(err, signals.ErrConflict) {
			return err
		}
	}
	return signals.ErrConflict
}

// reload reads the queue again after people changed it.
func (q *Queue) reload(ctx context.Context) error {
	_, err := q.load(ctx)
	return err
}
