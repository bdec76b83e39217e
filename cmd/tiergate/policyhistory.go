package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

func newPolicyKept() *cobra.Command {
	var file, form string
	c := &cobra.Command{
		Use:   "history --config FILE",
		Short: "List the policies that were in force and are kept, the newest first",
		Long: "Asks the running process which policies it keeps (policy.history in the settings), since when each was in force, how\n" +
			"that came about (start, edit, rollback, release), and which is in force or pinned. A digest names the documents\n" +
			"together with what the settings said of their names when they came into force. DIR of -o json holds an entry's files\n" +
			"for `tiergate policy diff`. One that is damaged is never used; it says why, and the answer is exit 1.",
		Args: cobra.NoArgs,
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, _ []string) error {
		kept := []admin.KeptPolicy{}
		if err := askSidecar(c.Context(), file, form, "/v1/policy/history", &kept); err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), form, kept, func(w io.Writer) error { return printHistory(w, kept) }); err != nil {
			return err
		}
		for _, p := range kept {
			if p.Fault != "" {
				return errSaid
			}
		}
		return nil
	}
	return c
}

// printHistory writes a line for each policy, and below it what is wrong with it.
func printHistory(w io.Writer, kept []admin.KeptPolicy) error {
	if len(kept) == 0 {
		_, err := fmt.Fprintln(w, "no policy is kept; the log of the process says why")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DIGEST\tSINCE\tUNTIL\tDOCUMENTS\tBY\tSTATE")
	for _, p := range kept {
		since, until, state := "-", "-", "-"
		if !p.Since.IsZero() {
			since = instant(p.Since)
		}
		if !p.Until.IsZero() {
			until = instant(p.Until)
		}
		var states []string
		for _, s := range []struct {
			is   bool
			word string
		}{{p.InForce, "in force"}, {p.Pinned, "pinned"}, {p.Fault != "", "damaged: " + inLine(p.Fault)}} {
			if s.is {
				states = append(states, s.word)
			}
		}
		if len(states) > 0 {
			state = strings.Join(states, ", ")
		}
		by := p.By
		if by == "" {
			by = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", shortDigest(p.Digest), since, until, p.Documents, inLine(by), state)
	}
	return table.Flush()
}

// shortDigest is as much of a digest as tells policies apart, and can be rolled back to.
func shortDigest(digest string) string {
	return digest[:min(len(digest), len(digestPrefix)+12)]
}
