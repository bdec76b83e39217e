package policy

import (
	"slices"
	"strings"
)

// ExplainedAudience is one audience that had a say: one that the route lists, an isolated one, or one of whose members
// the tier asks more.
type ExplainedAudience struct {
	Name       string `json:"name"`
	Listed     bool   `json:"listed"`   // by the route
	Isolated   bool   `json:"isolated"` // its members reach only routes that list it
	Membership string `json:"membership"`
	// Entries are the ways to belong, in their order.
	Entries []ExplainedEntry `json:"entries"`
}

// ExplainedEntry is one way to belong.
type ExplainedEntry struct {
	Wants      string `json:"wants"`
	Membership string `json:"membership"`
}

// The words for a membership.
const (
	memberIn    = "member"
	memberMaybe = "unknown"
	memberOut   = "outside"
)

func (m membership) String() string { return [...]string{memberOut, memberMaybe, memberIn}[m] }

func (h *hearing) explainAudiences() []ExplainedAudience {
	var all []ExplainedAudience
	bound, identified, owned := h.membershipOf()
	for i := range h.policy.audiences {
		a := &h.policy.audiences[i]
		e := ExplainedAudience{Name: a.name, Listed: listed(h.route.audiences, i), Isolated: a.isolated}
		stricter := slices.ContainsFunc(h.tier.stricter, func(s stricter) bool { return s.audience == i })
		if !e.Listed && !e.Isolated && !stricter {
			continue
		}
		e.Membership = a.holds(&h.in.Subject, bound, identified, owned).String()
		for j := range a.entries {
			x := &a.entries[j]
			e.Entries = append(e.Entries, ExplainedEntry{Wants: x.wants(),
				Membership: x.holds(&h.in.Subject, bound, identified && !a.ownershipOutside, owned).String()})
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b ExplainedAudience) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// wants tells what an entry asks of a member.
func (e *entry) wants() string {
	var words []string
	switch {
	case e.user != "":
		words = append(words, "the user "+e.user+" of issuer "+e.issuer)
	case e.issuer != "" && e.group == "":
		words = append(words, "anybody of issuer "+e.issuer)
	}
	if e.group != "" {
		words = append(words, "the group "+e.group+" of issuer "+e.issuer)
	}
	if e.spiffe != nil {
		words = append(words, "a workload "+e.spiffe.String())
	}
	if e.ownership != "" {
		words = append(words, "a device whose ownership is "+e.ownership)
	}
	return strings.Join(words, " and ")
}
