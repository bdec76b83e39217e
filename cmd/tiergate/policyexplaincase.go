package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
)

// explainedCase is what `policy explain --case` prints of one case.
type explainedCase struct {
	Case        string             `json:"case"`
	Explanation policy.Explanation `json:"explanation"`
	// Differences are where the answer is not what the case expects.
	Differences []string `json:"differences,omitempty"`
}

// explainCases explains the cases of a file, or the one that is named.
func (x *policyExplaining) explainCases(out io.Writer) error {
	file, name, one := strings.Cut(x.cases, "#")
	compiled, err := compilePolicy(x.dir, x.config)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return fmt.Errorf("the cases cannot be read: %w", err)
	}
	cases, problems := policytest.Parse(file, raw)
	if len(problems) > 0 {
		return fmt.Errorf("%w\n\n%s", problems, count(len(problems), "fault"))
	}
	if len(cases) == 0 {
		return fmt.Errorf("%s has no cases; see 'tiergate policy test --help'", file)
	}
	if one {
		if cases, err = caseOf(file, cases, name); err != nil {
			return err
		}
	}
	results, err := policytest.Run(compiled, cases)
	if err != nil {
		return err
	}
	explained := make([]explainedCase, 0, len(results))
	for i := range results {
		r := &results[i]
		e, err := explain(compiled, &r.Input)
		if err != nil {
			return fmt.Errorf("case %q: %w", r.Case.Name, err)
		}
		explained = append(explained, explainedCase{Case: r.Case.Name, Explanation: e, Differences: r.Differences})
	}
	return printAs(out, x.output, explained, func(w io.Writer) error {
		for i := range explained {
			if err := explained[i].page(w, i > 0); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *explainedCase) page(w io.Writer, another bool) error {
	if another {
		fmt.Fprintln(w)
	}
	if err := titled(w, x.Case); err != nil {
		return err
	}
	if len(x.Differences) > 0 {
		fmt.Fprintf(w, "NOTE: the case expects another answer:\n  - %s\n\n", strings.Join(x.Differences, "\n  - "))
	}
	_, err := io.WriteString(w, x.Explanation.Text())
	return err
}

// caseOf finds a case by its name, or by a part of it that no other has. Letters in any case.
func caseOf(file string, cases []policytest.Case, name string) ([]policytest.Case, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return nil, usageError{errors.New("--case: after # stands the name of a case; without #, all cases are explained")}
	}
	var part []policytest.Case
	names := make([]string, 0, len(cases))
	for i := range cases {
		switch has := strings.ToLower(cases[i].Name); {
		case has == name:
			return cases[i : i+1], nil
		case strings.Contains(has, name):
			part = append(part, cases[i])
			names = append(names, "  "+cases[i].Name)
		}
	}
	switch len(part) {
	case 0:
		for i := range cases {
			names = append(names, "  "+cases[i].Name)
		}
		return nil, fmt.Errorf("%s has no case %q; it has\n%s", file, name, strings.Join(names, "\n"))
	case 1:
		return part, nil
	}
	return nil, fmt.Errorf("%q is a part of several names; say more of one of\n%s", name, strings.Join(names, "\n"))
}
