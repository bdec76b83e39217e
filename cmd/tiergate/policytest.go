package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/config/policyfile"
)

func newPolicyTest() *cobra.Command {
	var file, cases string
	c := &cobra.Command{
		Use:   "test DIR",
		Short: "Run the golden cases beside a policy directory",
		Long:  "Asks the policy in DIR every question of the cases and compares the answers.",
		Args:  cobra.ExactArgs(1),
	}
	configFlag(c, &file, false)
	c.Flags().StringVar(&cases, "cases", "", "`DIR` of the cases (default: cases beside the policy directory)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if cases == "" {
			cases = filepath.Join(filepath.Dir(filepath.Clean(args[0])), "cases")
		}
		compiled, err := compilePolicy(args[0], file)
		if err != nil {
			return err
		}
		questions, err := policytest.Load(cases)
		if err != nil {
			return err
		}
		results, err := policytest.Run(compiled, questions)
		if err != nil {
			return err
		}
		failed := 0
		for _, r := range results {
			word := "ok  "
			if len(r.Differences) > 0 {
				failed++
				word = "FAIL"
			}
			fmt.Fprintf(c.OutOrStdout(), "%s  %s\n", word, r.Case.Name)
			for _, d := range r.Differences {
				fmt.Fprintf(c.OutOrStdout(), "      %s: %s\n", r.Place, d)
			}
		}
		fmt.Fprintf(c.OutOrStdout(), "%d passed, %d failed\n", len(results)-failed, failed)
		if failed > 0 {
			return errSaid
		}
		return nil
	}
	return c
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
