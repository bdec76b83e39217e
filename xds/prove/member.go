package prove

import (
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// population is an Audience as the model sees it.
type population struct {
	name, owner      string
	entries          []entry
	isolated         bool
	ownershipOutside bool
}

// entry is one way to belong; all that is set must hold.
type entry struct {
	issuer, group, user, ownership string
	pattern                        *pattern
}

func newPopulation(a *policy.Audience) *population {
	p := &population{name: a.Meta.Name, owner: a.Meta.Owner, isolated: a.Isolated,
		ownershipOutside: a.OwnershipUnknown == policy.OwnershipOutside}
	for _, m := range slices.Concat(a.Members, a.Workloads) {
		e := entry{issuer: m.Issuer, group: m.Group, user: m.User, ownership: m.DeviceOwnership}
		if m.SPIFFE != "" {
			parsed := parsePattern(m.SPIFFE)
			e.pattern = &parsed
		}
		p.entries = append(p.entries, e)
	}
	return p
}

// byWorkloadAlone: every entry names a workload, so that a certificate tells who is a member.
func (p *population) byWorkloadAlone() bool {
	return !slices.ContainsFunc(p.entries, func(e entry) bool { return e.pattern == nil })
}

// class is all that a policy can tell of an asker.
type class struct {
	issuer, user string // user "": nobody is signed in
	groups       []string
	workload     string // a SPIFFE ID; "": none
	bound        bool   // to a device
	ownership    string // of that device; "": nobody reported it
}

// belonging is three-valued, as membership is.
type belonging int

const (
	no belonging = iota
	perhaps
	yes
)

// who says whether an entry describes the asker, ownership apart.
func (e *entry) who(c *class) bool {
	switch {
	case e.issuer != "" && (c.user == "" || c.issuer != e.issuer),
		e.user != "" && c.user != e.user,
		e.group != "" && !slices.Contains(c.groups, e.group),
		e.pattern != nil && (c.workload == "" || !e.pattern.matches(c.workload)):
		return false
	}
	return true
}

// mayBe is what the claim is about: a member, or one for all that is known, whatever the audience says of unknown
// ownership and whatever the tier looks at.
func (p *population) mayBe(c *class) bool {
	return slices.ContainsFunc(p.entries, func(e entry) bool {
		return e.who(c) && (e.ownership == "" || c.bound && (c.ownership == e.ownership || c.ownership == ""))
	})
}

// holds is the rule by which a route judges: unknown ownership counts only where the tier identifies a device, and not
// where the audience says outside.
func (p *population) holds(c *class, tier *policy.Tier) belonging {
	best := no
	for i := range p.entries {
		e := &p.entries[i]
		switch {
		case !e.who(c):
		case e.ownership == "" || c.bound && c.ownership == e.ownership:
			return yes
		case c.bound && c.ownership == "" && tier.Identify == policy.IdentifyUserDevice && !p.ownershipOutside:
			best = perhaps
		}
	}
	return best
}

// admits is the model of admission: does a route of this kind take the asker in, before it looks at the device's state?
func (p *prover) admits(k *routeKind, c *class) bool {
	switch {
	case k.tier.Identify == policy.IdentifyWorkload && c.workload == "",
		k.tier.Identify != policy.IdentifyWorkload && c.user == "",
		!c.bound && p.looksAtDevice(k.tier, c):
		return false
	}
	for _, a := range p.isolated {
		if !slices.Contains(k.audiences, a) && a.holds(c, k.tier) != no {
			return false
		}
	}
	return slices.ContainsFunc(k.audiences, func(a *population) bool {
		belongs := a.holds(c, k.tier)
		return belongs == yes || belongs == perhaps && a.isolated
	})
}

func (p *prover) looksAtDevice(t *policy.Tier, c *class) bool {
	if t.Identify == policy.IdentifyUserDevice || len(t.Require)+len(t.DenyUnless)+len(t.Advise) > 0 || listsSignals(t.StepUp) {
		return true
	}
	return slices.ContainsFunc(t.Stricter, func(s policy.Stricter) bool {
		return (len(s.Require)+len(s.DenyUnless) > 0 || listsSignals(s.StepUp)) && p.audiences[s.Audience].holds(c, t) != no
	})
}

func listsSignals(s *policy.StepUpDemand) bool { return s != nil && len(s.Signals) > 0 }
