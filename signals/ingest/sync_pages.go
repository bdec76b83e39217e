package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// listed is a page of which everything has been applied.
type listed struct {
	Cursor  string   `json:"cursor"`
	Devices []string `json:"devices"` // the values of their vendor aliases
}

// SyncID stands in Events.Applied for the id of a delivery where a listing told of the device.
const SyncID = "sync"

// pageKeptFor bounds what a listing leaves behind if nobody ever ends it.
const pageKeptFor = 7 * 24 * time.Hour

func mark(text string) [16]byte {
	sum := sha256.Sum256([]byte(text))
	return [16]byte(sum[:])
}

// pages asks for page after page. fault is why the listing does not count; an error is the store's or ctx's.
func (l *listing) pages(ctx context.Context) (fault string, err error) {
	for done := l.state.Cursor == "" && l.state.Pages > 0; !done; {
		if l.cursors[mark(l.state.Cursor)] {
			return fmt.Sprintf("the vendor's list goes in circles: after page %d it names a page that was read before",
				l.state.Pages), nil
		}
		l.cursors[mark(l.state.Cursor)] = true
		page, fault, err := l.page(ctx)
		if fault != "" || err != nil {
			return fault, err
		}
		if err := l.take(ctx, page); err != nil {
			return "", err
		}
		l.tell()
		done = page.Next == ""
	}
	// One in a hundred may have moved between two pages while we read; each that is missed is asked for before it is
	// withdrawn.
	if l.state.Devices*100 < l.state.Total*99 {
		return fmt.Sprintf("the vendor's list ended early: it has %d devices and said that there are %d", l.state.Devices,
			l.state.Total), nil
	}
	return "", nil
}

// page asks for the next page, as often and as late as the vendor wants.
func (l *listing) page(ctx context.Context) (answer source.Page, fault string, err error) {
	backoff, cursor := firstPullRetry, l.state.Cursor
	for try := 1; ; try++ {
		asked, cancel := context.WithTimeout(ctx, pullTimeout)
		err := l.holding(asked, func(held context.Context) (err error) {
			answer, err = page(held, l.inventory, cursor)
			return err
		})
		cancel()
		if err == nil {
			return answer, "", nil
		}
		if ctx.Err() != nil || errors.Is(err, errNotOurs) {
			return answer, "", errors.Join(ctx.Err(), err)
		}
		busy, later := errors.AsType[*source.Busy](err)
		if !later {
			try += 4 // what is refused is seldom granted later
		}
		if try >= pageTries {
			return answer, fmt.Sprintf("page %d cannot be had: %v", l.state.Pages+1, err), nil
		}
		after := backoff
		backoff = min(2*backoff, lastPullRetry)
		if later {
			after = max(busy.After, 100*time.Millisecond)
		}
		l.r.events.Inventory.PullFailed(l.from.Name, fmt.Sprintf("page %d", l.state.Pages+1), after, err)
		if err := l.holding(ctx, func(held context.Context) error { return pause(held, after) }); err != nil {
			return answer, "", err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holding does work that may take long and keeps the lease meanwhile; losing it ends the work.
func (l *listing) holding(ctx context.Context, work func(context.Context) error) error {
	held, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(held) }()
	renew := time.NewTicker(syncLease / 4)
	defer renew.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-renew.C:
			if err := l.save(ctx); errors.Is(err, errNotOurs) {
				cancel()
				return errors.Join(errNotOurs, <-done)
			}
		}
	}
}

// take applies a page, notes which devices it had, and only then moves on.
func (l *listing) take(ctx context.Context, p source.Page) error {
	page := listed{Cursor: l.state.Cursor}
	named := make([]signals.Observation, 0, len(p.Observations))
	faults := 0
	for _, o := range p.Observations {
		name, found := vendorName(l.from.Name, o.Aliases)
		if !found {
			reason := "the adapter did not name the device by the vendor's own id, which is a bug"
			if err := l.applied(ctx, name, reason, &faults); err != nil {
				return err
			}
			continue
		}
		if !l.seen[mark(name)] {
			page.Devices = append(page.Devices, name)
			l.seen[mark(name)] = true
		}
		named = append(named, o)
	}
	for _, all := range [][]signals.Observation{named, p.Also} { // what is said besides is of devices that are there then
		if err := l.applyAll(ctx, all, &faults); err != nil {
			return err
		}
	}
	if err := l.keepPage(ctx, page); err != nil {
		return err
	}
	l.state.Cursor = p.Next
	l.state.Pages++
	l.state.Devices = len(l.seen)
	l.state.Faults += faults
	l.state.Total = max(l.state.Total, p.Total)
	return l.save(ctx)
}

// atOnce is how many devices of a page are applied at once: the store makes what is written at the same time durable in one
// step, so that one after the other a page would wait for each of them.
const atOnce = 32

// applyAll applies observations, in any order, and keeps the lease. The first error of the store ends it.
func (l *listing) applyAll(ctx context.Context, all []signals.Observation, faults *int) error {
	e := entry{Source: l.from.Name, ID: SyncID, Received: l.r.now().Round(0).UTC()}
	for some := range slices.Chunk(all, atOnce) {
		reasons, errs := make([]string, len(some)), make([]error, len(some))
		var working sync.WaitGroup
		for i := range some {
			working.Go(func() { reasons[i], errs[i] = l.r.applyOne(ctx, l.from, e, some[i]) })
		}
		working.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		for i := range some {
			name, _ := vendorName(l.from.Name, some[i].Aliases)
			if err := l.applied(ctx, name, reasons[i], faults); err != nil {
				return err
			}
		}
	}
	return nil
}

// applied notes what became of one device, and keeps the lease.
func (l *listing) applied(ctx context.Context, name, reason string, faults *int) error {
	if reason != "" {
		*faults++
		l.r.events.Inventory.NotApplied(l.from.Name, name, reason)
	}
	if l.state.Lease.Sub(l.r.now()) < syncLease/2 {
		return l.save(ctx)
	}
	return nil
}

// vendorName returns the value of the alias by which the source itself names the device.
func vendorName(from string, aliases []signals.Alias) (string, bool) {
	for _, alias := range aliases {
		if alias.Kind == signals.AliasVendor && strings.HasPrefix(alias.Value, from+"/") {
			return alias.Value, true
		}
	}
	return "", false
}

func (l *listing) pageKey(page int) string {
	return fmt.Sprintf("%s/%d/%08d", l.from.Name, l.state.Started.UnixMicro(), page)
}

// keepPage stores a page; one that an earlier attempt stored is written over.
func (l *listing) keepPage(ctx context.Context, page listed) error {
	value, err := json.Marshal(page)
	if err != nil {
		return err
	}
	key := l.pageKey(l.state.Pages)
	before, err := l.r.store.Record(ctx, KindSyncPage, key)
	if err != nil && !errors.Is(err, signals.ErrNotFound) {
		return err
	}
	now := l.r.now()
	return l.r.store.PutRecord(ctx, signals.Record{Kind: KindSyncPage, Key: key,
		Revision: signals.NextRevision(before.Revision, now), Expires: now.Add(pageKeptFor), Value: value}, before.Revision)
}

// recall reads the pages of a listing that was left.
func (l *listing) recall(ctx context.Context) error {
	for number := range l.state.Pages {
		record, err := l.r.store.Record(ctx, KindSyncPage, l.pageKey(number))
		var page listed
		if err == nil {
			err = json.Unmarshal(record.Value, &page)
		}
		if err != nil { // a page less would withdraw its devices
			return l.restart(ctx, err)
		}
		l.cursors[mark(page.Cursor)] = true
		for _, name := range page.Devices {
			l.seen[mark(name)] = true
		}
	}
	return nil
}

// restart begins the listing anew because its progress cannot be read, unless that is the store's trouble.
func (l *listing) restart(ctx context.Context, err error) error {
	if _, broken := errors.AsType[*json.SyntaxError](err); !broken && !errors.Is(err, signals.ErrNotFound) &&
		!errors.Is(err, signals.ErrCorrupt) {
		return err
	}
	l.state.Cursor, l.state.Pages, l.state.Devices, l.state.Total, l.state.Faults = "", 0, 0, 0, 0
	clear(l.seen)
	clear(l.cursors)
	return l.forgetPages(ctx)
}

// forgetPages removes what earlier listings left.
func (l *listing) forgetPages(ctx context.Context) error {
	var left []signals.Record
	_, err := l.r.store.EachRecord(ctx, KindSyncPage, func(record signals.Record) error {
		if strings.HasPrefix(record.Key, l.from.Name+"/") {
			left = append(left, signals.Record{Key: record.Key, Revision: record.Revision})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, record := range left {
		err := l.r.store.DeleteRecord(ctx, KindSyncPage, record.Key, record.Revision)
		if err != nil && !errors.Is(err, signals.ErrNotFound) && !errors.Is(err, signals.ErrConflict) {
			return err
		}
	}
	return nil
}
