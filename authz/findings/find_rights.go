package findings

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// excessive tells which routes an identity may reach by its audiences, and has not been let in to for longer than is usual for
// its type. It must have been watched for so long.
func (f *finder) excessive(e *entry) {
	first, last := e.seen()
	wait := f.wait(IdentityExcessive, e.audiences, habitsOf(e.kind).unused)
	if first.IsZero() || !f.lasted(first, wait) || f.lasted(last, lately) {
		return
	}
	since, unused := first, []string{}
	for _, route := range f.granted(e) {
		used := time.Time{}
		for _, s := range e.sightings {
			if use := s.Routes[route]; use.LastAllowed.After(used) { // to be refused is no use of a right
				used = use.LastAllowed
			}
		}
		if !used.IsZero() && !f.lasted(used, wait) {
			continue
		}
		unused = append(unused, "route "+route)
		if used.After(since) {
			since = used
		}
	}
	if len(unused) == 0 {
		return
	}
	slices.Sort(unused)
	f.add(e.finding(IdentityExcessive, "", since, wait, e.subject+" may reach routes that it does not use",
		"Take it out of the audiences that only these routes list; `tiergate identity suggest` writes the change.", unused...))
}

// granted are the routes whose audiences list any of an entry's identities, sorted.
func (f *finder) granted(e *entry) []string {
	if f.routes == nil {
		f.routes = map[string][]string{}
		for i := range f.spec.Routes {
			for _, audience := range f.spec.Routes[i].Audiences {
				f.routes[audience] = append(f.routes[audience], f.spec.Routes[i].Meta.Name)
			}
		}
	}
	var all []string
	for _, audience := range e.audiences {
		all = append(all, f.routes[audience]...)
	}
	return sortedSet(all)
}

// strange is the trust domain of an entry that nothing in the policy names; empty: it has none, or it is named.
func (f *finder) strange(e *entry) string {
	for _, s := range e.sightings {
		if domain := identity.SPIFFEID(s.ID).TrustDomain(); domain != "" && !f.named()[domain] && !f.lasted(s.Last, lately) {
			return domain
		}
	}
	return ""
}

// named are the trust domains that documents name: audiences, upstreams and identities.
func (f *finder) named() map[string]bool {
	if f.domains != nil {
		return f.domains
	}
	f.domains = map[string]bool{}
	note := func(text string) {
		if pattern, err := identity.ParseSPIFFEPattern(text); err == nil {
			f.domains[pattern.TrustDomain()] = true
		}
	}
	for domain := range f.who.workloads.domains {
		f.domains[domain] = true
	}
	for i := range f.spec.Upstreams {
		note(f.spec.Upstreams[i].SPIFFEID)
	}
	for i := range f.spec.Identities {
		for _, text := range f.spec.Identities[i].SPIFFEIDs {
			note(text)
		}
	}
	return f.domains
}

// trustDomains tells of callers of a trust domain that no document names: somebody trusts its keys, and nobody says why.
func (f *finder) trustDomains() {
	type strangers struct {
		first time.Time
		ids   []string
	}
	all := map[string]*strangers{}
	for i := range f.v.Sightings {
		s := &f.v.Sightings[i]
		domain := identity.SPIFFEID(s.ID).TrustDomain()
		if domain == "" || f.named()[domain] || f.lasted(s.Last, lately) {
			continue
		}
		x := all[domain]
		if x == nil {
			x = &strangers{first: s.First}
			all[domain] = x
		}
		x.ids = append(x.ids, s.ID)
		if s.First.Before(x.first) {
			x.first = s.First
		}
	}
	for domain, x := range all {
		slices.Sort(x.ids)
		f.add(Finding{Kind: IdentityMisconfigured, Subject: "trust domain " + domain, Detail: detailTrustDomain, Since: x.first,
			Summary: "callers show identities of trust domain " + domain + ", which no document names", Evidence: few(x.ids),
			Fix: policy.Fix{Text: "Remove its bundle from the settings, or name in the policy what may call from there."}})
	}
}
