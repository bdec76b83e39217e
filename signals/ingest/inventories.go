package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// InventoryEvents are told what becomes of questions to vendors. Each may be nil; none may block.
type InventoryEvents struct {
	// Pulled: one device was asked for, and the answer is stored; gone: the vendor does not have it any more.
	Pulled func(source, device string, gone bool, took time.Duration)
	// PullFailed: a device, or a page of the list, could not be had; it is asked for again after the given time.
	PullFailed func(source, what string, after time.Duration, err error)
	// NotApplied: a device of a listing cannot be applied. The listing goes on, and the device counts as listed.
	NotApplied func(source, device, reason string)
	// SyncStarted, SyncProgress (every 10 s), SyncEnded: a listing; SyncFailed: the store does not let it go on for now.
	SyncStarted, SyncProgress, SyncEnded func(source string, state SyncState)
	SyncFailed                           func(source string, err error)
	// SyncAsked: a delivery said that something was lost, so all devices are listed soon.
	SyncAsked func(source, why string)
}

func (e InventoryEvents) orSilent() InventoryEvents {
	if e.Pulled == nil {
		e.Pulled = func(string, string, bool, time.Duration) {}
	}
	if e.PullFailed == nil {
		e.PullFailed = func(string, string, time.Duration, error) {}
	}
	if e.NotApplied == nil {
		e.NotApplied = func(string, string, string) {}
	}
	for _, f := range []*func(string, SyncState){&e.SyncStarted, &e.SyncProgress, &e.SyncEnded} {
		if *f == nil {
			*f = func(string, SyncState) {}
		}
	}
	if e.SyncFailed == nil {
		e.SyncFailed = func(string, error) {}
	}
	if e.SyncAsked == nil {
		e.SyncAsked = func(string, string) {}
	}
	return e
}

// setInventories prepares the sources that can be asked.
func (r *Receiver) setInventories() {
	r.pulls, r.syncs, r.census = map[string]*pulls{}, map[string]chan struct{}{}, &census{by: map[string]*tally{}}
	r.events = r.census.watching(r.events)
	for name, from := range r.sources {
		inventory, ok := from.Adapter.(source.Inventory)
		if !ok {
			continue
		}
		from.Sync.Every = cmp.Or(from.Sync.Every, defaultSyncEvery)
		from.Sync.MaxShrink = cmp.Or(from.Sync.MaxShrink, defaultMaxShrink)
		r.sources[name] = from
		r.pulls[name], r.syncs[name] = newPulls(from, inventory), make(chan struct{}, 1)
	}
}

// runInventories asks the sources that can be asked, until ctx ends.
func (r *Receiver) runInventories(ctx context.Context) {
	var running sync.WaitGroup
	for _, p := range r.pulls {
		for range pullWorkers {
			running.Go(func() { r.askFor(ctx, p) })
		}
		running.Go(func() { r.keepSyncing(ctx, p.from, p.inventory) })
	}
	running.Wait()
}

// ErrNoSource: the settings name no source like this, or none that can be asked.
var ErrNoSource = errors.New("no such source")

// RequestSync has a source listed as soon as possible, by whichever receiver gets to it. accept: the listing counts even
// if it shrank more than Sync.MaxShrink allows. The error may wrap ErrNoSource.
func (r *Receiver) RequestSync(ctx context.Context, name string, accept bool) error {
	if _, found := r.sources[name]; !found {
		return fmt.Errorf("%w: the settings do not name %.80q; see tiergate source list", ErrNoSource, name)
	}
	wake, can := r.syncs[name]
	if !can {
		return fmt.Errorf("%w to ask: %s only sends, there is nothing to list", ErrNoSource, name)
	}
	for range attempts {
		state, revision, err := r.syncState(ctx, name)
		if err != nil {
			return err
		}
		state.Requested, state.Accept = r.now().Round(0).UTC(), accept
		value, err := json.Marshal(state)
		if err != nil {
			return err
		}
		err = r.store.PutRecord(ctx, signals.Record{Kind: KindSync, Key: name, Value: value,
			Revision: signals.NextRevision(revision, r.now())}, revision)
		if err == nil {
			select {
			case wake <- struct{}{}:
			default:
			}
			return nil
		}
		if !errors.Is(err, signals.ErrConflict) {
			return err
		}
	}
	return errBusy
}

// SourceStatus is what is known of one source. Deliveries and faults are this receiver's, since it started.
type SourceStatus struct {
	Name         string     `json:"name"`
	Experimental string     `json:"experimental,omitempty"` // why it is, where it rests on thin evidence
	LastDelivery time.Time  `json:"lastDelivery,omitzero"`
	Deliveries   int        `json:"deliveries"`
	Faults       int        `json:"faults"` // refused, dead-lettered, not applied, questions without an answer
	LastFault    string     `json:"lastFault,omitempty"`
	Sync         *SyncState `json:"sync,omitempty"` // of all receivers; nil: the source cannot be asked
}

// Sources tells of every source, sorted by name.
func (r *Receiver) Sources(ctx context.Context) ([]SourceStatus, error) {
	var all []SourceStatus
	for _, name := range slices.Sorted(maps.Keys(r.sources)) {
		status := r.census.status(name)
		status.Experimental = source.Doubt(r.sources[name].Adapter)
		if r.syncs[name] != nil {
			state, _, err := r.syncState(ctx, name)
			if err != nil {
				return nil, err
			}
			status.Sync = &state
		}
		all = append(all, status)
	}
	return all, nil
}

// census counts what Sources tells.
type census struct {
	mu sync.Mutex
	by map[string]*tally
}

type tally struct {
	deliveries, faults int
	last               time.Time
	fault              string
}

func (c *census) status(name string) SourceStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.by[name]
	if t == nil {
		return SourceStatus{Name: name}
	}
	return SourceStatus{Name: name, LastDelivery: t.last, Deliveries: t.deliveries, Faults: t.faults, LastFault: t.fault}
}

func (c *census) note(name, fault string) {
	if name == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.by[name]
	if t == nil {
		t = &tally{}
		c.by[name] = t
	}
	if fault == "" {
		t.deliveries, t.last = t.deliveries+1, time.Now().Round(0).UTC()
		return
	}
	t.faults, t.fault = t.faults+1, fault
}

// watching counts on the way to the events, none of which is nil.
func (c *census) watching(e Events) Events {
	refused, accepted, dead, inventory := e.Refused, e.Accepted, e.DeadLettered, e.Inventory
	e.Refused = func(from string, status int, reason string) { c.note(from, reason); refused(from, status, reason) }
	e.Accepted = func(from, id string) { c.note(from, ""); accepted(from, id) }
	e.DeadLettered = func(from, id, reason string) { c.note(from, reason); dead(from, id, reason) }
	e.Inventory.PullFailed = func(from, what string, after time.Duration, err error) {
		c.note(from, err.Error())
		inventory.PullFailed(from, what, after, err)
	}
	e.Inventory.NotApplied = func(from, device, reason string) {
		c.note(from, reason)
		inventory.NotApplied(from, device, reason)
	}
	e.Inventory.SyncEnded = func(from string, state SyncState) {
		if state.Fault != "" {
			c.note(from, state.Fault)
		}
		inventory.SyncEnded(from, state)
	}
	return e
}
