package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/xds"
)

func newEnvoyStatus() *cobra.Command {
	var file, form string
	c := &cobra.Command{
		Use:   "status --config FILE",
		Short: "Show each connected Envoy and whether it holds what was published; exit 1 if one does not, or none is there",
		Args:  cobra.NoArgs,
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, _ []string) error {
		nodes := []xds.NodeStatus{}
		if err := askSidecar(c.Context(), file, form, "/v1/envoys", &nodes); err != nil {
			return err
		}
		if nodes == nil { // null: none
			nodes = []xds.NodeStatus{}
		}
		if err := printAs(c.OutOrStdout(), form, nodes, func(w io.Writer) error { return printEnvoys(w, nodes) }); err != nil {
			return err
		}
		if len(nodes) == 0 || slices.ContainsFunc(nodes, func(n xds.NodeStatus) bool { return envoyState(n) != envoyInSync }) {
			return errSaid
		}
		return nil
	}
	return c
}

// printEnvoys writes one line for each Envoy.
func printEnvoys(w io.Writer, nodes []xds.NodeStatus) error {
	if len(nodes) == 0 {
		_, err := fmt.Fprintln(w, "no Envoy is connected; start one with the bootstrap that `tiergate envoy bootstrap` prints")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tVERSION\tSINCE\tPROTOCOL\tSTATE\tLAST ERROR")
	for _, n := range nodes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", oneWord(n.Node), cmp.Or(n.Envoy, "unknown"), instant(n.Since),
			n.Protocol, envoyState(n), cmp.Or(inLine(n.Refused), envoyFault(n), "-"))
	}
	return table.Flush()
}

// envoyFault is what an Envoy refuses, since when, and when it is tried again; or what it lacks.
func envoyFault(n xds.NodeStatus) string {
	var since, next time.Time
	lacks := ""
	for _, t := range n.Types {
		switch r := t.Refused; {
		case r != nil:
			if since.IsZero() || r.Since.Before(since) {
				since = r.Since
			}
			if next.IsZero() || r.NextTry.Before(next) {
				next = r.NextTry
			}
		case !t.InSync && lacks == "":
			lacks = fmt.Sprintf("%s: it holds %d of %d as published", t.Type, t.Matching, t.Published)
		}
	}
	if n.LastError == "" {
		return lacks
	}
	return fmt.Sprintf("%s (since %s, next try %s)", inLine(n.LastError), instant(since), instant(next))
}

func instant(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// inLine leaves nothing of what an Envoy says that a terminal or the table could take for more than text.
func inLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func oneWord(text string) string { return cmp.Or(strings.ReplaceAll(inLine(text), " ", "_"), "-") }
