package ingest

import (
	"context"
	"fmt"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// The three questions to an adapter, guarded: one that panics must not take the receiver down.

func points(inventory source.Inventory, d source.Delivery) (ids []string, err error) {
	defer guard(&err)
	return inventory.Points(d)
}

func device(
	ctx context.Context, inventory source.Inventory, id string,
) (observations []signals.Observation, err error) {
	defer guard(&err)
	return inventory.Device(ctx, id)
}

func page(ctx context.Context, inventory source.Inventory, cursor string) (p source.Page, err error) {
	defer guard(&err)
	return inventory.Page(ctx, cursor)
}

func relist(relister source.Relister, d source.Delivery) (why string, err error) {
	defer guard(&err)
	return relister.Relist(d)
}

// relist has all devices of a source listed if a delivery says that something was lost. reasons are why it cannot be told.
func (r *Receiver) relist(ctx context.Context, from Source, d source.Delivery) (reasons []string, err error) {
	relister, ok := from.Adapter.(source.Relister)
	if !ok {
		return nil, nil
	}
	why, err := relist(relister, d)
	switch {
	case err != nil:
		return []string{err.Error()}, nil
	case why == "":
		return nil, nil
	}
	if err := r.RequestSync(ctx, from.Name, false); err != nil {
		return nil, err
	}
	r.events.Inventory.SyncAsked(from.Name, why)
	return nil, nil
}

func guard(err *error) {
	if fault := recover(); fault != nil {
		*err = fmt.Errorf("the adapter failed on what the vendor said, which is a bug: %v", fault)
	}
}
