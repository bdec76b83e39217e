package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/revocation"
)

// The times of following what has ended. There are few revocations, so that reading all of them again is cheap.
const (
	revocationsResync = time.Minute
	revocationsLook   = 500 * time.Millisecond
)

// endings are what a sidecar knows of ended logins, and for how long it may go on without knowing more.
type endings struct {
	follower *follow.Follower
	stale    time.Duration
	set      func(*revocation.Table)        // what decisions obey; nil: no login is believed
	told     func(since time.Time, ok bool) // what is known of ended logins is too old, since; or it is well again

	mu    sync.Mutex
	table *revocation.Table // nil: never read
	since time.Time         // nothing new is known since then, for too long; zero: it is well
}

// followRevocations follows what receivers of Shared Signals say has ended of somebody's logins, and has decisions obey it: in
// a shared store what a receiver signed, and nothing else. What was seen once counts until its end, whatever becomes of its
// record. Until all was read once no login is believed, and none again when the changes could not be followed for
// identity.revocationsStale.
func (sc *sidecar) followRevocations() (*endings, error) {
	records, err := believedRecords(sc.settings, sc.store)
	if err != nil {
		return nil, err
	}
	events, refused := sc.observer.followed(&endedRecords)
	e := &endings{stale: sc.settings.Identity.RevocationsStale, told: sc.observer.revocationsStale(),
		set: func(t *revocation.Table) { sc.authz.SetRevocations(t) }}
	var book revocation.Book // OnChange is never called concurrently with itself
	e.follower = follow.New(records, follow.Options{Kinds: []string{revocation.Kind}, Keep: []string{revocation.Kind}, Events: events,
		Resync: revocationsResync, OnChange: func(all []signals.Record) {
			for _, record := range all {
				r, err := revocation.Read(record)
				if err != nil {
					refused(record.Kind, record.Key, err)
					continue
				}
				book.Put(r)
			}
			book.Expire(time.Now())
			table := book.Table()
			e.publish(table)
			sc.observer.ended.Set(float64(table.Len()))
		}})
	return e, nil
}

// run follows, and looks now and then whether that goes well.
func (e *endings) run(ctx context.Context) error {
	looking, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() {
		tick := time.NewTicker(revocationsLook)
		defer tick.Stop()
		for {
			select {
			case <-looking.Done():
				return
			case <-tick.C:
				since, ok := e.follower.InSync()
				e.look(since, ok, time.Now())
			}
		}
	})
	defer beside.Wait()
	defer stop()
	return e.follower.Run(ctx)
}

// publish has decisions obey a table, unless too much may be missing in it.
func (e *endings) publish(table *revocation.Table) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.table = table
	if e.since.IsZero() {
		e.set(table)
	}
}

// look judges at an instant what the follower says of itself: in sync, or not since (zero: it never was).
func (e *endings) look(since time.Time, ok bool, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case ok && !e.since.IsZero() && at.Sub(since) >= revocationsLook: // what was read anew has been published meanwhile
		e.since = time.Time{}
		e.set(e.table)
		e.told(since, true)
	case !ok && e.since.IsZero() && !since.IsZero() && at.Sub(since) >= e.stale:
		e.since = since
		e.set(nil)
		e.told(since, false)
	}
}

// known says why no login is believed, or nil.
func (e *endings) known() error {
	status := e.follower.Status(revocation.Kind)
	select {
	case <-e.follower.Loaded():
	default:
		text := "what has ended of logins is not loaded yet, so no login is believed: " + status.LastError
		return errors.New(text + " (the Redis user of a sidecar reads records of kind revocation: see the package comment of signals/redisstore)")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() {
		return nil
	}
	return fmt.Errorf("what has ended of logins is not known since %s, so no login is believed (identity.revocationsStale is %s): %s",
		e.since.UTC().Format(time.RFC3339), e.stale, status.LastError)
}
