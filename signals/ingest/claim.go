package ingest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Claim is the value of a record of KindAlias: whose name an alias is, and why. A value of before there was a why is the
// bare id of the device.
type Claim struct {
	Device signals.DeviceID `json:"device"`
	// Said has one entry for each source that named the device so, in the order in which they first did; at most 16.
	Said []Witness `json:"said,omitempty"`
}

// Witness is the first applied delivery in which a source used a name.
type Witness struct {
	Source   string    `json:"source"`
	Delivery string    `json:"delivery"` // its id
	At       time.Time `json:"at"`       // when it was received
	// With are the other names that it gave the same device, at most 16: what joined them.
	With []signals.Alias `json:"with,omitempty"`
}

// maxSaid bounds a claim: more sources, or names beside this one, add nothing to why.
const maxSaid = 16

// ReadClaim reads a record of KindAlias. The error wraps signals.ErrCorrupt.
func ReadClaim(record signals.Record) (Claim, error) {
	if len(record.Value) == 0 {
		return Claim{}, fmt.Errorf("the claim of %s is empty: %w", record.Key, signals.ErrCorrupt)
	}
	if record.Value[0] != '{' {
		return Claim{Device: signals.DeviceID(record.Value)}, nil
	}
	var c Claim
	if err := json.Unmarshal(record.Value, &c); err != nil {
		return Claim{}, fmt.Errorf("the claim of %s cannot be read: %w: %w", record.Key, err, signals.ErrCorrupt)
	}
	if c.Device == "" {
		return Claim{}, fmt.Errorf("the claim of %s names no device: %w", record.Key, signals.ErrCorrupt)
	}
	return c, nil
}

// knows tells whether the claim says already that this source uses the name, or has no room to.
func (c *claim) knows(source string) bool {
	return len(c.said) >= maxSaid || slices.ContainsFunc(c.said, func(w Witness) bool { return w.Source == source })
}

// saidBy returns who uses the name, with this testimony if it is the first of its source.
func (c *claim) saidBy(by testimony) []Witness {
	if c.knows(by.source) {
		return c.said
	}
	said := Witness{Source: by.source, Delivery: by.delivery, At: by.received.Round(0).UTC()}
	for _, other := range by.names {
		if other != c.alias && len(said.With) < maxSaid {
			said.With = append(said.With, other)
		}
	}
	return append(slices.Clone(c.said), said)
}

// testimony is what one delivery says of the names of one device: sorted, each once.
type testimony struct {
	source, delivery string
	received         time.Time
	names            []signals.Alias
}

func newTestimony(e entry, names []signals.Alias) testimony {
	names = slices.Clone(names)
	slices.SortFunc(names, signals.CompareAliases)
	return testimony{source: e.Source, delivery: e.ID, received: e.Received, names: slices.Compact(names)}
}
