package policytest

import (
	"fmt"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// Result is what came of one case.
type Result struct {
	Case  *Case
	Place strictyaml.Position
	// Input is the question as the policy was asked it: whoever puts the case to a running tiergate finds all of it here.
	Input   policy.Input
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
		ownDevice(p, &in)
		verdict := p.Evaluate(&in)
		results = append(results, Result{Case: c, Place: c.place, Input: in, Verdict: verdict,
			Differences: c.Expect.compare(&verdict)})
	}
	return results, nil
}
