package findings

import (
	"slices"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// who tells whose a trouble is: the team that answers for it, and the audiences that it concerns.
type who struct {
	keeper    string            // the team that owns most tiers: it answers for what nobody else does
	endpoint  string            // the team that owns most baselines
	platforms map[string]string // platform → the owner of its baseline
	tiers     map[string]string
	teams     map[string]policy.Team
	byOwning  map[string][]string                  // deviceOwnership → audiences
	byUser    map[policy.ExceptionSubject][]string // a user or a group of an issuer → audiences
	byIssuer  map[string][]string                  // everybody of an issuer → audiences
	workloads *patterns[string]                    // SPIFFE patterns → audiences
}

func newWho(spec policy.Spec) *who {
	w := &who{platforms: map[string]string{}, tiers: map[string]string{}, teams: map[string]policy.Team{}, byOwning: map[string][]string{},
		byUser: map[policy.ExceptionSubject][]string{}, byIssuer: map[string][]string{}, workloads: &patterns[string]{}}
	owners := map[string]int{}
	for i := range spec.Tiers {
		w.tiers[spec.Tiers[i].Meta.Name] = spec.Tiers[i].Meta.Owner
		owners[spec.Tiers[i].Meta.Owner]++
	}
	w.keeper = most(owners)
	clear(owners)
	for i := range spec.Baselines {
		b := &spec.Baselines[i]
		owners[b.Meta.Owner]++
		for _, platform := range b.Platforms {
			if w.platforms[platform] == "" || b.Meta.Owner < w.platforms[platform] {
				w.platforms[platform] = b.Meta.Owner
			}
		}
	}
	if w.endpoint = most(owners); w.endpoint == "" {
		w.endpoint = w.keeper
	}
	for i := range spec.Governance {
		for name, team := range spec.Governance[i].Teams {
			w.teams[name] = team
		}
	}
	for i := range spec.Audiences {
		w.audience(&spec.Audiences[i])
	}
	return w
}

// audience notes the ways to belong to one.
func (w *who) audience(a *policy.Audience) {
	name := a.Meta.Name
	for _, m := range a.Members {
		switch {
		case m.DeviceOwnership != "":
			w.byOwning[m.DeviceOwnership] = append(w.byOwning[m.DeviceOwnership], name)
		case m.User != "" || m.Group != "":
			key := policy.ExceptionSubject{Issuer: m.Issuer, User: m.User, Group: m.Group}
			w.byUser[key] = append(w.byUser[key], name)
		case m.Issuer != "":
			w.byIssuer[m.Issuer] = append(w.byIssuer[m.Issuer], name)
		}
	}
	for _, m := range append(slices.Clone(a.Members), a.Workloads...) {
		if m.SPIFFE != "" {
			w.workloads.add(m.SPIFFE, name)
		}
	}
}

// ofDevice are the audiences that a device concerns: those that the view names, those of its ownership, and those of the
// user that it is enrolled for. Somebody who may belong counts: a finding is told to one too many rather than to none.
func (w *who) ofDevice(p *policy.Policy, d *DeviceView) []string {
	all := d.Audiences
	for i := range d.Posture.Facts {
		fact := &d.Posture.Facts[i]
		value, ok := fact.Value.AsText()
		if !ok || value == "" {
			continue
		}
		switch fact.Attribute {
		case "ownership":
			all = concat(all, w.byOwning[value])
		case "enrolled_user":
			if as, named := p.NamesUser(fact.Source); named {
				all = concat(all, w.byUser[policy.ExceptionSubject{Issuer: as.Issuer, User: value}], w.byIssuer[as.Issuer])
			}
		}
	}
	return sortedSet(all)
}

// ofSubjects are the audiences of those whom an exception names.
func (w *who) ofSubjects(subjects []policy.ExceptionSubject) []string {
	var all []string
	for _, s := range subjects {
		all = concat(all, w.byUser[s], w.byIssuer[s.Issuer])
	}
	return sortedSet(all)
}

// ofWorkload are the audiences that list a workload.
func (w *who) ofWorkload(id identity.SPIFFEID) []string { return sortedSet(w.workloads.of(id)) }

// ofPlatform is the team that answers for the devices of a platform.
func (w *who) ofPlatform(platform string) string {
	if owner := w.platforms[platform]; owner != "" {
		return owner
	}
	return w.endpoint
}

// concat joins lists into a new one.
func concat(lists ...[]string) []string { return slices.Concat(lists...) }

// sortedSet sorts a list and takes each word once, without touching the list.
func sortedSet(words []string) []string {
	if len(words) < 2 {
		return words
	}
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

// platformOf is the platform that the newest known fact of a posture tells; "": none does.
func platformOf(p *signals.Posture) string {
	platform, newest := "", signals.Fact{}
	for i := range p.Facts {
		fact := &p.Facts[i]
		if value, ok := fact.Value.AsText(); ok && fact.Attribute == "platform" &&
			(platform == "" || fact.Observed.After(newest.Observed) || fact.Observed.Equal(newest.Observed) && value < platform) {
			platform, newest = value, *fact
		}
	}
	return platform
}

// patterns finds what SPIFFE patterns stand for. Those without a wildcard, which are most, are looked up.
type patterns[T any] struct {
	exact map[identity.SPIFFEID][]T
	wild  map[string][]wild[T] // by trust domain
	// domains are the trust domains that they name.
	domains map[string]bool
}

type wild[T any] struct {
	pattern identity.SPIFFEPattern
	of      T
}

// add notes a pattern; a policy has none that cannot be read.
func (p *patterns[T]) add(text string, of T) {
	pattern, err := identity.ParseSPIFFEPattern(text)
	if err != nil {
		return
	}
	if p.exact == nil {
		p.exact, p.wild, p.domains = map[identity.SPIFFEID][]T{}, map[string][]wild[T]{}, map[string]bool{}
	}
	p.domains[pattern.TrustDomain()] = true
	if isWild(text) {
		p.wild[pattern.TrustDomain()] = append(p.wild[pattern.TrustDomain()], wild[T]{pattern, of})
		return
	}
	p.exact[identity.SPIFFEID(text)] = append(p.exact[identity.SPIFFEID(text)], of)
}

// of lists what the patterns that cover an ID stand for.
func (p *patterns[T]) of(id identity.SPIFFEID) []T {
	all := p.exact[id]
	for _, w := range p.wild[id.TrustDomain()] {
		if w.pattern.Match(id) {
			all = append(slices.Clone(all), w.of)
		}
	}
	return all
}
