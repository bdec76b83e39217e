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

func guard(err *error) {
	if fault := recover(); fault != nil {
		*err = fmt.Errorf("the adapter failed on what the vendor said, which is a bug: %v", fault)
	}
}
