package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// KindSync is the record of a source's re-sync (SyncState), its key the source's name. KindSyncPage are the devices of one
// listed page, SOURCE/START/PAGE, kept until the listing ends.
const (
	KindSync     = "sync"
	KindSyncPage = "syncpage"
)

// Sync says how a source that can be asked is listed as a whole, so that what was never delivered is found.
type Sync struct {
	Every time.Duration // from the start of one listing to the next; default 1h
	// MaxShrink is the largest part of the devices of the last complete listing that the next may lack; if more are gone,
	// none is withdrawn. Default 0.5; 1 turns the check off.
	MaxShrink float64
}

const (
	defaultSyncEvery = time.Hour
	defaultMaxShrink = 0.5
	// syncLease is how long a receiver that lists may be silent before another goes on in its place.
	syncLease = time.Minute
	// syncLook is how often a receiver looks whether a listing is due, was asked for, or was left by another.
	syncLook = 5 * time.Second
	// syncResume is how old a listing may get; an older one begins anew, because its cursor may mean nothing any more.
	syncResume = 24 * time.Hour
	// syncTold is how often the progress is told.
	syncTold = 10 * time.Second
	// pageTries are the questions for one page before the listing is put off until it is due again.
	pageTries = 20
)

// SyncState is what is known of a source's re-sync.
type SyncState struct {
	Owner     string    `json:"owner,omitempty"`     // the receiver that lists; empty: none
	Lease     time.Time `json:"lease,omitzero"`      // until when it may be silent
	Requested time.Time `json:"requested,omitzero"`  // somebody asked for a listing now
	Accept    bool      `json:"accept,omitempty"`    // ... and wants it to count however much is gone
	Started   time.Time `json:"started,omitzero"`    // of the newest listing
	Finished  time.Time `json:"finished,omitzero"`   // its end, if that is later than Started
	Cursor    string    `json:"cursor,omitempty"`    // of the page that comes next
	Pages     int       `json:"pages"`               // of the newest listing, so far
	Devices   int       `json:"devices"`             // different ones
	Total     int       `json:"total,omitempty"`     // as the vendor says; 0: it does not
	Faults    int       `json:"faults"`              // devices whose word could not be applied
	Withdrawn int       `json:"withdrawn"`           // devices that the vendor no longer has
	Fault     string    `json:"fault,omitempty"`     // why the newest listing that ended does not count; empty: it does
	Complete  int       `json:"complete,omitempty"`  // devices of the last listing that counts
	CompletAt time.Time `json:"completeAt,omitzero"` // its end
}

// Running reports whether a listing has begun and not ended; it may wait for a receiver to go on with it.
func (s *SyncState) Running() bool { return s.Started.After(s.Finished) }

// Answered reports whether the listing that was asked for last has ended. One that was running when it was asked for ends
// before that begins, and is none.
func (s *SyncState) Answered() bool { return s.Started.After(s.Requested) && !s.Running() }

// due reports whether a listing is to begin or to be gone on with, by whoever gets the lease.
func (s *SyncState) due(now time.Time, every time.Duration) bool {
	if s.Owner != "" && now.Before(s.Lease) {
		return false
	}
	return s.Running() || s.Requested.After(s.Started) || !now.Before(s.Started.Add(every))
}

// errNotOurs: another receiver has taken over the listing.
var errNotOurs = errors.New("another receiver goes on with the listing")

// listing is a re-sync that this receiver holds the lease of.
type listing struct {
	r         *Receiver
	from      Source
	inventory source.Inventory
	owner     string
	state     SyncState
	revision  signals.Revision
	seen      map[[16]byte]bool // devices, by the hash of their alias
	cursors   map[[16]byte]bool // of the pages that were asked for
	told      time.Time
}

// keepSyncing lists a source again and again until ctx ends.
func (r *Receiver) keepSyncing(ctx context.Context, from Source, inventory source.Inventory) {
	wake := r.syncs[from.Name]
	for {
		if err := r.syncOnce(ctx, from, inventory); err != nil && ctx.Err() == nil {
			r.events.Inventory.SyncFailed(from.Name, err)
		}
		look := time.NewTimer(spread(syncLook))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-look.C:
		}
		look.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// syncOnce lists the source if that is due and nobody else does.
func (r *Receiver) syncOnce(ctx context.Context, from Source, inventory source.Inventory) error {
	state, revision, err := r.syncState(ctx, from.Name)
	if err != nil || !state.due(r.now(), from.Sync.Every) {
		return err
	}
	owner, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("no random bytes for a lease: %w", err)
	}
	l := &listing{r: r, from: from, inventory: inventory, owner: owner.String(), state: state, revision: revision,
		seen: map[[16]byte]bool{}, cursors: map[[16]byte]bool{}, told: r.now()}
	if err := l.begin(ctx); err != nil {
		if errors.Is(err, errNotOurs) {
			return nil // another receiver was faster
		}
		return err
	}
	err = l.run(ctx)
	if errors.Is(err, errNotOurs) {
		return nil
	}
	if err != nil { // let go of it, so that it is gone on with at once and by anybody
		l.state.Owner, l.state.Lease = "", time.Time{}
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
		defer cancel()
		_ = l.save(release) // the lease ends by itself
	}
	return err
}

// begin takes the lease, of a new listing or of one that was left.
func (l *listing) begin(ctx context.Context) error {
	now := l.r.now().Round(0).UTC()
	if l.state.Running() && now.Sub(l.state.Started) < syncResume {
		if err := l.recall(ctx); err != nil {
			return err
		}
	} else {
		if err := l.forgetPages(ctx); err != nil {
			return err
		}
		s := &l.state
		s.Accept = s.Accept && s.Requested.After(s.Started)
		s.Started, s.Cursor = now, ""
		s.Pages, s.Devices, s.Total, s.Faults, s.Withdrawn = 0, 0, 0, 0, 0
	}
	l.state.Owner = l.owner
	return l.save(ctx)
}

// run asks for the pages that are left, withdraws what the list lacks, and notes the end. An error is the store's, or the
// end of ctx: the listing is then gone on with later.
func (l *listing) run(ctx context.Context) error {
	l.r.events.Inventory.SyncStarted(l.from.Name, l.state)
	fault, err := l.pages(ctx)
	if err != nil {
		return err
	}
	if fault == "" {
		if fault, err = l.sweep(ctx); err != nil {
			return err
		}
	}
	l.state.Owner, l.state.Lease, l.state.Cursor = "", time.Time{}, ""
	l.state.Finished, l.state.Fault = l.r.now().Round(0).UTC(), fault
	if !l.state.Finished.After(l.state.Started) {
		l.state.Started = l.state.Finished.Add(-time.Nanosecond) // a clock that was set back must not list for ever
	}
	if fault == "" {
		l.state.Complete, l.state.CompletAt = l.state.Devices, l.state.Finished
	}
	if err := l.save(ctx); err != nil {
		return err
	}
	l.r.events.Inventory.SyncEnded(l.from.Name, l.state)
	return l.forgetPages(ctx)
}

// save stores the state, with a fresh lease while it is ours, unless another receiver took it.
func (l *listing) save(ctx context.Context) error {
	if l.state.Owner != "" {
		l.state.Lease = l.r.now().Add(syncLease).Round(0).UTC()
	}
	for {
		value, err := json.Marshal(l.state)
		if err != nil {
			return err
		}
		next := signals.NextRevision(l.revision, l.r.now())
		err = l.r.store.PutRecord(ctx, signals.Record{Kind: KindSync, Key: l.from.Name, Revision: next, Value: value},
			l.revision)
		if err == nil {
			l.revision = next
			return nil
		}
		if !errors.Is(err, signals.ErrConflict) {
			return err
		}
		// Somebody may only have asked for a listing while we list.
		stored, revision, err := l.r.syncState(ctx, l.from.Name)
		if err != nil {
			return err
		}
		if revision == l.revision {
			return errBusy
		}
		if stored.Owner != l.owner {
			return errNotOurs
		}
		l.revision, l.state.Requested, l.state.Accept = revision, stored.Requested, stored.Accept
	}
}

// tell reports the progress now and then.
func (l *listing) tell() {
	if now := l.r.now(); now.Sub(l.told) >= syncTold {
		l.told = now
		l.r.events.Inventory.SyncProgress(l.from.Name, l.state)
	}
}

// syncState reads what is stored; nothing, or what cannot be read, is a source that was never listed.
func (r *Receiver) syncState(ctx context.Context, name string) (SyncState, signals.Revision, error) {
	record, err := r.store.Record(ctx, KindSync, name)
	if errors.Is(err, signals.ErrNotFound) {
		return SyncState{}, 0, nil
	}
	if err != nil {
		return SyncState{}, 0, err
	}
	var state SyncState
	if json.Unmarshal(record.Value, &state) != nil {
		return SyncState{}, record.Revision, nil
	}
	return state, record.Revision, nil
}
