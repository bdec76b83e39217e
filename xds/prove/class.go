package prove

import (
	"maps"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// names are those that the policy and the settings mention: whatever else there is behaves like a name that nobody mentions.
type names struct {
	issuers, domains, ownerships []string
	longest                      int // segments of the longest SPIFFE pattern
}

// Nobody mentions these.
const (
	anyUser   = "somebody@prove.example"
	anyIssuer = "prove-issuer"
	anyDomain = "prove.example"
)

func (p *prover) namesOf() names {
	issuers, domains, owned := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, a := range p.audiences {
		for _, e := range a.entries {
			if e.issuer != "" {
				issuers[e.issuer] = true
			}
			if e.pattern != nil {
				domains[e.pattern.domain] = true
			}
			if e.ownership != "" {
				owned[e.ownership] = true
			}
		}
	}
	add := func(to map[string]bool, known []string, other string) {
		for _, name := range known {
			to[name] = true
		}
		if known == nil { // the settings are not given: there may be any
			to[other] = true
		}
	}
	add(issuers, p.in.World.Issuers, anyIssuer)
	add(domains, p.in.World.TrustDomains, anyDomain)
	if len(owned) > 0 {
		scale, _ := signals.LookupAttribute("ownership")
		for _, value := range scale.Scale {
			if !owned[value] { // one value that no audience names stands for all of these
				owned[value] = true
				break
			}
		}
	}
	return names{slices.Sorted(maps.Keys(issuers)), slices.Sorted(maps.Keys(domains)), slices.Sorted(maps.Keys(owned)),
		longestOf(p.patterns)}
}

// size counts the classes that will be judged, until there are too many.
func (p *prover) size() int {
	total := 0
	for _, a := range p.isolated {
		for i := range p.kinds {
			for range p.classes(a, &p.kinds[i]) {
				if total++; total > MaxClasses {
					return total
				}
			}
		}
	}
	return total
}

// classes yields the smallest askers who belong to a by one entry and to an audience of the route by another.
func (p *prover) classes(a *population, k *routeKind) func(yield func(class) bool) {
	return func(yield func(class) bool) {
		for i := range a.entries {
			for _, listed := range k.audiences {
				for j := range listed.entries {
					if !p.joint(&a.entries[i], &listed.entries[j], k.tier, yield) {
						return
					}
				}
			}
		}
	}
}

// joint yields the smallest askers whom both entries describe; false: whoever asked has enough.
func (p *prover) joint(e, f *entry, tier *policy.Tier, yield func(class) bool) bool {
	if e.issuer != "" && f.issuer != "" && e.issuer != f.issuer || e.user != "" && f.user != "" && e.user != f.user {
		return true
	}
	var groups []string
	for _, g := range []string{e.group, f.group} {
		if g != "" && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	for _, issuer := range p.issuersFor(e, f, tier) {
		user := ""
		if issuer != "" {
			if user = e.user + f.user; user == "" {
				user = anyUser
			} else if e.user != "" {
				user = e.user
			}
		}
		for _, workload := range p.workloadsFor(e, f, tier) {
			c := class{issuer: issuer, user: user, groups: groups, workload: workload}
			if e.ownership == "" && f.ownership == "" && !yield(c) {
				return false
			}
			c.bound = true
			for _, ownership := range append([]string{""}, p.names.ownerships...) {
				c.ownership = ownership
				if !yield(c) {
					return false
				}
			}
		}
	}
	return true
}

// issuersFor: the one that an entry names, else each if the tier wants a user, else none.
func (p *prover) issuersFor(e, f *entry, tier *policy.Tier) []string {
	switch {
	case e.issuer != "":
		return []string{e.issuer}
	case f.issuer != "":
		return []string{f.issuer}
	case tier.Identify != policy.IdentifyWorkload:
		return p.names.issuers
	}
	return []string{""}
}

// workloadsFor: one of each length that fits the patterns of the entries, else of each domain if the tier wants a workload.
func (p *prover) workloadsFor(e, f *entry, tier *policy.Tier) []string {
	var all []pattern
	for _, x := range []*entry{e, f} {
		if x.pattern != nil {
			all = append(all, *x.pattern)
		}
	}
	switch {
	case len(all) > 0:
		return cells(all[0].domain, all, p.names.longest)
	case tier.Identify != policy.IdentifyWorkload:
		return []string{""}
	}
	var ids []string
	for _, domain := range p.names.domains {
		ids = append(ids, cells(domain, nil, p.names.longest)...)
	}
	return ids
}
