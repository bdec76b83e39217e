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

	differences []difference
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
		r := Result{Case: c, Place: c.origin.document.At(c.origin.path), Input: in, Verdict: verdict}
		r.differences = c.Expect.compare(&verdict, func() string { return explained(p, &in) })
		for _, d := range r.differences {
			r.Differences = append(r.Differences, d.String())
		}
		if len(r.Differences) > 0 && verdict.Detail != "" {
			r.Differences = append(r.Differences, "because "+verdict.Detail)
		}
		results = append(results, r)
	}
	return results, nil
}

// explained is what `tiergate policy explain` prints of a question.
func explained(p *policy.Policy, in *policy.Input) string {
	e := p.Explain(in)
	return e.Text()
}
