package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

const (
	// applyTimeout bounds the work on one delivery; after that it waits in the inbox.
	applyTimeout = 10 * time.Second
	// maxAhead is how far in the future a source may have looked at a device before we say that its clock is wrong.
	maxAhead = 10 * time.Minute
	// strayFor is how long an entry waits for a receiver that knows its source: while settings roll out, one of several
	// receivers may know a source that the others do not know yet.
	strayFor = time.Hour
)

// earliest is the first instant at which a device can have been looked at: the placeholders of vendors (year 1, 1970)
// are before it.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// process deals with one entry of the inbox. An error means that the entry is still there and must be tried again.
func (r *Receiver) process(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var known error
	asked := make(chan struct{})
	go func() { // beside the other question
		defer close(asked)
		_, known = r.remembered(ctx, key)
	}()
	record, err := r.store.Record(ctx, KindInbox, key)
	<-asked
	if errors.Is(err, signals.ErrNotFound) {
		return nil // another receiver was faster
	}
	if err != nil {
		return err
	}
	var e entry
	if err := json.Unmarshal(record.Value, &e); err != nil || entryKey(e.Source, e.ID) != key {
		return r.buryUnreadable(ctx, record)
	}
	if !r.alone && e.Owner != r.name {
		return nil // another receiver took us for dead, and works on it now
	}
	switch {
	case known == nil:
		return r.forget(ctx, record)
	case !errors.Is(known, signals.ErrNotFound):
		return known
	}
	reason, err := r.apply(ctx, e)
	if err != nil {
		return err
	}
	if reason != "" {
		letter := DeadLetter{Source: e.Source, ID: e.ID, Received: e.Received, Reason: reason,
			ContentType: e.ContentType, Body: e.Body}
		if err := r.bury(ctx, letter); err != nil {
			return err
		}
		r.events.DeadLettered(e.Source, e.ID, reason)
	}
	return r.finished(ctx, record, e.Body)
}

// buryUnreadable keeps the bytes of an entry that is none. It is not remembered: if the sender sends again, the better.
func (r *Receiver) buryUnreadable(ctx context.Context, record signals.Record) error {
	from, id := splitKey(record.Key)
	letter := DeadLetter{Source: from, ID: id, Received: r.now().Round(0).UTC(), Body: record.Value, Unreadable: true,
		Reason: "the inbox entry cannot be read; somebody else wrote it, or the store is damaged"}
	if err := r.bury(ctx, letter); err != nil {
		return err
	}
	r.events.DeadLettered(from, id, letter.Reason)
	return r.forget(ctx, record)
}

// apply says why an entry cannot be applied, or "" when all of it is. An error is the store's.
func (r *Receiver) apply(ctx context.Context, e entry) (reason string, err error) {
	from, known := r.sources[e.Source]
	if !known {
		reason := fmt.Sprintf("the settings name no source %q; add it, or drop this delivery", e.Source)
		if r.now().Sub(e.Received) < strayFor {
			return "", errors.New(reason)
		}
		return reason, nil
	}
	header := http.Header{}
	if e.ContentType != "" {
		header.Set("Content-Type", e.ContentType)
	}
	d := source.Delivery{Source: e.Source, ID: e.ID, Header: header, Body: e.Body, Received: e.Received}
	cut, err := r.revoke(ctx, from, d)
	if err != nil {
		return "", err
	}
	observations, err := observe(from.Adapter, d)
	if err != nil {
		return joinReasons(cut, []string{err.Error()}), nil
	}
	var reasons []string
	for _, o := range observations {
		reason, err := r.applyOne(ctx, from, e, o)
		if err != nil {
			return "", err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	waited, err := r.awaited(from, e, d)
	if err != nil {
		return "", err
	}
	lost, err := r.relist(ctx, from, d)
	if err != nil {
		return "", err
	}
	return joinReasons(cut, reasons, waited, lost), nil
}

// observe asks the adapter. One that panics must not take the receiver down at every start with the same delivery.
func observe(adapter source.Adapter, d source.Delivery) (observations []signals.Observation, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the adapter failed on this body, which is a bug: %v", fault)
		}
	}()
	return adapter.Observe(d)
}

// applyOne deals with one device, see apply.
func (r *Receiver) applyOne(
	ctx context.Context, from Source, e entry, o signals.Observation,
) (reason string, err error) {
	if len(o.Aliases) == 0 {
		return "the observation names no device", nil
	}
	var facts []signals.Fact
	for _, fact := range o.Facts {
		if !slices.Contains(from.Attests, fact.Attribute) {
			r.events.Dropped(from.Name, e.ID, fact.Attribute)
			continue
		}
		fact.Source, fact.Received = from.Name, e.Received
		if err := plausible(fact); err != nil {
			return err.Error(), nil
		}
		facts = append(facts, fact)
	}
	if len(facts) == 0 {
		return "", nil // nothing that counts, so not even a device is made
	}
	device, changed, err := r.settle(ctx, e, signals.Observation{Aliases: o.Aliases, Facts: facts})
	if reason := r.undoable(e, err); reason != "" {
		return reason, nil
	}
	if err != nil {
		return "", err
	}
	r.events.Applied(from.Name, e.ID, device, changed, r.now().Sub(e.Received))
	return "", nil
}

// plausible checks what every source must get right, whichever adapter read it.
func plausible(fact signals.Fact) error {
	attribute, _ := signals.LookupAttribute(fact.Attribute) // it is attested, so it exists
	switch {
	case !attribute.Accepts(fact.Value):
		return fmt.Errorf("%s cannot be %.60q", fact.Attribute, fact.Value)
	case fact.Observed.Before(earliest):
		return fmt.Errorf("%s was observed at %s, which is a placeholder and no time", fact.Attribute,
			fact.Observed.UTC().Format(time.RFC3339))
	case fact.Observed.After(fact.Received.Add(maxAhead)):
		return fmt.Errorf("%s was observed at %s, more than 10 minutes after it was received (%s); set the source's clock",
			fact.Attribute, fact.Observed.UTC().Format(time.RFC3339), fact.Received.UTC().Format(time.RFC3339))
	}
	return nil
}
