package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/source"
)

// Effects is an adapter whose deliveries also say something of users and sessions.
type Effects interface {
	source.Adapter
	// Effects reads an authentic delivery, once for each time that it is applied. An error makes it a dead letter.
	Effects(d source.Delivery) ([]revocation.Revocation, error)
}

func effects(from Effects, d source.Delivery) (all []revocation.Revocation, err error) {
	defer guard(&err)
	return from.Effects(d)
}

// revoke writes what a delivery says of users and sessions. It is done before anything is said of devices, which may be
// contested: who is to be cut off waits for nobody.
func (r *Receiver) revoke(ctx context.Context, from Source, d source.Delivery) (reasons []string, err error) {
	with, ok := from.Adapter.(Effects)
	if !ok {
		return nil, nil
	}
	all, err := effects(with, d)
	if err != nil {
		return []string{err.Error()}, nil
	}
	for _, one := range all {
		if !one.Until.After(r.now()) {
			continue // no token can live any more that it would void
		}
		written, err := r.putRevocation(ctx, one)
		if err != nil {
			return nil, err
		}
		if written {
			r.events.Revoked(from.Name, d.ID, one)
		}
	}
	return nil, nil
}

// putRevocation joins a revocation with what is stored, and tells whether that changed anything. What nobody of ours has
// signed keeps its place, and ours goes beside it: a stranger's record must not keep one from being written.
func (r *Receiver) putRevocation(ctx context.Context, one revocation.Revocation) (written bool, err error) {
	place := one.Key()
	for n := 2; n <= attempts; {
		before, err := r.store.Record(ctx, revocation.Kind, place)
		next := one
		if err == nil {
			var held revocation.Revocation
			if held, err = revocation.Read(before); err == nil {
				if next = revocation.Join(held, one); next == held {
					return false, nil
				}
			}
		}
		switch {
		case errors.Is(err, signals.ErrCorrupt):
			r.events.Distrusted(revocation.Kind, place, err)
			place = fmt.Sprintf("%s~%d", one.Key(), n)
			n++
			continue
		case err != nil && !errors.Is(err, signals.ErrNotFound):
			return false, err
		}
		record, err := next.Record()
		if err != nil {
			return false, fmt.Errorf("a bug: %w", err)
		}
		record.Key, record.Revision = place, signals.NextRevision(before.Revision, r.now())
		if err = r.store.PutRecord(ctx, record, before.Revision); !errors.Is(err, signals.ErrConflict) {
			return err == nil, err
		}
		n++
	}
	return false, errBusy
}

// joinReasons is one sentence of several.
func joinReasons(some ...[]string) string {
	var all []string
	for _, reasons := range some {
		all = append(all, reasons...)
	}
	return strings.Join(all, "; ")
}
