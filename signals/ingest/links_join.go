package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// A join of two devices takes several writes, each of which leaves what any receiver can go on from, whether or not it has
// the document:
//
//  1. a record of KindJoined, under the id of the younger device, says what is meant;
//  2. the older device gets the names, facts and clearances of the younger: for as long as both have the names, sidecars
//     take them for contested, and refuse;
//  3. the younger loses all names and facts, if nobody has written it since 2; who comes later meets ErrConflict;
//  4. the claims of its names are given to the older one; until then the record of 1 leads from the younger to it;
//  5. the record of 1 says that it is done. It stays: somebody may have claimed a name for the younger device in between.

// KindJoined is the kind of the records that say which device another has become part of, by the id of that other. Their
// value is a Joined.
const KindJoined = "joined"

// Joined says what became of a device that a document has joined with an older one.
type Joined struct {
	Into     signals.DeviceID `json:"into"`     // has all of its names and facts; its id is the smaller of the two
	Document string           `json:"document"` // the name of the one that says so
	At       time.Time        `json:"at"`       // when the delivery was received that brought the names together
	Done     bool             `json:"done,omitempty"`
}

// ReadJoined reads a record of KindJoined. The error wraps signals.ErrCorrupt.
func ReadJoined(record signals.Record) (Joined, error) {
	var j Joined
	if err := json.Unmarshal(record.Value, &j); err != nil {
		return Joined{}, fmt.Errorf("the join of device %s cannot be read: %w: %w", record.Key, signals.ErrCorrupt, err)
	}
	if j.Into == "" || string(j.Into) >= record.Key { // so no chain of joins ever is a circle
		return Joined{}, fmt.Errorf("device %s cannot have become part of %q: %w", record.Key, j.Into, signals.ErrCorrupt)
	}
	return j, nil
}

// join makes one of devices that exist: the oldest stays (ids of version 7 sort by time). It returns ErrConflict when that
// is done, so that the caller looks again.
func (r *Receiver) join(
	ctx context.Context, claims []claim, born map[signals.DeviceID]signals.Posture, by testimony,
) error {
	ids := slices.Sorted(maps.Keys(born))
	for _, device := range ids[1:] {
		j := Joined{Into: ids[0], Document: by.document(claims, device), At: by.received.Round(0).UTC()}
		if err := r.intend(ctx, device, j); err != nil {
			return err
		}
		if err := r.finish(ctx, device); err != nil {
			return err
		}
		r.events.Joined(device, j.Into, j.Document)
	}
	return signals.ErrConflict
}

// intend writes what is meant, unless another join of the device is under way, which then is finished first.
func (r *Receiver) intend(ctx context.Context, device signals.DeviceID, j Joined) error {
	record, err := r.store.Record(ctx, KindJoined, string(device))
	switch {
	case errors.Is(err, signals.ErrNotFound):
		record = signals.Record{Kind: KindJoined, Key: string(device)}
	case err != nil:
		return err
	default:
		before, err := ReadJoined(record)
		if err != nil {
			return err
		}
		if !before.Done {
			return nil
		}
	}
	return r.putJoined(ctx, record, j)
}

func (r *Receiver) putJoined(ctx context.Context, record signals.Record, j Joined) error {
	value, err := json.Marshal(j)
	if err != nil {
		return err
	}
	before := record.Revision
	record.Value, record.Revision = value, signals.NextRevision(before, r.now())
	return r.store.PutRecord(ctx, record, before)
}

// finish does what a record of KindJoined means, as far as it is not done. ErrConflict means that somebody else got on:
// look again.
func (r *Receiver) finish(ctx context.Context, device signals.DeviceID) error {
	record, err := r.store.Record(ctx, KindJoined, string(device))
	if err != nil {
		return err
	}
	j, err := ReadJoined(record)
	if err != nil || j.Done {
		return err
	}
	leaving, err := r.store.Posture(ctx, device)
	if err != nil && !errors.Is(err, signals.ErrNotFound) {
		return err
	}
	survivor, err := r.follow(ctx, j.Into) // read later: if the younger is empty, this one has all of it
	if err != nil {
		return err
	}
	if len(leaving.Aliases)+len(leaving.Facts)+len(leaving.Clearances) > 0 {
		if survivor, err = r.absorb(ctx, survivor, leaving); err != nil {
			return err
		}
	}
	if err := r.moveClaims(ctx, survivor, device); err != nil {
		return err
	}
	j.Done = true
	return r.putJoined(ctx, record, j)
}

// absorb gives all that one device has to another.
func (r *Receiver) absorb(ctx context.Context, survivor, leaving signals.Posture) (signals.Posture, error) {
	whole, changed := survivor.Merge(signals.Observation{Aliases: leaving.Aliases, Facts: leaving.Facts,
		Clearances: leaving.Clearances})
	if changed {
		whole.Revision = signals.NextRevision(survivor.Revision, r.now())
		if err := r.store.PutPosture(ctx, whole, survivor.Revision); err != nil {
			return signals.Posture{}, err
		}
	}
	empty := signals.Posture{Device: leaving.Device, Revision: signals.NextRevision(leaving.Revision, r.now())}
	return whole, r.store.PutPosture(ctx, empty, leaving.Revision)
}

// moveClaims gives the claims of a device's names that still are of one that became part of it to the device. Who said so
// stays.
func (r *Receiver) moveClaims(ctx context.Context, survivor signals.Posture, from signals.DeviceID) error {
	claims, err := r.claims(ctx, survivor.Aliases)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if c.written != from {
			continue
		}
		if err := r.assign(ctx, c, survivor.Device, testimony{}); err != nil {
			return err
		}
	}
	return nil
}

// follow returns the posture of a device, or of the one that it became part of: without names if it is retired, without
// revision if it is unborn.
func (r *Receiver) follow(ctx context.Context, device signals.DeviceID) (signals.Posture, error) {
	for {
		posture, err := r.store.Posture(ctx, device)
		if errors.Is(err, signals.ErrNotFound) {
			return signals.Posture{Device: device}, nil
		}
		if err != nil || len(posture.Aliases) > 0 {
			return posture, err
		}
		record, err := r.store.Record(ctx, KindJoined, string(device))
		if errors.Is(err, signals.ErrNotFound) {
			return posture, nil
		}
		if err != nil {
			return signals.Posture{}, err
		}
		j, err := ReadJoined(record)
		if err != nil {
			return signals.Posture{}, err
		}
		device = j.Into // smaller each time
	}
}

// finishJoins goes on with what receivers left half done that died, once after the start: the document may be gone by now,
// and then no delivery leads there.
func (r *Receiver) finishJoins(ctx context.Context) error {
	var open []signals.DeviceID
	_, err := r.store.EachRecord(ctx, KindJoined, func(record signals.Record) error {
		j, err := ReadJoined(record)
		if err != nil {
			r.events.Distrusted(KindJoined, record.Key, err)
		} else if !j.Done {
			open = append(open, signals.DeviceID(record.Key))
		}
		return nil
	})
	if err != nil && !errors.Is(err, signals.ErrCorrupt) {
		return err
	}
	for _, device := range open {
		switch err := r.finish(ctx, device); {
		case errors.Is(err, signals.ErrCorrupt):
			r.events.Distrusted(KindJoined, string(device), err)
		case err != nil && !errors.Is(err, signals.ErrNotFound):
			return fmt.Errorf("the join of device %s waits: %w", device, err)
		}
	}
	return nil
}
