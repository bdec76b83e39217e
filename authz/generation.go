package authz

import (
	"maps"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// tableLife is how long an older route table is held after it was replaced: the time in which an Envoy that has not yet
// acknowledged the next one may still ask with it.
const tableLife = 60 * time.Second

// transit is how long a change of upstream may take to reach Envoy. Until then a request that is on its way to the upstream
// before is served there, if the policy before and the current one both allow it: a change loses no request, and opens
// nothing to anybody. After that such a request is refused.
const transit = 5 * time.Second

// generation is one policy with what has been computed ahead for it. A request loads one and uses nothing else.
type generation struct {
	policy      *policy.Policy
	tables      map[string]heldTable // by digest; the policy's own never ends
	assessments sync.Map             // signals.DeviceID → *policy.Assessment
}

type heldTable struct {
	table  *policy.Table
	policy *policy.Policy // the last that had it, while in transit; nil after that and for the current one
	until  time.Time      // zero: as long as the generation
}

// newGeneration takes over the tables that are still held.
func newGeneration(p *policy.Policy, previous *generation, at time.Time) *generation {
	g := &generation{policy: p, tables: map[string]heldTable{}}
	if previous != nil {
		maps.Copy(g.tables, previous.tables)
		g.tables[previous.policy.Table().Digest()] = heldTable{table: previous.policy.Table(), policy: previous.policy,
			until: at.Add(tableLife)}
		maps.DeleteFunc(g.tables, func(_ string, h heldTable) bool { return !at.Before(h.until) })
		for digest, h := range g.tables {
			if !h.inTransit(at) {
				h.policy = nil // its memory is of use to nobody
				g.tables[digest] = h
			}
		}
	}
	g.tables[p.Table().Digest()] = heldTable{table: p.Table()}
	return g
}

// evaluate judges with this generation's policy; before there is one, everything is refused.
func (g *generation) evaluate(in *policy.Input) policy.Verdict {
	if g == nil {
		return (*policy.Policy)(nil).Evaluate(in)
	}
	return g.policy.Evaluate(in)
}

// digest names the policy; empty: there is none.
func (g *generation) digest() string {
	if g == nil {
		return ""
	}
	return g.policy.Digest()
}

// current is its policy; nil: there is none.
func (g *generation) current() *policy.Policy {
	if g == nil {
		return nil
	}
	return g.policy
}

// older returns the table of a digest while it is held; ok is false after that and for the current one.
func (g *generation) older(digest string, at time.Time) (held heldTable, ok bool) {
	held, ok = g.tables[digest]
	return held, ok && !held.until.IsZero() && at.Before(held.until)
}

func (h heldTable) inTransit(at time.Time) bool {
	return h.policy != nil && at.Before(h.until.Add(transit-tableLife))
}

// allows reports that, a moment ago, this request would have been allowed to where it is on its way.
func (h heldTable) allows(in *policy.Input, route string) bool {
	if !h.inTransit(in.At) {
		return false
	}
	then := *in
	then.Request.Chosen = &policy.Chosen{Route: route} // to where its own table led it, as was compared
	verdict := h.policy.Evaluate(&then)
	return verdict.Outcome == policy.Allow
}

// assess computes a posture's assessment ahead of the requests that will need it.
func (g *generation) assess(posture *signals.Posture) {
	g.assessments.Store(posture.Device, g.policy.Assess(posture))
}

// assessment is nil if there is none yet; Evaluate then makes its own.
func (g *generation) assessment(device signals.DeviceID) *policy.Assessment {
	a, ok := g.assessments.Load(device)
	if !ok {
		return nil
	}
	return a.(*policy.Assessment)
}
