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

// SourceDocument begins the source of a witness that is a document of a person (signals.DeviceLink); its name follows. No
// source has a name with a blank.
const SourceDocument = "document "

// Witness is the first applied delivery in which a source used a name, or a document that says whose name it is.
type Witness struct {
	Source   string    `json:"source"`
	Delivery string    `json:"delivery"` // its id; of a document, its ticket
	At       time.Time `json:"at"`       // when it was received; of a document, when the first delivery was that it counted for
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

// saidBy returns who uses the name: with this testimony if it is the first of its source, and with the documents that say so.
func (c *claim) saidBy(by testimony) []Witness {
	c.said = slices.Clip(c.said)
	all := claim{alias: c.alias, said: c.said}
	all.hear(Witness{Source: by.source, Delivery: by.delivery, At: by.received}, by.own)
	for _, link := range by.links {
		all.hear(Witness{Source: SourceDocument + link.Name, Delivery: link.Ticket, At: by.received}, link.Same)
	}
	return all.said
}

// hear notes a witness that uses these names for one device, if it is new and this name is among them.
func (c *claim) hear(said Witness, names []signals.Alias) {
	if !slices.Contains(names, c.alias) || c.knows(said.Source) {
		return
	}
	said.At = said.At.Round(0).UTC()
	for _, other := range names {
		if other != c.alias && len(said.With) < maxSaid {
			said.With = append(said.With, other)
		}
	}
	c.said = append(c.said, said)
}

// testimony is what one delivery says of the names of one device: sorted, each once.
type testimony struct {
	source, delivery string
	received         time.Time
	own              []signals.Alias       // as the delivery has them
	names            []signals.Alias       // with those that documents add
	links            []*signals.DeviceLink // these documents
}

func newTestimony(e entry, names []signals.Alias, links *links) testimony {
	names = slices.Clone(names)
	slices.SortFunc(names, signals.CompareAliases)
	by := testimony{source: e.Source, delivery: e.ID, received: e.Received, own: slices.Compact(names)}
	by.names, by.links = links.expand(by.own)
	return by
}
