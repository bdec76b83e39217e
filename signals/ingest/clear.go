package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiergate/tiergate/signals"
)

// Clear ends what sources have said of a device, as two people have approved it: of the device that has this id, or that it
// became part of. It is applied as a delivery is: by compare-and-set, in full, and durable when Clear returns. Whoever calls
// keeps what was approved, and calls again until it has worked; doing it twice changes nothing, and changed is then false.
//
// The error wraps signals.ErrNotFound where there is no such device, and signals.ErrCorrupt where what the store has of it is
// not believed: neither is ended by trying again.
func (r *Receiver) Clear(ctx context.Context, device signals.DeviceID, ended []signals.Clearance) (changed bool, err error) {
	for range attempts {
		before, err := r.follow(ctx, device)
		switch {
		case err != nil:
			return false, fmt.Errorf("device %s: %w", device, err)
		case before.Revision == 0:
			return false, fmt.Errorf("device %s: %w", device, signals.ErrNotFound)
		}
		after, changed := before.Merge(signals.Observation{Clearances: ended})
		if !changed {
			return false, nil
		}
		after.Revision = signals.NextRevision(before.Revision, r.now())
		if err := r.store.PutPosture(ctx, after, before.Revision); !errors.Is(err, signals.ErrConflict) {
			return err == nil, err
		}
	}
	return false, errBusy
}
