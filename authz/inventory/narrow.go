package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

const (
	// MinNarrowDays is the shortest time that must have been observed before Prune narrows a wildcard: whoever it is narrowed
	// to, the next that comes is refused, so that a monthly run is to be among them.
	MinNarrowDays = 30
	// MaxNarrowTo is the most that a wildcard is narrowed to; more are not read by anybody who reviews the change.
	MaxNarrowTo = 20
	// maxNarrowEvidence bounds the lines about those who lose a right.
	maxNarrowEvidence = 20
)

// under are the workloads that a pattern covers, as sightings and imports tell, sorted by their SPIFFE IDs.
func (p *pruning) under(pattern identity.SPIFFEPattern, audience string) (ids []string, sightings map[string]*Sighting) {
	sightings = map[string]*Sighting{}
	for _, s := range p.in[audience] {
		if pattern.Match(identity.SPIFFEID(s.ID)) {
			sightings[s.ID] = s
			ids = append(ids, s.ID)
		}
	}
	for id := range p.created {
		if pattern.Match(identity.SPIFFEID(id)) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), sightings
}

// narrow looks whether those who use an audience by one of its wildcards are few and known for long, and then names them. It
// is left alone where anybody under it is new: names come and go there, which is what wildcards are for.
func (p *pruning) narrow(a *policy.Audience, wild string) {
	pattern, err := identity.ParseSPIFFEPattern(wild)
	if err != nil {
		return // a compiled policy has no other
	}
	ids, sightings := p.under(pattern, a.Meta.Name)
	if p.only != nil && !slices.ContainsFunc(ids, p.asked) {
		return
	}
	if p.days < MinNarrowDays {
		p.note("audience %s: %s is narrowed on %d observed days or more only, not on %d", a.Meta.Name, wild, MinNarrowDays, p.days)
		return
	}
	routes := p.grants.listing[a.Meta.Name]
	var keep, users, others []string
	for _, id := range ids {
		if !p.old(id, sightings[id], "audience "+a.Meta.Name+", "+wild) {
			return
		}
		used := slices.IndexFunc(routes, func(r int) bool { return p.uses(sightings[id], p.grants.routes[r].Meta.Name) })
		if used < 0 {
			others = append(others, p.story(id, sightings[id])+", and used none of its routes in these days")
			continue
		}
		users = append(users, p.useOf(id, sightings[id], p.grants.routes[routes[used]].Meta.Name)+"; "+p.story(id, sightings[id]))
		if !slices.ContainsFunc(slices.Concat(a.Members, a.Workloads), func(m policy.Member) bool { return m == policy.Member{SPIFFE: id} }) {
			keep = append(keep, id)
		}
	}
	if len(keep) > MaxNarrowTo {
		p.note("audience %s: %d workloads use it by %s; a wildcard is narrowed to %d at most", a.Meta.Name, len(keep), wild, MaxNarrowTo)
		return
	}
	evidence := []string{fmt.Sprintf("%s covers whatever is named so; in %d days without a gap %d were known, and %d used a route of %s",
		wild, p.days, len(ids), len(users), a.Meta.Name)}
	if more := len(others) - maxNarrowEvidence; more > 0 {
		others = append(others[:maxNarrowEvidence], fmt.Sprintf("and %d more used none of its routes", more))
	}
	p.cuts = append(p.cuts, Cut{Audience: a.Meta.Name, Member: wild, Keep: keep, Evidence: slices.Concat(evidence, users, others)})
}

// wildcard tells whether a member is nothing but a pattern that covers many.
func wildcard(m policy.Member) bool {
	return m == policy.Member{SPIFFE: m.SPIFFE} && strings.Contains(m.SPIFFE, "*")
}
