package policy

import (
	"github.com/tiergate/tiergate/authz/identity"
)

// membership is three-valued: what is not known of a device is neither in nor out.
type membership uint8

const (
	outside membership = iota
	maybe
	member
)

// audience is a compiled Audience.
type audience struct {
	name             string
	entries          []entry // any of them admits
	isolated         bool
	ownershipOutside bool
}

// entry is one way to belong; all that is set must hold.
type entry struct {
	issuer, group, user string
	spiffe              *identity.SPIFFEPattern
	ownership           string
}

// ownership is the ownership of a device as its facts tell it: it does not age and survives silence.
type ownership struct {
	value string // "" : nobody reported it
}

// holds judges a subject. bound says that the request is bound to a device; owned is that device's ownership; identified
// says that the tier identifies a device, so that an unknown ownership matters.
func (a *audience) holds(subject *identity.Subject, bound, identified bool, owned ownership) membership {
	best := outside
	for i := range a.entries {
		best = max(best, a.entries[i].holds(subject, bound, identified && !a.ownershipOutside, owned))
	}
	return best
}

func (e *entry) holds(subject *identity.Subject, bound, unknownCounts bool, owned ownership) membership {
	if e.issuer != "" && (subject.User == nil || subject.User.Issuer != e.issuer) {
		return outside
	}
	if e.user != "" && subject.User.Name != e.user {
		return outside
	}
	if e.group != "" && !inGroup(subject.User, e.group) {
		return outside
	}
	if e.spiffe != nil && (subject.Workload == "" || !e.spiffe.Match(subject.Workload)) {
		return outside
	}
	switch {
	case e.ownership == "" || bound && owned.value == e.ownership:
		return member
	case bound && owned.value == "" && unknownCounts:
		return maybe
	}
	return outside
}

func inGroup(user *identity.User, group string) bool {
	for _, g := range user.Groups {
		if g == group {
			return true
		}
	}
	return false
}
