package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

func newFinding() *cobra.Command {
	c := group("finding", "See what is wrong, who looks after it, and until when", newFindingList(), newFindingShow(), newFindingAssign(),
		newFindingAccept())
	c.Long = "A finding is trouble that a Monitor of the policy watches: it has an owner and a deadline, and is closed by the facts alone.\n" +
		"The verbs ask `tiergate ingest`, or with the embedded store `tiergate serve`, over its admin socket or, as whoever a\n" +
		"certificate or a token shows, over its listener for people (--server)."
	return c
}

func newFindingList() *cobra.Command {
	to, f, fail := &approvalsReach{}, &findingFilter{}, false
	c := &cobra.Command{
		Use: "list --config FILE", Short: "List findings, those that stand unless --state says otherwise", Args: cobra.NoArgs,
		Long: "Lists findings that stand, the most severe first. It says if nobody looks, and what cannot be judged now. The exit status\n" +
			"is 1 with --fail if any is listed, or if nobody looks.",
	}
	to.flags(c)
	c.Flags().StringVar(&f.state, "state", "", "only in this `STATE`: "+strings.Join(findingStates, ", ")+"; default standing")
	c.Flags().StringVar(&f.kind, "kind", "", "only of this `KIND`, such as drift")
	c.Flags().StringVar(&f.owner, "owner", "", "only what this `TEAM` owns or looks after, or a person does")
	c.Flags().StringVar(&f.severity, "severity", "", "only of this `SEVERITY`: low, medium, high, critical")
	c.Flags().BoolVar(&f.overdue, "overdue", false, "only what should have been closed by now")
	c.Flags().StringVar(&f.subject, "subject", "", "only about what has this `TEXT` in its name")
	c.Flags().BoolVar(&fail, "fail", false, "exit with 1 if any is listed, or if nobody looks")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		path := "/v1/findings"
		if query := f.query(); query != "" {
			path += "?" + query
		}
		var list findingList
		if err := to.ask(c.Context(), http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		err := printAs(c.OutOrStdout(), to.form, list, func(w io.Writer) error { return tableOfFindings(w, &list) })
		if err == nil && fail && (len(list.Findings) > 0 || list.Stale) {
			return errSaid
		}
		return err
	}
	return c
}

// check refuses words that no finding has, which would list nothing and look like good news.
func (f *findingFilter) check() error {
	kinds := make([]string, 0, len(findings.Kinds()))
	for _, kind := range findings.Kinds() {
		kinds = append(kinds, string(kind))
	}
	severities := []string{string(policy.SeverityLow), string(policy.SeverityMedium), string(policy.SeverityHigh),
		string(policy.SeverityCritical)}
	for _, x := range []struct {
		flag, value string
		known       []string
	}{{"state", f.state, findingStates}, {"kind", f.kind, kinds}, {"severity", f.severity, severities}} {
		if x.value != "" && !slices.Contains(x.known, x.value) {
			return fmt.Errorf("--%s %s: say one of %s", x.flag, x.value, strings.Join(x.known, ", "))
		}
	}
	return nil
}

func newFindingShow() *cobra.Command {
	to := &approvalsReach{}
	c := &cobra.Command{Use: "show ID --config FILE", Short: "Show one finding with its evidence and history", Args: cobra.ExactArgs(1)}
	to.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var shown findingShown
		if err := to.ask(c.Context(), http.MethodGet, "/v1/findings/"+url.PathEscape(args[0]), nil, &shown); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, shown, func(w io.Writer) error { return showFinding(w, &shown) })
	}
	return c
}

func newFindingAssign() *cobra.Command {
	to, order := &approvalsReach{}, assignOrder{}
	c := &cobra.Command{Use: "assign ID (--team TEAM | --person PERSON) --config FILE", Args: cobra.ExactArgs(1),
		Short: "Have a team, or a person of it, look after a finding",
		Long: "Has a team, and one person of it if --person names one, look after a finding. Whoever names themselves has begun: it is in\n" +
			"remediation then."}
	to.flags(c)
	c.Flags().StringVar(&order.Team, "team", "", "the `TEAM`; default the one that looks after it")
	c.Flags().StringVar(&order.Person, "person", "", "the `PERSON`, as the Governance document lists the team's members")
	c.RunE = func(c *cobra.Command, args []string) error {
		if order.Team == "" && order.Person == "" {
			return usageError{fmt.Errorf("say who: --team TEAM or --person PERSON; see '%s --help'", c.CommandPath())}
		}
		return to.finding(c, args[0], "assign", order)
	}
	return c
}

func newFindingAccept() *cobra.Command {
	to, order, until := &approvalsReach{}, acceptOrder{}, ""
	c := &cobra.Command{Use: "accept ID (--for DURATION | --until INSTANT) --reason TEXT --server URL", Args: cobra.ExactArgs(1),
		Short: "Let a finding be for a bounded time",
		Long: "Lets a finding be, for at most 90 days. It takes a certificate or a token (--server) of somebody whom the Governance\n" +
			"document names as an approver of the team that owns what was found. It is open again at the end, with a new deadline."}
	to.flags(c)
	c.Flags().StringVar(&until, "until", "", "its end, an `INSTANT` such as 2026-11-27T18:00:00Z")
	c.Flags().DurationVar(&order.For, "for", 0, "instead of --until: how long, a `DURATION` such as 72h")
	c.Flags().StringVar(&order.Reason, "reason", "", "why it may stand for so long")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := parseInstant("--until", until, &order.Until); err != nil {
			return err
		}
		switch help := fmt.Sprintf("; see '%s --help'", c.CommandPath()); {
		case order.For < 0 || (until == "") == (order.For == 0):
			return usageError{fmt.Errorf("say how long, one of --for DURATION and --until INSTANT%s", help)}
		case strings.TrimSpace(order.Reason) == "":
			return usageError{fmt.Errorf("say why: --reason TEXT%s", help)}
		}
		return to.finding(c, args[0], "accept", order)
	}
	return c
}

// finding sends an order, and prints the finding that came of it.
func (r *approvalsReach) finding(c *cobra.Command, id, step string, order any) error {
	var shown findingShown
	if err := r.ask(c.Context(), http.MethodPost, "/v1/findings/"+url.PathEscape(id)+"/"+step, order, &shown); err != nil {
		return err
	}
	return printAs(c.OutOrStdout(), r.form, shown, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "finding %s: %s\n", shown.ID, findingText(&shown))
		return err
	})
}
