package inventory

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// Grants tells which routes of a policy workloads may reach by the audiences that they are in. It is safe for one goroutine.
type Grants struct {
	audiences []policy.Audience
	isolated  map[string]bool
	routes    []policy.Route
	literal   map[string][]int // SPIFFE ID → audiences
	wild      []wildMember
	listing   map[string][]int // audience → routes
}

type wildMember struct {
	pattern  identity.SPIFFEPattern
	audience int
}

// Granted is a route that a workload may reach.
type Granted struct {
	Route     string   `json:"route"`
	Audiences []string `json:"audiences"` // that it is in by its SPIFFE ID, and that the route lists
}

// NewGrants reads a policy.
func NewGrants(p *policy.Policy) *Grants {
	spec := p.Spec()
	g := &Grants{audiences: spec.Audiences, routes: spec.Routes, isolated: map[string]bool{}, literal: map[string][]int{},
		listing: map[string][]int{}}
	for i := range spec.Audiences {
		a := &spec.Audiences[i]
		g.isolated[a.Meta.Name] = a.Isolated
		for _, m := range slices.Concat(a.Members, a.Workloads) {
			if m.SPIFFE == "" {
				continue
			}
			if !strings.Contains(m.SPIFFE, "*") {
				g.literal[m.SPIFFE] = append(g.literal[m.SPIFFE], i)
			} else if pattern, err := identity.ParseSPIFFEPattern(m.SPIFFE); err == nil { // a compiled policy has no other
				g.wild = append(g.wild, wildMember{pattern, i})
			}
		}
	}
	for i := range spec.Routes {
		for _, name := range spec.Routes[i].Audiences {
			g.listing[name] = append(g.listing[name], i)
		}
	}
	return g
}

// AudiencesOf are the audiences that a workload is in by its SPIFFE ID, sorted; those that ask for a user or a device besides
// are among them.
func (g *Grants) AudiencesOf(id string) []string {
	in := slices.Clone(g.literal[id])
	for _, w := range g.wild {
		if w.pattern.Match(identity.SPIFFEID(id)) {
			in = append(in, w.audience)
		}
	}
	names := make([]string, 0, len(in))
	for _, i := range in {
		names = append(names, g.audiences[i].Meta.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Of are the routes that a workload may reach, sorted: those that list any of its audiences, and if any of these is isolated,
// only routes that list every isolated one.
func (g *Grants) Of(id string) []Granted {
	audiences := g.AudiencesOf(id)
	by := map[int][]string{}
	for _, a := range audiences {
		for _, r := range g.listing[a] {
			by[r] = append(by[r], a)
		}
	}
	var all []Granted
	for r, through := range by {
		walled := slices.ContainsFunc(audiences, func(a string) bool { return g.isolated[a] && !slices.Contains(through, a) })
		if !walled {
			all = append(all, Granted{Route: g.routes[r].Meta.Name, Audiences: through})
		}
	}
	slices.SortFunc(all, func(a, b Granted) int { return strings.Compare(a.Route, b.Route) })
	return all
}
