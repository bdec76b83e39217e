package policy

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/tiergate/tiergate/signals"
)

// compiler collects faults; every step works as far as it can, so that one run names them all.
type compiler struct {
	spec   Spec
	world  World
	faults []Fault

	env       *cel.Env
	teams     map[string]Team
	signals   map[string]*signal
	tiers     []tier
	tierAt    map[string]int
	audiences []audience
	audAt     map[string]int
	known     map[string][]string // kind → the names of its documents, sorted
	routes    []*route
	hosts     map[string][]string
	places    map[string][]*route // host and shape of path → the routes there
	enrolling map[string]*naming  // World.namings
	used      map[string]bool     // kind/name of what something refers to
	dangling  map[string]bool     // kinds of which a document was referred to that is not there
	rules     *exceptionRules
	table     *Table
}

func newCompiler(spec Spec, world World) *compiler {
	c := &compiler{
		spec: sorted(spec), world: world, teams: map[string]Team{}, signals: map[string]*signal{}, tierAt: map[string]int{},
		audAt: map[string]int{}, hosts: map[string][]string{}, places: map[string][]*route{},
		used: map[string]bool{}, dangling: map[string]bool{},
	}
	c.enrolling = world.namings()
	c.known = map[string][]string{
		KindTier:     names(c.spec.Tiers, func(d Tier) Meta { return d.Meta }),
		KindAudience: names(c.spec.Audiences, func(d Audience) Meta { return d.Meta }),
		KindUpstream: names(c.spec.Upstreams, func(d Upstream) Meta { return d.Meta }),
	}
	env, err := newEnvironment()
	if err != nil {
		c.fault(KindBaseline, "", "", "the expression language could not be set up: "+err.Error(), "this is a defect of tiergate")
	}
	c.env = env
	return c
}

// sorted copies the documents in the order of their names, so that their order in files never matters.
func sorted(s Spec) Spec {
	return Spec{
		Governance: byName(s.Governance, func(d Governance) Meta { return d.Meta }),
		Baselines:  byName(s.Baselines, func(d Baseline) Meta { return d.Meta }),
		Tiers:      byName(s.Tiers, func(d Tier) Meta { return d.Meta }),
		Audiences:  byName(s.Audiences, func(d Audience) Meta { return d.Meta }),
		Upstreams:  byName(s.Upstreams, func(d Upstream) Meta { return d.Meta }),
		Routes:     byName(s.Routes, func(d Route) Meta { return d.Meta }),
		Identities: byName(s.Identities, func(d Identity) Meta { return d.Meta }),
		Exceptions: byName(s.Exceptions, func(d Exception) Meta { return d.Meta }),
		Monitors:   byName(s.Monitors, func(d Monitor) Meta { return d.Meta }),
	}
}

func byName[D any](docs []D, meta func(D) Meta) []D {
	return slices.SortedStableFunc(slices.Values(docs), func(a, b D) int { return cmp.Compare(meta(a).Name, meta(b).Name) })
}

func (c *compiler) fault(kind, name, field, message, help string) {
	c.faults = append(c.faults, Fault{Kind: kind, Name: name, Field: field, Message: message, Help: help})
}

// unknown is a fault about a name that is none of the known ones.
func (c *compiler) unknown(kind, name, field, message, wrong string, known []string, help string) {
	c.faults = append(c.faults, Fault{Kind: kind, Name: name, Field: field, Message: message, Help: help, Wrong: wrong, Known: known})
}

// policy puts the parts together; it is called only when there are no faults.
func (c *compiler) policy() *Policy {
	p := &Policy{
		spec: c.spec, tiers: c.tiers, audiences: c.audiences, table: c.table, contacts: map[string]string{},
	}
	index := map[string]int{}
	for i, name := range slices.Sorted(maps.Keys(c.signals)) {
		index[name] = i
		p.signals = append(p.signals, *c.signals[name])
	}
	for i := range p.tiers {
		t := &c.spec.Tiers[i]
		p.tiers[i].demanded = compiled(index, t.entries(), t.StepUp)
		for j := range p.tiers[i].stricter {
			s := &t.Stricter[j]
			p.tiers[i].stricter[j].demanded = compiled(index, s.entries(), s.StepUp)
		}
	}
	for i := range p.audiences {
		if p.audiences[i].isolated {
			p.isolated = append(p.isolated, i)
		}
	}
	for name, team := range c.teams {
		p.contacts[name] = team.Contact
	}
	if c.world.Sources != nil {
		p.attests = map[string]map[string]bool{}
		for source, said := range c.world.Sources {
			p.attests[source] = map[string]bool{}
			for _, a := range said.Attests {
				p.attests[source][a] = true
			}
		}
	}
	p.rules, p.namings, p.unenrolling = c.rules, c.enrolling, c.unenrolling()
	routes := map[string]*route{}
	for _, r := range c.routes {
		routes[r.name] = r
	}
	c.compiledExceptions(routes)
	p.logins = c.loginPages()
	p.digest = digestOf([]any{c.spec, c.world, signals.Attributes()})
	return p
}

func compiled(index map[string]int, entries iter.Seq2[List, DenyUnless], stepUp *StepUpDemand) demanded {
	all := demanded{stepUp: stepUp}
	for list, d := range entries {
		all.demands = append(all.demands, demand{signal: index[d.Signal], list: list, maxAge: d.MaxAge,
			noteIfUnknown: d.OnUnknown == OnUnknownNote})
	}
	return all
}

// owner checks that a document's owner is a team.
func (c *compiler) owner(kind string, m Meta) {
	switch _, ok := c.teams[m.Owner]; {
	case len(c.spec.Governance) == 0: // said once, for the directory
	case m.Owner == "":
		c.fault(kind, m.Name, "metadata.owner", "this document has no owner", "name the team that answers for it: owner: "+c.anyTeam())
	case !ok:
		c.unknown(kind, m.Name, "metadata.owner", fmt.Sprintf("owner %q is no team", m.Owner), m.Owner,
			slices.Sorted(maps.Keys(c.teams)), "the teams stand in the Governance document")
	}
}

func (c *compiler) anyTeam() string {
	if teams := slices.Sorted(maps.Keys(c.teams)); len(teams) > 0 {
		return strings.Join(teams, " | ")
	}
	return "TEAM"
}

// refer notes that something uses a document and reports a name that no document has.
func (c *compiler) refer(from, name, field, kind, to string) bool {
	if _, ok := slices.BinarySearch(c.known[kind], to); !ok {
		c.unknown(from, name, field, fmt.Sprintf("there is no %s %q", kind, to), to, c.known[kind],
			"write the document or correct the name")
		c.dangling[kind] = true
		return false
	}
	c.used[kind+"/"+to] = true
	return true
}

func names[D any](docs []D, meta func(D) Meta) []string {
	out := make([]string, 0, len(docs))
	for _, d := range docs {
		out = append(out, meta(d).Name)
	}
	return out
}
