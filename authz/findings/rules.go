package findings

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Rule is what the monitors of a policy say of a kind and of the audiences that a finding concerns. Where monitors name any of
// these audiences, those are heard and no others; otherwise those that name none. Of several the most severe names the rule
// (then the one with the shorter closeWithin, then the lesser name); closeWithin, after, share and count are the shortest
// and smallest that any of them says.
type Rule struct {
	Monitor     string // the document
	Severity    policy.Severity
	Assign      string        // a team; empty: the owner of what was found
	CloseWithin time.Duration // from finding to closure
	After       time.Duration // 0: the kind's default
	Share       int           // percent; 0: the kind's default
	Count       int           // 0: the kind's default
	owner       string        // the monitor's
}

// RuleOf is the rule for a kind and audiences; ok is false if nothing watches it: it opens no case then.
func RuleOf(p *policy.Policy, kind Kind, audiences []string) (rule Rule, ok bool) {
	return newRules(p).of(kind, audiences)
}

// Unwatched counts findings that no monitor of the policy watches, by kind.
func Unwatched(p *policy.Policy, found []Finding) map[Kind]int {
	rules, counts := newRules(p), map[Kind]int{}
	for i := range found {
		if _, ok := rules.of(found[i].Kind, found[i].Audiences); !ok {
			counts[found[i].Kind]++
		}
	}
	return counts
}

// rules are the monitors of a policy by what they watch, each list with the one to be named first.
type rules struct{ byKind map[Kind][]*policy.Monitor }

func newRules(p *policy.Policy) *rules {
	r := &rules{byKind: map[Kind][]*policy.Monitor{}}
	if p == nil {
		return r
	}
	monitors := p.Spec().Monitors
	for i := range monitors {
		for _, kind := range monitors[i].Watch {
			r.byKind[Kind(kind)] = append(r.byKind[Kind(kind)], &monitors[i])
		}
	}
	for _, all := range r.byKind {
		slices.SortFunc(all, func(a, b *policy.Monitor) int {
			return cmp.Or(cmp.Compare(rank(b.Severity), rank(a.Severity)), cmp.Compare(a.CloseWithin, b.CloseWithin),
				cmp.Compare(a.Meta.Name, b.Meta.Name))
		})
	}
	return r
}

// of is RuleOf.
func (r *rules) of(kind Kind, audiences []string) (Rule, bool) {
	all := r.byKind[kind]
	special := func(m *policy.Monitor) bool {
		return slices.ContainsFunc(m.Audiences, func(a string) bool { return slices.Contains(audiences, a) })
	}
	heard := special
	if !slices.ContainsFunc(all, special) {
		heard = func(m *policy.Monitor) bool { return len(m.Audiences) == 0 }
	}
	var rule Rule
	for _, m := range all {
		switch {
		case !heard(m):
			continue
		case rule.Monitor == "":
			rule = Rule{Monitor: m.Meta.Name, Severity: m.Severity, Assign: m.Assign, CloseWithin: m.CloseWithin, owner: m.Meta.Owner}
		}
		rule.CloseWithin = min(rule.CloseWithin, m.CloseWithin)
		rule.After = smallest(rule.After, m.After)
		rule.Share = smallest(rule.Share, m.Share)
		rule.Count = smallest(rule.Count, m.Count)
	}
	return rule, rule.Monitor != ""
}

// smallest is the smaller of what is said at all.
func smallest[T int | time.Duration](a, b T) T {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}

// stricter tells whether a rule asks for more than another.
func (r *Rule) stricter(than *Rule) bool {
	return rank(r.Severity) > rank(than.Severity) || r.CloseWithin < than.CloseWithin
}

func rank(s policy.Severity) int {
	return slices.Index([]policy.Severity{policy.SeverityLow, policy.SeverityMedium, policy.SeverityHigh, policy.SeverityCritical}, s)
}
