package prove

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/xds/dump"
)

// MaxClasses bounds how many classes of askers are judged against kinds of routes; a million take some seconds.
const MaxClasses = 2_000_000

// ErrTooLarge is wrapped by the error for a policy that has more. Nothing is then said of a part of it.
var ErrTooLarge = errors.New("too large to prove")

// Input is what a proof is about.
type Input struct {
	Policy *policy.Policy
	World  policy.World // the names of the settings, as far as they are known
	At     time.Time    // exceptions that have ended by then excuse nothing; those to come do
	Envoy  *dump.Config // nil: only the policy is judged
	// Own says which listeners are whose own, from isolated audience to names. Nil: a listener is an audience's own if
	// all that exists on it are routes that list the audience.
	Own map[string][]string
}

// Check proves or finds counterexamples. The error says why neither was possible.
func Check(in Input) (*Report, error) {
	p := &prover{in: in, spec: in.Policy.Spec(), tiers: map[string]*policy.Tier{}, audiences: map[string]*population{},
		upstreams: map[string]*policy.Upstream{}, requests: map[string]policy.Request{}, ends: map[string]ends{}}
	p.prepare()
	if n := p.size(); n > MaxClasses {
		return nil, fmt.Errorf("%w: %d classes of askers and kinds of routes, the limit is %d: give isolated audiences fewer "+
			"entries, or routes fewer combinations of tier and audiences", ErrTooLarge, n, MaxClasses)
	}
	p.report = &Report{Policy: in.Policy.Digest(), Looked: Looked{Audiences: len(p.isolated), Routes: len(p.spec.Routes)}}
	if in.Envoy != nil {
		p.readEnvoy()
	}
	for _, a := range p.isolated {
		p.report.Audiences = append(p.report.Audiences, p.reachOf(a))
		p.leaks(a)
		p.sharedEndpoints(a)
		if p.envoy != nil {
			p.through(a)
		}
	}
	p.notes()
	p.report.finish()
	return p.report, nil
}

// prover holds the documents by name while a proof runs.
type prover struct {
	in        Input
	spec      policy.Spec
	tiers     map[string]*policy.Tier
	audiences map[string]*population
	isolated  []*population
	upstreams map[string]*policy.Upstream
	requests  map[string]policy.Request // by route: one that the table gives to it; absent: none was found
	ends      map[string]ends           // by upstream
	kinds     []routeKind
	names     names
	patterns  []pattern // of all audiences
	asked     asker
	envoy     *envoy
	report    *Report
}

// routeKind is routes of equal tier and audiences: for admission they are one.
type routeKind struct {
	tier      *policy.Tier
	audiences []*population
	routes    []*policy.Route
}

func (p *prover) prepare() {
	for i := range p.spec.Tiers {
		p.tiers[p.spec.Tiers[i].Meta.Name] = &p.spec.Tiers[i]
	}
	for i := range p.spec.Audiences {
		a := newPopulation(&p.spec.Audiences[i])
		p.audiences[a.name] = a
		if a.isolated {
			p.isolated = append(p.isolated, a)
		}
		for _, e := range a.entries {
			if e.pattern != nil {
				p.patterns = append(p.patterns, *e.pattern)
			}
		}
	}
	for i := range p.spec.Upstreams {
		u := &p.spec.Upstreams[i]
		p.upstreams[u.Meta.Name], p.ends[u.Meta.Name] = u, endsOf(u.Endpoints)
	}
	p.names = p.namesOf()
	at := map[string]int{}
	for i := range p.spec.Routes {
		r := &p.spec.Routes[i]
		if asked, ok := p.requestFor(r); ok {
			p.requests[r.Meta.Name] = asked
		}
		listed := slices.Sorted(slices.Values(r.Audiences))
		key := r.Tier + " " + strings.Join(listed, " ")
		if _, known := at[key]; !known {
			at[key] = len(p.kinds)
			kind := routeKind{tier: p.tiers[r.Tier]}
			for _, name := range listed {
				kind.audiences = append(kind.audiences, p.audiences[name])
			}
			p.kinds = append(p.kinds, kind)
		}
		p.kinds[at[key]].routes = append(p.kinds[at[key]].routes, r)
	}
}

func (p *prover) found(c Counterexample) {
	for _, known := range p.report.Counterexamples {
		if known.Kind == c.Kind && known.Audience == c.Audience && known.Route == c.Route && known.Where == c.Where &&
			known.Endpoint == c.Endpoint && known.Listener == c.Listener {
			return
		}
	}
	p.report.Counterexamples = append(p.report.Counterexamples, c)
}

// finish sorts, and says whether the claim holds.
func (r *Report) finish() {
	slices.SortStableFunc(r.Counterexamples, func(a, b Counterexample) int {
		return cmp.Or(cmp.Compare(a.Audience, b.Audience), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Route, b.Route),
			cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Where, b.Where))
	})
	r.Isolated = len(r.Counterexamples) == 0
	r.Counterexamples = append([]Counterexample{}, r.Counterexamples...) // [] and not null in JSON
	r.Audiences = append([]Reach{}, r.Audiences...)
	r.Notes = append([]string{}, r.Notes...)
}
