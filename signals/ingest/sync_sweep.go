package ingest

import (
	"context"
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/signals"
)

// sweep withdraws the devices of this source that a complete listing does not have. Each is asked for first: a list that
// changes while its pages are read may lack what was there all the time. fault is why nothing, or not all, was swept.
func (l *listing) sweep(ctx context.Context) (fault string, err error) {
	missing, known, err := l.missing(ctx)
	if err != nil {
		return "", err
	}
	before := l.state.Complete
	if l.state.CompletAt.IsZero() {
		before = known
	}
	if least := float64(before) * (1 - l.from.Sync.MaxShrink); float64(l.state.Devices) < least && !l.state.Accept {
		return fmt.Sprintf("the list shrank from %d devices to %d, which is more than sync.maxShrink (%g) allows; nothing was "+
			"withdrawn. If so many are gone: tiergate source sync %s --accept-shrink", before, l.state.Devices,
			l.from.Sync.MaxShrink, l.from.Name), nil
	}
	unasked := 0
	var last error
	for _, alias := range missing {
		gone, err := l.confirm(ctx, alias)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			unasked++
			last = err
			continue
		}
		if gone {
			l.state.Withdrawn++
		}
		l.tell()
		if l.state.Lease.Sub(l.r.now()) < syncLease/2 {
			if err := l.save(ctx); err != nil {
				return "", err
			}
		}
	}
	if unasked > 0 {
		return fmt.Sprintf("%d devices are not in the list and could not be asked for one by one; they stay as they are: %v",
			unasked, last), nil
	}
	return "", nil
}

// missing are the names of devices that the source has told of, has not withdrawn, and did not list; known counts those
// that it has told of and not withdrawn.
func (l *listing) missing(ctx context.Context) (missing []signals.Alias, known int, err error) {
	_, err = l.r.store.EachPosture(ctx, func(p signals.Posture) error {
		if len(withdrawal(l.from, &p, l.state.Started)) == 0 {
			return nil
		}
		carried := 0
		var absent []signals.Alias
		for _, alias := range p.Aliases {
			if alias.Kind != signals.AliasVendor || !strings.HasPrefix(alias.Value, l.from.Name+"/") {
				continue
			}
			carried++
			if !l.seen[mark(alias.Value)] {
				absent = append(absent, alias)
			}
		}
		if carried > 0 {
			known++
		}
		// A device that was enrolled again has two ids at the vendor; it is there as long as one of them is.
		if carried > 0 && len(absent) == carried {
			missing = append(missing, absent[0])
		}
		return nil
	}, nil)
	return missing, known, err
}

// confirm asks for a device that was not listed. The question keeps the lease, since there may be many.
func (l *listing) confirm(ctx context.Context, alias signals.Alias) (gone bool, err error) {
	id := strings.TrimPrefix(alias.Value, l.from.Name+"/")
	asked, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	err = l.holding(asked, func(held context.Context) error {
		var reason string
		var err error
		reason, gone, err = l.r.fetch(held, l.from, l.inventory, id, l.state.Started)
		if reason != "" {
			l.r.events.Inventory.NotApplied(l.from.Name, alias.Value, reason)
		}
		return err
	})
	return gone, err
}
