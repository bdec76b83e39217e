package outlets

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// readAgainEvery is how often the queue is read as a whole, in case a change was not told.
const readAgainEvery = 5 * time.Minute

// Run tells what is queued until ctx ends, what an earlier process left there too. It returns nil. What is being sent when
// ctx ends is sent to its end or to its timeout.
func (q *Queue) Run(ctx context.Context) error {
	if len(q.lines) == 0 {
		<-ctx.Done()
		return nil
	}
	var all sync.WaitGroup
	all.Go(func() { q.follow(ctx) })
	for _, l := range q.lines {
		all.Go(func() { q.serve(ctx, l) })
	}
	all.Wait()
	return nil
}

// follow keeps the lines as the store has them.
func (q *Queue) follow(ctx context.Context) {
	for retry := firstPause; ctx.Err() == nil; {
		began, cancel := context.WithTimeout(ctx, readAgainEvery)
		cursor, err := q.load(began)
		if err == nil {
			retry = firstPause
			err = q.records.WatchRecords(began, KindQueue, cursor, func(c signals.Change) error { return q.look(began, c.Key) })
		}
		cancel()
		if err != nil && !errors.Is(err, signals.ErrGap) && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			q.failed(ctx, err)
			pause(ctx, spread(retry))
			retry = min(2*retry, 30*time.Second)
		}
	}
}

// load reads the whole queue.
func (q *Queue) load(ctx context.Context) (signals.Cursor, error) {
	for _, l := range q.lines {
		l.forgetDeletions()
	}
	dead := map[string]int{}
	if _, err := q.records.EachRecord(ctx, KindDead, func(r signals.Record) error { dead[outletOf(r.Key)]++; return nil }); err != nil {
		return "", err
	}
	items := map[string][]*item{}
	cursor, err := q.records.EachRecord(ctx, KindQueue, func(r signals.Record) error {
		if it := q.read(&r, nil); it != nil {
			items[outletOf(r.Key)] = append(items[outletOf(r.Key)], it)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	for name, l := range q.lines {
		l.replace(items[name], dead[name])
	}
	return cursor, nil
}

// look reads one record that has changed.
func (q *Queue) look(ctx context.Context, key string) error {
	l := q.lines[outletOf(key)]
	if l == nil {
		return nil
	}
	r, err := q.records.Record(ctx, KindQueue, key)
	switch {
	case errors.Is(err, signals.ErrNotFound):
		l.set(key, nil)
	case errors.Is(err, signals.ErrCorrupt):
		q.read(&signals.Record{Kind: KindQueue, Key: key}, err)
	case err != nil:
		return err
	default:
		if it := q.read(&r, nil); it != nil {
			l.set(key, it)
		}
	}
	return nil
}

// read is the item of a record; nil: it is not believed, which is said once.
func (q *Queue) read(r *signals.Record, err error) *item {
	var it *item
	if err == nil {
		if r.Value == nil { // a sealed store leaves out the value of what is not ours
			err = signals.ErrCorrupt
		} else {
			it, err = readItem(r)
		}
	}
	if err != nil {
		q.distrust(r.Kind, r.Key, r.Revision, err)
		return nil
	}
	return it
}

func (q *Queue) distrust(kind, key string, revision signals.Revision, err error) {
	q.told.Lock()
	was, said := q.told.distrusted[kind+" "+key]
	if !said || was < revision {
		if len(q.told.distrusted) > defaultMost {
			clear(q.told.distrusted)
		}
		q.told.distrusted[kind+" "+key] = revision
	}
	q.told.Unlock()
	if !said || was < revision {
		q.options.Events.Distrusted(kind, key, err)
	}
}

func (q *Queue) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		q.options.Events.StoreFailed(err)
	}
}

// serve sends what waits for one outlet, one event after the other, while the outlet is ours.
func (q *Queue) serve(ctx context.Context, l *line) {
	defer q.release(ctx, l)
	for ctx.Err() == nil {
		now := q.options.Now()
		l.mu.Lock()
		mine, renew := now.Before(l.held), !now.Before(l.held.Add(renewEvery-leaseFor))
		l.mu.Unlock()
		if renew {
			mine = q.hold(ctx, l) || mine
		}
		wait := renewEvery / 2
		if q.options.Alone {
			wait = time.Minute
		}
		if mine {
			q.giveUp(ctx, l)
			it, again := l.next(now)
			if it != nil {
				q.tell(ctx, l, it)
				continue
			}
			if !again.IsZero() {
				wait = min(wait, max(again.Sub(now), time.Millisecond))
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-l.wake:
			if !mine {
				pause(ctx, time.Second) // another has it: do not ask the store for each event
			}
		}
		t.Stop()
	}
}

// tell sends one event and keeps what came of it.
func (q *Queue) tell(ctx context.Context, l *line, it *item) {
	if !it.sent {
		began := time.Now()
		err := l.send(context.WithoutCancel(ctx), &it.Event)
		now := q.options.Now()
		if err != nil {
			q.notTaken(ctx, l, it, err, now)
			return
		}
		l.taken(it, now)
		q.options.Events.Sent(l.Name, &it.Event, it.Attempts+1, time.Since(began))
	}
	// Until the record is gone nothing else is sent: who reads the store next would tell this one again, after others.
	for retry := 100 * time.Millisecond; ; retry = min(2*retry, 10*time.Second) {
		deletion, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := q.remove(deletion, it)
		cancel()
		if err == nil {
			l.removed(it)
			return
		}
		q.failed(ctx, err)
		if pause(ctx, spread(retry)); ctx.Err() != nil {
			return
		}
	}
}

// remove deletes the record of an item, whatever its revision is by now.
func (q *Queue) remove(ctx context.Context, it *item) error {
	for range 5 {
		err := q.records.DeleteRecord(ctx, KindQueue, it.key, it.revision)
		if err == nil || errors.Is(err, signals.ErrNotFound) {
			return nil
		}
		if !errors.Is(err, signals.ErrConflict) {
			return err
		}
		r, err := q.records.Record(ctx, KindQueue, it.key)
		switch {
		case errors.Is(err, signals.ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		it.revision = r.Revision
	}
	return signals.ErrConflict
}

// notTaken keeps that an event was not taken.
func (q *Queue) notTaken(ctx context.Context, l *line, it *item, err error, now time.Time) {
	dead := l.missed(it, err, now)
	if f, ok := errors.AsType[*Failure](err); ok && f.Gone {
		q.disable(ctx, l, "the answer was 410 Gone: nothing is to be sent there any more")
		return
	}
	l.mu.Lock()
	again, value := it.After, it.encode()
	if again.Before(l.notUntil) {
		again = l.notUntil
	}
	l.mu.Unlock()
	if dead {
		if err := q.bury(ctx, l, it, "nobody took it: "+it.Error, false); err != nil {
			q.failed(ctx, err)
			l.mu.Lock()
			it.After = now.Add(lastPause)
			l.mu.Unlock()
		}
		return
	}
	q.options.Events.Failed(l.Name, &it.Event, again, err)
	next := signals.NextRevision(it.revision, now)
	switch err := q.records.PutRecord(ctx, signals.Record{Kind: KindQueue, Key: it.key, Revision: next, Value: value}, it.revision); {
	case err == nil:
		l.mu.Lock()
		it.revision = next
		l.mu.Unlock()
	case errors.Is(err, signals.ErrConflict), errors.Is(err, signals.ErrNotFound):
		if err := q.look(ctx, it.key); err != nil { // somebody dropped it
			q.failed(ctx, err)
		}
	default:
		q.failed(ctx, err) // it is known here; after a restart it is tried sooner
	}
}

// giveUp makes dead letters of what has waited for too long.
func (q *Queue) giveUp(ctx context.Context, l *line) {
	for _, it := range l.overdue(q.options.Now()) {
		l.mu.Lock()
		reason := "the outlet has taken nothing for so long: " + l.lastErr
		if l.disabled != "" {
			reason = "the outlet is disabled: " + l.disabled
		}
		l.mu.Unlock()
		if err := q.bury(ctx, l, it, reason, false); err != nil {
			q.failed(ctx, err)
			return
		}
	}
}
