package signals

import (
	"cmp"
	"slices"
	"time"
)

// DeviceID is our own name for a device, made once when its first record is written. It says nothing about the device.
type DeviceID string

// Revision orders the versions of a record: max(previous + 1, the writer's clock in µs since 1970). A store restored
// from a backup therefore moves on by itself. 0 is "no record".
type Revision int64

// NextRevision is the revision of the version that follows previous, written at the given instant.
func NextRevision(previous Revision, at time.Time) Revision {
	return max(previous+1, Revision(at.UnixMicro()))
}

// Fact is one source's word on one attribute of one device.
type Fact struct {
	Attribute string    `json:"attribute"`
	Value     Value     `json:"value"`
	Source    string    `json:"source"`
	Path      string    `json:"path,omitempty"` // where in the source's own record it stood
	Observed  time.Time `json:"observed"`       // when the source saw it
	Received  time.Time `json:"received"`       // when we were told
}

// AgesFrom is the instant from which the fact ages: the earlier of observed and received, so that a source whose clock
// runs ahead gains nothing.
func (f Fact) AgesFrom() time.Time {
	if f.Received.Before(f.Observed) {
		return f.Received
	}
	return f.Observed
}

// Posture is all that is known of a device.
//
// Facts are sorted by attribute, then source; of one attribute and source there are at most two: the newest known
// value, and a newer "unknown" if the source has since said that it cannot tell. Keeping both lets an alarm outlive an
// unknown.
type Posture struct {
	Device   DeviceID `json:"device"`
	Revision Revision `json:"revision"`
	Aliases  []Alias  `json:"aliases"`
	Facts    []Fact   `json:"facts"`
	// Clearances say what counts no more of what was said, sorted by attribute, then source, one of each.
	Clearances []Clearance `json:"clearances,omitempty"`
	// Checkpointed: the receiver that wrote this version keeps a checkpoint (package checkpoint). It is signed, so that a
	// store with such a posture and without a checkpoint is known to have lost it.
	Checkpointed bool `json:"checkpointed,omitempty"`
	// Seal is the signature of the receiver that wrote this version; nil: it is not signed. Merge leaves it as it is, to be
	// made anew by whoever writes.
	Seal *Seal `json:"seal,omitempty"`
}

// Observation is one delivery in our words: some names of one device, and what one source says of it; or what people have
// cleared.
type Observation struct {
	Aliases    []Alias
	Facts      []Fact
	Clearances []Clearance
}

// Merge adds an observation and says whether that changed anything. The newest observed fact of each attribute and
// source wins; at one instant the worse value wins, and where "worse" has no meaning (two OS versions) nothing is
// known. What a clearance has ended is dropped, whichever of the two comes first. The result does not depend on the order
// of observations, and merging one twice changes nothing. The receiver is not modified; the revision is the caller's to set.
func (p Posture) Merge(o Observation) (merged Posture, changed bool) {
	merged = p
	merged.Aliases = slices.Clone(p.Aliases)
	merged.Facts = slices.Clone(p.Facts)
	for _, alias := range o.Aliases {
		if at, found := slices.BinarySearchFunc(merged.Aliases, alias, CompareAliases); !found {
			merged.Aliases = slices.Insert(merged.Aliases, at, alias)
		}
	}
	for _, fact := range o.Facts {
		// Round(0) drops the monotonic reading, so that == and the stored form agree.
		fact.Observed, fact.Received = fact.Observed.Round(0).UTC(), fact.Received.Round(0).UTC()
		merged.Facts = withFact(merged.Facts, fact)
	}
	merged.clear(o.Clearances)
	return merged, !slices.Equal(merged.Aliases, p.Aliases) || !slices.Equal(merged.Facts, p.Facts) ||
		!slices.Equal(merged.Clearances, p.Clearances)
}

// slot orders facts; of one attribute and source the known value stands before the unknown.
func slot(a, b Fact) int {
	return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Source, b.Source),
		cmp.Compare(unknownLast(a), unknownLast(b)))
}

func unknownLast(f Fact) int {
	if f.Value.Known() {
		return 0
	}
	return 1
}

// withFact joins one fact into sorted facts.
func withFact(facts []Fact, fact Fact) []Fact {
	at, found := slices.BinarySearchFunc(facts, fact, slot)
	switch {
	case !found:
		facts = slices.Insert(facts, at, fact)
	case fact.Observed.After(facts[at].Observed):
		facts[at] = fact
	case fact.Observed.Equal(facts[at].Observed):
		joined, contradiction := sameInstant(facts[at], fact)
		facts[at] = joined
		if contradiction {
			// Received is the instant itself: it must not depend on which of the contradicting facts came first.
			facts = withFact(facts, Fact{Attribute: fact.Attribute, Source: fact.Source, Observed: fact.Observed,
				Received: fact.Observed})
		}
	}
	return withoutStaleUnknown(facts, fact)
}

// withoutStaleUnknown drops an unknown that is older than the known value beside it: it says nothing any more.
func withoutStaleUnknown(facts []Fact, of Fact) []Fact {
	for i := 1; i < len(facts); i++ {
		known, unknown := &facts[i-1], &facts[i]
		if unknown.Attribute == of.Attribute && unknown.Source == of.Source && !unknown.Value.Known() &&
			known.Attribute == of.Attribute && known.Source == of.Source && unknown.Observed.Before(known.Observed) {
			return slices.Delete(facts, i, i+1)
		}
	}
	return facts
}

// sameInstant joins two facts of one slot and instant: the worse value, the earlier receipt, the lesser path. A
// contradiction that has no worse side keeps one of the values, so that order does not matter, and says so.
func sameInstant(a, b Fact) (joined Fact, contradiction bool) {
	joined = a
	if a.Value != b.Value {
		joined.Value, contradiction = join(a.Attribute, a.Value, b.Value)
	}
	if b.Received.Before(a.Received) {
		joined.Received = b.Received
	}
	joined.Path = min(a.Path, b.Path)
	return joined, contradiction
}

// join returns the worse of two different known values. Where there is none, it returns the lesser, and true; a value
// that the attribute does not accept, as another version of tiergate may have stored it, is kept before one that it
// does.
func join(name string, x, y Value) (joined Value, contradiction bool) {
	attribute, _ := LookupAttribute(name)
	fits := attribute.Accepts(x)
	if fits != attribute.Accepts(y) {
		if fits {
			return y, true
		}
		return x, true
	}
	if fits {
		if worse := attribute.worse(x, y); worse.Known() {
			return worse, false
		}
	}
	if cmp.Or(cmp.Compare(x.String(), y.String()), cmp.Compare(x.Kind(), y.Kind())) < 0 {
		return x, true
	}
	return y, true
}

// Latest returns the facts of an attribute and source: the newest known value and, if the source has since said that it
// cannot tell, the newer unknown. ok is false where there is none.
func (p *Posture) Latest(attribute, source string) (known Fact, ok, unknownSince bool) {
	for _, f := range p.Facts {
		if f.Attribute != attribute || f.Source != source {
			continue
		}
		if f.Value.Known() {
			known, ok = f, true
		} else {
			unknownSince = true
		}
	}
	return known, ok, unknownSince
}
