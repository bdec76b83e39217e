package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/signals"
)

// identityBook is the inventory as the receiver's process keeps and reads it. What sidecars saw is read as it stands;
// imports are read and written through signed, so that what somebody else wrote there says nothing.
type identityBook struct {
	raw, signed signals.Records
	now         func() time.Time
	importing   sync.Mutex
}

// observedIdentities is GET /v1/identities/observed.
type observedIdentities struct {
	At        time.Time            `json:"at"`
	Sightings []inventory.Sighting `json:"sightings"`
	Entries   []inventory.Entry    `json:"entries"`
	Days      []string             `json:"days"`
	// Unread are records that cannot be believed, the first hundred.
	Unread []string `json:"unread,omitempty"`
}

const maxUnread = 100

func (b *identityBook) read(ctx context.Context) (*observedIdentities, error) {
	o := &observedIdentities{At: b.now().UTC(), Sightings: []inventory.Sighting{}, Entries: []inventory.Entry{}, Days: []string{}}
	unread := func(err error) {
		if len(o.Unread) < maxUnread {
			o.Unread = append(o.Unread, err.Error())
		}
	}
	if _, err := b.raw.EachRecord(ctx, inventory.RecordKind, func(r signals.Record) error {
		if s, err := inventory.ParseSighting(r.Key, r.Value); err != nil {
			unread(err)
		} else {
			s.Batches = nil
			o.Sightings = append(o.Sightings, s)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("what decisions saw cannot be read: %w", err)
	}
	days := map[string]bool{}
	if _, err := b.raw.EachRecord(ctx, inventory.UseKind, func(r signals.Record) error {
		if u, err := inventory.ParseUse(r.Key, r.Value); err != nil {
			unread(err)
		} else {
			days[u.Day] = true
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("the days that were observed cannot be read: %w", err)
	}
	o.Days = slices.Sorted(maps.Keys(days))
	stored, err := b.entries(ctx, unread)
	for _, e := range stored {
		o.Entries = append(o.Entries, e.entry)
	}
	slices.SortFunc(o.Entries, func(a, b inventory.Entry) int { return compareText(a.Key(), b.Key()) })
	return o, err
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

type storedEntry struct {
	entry    inventory.Entry
	revision signals.Revision
}

// entries are the imported identities by the keys of their records. One that nobody of ours signed has no content.
func (b *identityBook) entries(ctx context.Context, unread func(error)) (map[string]storedEntry, error) {
	all := map[string]storedEntry{}
	_, err := b.signed.EachRecord(ctx, inventory.EntryKind, func(r signals.Record) error {
		if r.Value == nil {
			unread(fmt.Errorf("imported identity %q: no receiver has signed it", r.Key))
			return nil
		}
		e, err := inventory.ParseEntry(r.Key, r.Value)
		if err != nil {
			unread(err)
			return nil
		}
		all[r.Key] = storedEntry{e, r.Revision}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("imported identities cannot be read: %w", err)
	}
	return all, nil
}

// identityOrder is POST /v1/identities/import: all that a system, or one part of it, lists now.
type identityOrder struct {
	System string `json:"system"`
	Part   string `json:"part,omitempty"`
	Format string `json:"format"`
	// Replace: what was imported in another format before may go.
	Replace bool              `json:"replace,omitempty"`
	Entries []inventory.Entry `json:"entries"`
}

// identityReceipt is what an import did.
type identityReceipt struct {
	System  string    `json:"system"`
	Part    string    `json:"part,omitempty"`
	At      time.Time `json:"at"`
	Listed  int       `json:"listed"`
	Added   int       `json:"added"`
	Changed int       `json:"changed"`
	Gone    int       `json:"gone"` // that the system listed before and no longer does
	Notes   []string  `json:"notes,omitempty"`
}

// importKind is the kind of the records that say when a system was imported last; the key is inventory.Origin.
const importKind = "identity-import"

// importNote is the value of such a record.
type importNote struct {
	At     time.Time `json:"at"`
	Listed int       `json:"listed"`
	Format string    `json:"format"`
	By     string    `json:"by"`
}

// importWriters write at once: stores commit many writes together.
const importWriters = 64

// errReplaces is an import that would take what another one said for gone.
var errReplaces = errors.New("nothing is imported")

// take replaces what a system, or one part of it, had said. An import that breaks off is repeated: what is written stays,
// nothing is gone that was not to be. Errors: errOrder, errReplaces.
func (b *identityBook) take(ctx context.Context, order *identityOrder, by string) (*identityReceipt, error) {
	b.importing.Lock()
	defer b.importing.Unlock()
	now := b.now().UTC()
	if len(order.Entries) > inventory.MaxEntries {
		return nil, unreadableOrder(fmt.Errorf("%d identities; the limit is %d", len(order.Entries), inventory.MaxEntries))
	}
	if err := inventory.CheckPart(order.Part); err != nil {
		return nil, unreadableOrder(fmt.Errorf("part: %w", err))
	}
	before, err := b.entries(ctx, func(error) {})
	if err != nil {
		return nil, err
	}
	receipt := &identityReceipt{System: order.System, Part: order.Part, At: now, Listed: len(order.Entries)}
	puts, err := order.changes(before, receipt)
	if err != nil {
		return nil, err
	}
	noted, err := b.noted(ctx, order)
	if err != nil {
		return nil, err
	}
	if receipt.Gone > 0 && noted.Format != "" && noted.Format != order.Format && !order.Replace {
		return nil, fmt.Errorf("%w: what was imported of %s before was %s, and this is %s; %d identities would count as gone, and "+
			"their findings be closed: give each a --part of its own, or say --replace if they are gone", errReplaces,
			inventory.Origin(order.System, order.Part), noted.Format, order.Format, receipt.Gone)
	}
	if err := b.put(ctx, puts, now); err != nil {
		return nil, err
	}
	return receipt, b.note(ctx, receipt, order.Format, by)
}

// changes are the records that an import writes, which the receipt counts.
func (order *identityOrder) changes(before map[string]storedEntry, receipt *identityReceipt) ([]signals.Record, error) {
	now, listed := receipt.At, map[string]bool{}
	var puts []signals.Record
	for i := range order.Entries {
		e := order.Entries[i]
		e.ImportedAt, e.Gone = now, time.Time{}
		if err := e.Check(); err != nil {
			return nil, unreadableOrder(fmt.Errorf("identity %q: %w", e.ID, err))
		}
		if e.System != order.System || e.Part != order.Part || listed[e.Key()] {
			return nil, unreadableOrder(fmt.Errorf("identity %q of %s is there twice, or of another system or part", e.ID,
				inventory.Origin(e.System, e.Part)))
		}
		listed[e.Key()] = true
		was, known := before[e.Key()]
		switch {
		case known && was.entry.Says(&e):
			continue
		case known && was.entry.Live():
			receipt.Changed++
		default:
			receipt.Added++
		}
		puts = append(puts, signals.Record{Kind: inventory.EntryKind, Key: e.Key(), Revision: was.revision, Value: e.JSON()})
	}
	for key, was := range before {
		if e := was.entry; e.System == order.System && e.Part == order.Part && e.Live() && !listed[key] {
			receipt.Gone++
			e.Gone = now
			puts = append(puts, signals.Record{Kind: inventory.EntryKind, Key: key, Revision: was.revision, Value: e.JSON(),
				Expires: now.Add(inventory.Keep)})
		}
	}
	return puts, nil
}

// put writes records; the revision of each is the one that is expected.
func (b *identityBook) put(ctx context.Context, puts []signals.Record, now time.Time) error {
	jobs, failed := make(chan signals.Record), make(chan error, 1)
	var all sync.WaitGroup
	for range importWriters {
		all.Go(func() {
			for r := range jobs {
				if err := b.putOne(ctx, r, now); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for _, r := range puts {
		if len(failed) > 0 {
			break
		}
		jobs <- r
	}
	close(jobs)
	all.Wait()
	select {
	case err := <-failed:
		return fmt.Errorf("the import broke off: %w; repeat it", err)
	default:
		return nil
	}
}

// putOne writes one record. Where nothing of ours stood there may be something that nobody signed, or
// that cannot be read, which gives way.
func (b *identityBook) putOne(ctx context.Context, r signals.Record, now time.Time) error {
	expected := r.Revision
	r.Revision = signals.NextRevision(expected, now)
	err := b.signed.PutRecord(ctx, r, expected)
	if !errors.Is(err, signals.ErrConflict) || expected != 0 {
		return err
	}
	there, readErr := b.raw.Record(ctx, r.Kind, r.Key)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if ours, readErr := b.signed.Record(ctx, r.Kind, r.Key); readErr == nil {
		if _, readErr = inventory.ParseEntry(r.Key, ours.Value); readErr == nil {
			return err // another receiver imports too
		}
	}
	r.Revision = signals.NextRevision(there.Revision, now)
	return b.signed.PutRecord(ctx, r, there.Revision)
}

// noted is what the last import of the same said of itself; none that nobody of ours signed.
func (b *identityBook) noted(ctx context.Context, order *identityOrder) (importNote, error) {
	var noted importNote
	r, err := b.signed.Record(ctx, importKind, inventory.Origin(order.System, order.Part))
	switch {
	case errors.Is(err, signals.ErrNotFound), errors.Is(err, signals.ErrCorrupt):
		return noted, nil
	case err != nil:
		return noted, fmt.Errorf("what was imported before cannot be read: %w", err)
	case json.Unmarshal(r.Value, &noted) != nil:
		return importNote{}, nil
	}
	return noted, nil
}

// note says that a system was imported.
func (b *identityBook) note(ctx context.Context, receipt *identityReceipt, format, by string) error {
	value, err := json.Marshal(importNote{At: receipt.At, Listed: receipt.Listed, Format: format, By: by})
	if err != nil {
		return err
	}
	key := inventory.Origin(receipt.System, receipt.Part)
	was, err := b.raw.Record(ctx, importKind, key)
	if err != nil && !errors.Is(err, signals.ErrNotFound) {
		return err
	}
	return b.signed.PutRecord(ctx, signals.Record{Kind: importKind, Key: key, Value: value,
		Revision: signals.NextRevision(was.Revision, receipt.At)}, was.Revision)
}
