package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Cut is a right that nobody used, and the edit that takes it away: an audience out of a route's list, or, where Member is set,
// a workload out of an audience, or a wildcard that those take the place of who used it.
type Cut struct {
	Audience string   `json:"audience"`
	Route    string   `json:"route,omitempty"`
	Member   string   `json:"member,omitempty"` // a SPIFFE ID, or a pattern
	Keep     []string `json:"keep,omitempty"`   // SPIFFE IDs that are named in the place of the pattern
	Evidence []string `json:"evidence"`
}

// String is the edit in words.
func (c *Cut) String() string {
	if len(c.Keep) > 0 {
		return fmt.Sprintf("narrow %s in audience %s to %s", c.Member, c.Audience, strings.Join(c.Keep, ", "))
	}
	if c.Member != "" {
		return fmt.Sprintf("take %s out of audience %s", c.Member, c.Audience)
	}
	return fmt.Sprintf("take audience %s off route %s", c.Audience, c.Route)
}

// MaxPruneDays is the longest time that Prune looks back: use is kept for little longer.
const MaxPruneDays = 90

// ErrObserved says that decisions were not observed for long enough to tell what is not used.
var ErrObserved = errors.New("not observed for long enough")

// Prune tells which rights of workloads nobody used in so many days before today (UTC), each by itself, in an order that
// depends on nothing else. ids, unless nil, are the SPIFFE IDs whose rights are looked at. notes say what was left alone, and
// why. The error wraps ErrObserved where any of these days was not observed: then nothing can be told.
func Prune(w *World, days int, ids []string) (cuts []Cut, notes []string, err error) {
	if days < 1 || days > MaxPruneDays {
		return nil, nil, fmt.Errorf("%d days: say 1 to %d", days, MaxPruneDays)
	}
	today := w.At.UTC().Truncate(24 * time.Hour)
	cutoff := today.AddDate(0, 0, -days)
	if err := observed(w.Days, today, days); err != nil {
		return nil, nil, err
	}
	p := &pruning{w: w, grants: NewGrants(w.Policy), days: days, cutoff: cutoff, only: ids,
		in: map[string][]*Sighting{}, created: map[string]time.Time{}}
	for i := range w.Sightings {
		for _, a := range p.grants.AudiencesOf(w.Sightings[i].ID) {
			p.in[a] = append(p.in[a], &w.Sightings[i])
		}
	}
	for i := range w.Entries {
		if e := &w.Entries[i]; e.Live() && e.SPIFFEID != "" {
			p.created[e.SPIFFEID] = later(p.created[e.SPIFFEID], e.Created)
		}
	}
	for i := range p.grants.audiences {
		p.members(&p.grants.audiences[i])
	}
	for i := range p.grants.routes {
		p.route(&p.grants.routes[i])
	}
	return p.cuts, p.notes, nil
}

// observed wants every day but today.
func observed(have []string, today time.Time, days int) error {
	missing := []string{}
	for back := 1; back <= days; back++ {
		if day := today.AddDate(0, 0, -back).Format(time.DateOnly); !slices.Contains(have, day) {
			missing = append(missing, day)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	since := today.Format(time.DateOnly)
	for back := 1; back <= days && slices.Contains(have, today.AddDate(0, 0, -back).Format(time.DateOnly)); back++ {
		since = today.AddDate(0, 0, -back).Format(time.DateOnly)
	}
	return fmt.Errorf("%w: without a gap since %s, and %d days before today are needed; %d are missing, the last %s. "+
		"Wait, or ask for fewer --days", ErrObserved, since, days, len(missing), missing[0])
}

type pruning struct {
	w       *World
	grants  *Grants
	days    int
	cutoff  time.Time
	only    []string
	in      map[string][]*Sighting // audience → who was seen and is in it by its SPIFFE ID
	created map[string]time.Time   // by SPIFFE ID, as imports say
	cuts    []Cut
	notes   []string
}

func (p *pruning) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *pruning) asked(id string) bool { return p.only == nil || slices.Contains(p.only, id) }

// members looks for workloads that used none of the routes of an audience that names them, and for wildcards that few use.
func (p *pruning) members(a *policy.Audience) {
	routes := p.grants.listing[a.Meta.Name]
	if len(routes) == 0 {
		return
	}
	for _, m := range slices.Concat(a.Members, a.Workloads) {
		if wildcard(m) {
			p.narrow(a, m.SPIFFE)
			continue
		}
		if m != (policy.Member{SPIFFE: m.SPIFFE}) || m.SPIFFE == "" || !p.asked(m.SPIFFE) {
			continue
		}
		var s *Sighting
		if i := slices.IndexFunc(p.w.Sightings, func(s Sighting) bool { return s.ID == m.SPIFFE }); i >= 0 {
			s = &p.w.Sightings[i]
		}
		used := slices.ContainsFunc(routes, func(r int) bool { return p.uses(s, p.grants.routes[r].Meta.Name) })
		if used || !p.old(m.SPIFFE, s, "audience "+a.Meta.Name) {
			continue
		}
		evidence := []string{p.story(m.SPIFFE, s)}
		for _, r := range routes {
			evidence = append(evidence, p.useOf(m.SPIFFE, s, p.grants.routes[r].Meta.Name))
		}
		p.cuts = append(p.cuts, Cut{Audience: a.Meta.Name, Member: m.SPIFFE, Evidence: evidence})
	}
}

// route looks for audiences of workloads none of which used a route that lists them.
func (p *pruning) route(r *policy.Route) {
	for _, name := range r.Audiences {
		i := slices.IndexFunc(p.grants.audiences, func(a policy.Audience) bool { return a.Meta.Name == name })
		a := &p.grants.audiences[i] // a compiled policy lists no other
		ids, only := p.idsOf(a)
		if !only || p.only != nil && !slices.ContainsFunc(ids, p.asked) {
			continue
		}
		evidence, unused := []string{}, true
		for _, id := range ids {
			var s *Sighting
			if j := slices.IndexFunc(p.in[name], func(s *Sighting) bool { return s.ID == id }); j >= 0 {
				s = p.in[name][j]
			}
			if p.uses(s, r.Meta.Name) || !p.old(id, s, "route "+r.Meta.Name) {
				unused = false
				break
			}
			evidence = append(evidence, p.useOf(id, s, r.Meta.Name)+"; "+p.story(id, s))
		}
		switch {
		case !unused:
		case len(r.Audiences) == 1:
			p.note("no workload of audience %s used route %s, which is for nobody else: remove the route if nothing needs it", name, r.Meta.Name)
		default:
			if len(ids) == 0 {
				evidence = append(evidence, "nobody of audience "+name+" was ever seen")
			}
			p.cuts = append(p.cuts, Cut{Audience: name, Route: r.Meta.Name, Evidence: evidence})
		}
	}
}

// idsOf are the workloads of an audience, those that were seen and those that it names; only: it has no other members.
func (p *pruning) idsOf(a *policy.Audience) (ids []string, only bool) {
	for _, s := range p.in[a.Meta.Name] {
		ids = append(ids, s.ID)
	}
	for _, m := range slices.Concat(a.Members, a.Workloads) {
		if m.SPIFFE == "" {
			return nil, false
		}
		if !strings.Contains(m.SPIFFE, "*") {
			ids = append(ids, m.SPIFFE)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), true
}

// uses tells whether an identity was let in to a route, whatever granted it, since the cutoff.
func (p *pruning) uses(s *Sighting, route string) bool {
	return s != nil && !s.Routes[route].LastAllowed.Before(p.cutoff)
}

// old tells whether an identity has been about for as long as is looked back.
func (p *pruning) old(id string, s *Sighting, what string) bool {
	first := p.created[id]
	if s != nil {
		first = earlier(first, s.First)
	}
	if first.After(p.cutoff) {
		p.note("%s: %s is known only since %s", what, id, first.UTC().Format(time.RFC3339))
		return false
	}
	return true
}

func (p *pruning) story(id string, s *Sighting) string {
	if s == nil {
		return id + " was never seen"
	}
	return fmt.Sprintf("%s was seen first at %s and last at %s", id, s.First.Format(time.RFC3339), s.Last.Format(time.RFC3339))
}

func (p *pruning) useOf(id string, s *Sighting, route string) string {
	use := RouteUse{}
	if s != nil {
		use = s.Routes[route]
	}
	last := "never"
	if !use.LastAllowed.IsZero() {
		last = "last at " + use.LastAllowed.Format(time.RFC3339)
	}
	return fmt.Sprintf("route %s let %s in %d times, %s, and refused it %d times", route, id, use.Allowed, last, use.Refused)
}
