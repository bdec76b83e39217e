package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// recentMost is how many devices a keeper can write again when the store has lost what it acknowledged: those that this
// receiver wrote last. A failover loses the writes of about a second.
const recentMost = 20_000

// recent are the newest versions that this receiver wrote.
type recent struct {
	of    map[signals.DeviceID]*signals.Packed
	order []signals.DeviceID // oldest first; a device stands in it once
}

func (r *recent) add(p *signals.Posture) {
	if r.of[p.Device] == nil {
		r.order = append(r.order, p.Device)
	}
	r.of[p.Device] = signals.Pack(p)
	if len(r.order) > recentMost {
		delete(r.of, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *recent) devices() []signals.DeviceID { return slices.Clone(r.order) }

// Guard is the store as its receiver uses it: what it writes is noted, and a device of which the store shows less than there
// was is signals.ErrCorrupt, so that nobody goes on from an older version without the alarm of the newer. What this receiver
// itself wrote just now is written again instead.
func (k *Keeper) Guard() signals.Store { return &guarded{Store: k.store, keeper: k} }

type guarded struct {
	signals.Store
	keeper *Keeper
}

// Posture implements signals.Postures. It waits for the stored checkpoint to have been read.
func (g *guarded) Posture(ctx context.Context, device signals.DeviceID) (signals.Posture, error) {
	select {
	case <-g.keeper.read:
	case <-ctx.Done():
		return signals.Posture{}, ctx.Err()
	case <-time.After(readWithin):
		return signals.Posture{}, errors.New("the checkpoint of the store has not been read yet; this passes once the store answers")
	}
	return g.keeper.check(ctx, device)
}

// readWithin bounds how long a delivery waits for the checkpoint; then it goes back into the inbox.
const readWithin = 2 * time.Second

// PutPosture implements signals.Postures.
func (g *guarded) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	return g.keeper.put(ctx, p, expected)
}

func (k *Keeper) put(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	k.mu.Lock()
	p.Checkpointed = p.Checkpointed || k.trusted
	k.mu.Unlock()
	k.count(p.Device, -1) // before its notice can come
	if err := k.store.PutPosture(ctx, p, expected); err != nil {
		k.count(p.Device, 1) // so that its notice counts, if it was stored nevertheless
		return err
	}
	k.raise(p.Device, p.Revision)
	k.mu.Lock()
	if newest := k.recent.of[p.Device]; newest == nil || newest.Revision < p.Revision {
		k.recent.add(&p)
	}
	k.mu.Unlock()
	return nil
}

// checks bounds how often a repair is tried against others who write.
const checks = 3

// check reads a device and compares it with how far it had come before the read began.
func (k *Keeper) check(ctx context.Context, device signals.DeviceID) (signals.Posture, error) {
	for tries := 0; ; tries++ {
		least := k.revision(device)
		p, err := k.store.Posture(ctx, device)
		if err != nil && !errors.Is(err, signals.ErrNotFound) || p.Revision >= least {
			return p, err
		}
		if k.opts.Events.RolledBack != nil && tries == 0 {
			k.opts.Events.RolledBack(device, least, p.Revision)
		}
		repaired, err := k.repair(ctx, device, least, p.Revision)
		if errors.Is(err, signals.ErrConflict) && tries+1 < checks {
			continue
		}
		return repaired, err
	}
}

// repair writes again what this receiver wrote last, if that was the newest.
func (k *Keeper) repair(
	ctx context.Context, device signals.DeviceID, least, shown signals.Revision,
) (signals.Posture, error) {
	k.mu.Lock()
	newest := k.recent.of[device]
	k.mu.Unlock()
	if newest == nil || newest.Revision < least {
		return signals.Posture{}, fmt.Errorf("posture %q: revision %d is stored (0: none), and there was %d: somebody put an older "+
			"version back, or the store lost acknowledged writes: %w", device, shown, least, signals.ErrCorrupt)
	}
	p := *newest.Posture()
	p.Revision = signals.NextRevision(newest.Revision, k.opts.Now())
	if err := k.put(ctx, p, shown); err != nil {
		return signals.Posture{}, err
	}
	tell(k.opts.Events.Repaired, device)
	p.Seal = nil
	return p, nil
}

// Exchange implements signals.Exchanger as far as the store does: it concerns records, which are not guarded.
func (g *guarded) Exchange(ctx context.Context, put signals.Record, remove string, expected signals.Revision) error {
	below, ok := g.Store.(signals.Exchanger)
	if !ok {
		return errors.ErrUnsupported
	}
	return below.Exchange(ctx, put, remove, expected)
}
