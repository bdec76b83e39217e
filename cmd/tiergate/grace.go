package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/approvals"
)

func newGrace() *cobra.Command {
	c := group("grace", "Look at silent devices in grace, renew or end it",
		newGraceStep("renew", "Let a silent device keep its last good state once more", "renewed", true),
		newGraceStep("end", "End the grace of a silent device now", "ended", false), newGraceList())
	c.Long = "Grace starts by itself, when a device falls silent, and ends by itself. Renewing it takes one person who shows a\n" +
		"certificate or a token (--server), and whom the owner of a tier that gives grace, or of a baseline behind it, names as an\n" +
		"approver; each tier bounds how often. The verbs ask `tiergate ingest`, or with the embedded store `tiergate serve`."
	return c
}

func newGraceStep(step, short, done string, ticket bool) *cobra.Command {
	var order graceOrder
	to := &approvalsReach{}
	c := &cobra.Command{Use: step + " DEVICE --reason TEXT --config FILE", Short: short, Args: cobra.ExactArgs(1)}
	to.flags(c)
	c.Flags().StringVar(&order.Reason, "reason", "", "why")
	if ticket {
		c.Use = step + " DEVICE --reason TEXT --ticket TEXT --config FILE"
		c.Flags().StringVar(&order.Ticket, "ticket", "", "where it is on record")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		order.Device = args[0]
		switch {
		case strings.TrimSpace(order.Reason) == "":
			return usageError{fmt.Errorf("say why: --reason TEXT; see '%s --help'", c.CommandPath())}
		case ticket && strings.TrimSpace(order.Ticket) == "":
			return usageError{fmt.Errorf("say where it is on record: --ticket TEXT; see '%s --help'", c.CommandPath())}
		}
		var l approvals.GraceListed
		if err := to.ask(c.Context(), http.MethodPost, "/v1/grace/"+step, order, &l); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, l, func(w io.Writer) error {
			fmt.Fprintf(w, "the grace of device %s is %s\n", l.Device, done)
			return tableOfGraces(w, []approvals.GraceListed{l})
		})
	}
	return c
}

func newGraceList() *cobra.Command {
	to := &approvalsReach{}
	c := &cobra.Command{Use: "list --config FILE", Short: "List silent devices whose grace runs, or was renewed or ended", Args: cobra.NoArgs}
	to.flags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		all := []approvals.GraceListed{}
		if err := to.ask(c.Context(), http.MethodGet, "/v1/grace", nil, &all); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, all, func(w io.Writer) error { return tableOfGraces(w, all) })
	}
	return c
}

func tableOfGraces(w io.Writer, all []approvals.GraceListed) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no device is in grace")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "DEVICE\tTIER\tGRACE\tSINCE\tUNTIL\tRENEWALS\tMAY RENEW")
	for _, l := range all {
		for _, t := range l.Tiers {
			state := "runs"
			if !t.Running {
				state = t.Why
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d of %d\t%s\n", oneLine(string(l.Device)), t.Tier, oneLine(state), orDash(t.Starts),
				orDash(t.Ends), t.Counted, t.Allowed, strings.Join(t.Teams, ", "))
		}
	}
	return table.Flush()
}

func orDash(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}
