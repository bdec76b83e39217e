package checkpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// turn learns what others wrote, and writes the checkpoint if it is ours to write.
func (k *Keeper) turn(ctx context.Context) {
	if !k.hasWalked() {
		return
	}
	if err := k.takeTurn(ctx); err != nil && ctx.Err() == nil {
		tell(k.opts.Events.Failed, fmt.Errorf("the checkpoint is not written: %w", err))
	}
}

func (k *Keeper) takeTurn(ctx context.Context) error {
	began := k.opts.Now()
	if err := k.learnPending(ctx); err != nil {
		return err
	}
	others, err := k.anotherWrites(ctx)
	if others || err != nil {
		return err
	}
	s, err := read(ctx, k.store)
	if err != nil {
		return err
	}
	k.learn(s)
	if err := k.judge(s); err != nil {
		tell(k.opts.Events.Withheld, err)
		return nil
	}
	if s.unsigned {
		if err := s.findRevisions(ctx, k.store); err != nil {
			return err
		}
	}
	w := writer{keeper: k, stored: s}
	if err := w.write(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	k.trusted = true
	devices := 0
	for _, part := range k.known {
		devices += len(part)
	}
	k.mu.Unlock()
	if k.opts.Events.Sealed != nil {
		k.opts.Events.Sealed(devices, w.written, k.opts.Now().Sub(began))
	}
	return nil
}

// learnPending reads the devices that somebody else wrote. What cannot be believed raises nothing.
func (k *Keeper) learnPending(ctx context.Context) error {
	k.mu.Lock()
	written := k.pending
	k.pending = map[signals.DeviceID]int{}
	k.mu.Unlock()
	for device, n := range written {
		if n <= 0 {
			continue
		}
		p, err := k.check(ctx, device)
		switch {
		case err == nil:
			k.raise(device, p.Revision)
		case !errors.Is(err, signals.ErrCorrupt) && !errors.Is(err, signals.ErrNotFound):
			for device, n := range written { // those that were read will be once more
				k.count(device, max(n, 0))
			}
			return err
		}
	}
	return nil
}

// staleTurns is how many periods the head may stand still before another keeper goes on with it.
const staleTurns = 3

// anotherWrites tells whether another keeper does, and does so in order.
func (k *Keeper) anotherWrites(ctx context.Context) (bool, error) {
	r, err := k.store.Record(ctx, Kind, headKey)
	switch {
	case errors.Is(err, signals.ErrNotFound), errors.Is(err, signals.ErrCorrupt):
		return false, nil
	case err != nil:
		return false, err
	}
	var h head
	if json.Unmarshal(r.Value, &h) != nil || h.By == k.opts.Name || r.Revision < k.last[headKey] ||
		k.opts.Now().Sub(h.At) > staleTurns*k.opts.Every {
		return false, nil
	}
	k.last[headKey] = r.Revision
	k.mu.Lock()
	k.trusted = true // another has a whole one, and notices by itself where it is not
	k.mu.Unlock()
	return true, nil
}

// judge compares what is stored with what was. An error: nothing may be written, because what the store shows now may be
// less than there was, and nobody who is running knows.
func (k *Keeper) judge(s *stored) error {
	k.mu.Lock()
	trusted, marked := k.trusted, k.marked
	k.mu.Unlock()
	whole := s.head != nil && len(s.faults) == 0
	if !trusted && !whole && marked {
		why := errors.Join(s.faults...)
		if why == nil {
			why = errors.New("there is none")
		}
		return fmt.Errorf("devices were written under a checkpoint that is not there as a whole: %w; no sidecar that starts will "+
			"serve them; find out who removed it, then vouch for what the store shows: tiergate store seal --yes", why)
	}
	for _, fault := range s.faults {
		tell(k.opts.Events.Distrusted, fault)
	}
	for key, last := range k.last {
		if s.revisions[key] < last {
			tell(k.opts.Events.Distrusted, fmt.Errorf("its %s has revision %d (0: none), and %d was there: somebody put an older one "+
				"back or removed it, or the store lost acknowledged writes", key, s.revisions[key], last))
		}
	}
	return nil
}

// writer makes what is stored say what is known.
type writer struct {
	keeper  *Keeper
	stored  *stored
	written int // bytes
}

func (w *writer) write(ctx context.Context) error {
	for part := range parts {
		if err := w.part(ctx, part); err != nil {
			return err
		}
	}
	h := head{At: w.keeper.opts.Now().UTC().Round(0), By: w.keeper.opts.Name}
	for part := range parts {
		h.Parts[part] = [2]signals.Revision{w.stored.revisions[baseKey(part)], w.stored.revisions[deltaKey(part)]}
	}
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return w.put(ctx, headKey, value)
}

// slack is how many devices a delta may have beyond an eighth of its part's.
const slack = 32

// part writes what of one part has changed: the base first, see read.
func (w *writer) part(ctx context.Context, part int) error {
	found := &w.stored.parts[part]
	changed, all := w.changed(part)
	base, delta := baseKey(part), deltaKey(part)
	if !w.stored.bad[part] && slices.Equal(changed, found.delta) {
		return nil
	}
	if w.stored.bad[part] || w.stored.revisions[base] == 0 || len(changed) > all/8+slack {
		if err := w.put(ctx, base, encode(w.keeper.entries(part))); err != nil {
			return err
		}
		changed = nil
		if w.stored.revisions[delta] == 0 {
			return nil
		}
	}
	return w.put(ctx, delta, encode(changed))
}

// changed are the devices that have come further than the stored base says, and how many there are in all.
func (w *writer) changed(part int) (changed []entry, all int) {
	base := w.stored.parts[part].base
	w.keeper.mu.Lock()
	known := w.keeper.known[part]
	all = len(known)
	for m, r := range known {
		at, found := slices.BinarySearchFunc(base, m, byMark)
		if r.revision > 0 && (!found || base[at].revision < r.revision) {
			changed = append(changed, entry{m, r.revision})
		}
	}
	w.keeper.mu.Unlock()
	slices.SortFunc(changed, func(a, b entry) int { return cmp.Compare(a.mark, b.mark) })
	return changed, all
}

func (k *Keeper) entries(part int) []entry {
	k.mu.Lock()
	all := make([]entry, 0, len(k.known[part]))
	for m, r := range k.known[part] {
		if r.revision > 0 {
			all = append(all, entry{m, r.revision})
		}
	}
	k.mu.Unlock()
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.mark, b.mark) })
	return all
}

func byMark(e entry, m Mark) int { return cmp.Compare(e.mark, m) }

func (w *writer) put(ctx context.Context, key string, value []byte) error {
	k, before := w.keeper, w.stored.revisions[key]
	next := signals.NextRevision(max(before, k.last[key]), k.opts.Now())
	ctx, stop := context.WithTimeout(ctx, putWithin)
	defer stop()
	if err := k.store.PutRecord(ctx, signals.Record{Kind: Kind, Key: key, Revision: next, Value: value}, before); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	w.stored.revisions[key], k.last[key] = next, next
	w.written += len(value)
	return nil
}

const putWithin = 5 * time.Second
