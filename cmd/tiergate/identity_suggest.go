package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
)

// identitySuggestion is a least-privilege change of the policy, with what speaks for it and what it does.
type identitySuggestion struct {
	Days      int                  `json:"days"`
	Policy    string               `json:"policy"` // digest of what was read
	Direction policydiff.Direction `json:"direction"`
	Cuts      []inventory.Cut      `json:"cuts"`
	Effect    []policydiff.Change  `json:"effect"`
	Left      []string             `json:"left,omitempty"` // what is unused and not suggested, and why
	Notes     []string             `json:"notes,omitempty"`
	Diff      string               `json:"diff"` // for git apply, or patch -p1, in the policy directory
}

func newIdentitySuggest() *cobra.Command {
	to := &identityReach{}
	var days int
	var dir string
	c := &cobra.Command{Use: "suggest [ID] --config FILE [--days N]", Short: "Write the policy change that takes away what nobody used",
		Args: cobra.MaximumNArgs(1)}
	c.Long = "Writes a patch of the policy directory: audiences of workloads off routes that none of them was let in to, workloads out of\n" +
		"audiences none of whose routes they used, and wildcards of audiences narrowed to those who used them, in the days before\n" +
		"today. With the patch stand the evidence and what it\n" +
		"does, as `policy diff` tells it. What that does not show to be no looser is not suggested, nor is anything before\n" +
		"decisions were observed on all these days. Apply it with: git apply --directory=POLICY, or patch -p1 -d POLICY"
	to.flags(c)
	c.Flags().IntVar(&days, "days", inventory.MaxPruneDays, "how many `DAYS` back, 1 to 90")
	c.Flags().StringVar(&dir, "policy", "", "the policy `DIR`; default policy.dir of the settings")
	c.RunE = func(c *cobra.Command, args []string) error {
		if days < 1 || days > inventory.MaxPruneDays {
			return usageError{fmt.Errorf("--days %d: say 1 to %d", days, inventory.MaxPruneDays)}
		}
		if err := checkOutput(to.form); err != nil {
			return err
		}
		settings, err := loadSettings(to.file)
		if err != nil {
			return err
		}
		if dir == "" {
			dir = settings.Policy.Dir
		}
		if dir == "" {
			return usageError{fmt.Errorf("say which policy: --policy DIR, or policy.dir in the settings")}
		}
		var seen observedIdentities
		if err := to.ask(c.Context(), http.MethodGet, "/v1/identities/observed", nil, &seen); err != nil {
			return err
		}
		s, err := suggest(settings, dir, &seen, days, args)
		if err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, s, s.text)
	}
	return c
}

// suggest looks for rights that nobody used, and makes the edits one after the other, as long as the policy compiles and is
// firmly no looser.
func suggest(s *config.Settings, dir string, seen *observedIdentities, days int, only []string) (*identitySuggestion, error) {
	files, err := policyfile.Read(dir)
	if err != nil {
		return nil, err
	}
	world := world(s)
	was, problems := policyfile.Compile(files, world)
	if len(problems) > 0 {
		return nil, problems
	}
	joined := seen.world(was)
	var ids []string
	if len(only) > 0 {
		list := identityList{Identities: inventory.Join(joined)}
		x, err := list.find(only[0])
		if err != nil {
			return nil, err
		}
		ids = append([]string{}, x.IDs...)
	}
	cuts, notes, err := inventory.Prune(joined, days, ids)
	if err != nil {
		return nil, fmt.Errorf("nothing is suggested: %w", err)
	}
	out := &identitySuggestion{Days: days, Policy: was.Digest(), Direction: policydiff.Neither, Cuts: []inventory.Cut{},
		Effect: []policydiff.Change{}, Notes: notes}
	before := textsOf(files)
	texts := before
	for i := range cuts {
		now, changes, err := tryCut(texts, &cuts[i], was, world)
		if err != nil {
			out.Left = append(out.Left, cuts[i].String()+": "+oneLine(err.Error()))
			continue
		}
		texts, out.Cuts, out.Effect, out.Direction = now, append(out.Cuts, cuts[i]), changes, policydiff.Fold(changes)
	}
	out.Diff = before.diff(texts)
	return out, nil
}

// tryCut makes one more edit. The error says why it is not to be.
func tryCut(texts policyTexts, c *inventory.Cut, was *policy.Policy, world policy.World) (policyTexts, []policydiff.Change, error) {
	edited, err := texts.cut(c)
	if err != nil {
		return nil, nil, err
	}
	is, err := edited.compile(world)
	if err != nil {
		return nil, nil, err
	}
	changes := policydiff.Compare(was, is, world.Sources)
	for _, change := range changes {
		if change.Direction == policydiff.Loosens || change.Direction == policydiff.CannotTell {
			return nil, nil, fmt.Errorf("it is not sure to be no looser: %s (%s: %s)", change.Text, change.Direction, change.Why)
		}
	}
	return edited, changes, nil
}

// compile judges the files as they would stand.
func (t policyTexts) compile(world policy.World) (*policy.Policy, error) {
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a copy of no use afterwards
	for name, data := range t {
		if err := layFile(dir, name, data); err != nil {
			return nil, err
		}
	}
	files, err := policyfile.Read(dir)
	if err != nil {
		return nil, err
	}
	compiled, problems := policyfile.Compile(files, world)
	if len(problems) > 0 {
		return nil, fmt.Errorf("the policy would have a fault: %s %s", problems[0].Message, problems[0].Help)
	}
	return compiled, nil
}

// text is the patch behind what speaks for it, in lines that git apply and patch pass over.
func (s *identitySuggestion) text(w io.Writer) error {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, "# "+format+"\n", args...) }
	line("what nobody used in the %d days before today, by policy %s", s.Days, s.Policy)
	for i := range s.Cuts {
		line("")
		line("%s:", s.Cuts[i].String())
		for _, e := range s.Cuts[i].Evidence {
			line("  %s", oneLine(e))
		}
	}
	if len(s.Effect) > 0 {
		line("")
		line("what it does, by policy diff (%s):", s.Direction)
		for _, e := range s.Effect {
			line("  %s: %s", e.Direction, oneLine(e.Text))
		}
	}
	for _, left := range s.Left {
		line("left alone: %s", left)
	}
	for _, note := range s.Notes {
		line("note: %s", oneLine(note))
	}
	if s.Diff == "" {
		line("there is nothing to suggest")
	}
	_, err := io.WriteString(w, out.String()+s.Diff)
	return err
}
