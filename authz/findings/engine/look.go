package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// heldCase is a case as this process knows it.
type heldCase struct {
	kept     Kept
	revision signals.Revision
	from     signals.Record // what it was decoded of
	written  time.Time      // by this process, in its clock
}

// copyLate is how long the copy of the store may lag behind what this process wrote.
const copyLate = time.Minute

// writers is how many cases are written at once: a store makes one durable write of many.
const writers = 16

// look looks once, and returns when something is due next (zero: nothing that is known of).
func (e *Engine) look(ctx context.Context, p *policy.Policy) time.Time {
	at, began := e.options.Cases.Now().UTC(), time.Now()
	tally := newTally(p)
	v, blind := e.world.view(p, at, tally)
	held := e.cases(at)
	cases := make([]findings.Case, 0, len(held))
	for _, h := range held {
		cases = append(cases, h.kept.Case)
	}
	found := findings.Find(v)
	changed, notices := findings.Follow(cases, found, v)
	told := map[string][]findings.Notice{}
	for i := range notices {
		told[notices[i].Case] = append(told[notices[i].Case], notices[i])
	}
	if !e.lease.held() { // it took too long, and somebody else looks by now
		e.dirty.Store(true)
		return time.Time{}
	}
	e.write(ctx, held, changed, told)
	e.ending(ctx, v)
	report := e.report(v, tally, held, found, blind)
	report.Took = time.Since(began)
	e.lease.say(report.watch())
	if e.options.Events.Looked != nil {
		e.options.Events.Looked(report)
	}
	return nextDue(held, at)
}

// cases are all cases: as the copy of the store shows them, or newer, as this process wrote them.
func (e *Engine) cases(at time.Time) map[string]heldCase {
	all := make(map[string]heldCase, len(e.own))
	e.world.signed.Each(findings.RecordKind, func(r signals.Record) bool {
		h, ok := e.own[r.Key]
		switch {
		case ok && h.revision > r.Revision: // the copy is late
		case ok && sameBytes(h.from, r):
		default:
			kept, err := readCase(r)
			if err != nil {
				return true // found again, it is written anew
			}
			h = heldCase{kept: kept, revision: r.Revision, from: r}
		}
		all[r.Key] = h
		return true
	})
	for id, h := range e.own {
		if _, ok := all[id]; !ok && h.from.Revision != h.revision && at.Before(h.written.Add(copyLate)) {
			all[id] = h
		}
	}
	e.own = all
	return all
}

// write stores what changed, and hands over what is to be told. held is brought up to date.
func (e *Engine) write(ctx context.Context, held map[string]heldCase, changed []findings.Case, told map[string][]findings.Notice) {
	work := make(map[string]heldCase, len(changed))
	for i := range changed {
		h := held[changed[i].ID]
		h.kept.Case = changed[i]
		h.kept.Untold = append(h.kept.Untold[:len(h.kept.Untold):len(h.kept.Untold)], told[changed[i].ID]...)
		work[changed[i].ID] = h
	}
	isChanged := make(map[string]bool, len(changed))
	for i := range changed {
		isChanged[changed[i].ID] = true
	}
	for id, h := range held { // of the others only what is untold is handed over
		if !isChanged[id] && len(h.kept.Untold) > 0 {
			work[id] = h
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, writers)
	for id, h := range work {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			next, ok := e.settle(ctx, h, isChanged[id])
			mu.Lock()
			defer mu.Unlock()
			if ok {
				held[id] = next
			}
		})
	}
	all.Wait()
}

// settle stores one case and hands over what is untold of it; ok is false if it is not stored.
func (e *Engine) settle(ctx context.Context, h heldCase, changed bool) (heldCase, bool) {
	cases := &e.options.Cases
	if changed {
		revision, err := cases.put(ctx, &h.kept, h.revision)
		if errors.Is(err, signals.ErrConflict) {
			return e.conflict(ctx, h)
		}
		if err != nil {
			e.dirty.Store(true)
			e.failed(fmt.Errorf("finding %s could not be stored, and is again at the next look: %w", h.kept.ID, err))
			return h, false
		}
		h.revision, h.written = revision, cases.Now()
		if h.kept.State == findings.Closed && e.options.Events.Closed != nil {
			e.options.Events.Closed(&h.kept.Case)
		}
	}
	return e.handOver(ctx, h), true
}

func (e *Engine) handOver(ctx context.Context, h heldCase) heldCase {
	revision, err := e.options.Cases.deliver(ctx, &h.kept, h.revision)
	h.revision = revision
	if errors.Is(err, signals.ErrConflict) {
		e.dirty.Store(true)
	} else if err != nil {
		e.dirty.Store(true)
		e.failed(err)
	}
	return h
}

// conflict looks at what is stored instead of what was known. What cannot be believed there is written over: a case is
// made of facts, and what hides one may not stay.
func (e *Engine) conflict(ctx context.Context, h heldCase) (heldCase, bool) {
	e.dirty.Store(true)
	kept, revision, err := e.options.Cases.read(ctx, h.kept.ID)
	switch {
	case err == nil: // the next look goes on from there
		return heldCase{kept: kept, revision: revision, written: e.options.Cases.Now()}, true
	case errors.Is(err, ErrNoCase):
		h.revision = 0 // the store lost it
	case errors.Is(err, signals.ErrCorrupt):
		e.failed(fmt.Errorf("somebody else wrote to a finding, or it is damaged; it is written anew: %w", err))
		raw, err := e.options.Observed.Record(ctx, findings.RecordKind, h.kept.ID)
		if err != nil {
			return h, false
		}
		h.revision = raw.Revision
	default:
		return h, false
	}
	if h.revision, err = e.options.Cases.put(ctx, &h.kept, h.revision); err != nil {
		e.failed(fmt.Errorf("finding %s could not be stored: %w", h.kept.ID, err))
		return h, false
	}
	h.written = e.options.Cases.Now()
	return e.handOver(ctx, h), true
}

// nextDue is the next instant at which a case moves by itself.
func nextDue(held map[string]heldCase, at time.Time) (next time.Time) {
	sooner := func(t time.Time) {
		if t.After(at) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, h := range held {
		c := &h.kept.Case
		switch {
		case c.State == findings.Pending:
			sooner(c.First.Add(c.Finding.Wait))
		case c.State == findings.Accepted:
			sooner(c.AcceptedUntil)
		case c.State.Stands():
			sooner(c.Deadline.Add(time.Nanosecond))
		}
		if !c.Gone.IsZero() {
			sooner(c.Gone.Add(15 * time.Minute))
		}
	}
	return next
}
