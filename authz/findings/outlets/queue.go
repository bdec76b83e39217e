package outlets

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Options of a Queue. Only Outlets has no default.
type Options struct {
	Outlets []Named
	// Name is this receiver's, and lasts over a restart, so that it goes on at once with what is its own. Default: a random one.
	Name string
	// Alone: nobody else uses the store.
	Alone  bool
	Now    func() time.Time // default time.Now
	Events Events
	// MaxQueued bounds what waits for one outlet, MaxDead its dead letters. Default 10,000 each.
	MaxQueued, MaxDead int
}

// Events are told what happens; each may be nil. They must not block.
type Events struct {
	Queued func(outlet string, e *Event)
	Sent   func(outlet string, e *Event, attempts int, took time.Duration)
	// Failed: it is tried again, or its outlet is, not before an instant.
	Failed func(outlet string, e *Event, again time.Time, err error)
	Dead   func(outlet string, e *Event, reason string)
	// Discarded: the oldest dead letter gave way to another, or somebody dropped it.
	Discarded func(outlet, id, reason string)
	Disabled  func(outlet, reason string) // reason "": it is enabled again
	// Untold: the policy names no outlet that is here, and there is no default. The notice is told nowhere.
	Untold func(id, monitor string, names []string)
	// Distrusted: a record that cannot be read, or that nobody of ours has signed.
	Distrusted  func(kind, key string, err error)
	StoreFailed func(err error) // it is tried again
}

// Queue tells events to outlets. Put may be called before and while Run runs; what is put is kept.
type Queue struct {
	records signals.Records
	options Options
	lines   map[string]*line
	names   []string // in the settings' order
	told    struct {
		sync.Mutex
		distrusted map[string]signals.Revision
	}
}

const defaultMost = 10_000

// New makes a Queue over records, which are signed where the store is shared: what nobody signed is not told.
func New(records signals.Records, o Options) *Queue {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Name == "" {
		o.Name = rand.Text()
	}
	if o.MaxQueued <= 0 {
		o.MaxQueued = defaultMost
	}
	if o.MaxDead <= 0 {
		o.MaxDead = defaultMost
	}
	o.Events.fill()
	q := &Queue{records: records, options: o, lines: map[string]*line{}}
	q.told.distrusted = map[string]signals.Revision{}
	for _, n := range o.Outlets {
		q.lines[n.Name] = newLine(n)
		q.names = append(q.names, n.Name)
	}
	return q
}

func (e *Events) fill() {
	if e.Queued == nil {
		e.Queued = func(string, *Event) {}
	}
	if e.Sent == nil {
		e.Sent = func(string, *Event, int, time.Duration) {}
	}
	if e.Failed == nil {
		e.Failed = func(string, *Event, time.Time, error) {}
	}
	if e.Dead == nil {
		e.Dead = func(string, *Event, string) {}
	}
	if e.Discarded == nil {
		e.Discarded = func(string, string, string) {}
	}
	if e.Disabled == nil {
		e.Disabled = func(string, string) {}
	}
	if e.Untold == nil {
		e.Untold = func(string, string, []string) {}
	}
	if e.Distrusted == nil {
		e.Distrusted = func(string, string, error) {}
	}
	if e.StoreFailed == nil {
		e.StoreFailed = func(error) {}
	}
}

// Tell queues notices for the outlets that the policy names. When it returns nil all of them are as durable as the store is
// set to be. The same notice told again has the same id, and while it waits it is queued once: so tell first, then keep the
// case as told, and a crash between the two tells twice and loses nothing. After an error some are queued; tell all again.
func (q *Queue) Tell(ctx context.Context, p *policy.Policy, notices []findings.Notice) error {
	var all []addressed
	for i := range notices {
		n := &notices[i]
		e := Of(n)
		for _, name := range q.route(p, n) {
			all = append(all, addressed{name, e})
		}
	}
	return q.put(ctx, all)
}

// Put queues events for one outlet, as Tell does.
func (q *Queue) Put(ctx context.Context, outlet string, events ...Event) error {
	if q.lines[outlet] == nil {
		return q.unknown(outlet)
	}
	all := make([]addressed, len(events))
	for i, e := range events {
		all[i] = addressed{outlet, e}
	}
	return q.put(ctx, all)
}

// addressed is an event for an outlet.
type addressed struct {
	outlet string
	event  Event
}

// writers is how many records are written at once: a store that syncs does so for all that wait.
const writers = 16

// put writes events of different subjects at once, and those of one in their order.
func (q *Queue) put(ctx context.Context, all []addressed) error {
	var order []string
	chains := map[string][]addressed{}
	for _, a := range all {
		key := a.outlet + "/" + a.event.About
		if chains[key] == nil {
			order = append(order, key)
		}
		chains[key] = append(chains[key], a)
	}
	var (
		work = make(chan []addressed)
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for range min(writers, len(order)) {
		wg.Go(func() {
			for chain := range work {
				for i := range chain {
					if err := q.putOne(ctx, &chain[i]); err != nil {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
						break // what follows must not overtake it
					}
				}
			}
		})
	}
	for _, key := range order {
		work <- chains[key]
	}
	close(work)
	wg.Wait()
	return errors.Join(errs...)
}

func (q *Queue) putOne(ctx context.Context, a *addressed) error {
	l, now := q.lines[a.outlet], q.options.Now()
	l.mu.Lock()
	full := len(l.items) >= q.options.MaxQueued
	l.mu.Unlock()
	it := &item{key: keyOf(a.outlet, &a.event), revision: signals.NextRevision(0, now), entry: entry{Event: a.event, Queued: now.UTC()}}
	if full {
		const reason = "there was no room in the queue"
		victim := l.victim(&a.event)
		if victim == nil {
			return q.bury(ctx, l, it, reason, true)
		}
		if err := q.bury(ctx, l, victim, reason, false); err != nil {
			return err
		}
	}
	record := signals.Record{Kind: KindQueue, Key: it.key, Revision: it.revision, Value: it.encode()}
	switch err := q.records.PutRecord(ctx, record, 0); {
	case errors.Is(err, signals.ErrConflict): // it waits already
		return nil
	case err != nil:
		return err
	}
	q.options.Events.Queued(a.outlet, &a.event)
	l.set(it.key, it)
	return nil
}
