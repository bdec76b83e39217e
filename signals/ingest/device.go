package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tiergate/tiergate/signals"
)

// attempts bounds how often a write that lost a race is tried again at once. Each loss means that another writer got
// on, so running out of attempts is rare; the delivery then waits in the inbox.
const attempts = 16

var errBusy = errors.New("other writers were faster each time; tried again later")

// contestedError names the devices that one observation would have to join. It joins none.
type contestedError struct{ claims []claim }

func (e contestedError) Error() string {
	var names []string
	for _, c := range e.claims {
		names = append(names, fmt.Sprintf("%s is device %s", c.alias, c.owner))
	}
	return "the names belong to different devices: " + strings.Join(names, ", ") +
		"; find out which name is wrong, correct it at its source, and retry"
}

// settle merges an observation of a delivery into the posture of its device, which it makes if there is none.
func (r *Receiver) settle(
	ctx context.Context, e entry, o signals.Observation,
) (device signals.DeviceID, changed bool, err error) {
	links := r.links.Load()
	by := newTestimony(e, o.Aliases, links)
	o.Aliases = by.names
	for range attempts {
		before, err := r.find(ctx, by, links)
		if errors.Is(err, signals.ErrConflict) {
			continue
		}
		if contested, ok := errors.AsType[contestedError](err); ok {
			if failed := r.report(ctx, contested, by); failed != nil {
				return "", false, failed
			}
		}
		if err != nil {
			return "", false, err
		}
		after, changed := before.Merge(o)
		if !changed {
			return before.Device, false, nil
		}
		after.Revision = signals.NextRevision(before.Revision, r.now())
		err = r.store.PutPosture(ctx, after, before.Revision)
		if errors.Is(err, signals.ErrConflict) {
			continue
		}
		return after.Device, true, err
	}
	return "", false, errBusy
}

// claim is the slot of one alias: the record that says whose name it is.
type claim struct {
	alias    signals.Alias
	written  signals.DeviceID // empty: free
	owner    signals.DeviceID // the device that it is, or has become part of
	said     []Witness
	revision signals.Revision
}

// find returns the posture of the device that carries the aliases, or an empty one under the id that the device will
// have, and makes every alias a claim of that device. A claim comes before the posture, so it may name a device that
// was never written (unborn); such a device is taken over, or retired in favour of one that exists.
//
// Another receiver may be about to write an unborn device. Retiring it therefore means to write its posture, without
// names or facts, before its claims are given away: whoever is late then meets ErrConflict and looks again, and no fact
// can end up on a device that nobody finds. ErrConflict from here also means: look again.
func (r *Receiver) find(ctx context.Context, by testimony, links *links) (signals.Posture, error) {
	claims, err := r.claims(ctx, by.names)
	if err != nil {
		return signals.Posture{}, err
	}
	born, unborn, err := r.owners(ctx, claims, links)
	if err != nil {
		return signals.Posture{}, err
	}
	if err := links.check(by.names, born); err != nil {
		return signals.Posture{}, err
	}
	var chosen signals.Posture
	switch {
	case len(born) > 1 && by.joinable(claims, born):
		return signals.Posture{}, r.join(ctx, claims, born, by)
	case len(born) > 1:
		contested := slices.DeleteFunc(claims, func(c claim) bool { return born[c.owner].Device == "" })
		return signals.Posture{}, contestedError{contested}
	case len(born) == 1:
		for _, posture := range born {
			chosen = posture
		}
	case len(unborn) > 0:
		chosen.Device, unborn = unborn[0], unborn[1:]
	default:
		if chosen.Device, err = newDeviceID(); err != nil {
			return signals.Posture{}, err
		}
	}
	for _, device := range unborn {
		empty := signals.Posture{Device: device, Revision: signals.NextRevision(0, r.now())}
		if err := r.store.PutPosture(ctx, empty, 0); err != nil {
			return signals.Posture{}, err
		}
	}
	for _, c := range claims {
		if err := r.assign(ctx, c, chosen.Device, by); err != nil {
			return signals.Posture{}, err
		}
	}
	return chosen, nil
}

// claims reads the slots of the aliases, which are in their order, each once: receivers that meet on several names meet on the
// same one first.
func (r *Receiver) claims(ctx context.Context, aliases []signals.Alias) ([]claim, error) {
	var claims []claim
	for _, alias := range aliases {
		record, err := r.store.Record(ctx, KindAlias, alias.String())
		if errors.Is(err, signals.ErrNotFound) {
			claims = append(claims, claim{alias: alias})
			continue
		}
		if err != nil {
			return nil, err
		}
		read, err := ReadClaim(record)
		if err != nil {
			return nil, err
		}
		claims = append(claims, claim{alias, read.Device, read.Device, read.Said, record.Revision})
	}
	return claims, nil
}

// owners tells the devices that exist from those that are unborn (sorted), and notes in the claims which it is. Retired ones
// are neither, unless they became part of another. A name that was claimed for a device which by a document may not have it,
// and does not, is free: whoever claimed it came too late.
func (r *Receiver) owners(ctx context.Context, claims []claim, links *links) (
	born map[signals.DeviceID]signals.Posture, unborn []signals.DeviceID, err error,
) {
	found := map[signals.DeviceID]signals.Posture{}
	for i := range claims {
		found[claims[i].written] = signals.Posture{}
	}
	delete(found, "")
	for _, id := range slices.Sorted(maps.Keys(found)) {
		posture, err := r.follow(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if posture.Device != id {
			if err := r.finish(ctx, id); err != nil && !errors.Is(err, signals.ErrNotFound) {
				return nil, nil, err
			}
		}
		found[id] = posture
	}
	born = map[signals.DeviceID]signals.Posture{}
	for i := range claims {
		posture := found[claims[i].written]
		claims[i].owner = posture.Device
		switch {
		case claims[i].written == "":
		case posture.Revision == 0:
			unborn = append(unborn, posture.Device)
		case links.apart(claims[i].alias, posture):
			claims[i].owner = ""
		case len(posture.Aliases) > 0:
			born[posture.Device] = posture
		}
	}
	slices.Sort(unborn)
	return born, slices.Compact(unborn), nil
}

// assign gives a claim to the device and notes who says so, unless both is written already.
func (r *Receiver) assign(ctx context.Context, c claim, device signals.DeviceID, by testimony) error {
	said := c.saidBy(by)
	if c.written == device && len(said) == len(c.said) {
		return nil
	}
	value, err := json.Marshal(Claim{Device: device, Said: said})
	if err != nil {
		return err
	}
	return r.store.PutRecord(ctx, signals.Record{
		Kind: KindAlias, Key: c.alias.String(), Revision: signals.NextRevision(c.revision, r.now()), Value: value,
	}, c.revision)
}

// newDeviceID makes a name that says nothing of the device; version 7 of RFC 9562 keeps new ones together in a store.
func newDeviceID() (signals.DeviceID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("no random bytes for a new device's id: %w", err)
	}
	return signals.DeviceID(id.String()), nil
}
