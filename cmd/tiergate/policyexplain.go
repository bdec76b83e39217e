package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
)

// policyExplaining is what `policy explain` was asked to do.
type policyExplaining struct {
	dir, config, output string
	cases               string   // FILE or FILE#NAME
	decision            string   // as somebody read it on the telephone
	evidence            []string // files
	history             string

	settings *config.Settings // of config; nil: none
}

func newPolicyExplain() *cobra.Command {
	var x policyExplaining
	c := &cobra.Command{
		Use:   "explain [DIR] --case FILE[#NAME] | --decision ID",
		Short: "Tell how the policy comes to an answer, in words to read aloud",
		Long: "Tells the whole judgement of a request: the answer and what to do about it, in sentences for the person who\n" +
			"asked; then the grounds: the route, who asked, the audiences, each signal by each source with its age, the\n" +
			"login, grace, exceptions; last the verdict as it is on record. Tokens are never in it.\n\n" +
			"--case takes the question from a file of golden cases (see `tiergate policy test --help`): all of them, or the\n" +
			"one of that name.\n\n" +
			"--decision takes it from the record of a decision, by the ID that a refusal shows to the user: in any case, with\n" +
			"or without dashes, its first 8 digits or more if they name one alone. The record is looked for in the evidence\n" +
			"file that the settings name and in its older copies, or in --evidence. It is judged by the policy of that time:\n" +
			"DIR if that is it, else the one that `serve` kept (policy.history). If neither is at hand, today's policy is\n" +
			"asked, and the text says so and where its verdict is another than the recorded one. A policy's digest covers the\n" +
			"settings that it was judged with: give those with --config.\n\n" +
			"Exit status: 0 explained, 1 there is no such case or decision, or the record is not what its own policy says,\n" +
			"2 wrong usage.",
		Example: "  tiergate policy explain policy --case 'cases/silence.yaml#at the end of its grace'\n" +
			"  tiergate policy explain --decision 0199C7D2-7C1E --config tiergate.yaml",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				x.dir = args[0]
			}
			if err := x.usage(c); err != nil {
				return err
			}
			if x.cases != "" {
				return x.explainCases(c.OutOrStdout())
			}
			return x.explainDecision(c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	configFlag(c, &x.config, false)
	flags := c.Flags()
	flags.StringVar(&x.cases, "case", "", "explain the cases of `FILE`, or with #NAME one of them")
	flags.StringVar(&x.decision, "decision", "", "explain the recorded decision of this `ID`")
	flags.StringArrayVar(&x.evidence, "evidence", nil,
		"evidence `FILE`, its older copies included (default: evidence.file\n"+
			"of the settings); may be repeated")
	flags.StringVar(&x.history, "history", "", "`DIR` of the policies that serve kept (default: that of the settings)")
	outputFlag(c, &x.output)
	return c
}

// usage refuses what cannot be meant, and reads the settings.
func (x *policyExplaining) usage(c *cobra.Command) error {
	if err := checkOutput(x.output); err != nil {
		return err
	}
	var fault string
	switch {
	case (x.cases == "") == (x.decision == ""):
		fault = "say what to explain: --case FILE[#NAME] or --decision ID"
	case x.cases != "" && x.dir == "":
		fault = "say which policy: the directory of it"
	case x.cases != "" && (len(x.evidence) > 0 || x.history != ""):
		fault = "--evidence and --history are of decisions; a case has none"
	case x.decision != "" && len(x.evidence) == 0 && x.config == "":
		fault = "say where decisions are recorded: --config FILE or --evidence FILE"
	}
	if fault != "" {
		return usageError{fmt.Errorf("%s; see '%s --help'", fault, c.CommandPath())}
	}
	if x.config == "" {
		return nil
	}
	var err error
	x.settings, err = loadSettings(x.config)
	return err
}

// explain is Policy.Explain, but that a fault of ours is an error.
func explain(p *policy.Policy, in *policy.Input) (e policy.Explanation, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the explanation failed, please report it: %v", fault)
		}
	}()
	return p.Explain(in), nil
}

// titled writes a heading that stands out from the text of an explanation.
func titled(out io.Writer, title string) error {
	_, err := fmt.Fprintf(out, "=== %s\n\n", strings.Join(strings.Fields(title), " "))
	return err
}

// historyDir is where serve keeps good policies, one directory for each digest; empty: not known.
func (x *policyExplaining) historyDir() string {
	switch {
	case x.history != "":
		return x.history
	case x.settings != nil:
		return x.settings.Policy.History.Dir
	}
	return ""
}

// evidenceFiles are those that were named, else that of the settings.
func (x *policyExplaining) evidenceFiles() ([]string, error) {
	switch {
	case len(x.evidence) > 0:
		return x.evidence, nil
	case x.settings.Evidence.File == "":
		return nil, errors.New("the settings record no decisions: evidence.file is not set; name a file with --evidence")
	}
	return []string{filepath.Clean(x.settings.Evidence.File)}, nil
}
