package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// lost says that the store should have the device of a name and does not; "" if that is not known. The checkpoint has devices
// only by the hash of their id, so that a serial number leads there only while its claim is in the store.
func (d *deviceDesk) lost(ctx context.Context, name string) string {
	c := d.devices.Checked()
	if c == nil {
		return ""
	}
	ids := []signals.DeviceID{signals.DeviceID(name)}
	ctx, cancel := context.WithTimeout(ctx, recordsWithin)
	defer cancel()
	for _, alias := range namedBy(name) {
		record, err := d.records.Record(ctx, ingest.KindAlias, alias.String())
		if err != nil {
			continue // it is not known by this name
		}
		if claim, err := ingest.ReadClaim(record); err == nil {
			ids = append(ids, claim.Device)
		}
	}
	for _, id := range ids {
		if revision := c.Revision(id); revision > 0 {
			return fmt.Sprintf("the store has lost device %s, or somebody removed it: the checkpoint of %s has it at revision %d; every "+
				"decision on it is refused; restore it from a backup, or vouch for the store without it: tiergate store seal --yes",
				id, c.At.Format(time.RFC3339), revision)
		}
	}
	return ""
}

// namedBy are the names that a text may mean: KIND:VALUE, or a value of any kind.
func namedBy(name string) []signals.Alias {
	if alias, err := signals.ParseAlias(name); err == nil {
		return []signals.Alias{alias}
	}
	var aliases []signals.Alias
	for _, kind := range deviceKinds {
		if alias, err := signals.NewAlias(kind, name); err == nil {
			aliases = append(aliases, alias)
		}
	}
	return aliases
}
