package policytest

import (
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// Result is what came of one case.
type Result struct {
	Case    *Case
	Place   strictyaml.Position
	Verdict policy.Verdict
	// Differences are empty if the answer is the expected one.
	Differences []string
}

// Run asks the policy every question. The error is a case that cannot be asked, which Load would have refused.
func Run(p *policy.Policy, cases []Case) ([]Result, error) {
	results := make([]Result, 0, len(cases))
	for i := range cases {
		c := &cases[i]
		in, err := c.input()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		verdict := p.Evaluate(&in)
		results = append(results, Result{Case: c, Place: c.place, Verdict: verdict, Differences: c.Expect.compare(&verdict)})
	}
	return results, nil
}

func (e *expect) compare(v *policy.Verdict) []string {
	var differences []string
	word := func(what, want, got string) {
		if want != "" && want != got {
			differences = append(differences, fmt.Sprintf("%s is %q, expected %q", what, got, want))
		}
	}
	word("outcome", e.Outcome, v.Outcome.String())
	word("reason", e.Reason, string(v.Reason))
	word("route", e.Route, v.Route)
	word("tier", e.Tier, v.Tier)
	list := func(what string, want []string, got []policy.Unmet) {
		var names []string
		for _, u := range got {
			names = append(names, u.Signal)
		}
		if want != nil && !slices.Equal(want, names) {
			differences = append(differences, fmt.Sprintf("%s is %v, expected %v", what, names, want))
		}
	}
	list("unmet", e.Unmet, v.Unmet)
	list("noted", e.Noted, v.Noted)
	if len(differences) > 0 && v.Detail != "" {
		differences = append(differences, "because "+v.Detail)
	}
	return differences
}
