package signals

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Clearance ends what a source had said of an attribute up to an instant: two people have looked at the device and agreed
// that it counts no more. It ends an alarm, and makes nothing healthy: of what is ended nothing is known. It stays in the
// posture, so that what it has ended does not come back by a redelivery, a re-sync, or a join of two devices.
type Clearance struct {
	Attribute string    `json:"attribute"`
	Source    string    `json:"source"`
	Until     time.Time `json:"until"` // what was observed at or before it is ended; what is newer counts as ever
	Name      string    `json:"name"`  // of the record that says who asked and who approved
}

// Ends tells whether a fact counts no more.
func (c *Clearance) Ends(f *Fact) bool {
	return f.Attribute == c.Attribute && f.Source == c.Source && !f.Observed.After(c.Until)
}

// slotOf orders clearances.
func slotOf(a, b Clearance) int {
	return cmp.Or(strings.Compare(a.Attribute, b.Attribute), strings.Compare(a.Source, b.Source))
}

// clear adds clearances and drops what all of them end. That commutes with the merging of facts: of an attribute and source
// the newest facts stay, and what a clearance ends are the oldest.
func (p *Posture) clear(more []Clearance) {
	p.Clearances = slices.Clone(p.Clearances)
	for _, c := range more {
		c.Until = c.Until.Round(0).UTC() // as facts have it
		at, found := slices.BinarySearchFunc(p.Clearances, c, slotOf)
		if !found {
			p.Clearances = slices.Insert(p.Clearances, at, c)
			continue
		}
		if have := &p.Clearances[at]; cmp.Or(c.Until.Compare(have.Until), strings.Compare(have.Name, c.Name)) > 0 {
			*have = c // the one that ends more; of two that end as much the lesser name, so that order does not matter
		}
	}
	if len(p.Clearances) > 0 {
		p.Facts = slices.DeleteFunc(p.Facts, func(f Fact) bool { return p.ended(&f) })
	}
}

// ended tells whether a clearance of the posture ends a fact.
func (p *Posture) ended(f *Fact) bool {
	return slices.ContainsFunc(p.Clearances, func(c Clearance) bool { return c.Ends(f) })
}

// Cleared returns the clearance of what a source said of an attribute; false: there is none.
func (p *Posture) Cleared(attribute, source string) (Clearance, bool) {
	at, found := slices.BinarySearchFunc(p.Clearances, Clearance{Attribute: attribute, Source: source}, slotOf)
	if !found {
		return Clearance{}, false
	}
	return p.Clearances[at], true
}
