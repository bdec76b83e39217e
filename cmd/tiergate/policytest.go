package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// policyTesting is what `policy test` was asked to do.
type policyTesting struct {
	config, cases, output, run, junit, bar string
	update                                 bool

	only *regexp.Regexp
	want policytest.Bar
}

func newPolicyTest() *cobra.Command {
	var t policyTesting
	c := &cobra.Command{
		Use:   "test DIR",
		Short: "Run the golden cases beside a policy directory",
		Long: "Asks the policy in DIR every question of the cases and compares the answers: who asks for what with which\n" +
			"device, and what must come of it. Then says which parts of the policy no case comes to: tiers, routes,\n" +
			"signals (passing, failing, unknown), audiences, exceptions (in force, before, after, and for another subject,\n" +
			"device and route), grace, challenges, and reasons to refuse.\n\n" +
			"The format of a file of cases is documented in authz/policytest/README.md; for an editor see\n" +
			"`tiergate policy schema --cases`. --update writes the answers into the expectations of failing cases and\n" +
			"leaves everything else in the files as it is: read the difference before you keep it.\n\n" +
			"Exit status: 0 all pass, 1 some fail or --fail-uncovered is not met, 2 wrong usage.",
		Example: "  tiergate policy test policy\n" +
			"  tiergate policy test policy --run 'loaner' --update\n" +
			"  tiergate policy test policy --fail-uncovered tiers,routes,signals,80% --junit cases.xml",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := t.usage(); err != nil {
				return err
			}
			return t.test(c, args[0])
		},
	}
	configFlag(c, &t.config, false)
	flags := c.Flags()
	flags.StringVar(&t.cases, "cases", "", "`DIR` of the cases (default: cases beside the policy directory)")
	flags.StringVar(&t.run, "run", "", "only cases whose name fits `REGEX`; the coverage is then not judged")
	flags.BoolVar(&t.update, "update", false, "write the answers into the expectations of failing cases")
	flags.StringVar(&t.junit, "junit", "", "write a JUnit report to `FILE`, for CI")
	flags.StringVar(&t.bar, "fail-uncovered", "", "fail if a part of these `GROUPS` is not covered, or less than a\n"+
		"percentage of all: tiers,routes,signals,audiences,exceptions,grace,challenges,reasons; 80%; all")
	outputFlag(c, &t.output)
	return c
}

// usage refuses what cannot be meant, before anything is read or written.
func (t *policyTesting) usage() error {
	if err := checkOutput(t.output); err != nil {
		return err
	}
	var err error
	if t.only, err = regexp.Compile(t.run); err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	if t.bar == "" {
		return nil
	}
	if t.run != "" {
		return usageError{errors.New("--fail-uncovered judges all cases; leave out --run")}
	}
	if t.want, err = policytest.ParseBar(t.bar); err != nil {
		return usageError{fmt.Errorf("--fail-uncovered: %w", err)}
	}
	return nil
}

func (t *policyTesting) test(c *cobra.Command, dir string) error {
	if t.cases == "" {
		t.cases = filepath.Join(filepath.Dir(filepath.Clean(dir)), "cases")
	}
	compiled, err := compilePolicy(dir, t.config)
	if err != nil {
		return err
	}
	r, err := t.ask(compiled)
	if err != nil {
		return err
	}
	if t.update && r.Failed > 0 {
		wrote, err := policytest.Update(compiled, r.results)
		if err != nil {
			sayWrites(c.OutOrStdout(), wrote)
			return err
		}
		if r, err = t.ask(compiled); err != nil {
			return err
		}
		r.Wrote = wrote
	}
	if t.run == "" {
		coverage := policytest.Cover(compiled, r.results)
		r.Coverage, r.Uncovered = &coverage, coverage.Misses(t.want)
	}
	if t.junit != "" {
		if err := writeJUnit(t.junit, dir, r); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if err := printAs(c.OutOrStdout(), t.output, r, r.table); err != nil {
		return err
	}
	if r.Failed > 0 || len(r.Uncovered) > 0 {
		return errSaid
	}
	return nil
}

// policyTested is what `policy test` prints.
type policyTested struct {
	Policy string `json:"policy"` // digest
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	// PerThousand is how long the policy took for 1,000 such cases, without the reading of files.
	PerThousand string               `json:"perThousand"`
	Cases       []policyTestedCase   `json:"cases"`
	Coverage    *policytest.Coverage `json:"coverage,omitempty"` // nil with --run
	Uncovered   []string             `json:"uncovered,omitempty"`
	Wrote       []policytest.Rewrite `json:"wrote,omitempty"`

	results []policytest.Result
}

type policyTestedCase struct {
	Name        string              `json:"name"`
	Place       strictyaml.Position `json:"place"`
	Passed      bool                `json:"passed"`
	Outcome     policy.Outcome      `json:"outcome"`
	Reason      policy.Reason       `json:"reason"`
	Differences []string            `json:"differences,omitempty"`
}

// ask reads the cases and puts them to the policy.
func (t *policyTesting) ask(compiled *policy.Policy) (*policyTested, error) {
	questions, err := policytest.Load(t.cases)
	if err != nil {
		return nil, err
	}
	questions = slices.DeleteFunc(questions, func(q policytest.Case) bool { return !t.only.MatchString(q.Name) })
	if len(questions) == 0 {
		return nil, fmt.Errorf("no case in %s has a name that fits --run %s", t.cases, t.run)
	}
	results, err := policytest.Run(compiled, questions)
	if err != nil {
		return nil, err
	}
	r := &policyTested{Policy: compiled.Digest(), PerThousand: perThousand(compiled, questions), results: results}
	for i := range results {
		of := &results[i]
		passed := len(of.Differences) == 0
		if passed {
			r.Passed++
		} else {
			r.Failed++
		}
		r.Cases = append(r.Cases, policyTestedCase{Name: of.Case.Name, Place: of.Place, Passed: passed,
			Outcome: of.Verdict.Outcome, Reason: of.Verdict.Reason, Differences: of.Differences})
	}
	return r, nil
}

// perThousand is how long 1,000 such cases take once the policy is warm: they are asked again until there are so many,
// or it has taken long enough to tell.
func perThousand(compiled *policy.Policy, questions []policytest.Case) string {
	const enough = 250 * time.Millisecond
	start, asked := time.Now(), 0
	for asked < 1000 && time.Since(start) < enough {
		again, err := policytest.Run(compiled, questions)
		if err != nil {
			return "" // Run has just succeeded with them
		}
		asked += len(again)
	}
	return (time.Since(start) * 1000 / time.Duration(max(asked, 1))).Round(100 * time.Microsecond).String()
}

// compilePolicy reads and compiles a directory; the error names every fault.
func compilePolicy(dir, settingsFile string) (*policy.Policy, error) {
	var known policy.World
	if settingsFile != "" {
		settings, err := loadSettings(settingsFile)
		if err != nil {
			return nil, err
		}
		known = world(settings)
	}
	files, err := policyfile.Read(dir)
	if err != nil {
		return nil, err
	}
	compiled, problems := policyfile.Compile(files, known)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w\n\n%s", problems, count(len(problems), "fault"))
	}
	return compiled, nil
}
