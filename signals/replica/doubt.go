package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
)

// distrusted tells of a checkpoint that cannot be believed.
func (r *Replica) distrusted(err error) error {
	if errors.Is(err, signals.ErrCorrupt) && r.opts.Events.CheckpointFailed != nil {
		r.opts.Events.CheckpointFailed(err)
	}
	return err
}

// readCheckpoint comes before a full read: what is read after it may not be older. It returns false if there is none.
func (r *Replica) readCheckpoint(ctx context.Context) (bool, error) {
	if r.opts.Checkpoint == nil {
		return true, nil
	}
	c, err := r.opts.Checkpoint(ctx)
	switch {
	case errors.Is(err, signals.ErrNotFound):
		return false, nil
	case err != nil:
		return false, r.distrusted(err)
	}
	r.applying.Lock()
	defer r.applying.Unlock()
	if held := r.least; held != nil && c.Ordinal < held.Ordinal {
		return false, r.distrusted(fmt.Errorf("the checkpoint has ordinal %d, and %d was there: somebody put an older one back, or "+
			"the store lost acknowledged writes: %w", c.Ordinal, held.Ordinal, signals.ErrCorrupt))
	}
	r.mu.Lock()
	r.least = c
	r.mu.Unlock()
	if r.opts.Events.Checkpoint != nil {
		r.opts.Events.Checkpoint(c, time.Since(c.At) > r.opts.MaxAge)
	}
	return true, nil
}

// unchecked judges a store that has no checkpoint, once all of it was read. marked: a device was written under one.
func (r *Replica) unchecked(marked bool) error {
	r.applying.Lock()
	had := r.least != nil
	r.applying.Unlock()
	if marked || had {
		return r.distrusted(fmt.Errorf("the store has no checkpoint, and there was one: somebody removed it, and may have put old "+
			"records back; a receiver that runs writes it again within a minute, else vouch for what is there: tiergate store seal "+
			"--yes: %w", signals.ErrCorrupt))
	}
	if r.opts.Events.Unchecked != nil {
		r.opts.Events.Unchecked()
	}
	return nil
}

// doubted takes a version that is older than what the checkpoint says there was: it is held, for its names, and not believed.
func (r *Replica) doubted(p *signals.Posture) bool {
	if r.least == nil {
		return false
	}
	least := r.least.Revision(p.Device)
	if p.Revision >= least {
		return false
	}
	held := r.devices[p.Device]
	news := held == nil || held.corrupt == nil
	contested := r.swap(p.Device, signals.Pack(p), fmt.Errorf("posture %q: revision %d is stored, and the checkpoint of %s says "+
		"there was %d: somebody put an older version back, or the store lost acknowledged writes: %w", p.Device, p.Revision,
		r.least.At.Format(time.RFC3339), least, signals.ErrCorrupt))
	for _, alias := range contested {
		r.contested(alias)
	}
	if news {
		call3(r.opts.Events.RolledBack, p.Device, least, p.Revision)
	}
	return true
}

// tellMissing tells how many devices the store should have and does not.
func (r *Replica) tellMissing() {
	const most = 10
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.least == nil || r.opts.Events.Missing == nil {
		return
	}
	missing := r.least.Without(func(yield func(signals.DeviceID) bool) {
		for id, d := range r.devices {
			if !d.gone && !yield(id) {
				return
			}
		}
	})
	r.opts.Events.Missing(len(missing), missing[:min(most, len(missing))])
}

// Checked returns the checkpoint that the copy was compared with last; nil: none.
func (r *Replica) Checked() *checkpoint.Checkpoint {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.least
}
