package policy_test

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// permitted are the facts that count: of each source what the settings let it attest, all if they are not known.
func (r *reference) permitted(p *signals.Posture) []signals.Fact {
	if p == nil {
		return nil
	}
	var facts []signals.Fact
	for _, f := range p.Facts {
		if r.world.Sources == nil || slices.Contains(r.world.Sources[f.Source].Attests, f.Attribute) {
			facts = append(facts, f)
		}
	}
	return facts
}

// merged is the newest known fact of an attribute from anybody; two that differ at one instant say nothing.
func (a *asked) merged(attribute string) (newest signals.Fact, ok bool) {
	for _, f := range a.facts {
		if f.Attribute == attribute && f.Value.Known() && (!ok || f.Observed.After(newest.Observed)) {
			newest, ok = f, true
		}
	}
	for _, f := range a.facts {
		if f.Attribute == attribute && f.Value.Known() && f.Observed.Equal(newest.Observed) && f.Value != newest.Value {
			return signals.Fact{}, false
		}
	}
	return newest, ok
}

// own is what a source itself last said of an attribute: known, and whether it said since that it cannot tell.
func (a *asked) own(source, attribute string) (known signals.Fact, ok, unknownSince bool) {
	for _, f := range a.facts {
		switch {
		case f.Source != source || f.Attribute != attribute:
		case f.Value.Known():
			known, ok = f, true
		default:
			unknownSince = true
		}
	}
	return known, ok, unknownSince
}

// vote is one source's judgement of a signal.
type vote struct {
	source    string
	status    policy.Status
	agesOut   time.Time     // the last instant at which it counts
	lastKnown policy.Status // by the last known values, whatever was said since
}

func (v vote) known() bool             { return v.status != policy.StatusUnknown }
func (v vote) fresh(at time.Time) bool { return v.known() && !at.After(v.agesOut) }

// definition is what the baselines say of a signal for the device's platform.
func (a *asked) definition(name string) (policy.Signal, bool) {
	platform := ""
	if f, ok := a.merged("platform"); ok {
		platform, _ = f.Value.AsText()
	}
	for _, b := range a.spec.Baselines {
		if s, ok := b.Signals[name]; ok && (len(b.Platforms) == 0 || slices.Contains(b.Platforms, platform)) {
			return s, true
		}
	}
	return policy.Signal{}, false
}

// votes lets every source speak that reports something the expression reads, the platform apart.
func (a *asked) votes(name string, tighter time.Duration) []vote {
	definition, ok := a.definition(name)
	if !ok {
		return nil
	}
	maxAge := definition.MaxAge
	if tighter != 0 && tighter < maxAge {
		maxAge = tighter
	}
	return a.votesBy(definition.Expr, maxAge)
}

func (a *asked) votesBy(expression string, maxAge time.Duration) []vote {
	f := formulas[expression]
	telling := slices.DeleteFunc(slices.Clone(f.reads), func(x string) bool { return x == "platform" && len(f.reads) > 1 })
	var votes []vote
	for _, fact := range a.facts {
		heard := slices.ContainsFunc(votes, func(v vote) bool { return v.source == fact.Source })
		if slices.Contains(telling, fact.Attribute) && !heard {
			votes = append(votes, a.vote(f, fact.Source, maxAge))
		}
	}
	return votes
}

// vote judges by what a source says itself, the rest from anybody. It is worth something as long as what has not aged
// decides: each fact ages by itself, and the vote ends with the last one that it cannot do without.
func (a *asked) vote(f formula, source string, maxAge time.Duration) vote {
	before := map[string]signals.Value{}
	facts := map[string]signals.Fact{}
	for _, attribute := range f.reads {
		fact, ok, unknownSince := a.own(source, attribute)
		if !ok {
			fact, ok = a.merged(attribute)
		}
		before[attribute] = fact.Value
		if ok && !unknownSince {
			facts[attribute] = fact
		}
	}
	v := vote{source: source, lastKnown: f.judge(before), status: f.judge(freshAt(facts, maxAge, time.Time{}))}
	for _, fact := range facts {
		out := fact.AgesFrom().Add(maxAge)
		if f.judge(freshAt(facts, maxAge, out)) != policy.StatusUnknown && out.After(v.agesOut) {
			v.agesOut = out
		}
	}
	return v
}

// freshAt are the values of the facts that have not aged at an instant.
func freshAt(facts map[string]signals.Fact, maxAge time.Duration, at time.Time) map[string]signals.Value {
	values := map[string]signals.Value{}
	for attribute, fact := range facts {
		if !at.After(fact.AgesFrom().Add(maxAge)) {
			values[attribute] = fact.Value
		}
	}
	return values
}

// counting are the votes that count for everything but denyUnless: the preferred source's alone, where one has a vote.
func (a *asked) counting(name string, tighter time.Duration) []vote {
	votes := a.votes(name, tighter)
	definition, _ := a.definition(name)
	for _, preferred := range definition.Prefer {
		for _, v := range votes {
			if v.source == preferred {
				a.saw("preferred source against others", len(votes) > 1)
				return []vote{v}
			}
		}
	}
	return votes
}

// worst is the worse of the fresh votes.
func worst(votes []vote, at time.Time) policy.Status {
	status := policy.StatusUnknown
	for _, v := range votes {
		if v.fresh(at) && status != policy.StatusFailing {
			status = v.status
		}
	}
	return status
}

func (a *asked) status(name string, tighter time.Duration) policy.Status {
	votes := a.counting(name, tighter)
	for _, v := range votes {
		a.boundary("vote", v.agesOut, v.known())
	}
	return worst(votes, a.in.At)
}

// alarm is the status for denyUnless: what failed when it was last known fails, whatever its age. Where no baseline is
// for the device's platform, what fails by any fails.
func (a *asked) alarm(d policy.DenyUnless) policy.Status {
	votes := a.votes(d.Signal, d.MaxAge)
	all := votes
	if _, ok := a.definition(d.Signal); !ok {
		for _, b := range a.spec.Baselines {
			if s, ok := b.Signals[d.Signal]; ok {
				all = append(all, a.votesBy(s.Expr, s.MaxAge)...)
			}
		}
	}
	for _, v := range all {
		if v.lastKnown == policy.StatusFailing {
			a.saw("alarm that has aged, or was followed by unknown", worst(votes, a.in.At) != policy.StatusFailing)
			return policy.StatusFailing
		}
	}
	return worst(votes, a.in.At)
}

// agesOut is the last instant at which any counting vote is worth something; ok is false if none ever was.
func agesOut(votes []vote) (at time.Time, ok bool) {
	for _, v := range votes {
		if v.known() && (!ok || v.agesOut.After(at)) {
			at, ok = v.agesOut, true
		}
	}
	return at, ok
}

// lastGood: something was known, and nothing of it was bad.
func lastGood(votes []vote) bool {
	_, known := agesOut(votes)
	return known && !slices.ContainsFunc(votes, func(v vote) bool { return v.status == policy.StatusFailing })
}
