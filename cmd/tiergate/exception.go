package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/policyfile"
)

func newException() *cobra.Command {
	c := group("exception", "Ask for exceptions, approve and end them, while tiergate runs",
		newExceptionRequest(), newExceptionRenew(),
		newExceptionStep("approve", "Say yes to an exception: another person than who asked", "approved", false),
		newExceptionStep("refuse", "Say no to an exception that waits", "refused", true),
		newExceptionStep("revoke", "End an exception, or a request, at once", "revoked", true),
		newExceptionList(), newExceptionShow())
	c.Long = "An exception excuses named signals, for named people on named devices and routes, for a bounded time. Whoever asks\n" +
		"over the socket of the receiver's process is a user of that machine; who approves shows a certificate or a token\n" +
		"(--server), is somebody else, none of the subjects, and named as an approver by each team that owns a tier of the\n" +
		"routes. The verbs ask `tiergate ingest`, or with the embedded store `tiergate serve`."
	return c
}

// exceptionFlags are how an exception is described on the command line.
type exceptionFlags struct {
	file, name, owner, reason, ticket, from, until string
	subjects, devices, routes, signals             []string
	lasts                                          time.Duration
}

func (f *exceptionFlags) end(c *cobra.Command) {
	c.Flags().StringVar(&f.until, "until", "", "its end, an `INSTANT` such as 2026-11-27T18:00:00Z")
	c.Flags().DurationVar(&f.lasts, "for", 0, "instead of --until: how long it lasts, a `DURATION` such as 4h")
	c.Flags().StringVar(&f.reason, "reason", "", "why the demand cannot be met")
	c.Flags().StringVar(&f.ticket, "ticket", "", "where the request is on record")
}

func newExceptionRequest() *cobra.Command {
	f, to := &exceptionFlags{}, &approvalsReach{}
	c := &cobra.Command{
		Use:   "request (-f FILE | --subject ISSUER/USER --device DEVICE --route ROUTE --signal SIGNAL) [--for DURATION] --config FILE",
		Short: "Ask for an exception", Args: cobra.NoArgs,
		Long: "Asks for an exception, and says who may approve it. What the policy could not hold is refused at once. -f reads an\n" +
			"Exception document as the policy directory has them, without an approver; flags replace what it says.",
	}
	to.flags(c)
	f.end(c)
	c.Flags().StringVarP(&f.file, "file", "f", "", "an Exception document; - is standard input")
	c.Flags().StringVar(&f.name, "name", "", "its `NAME`; default a random one")
	c.Flags().StringVar(&f.owner, "owner", "", "the `TEAM` that answers for it; default the owner of its tier")
	c.Flags().StringVar(&f.from, "from", "", "its start, an `INSTANT`; default now")
	c.Flags().StringSliceVar(&f.subjects, "subject", nil, "for whom, `ISSUER/USER` or ISSUER/group:GROUP")
	c.Flags().StringSliceVar(&f.devices, "device", nil, "on which `DEVICE`, a serial number or KIND:VALUE")
	c.Flags().StringSliceVar(&f.routes, "route", nil, "on which `ROUTE`")
	c.Flags().StringSliceVar(&f.signals, "signal", nil, "which `SIGNAL` is excused")
	c.RunE = func(c *cobra.Command, _ []string) error {
		e, err := f.exception(c.InOrStdin())
		if err != nil {
			return err
		}
		return to.exception(c, "/v1/exceptions", exceptionOrder{Exception: e, For: f.lasts}, "requested")
	}
	return c
}

// exception reads what is asked for.
func (f *exceptionFlags) exception(stdin io.Reader) (e policy.Exception, err error) {
	if f.file != "" {
		if e, err = readException(f.file, stdin); err != nil {
			return e, err
		}
	}
	for _, x := range []struct {
		text string
		into *string
	}{{f.name, &e.Meta.Name}, {f.owner, &e.Meta.Owner}, {f.reason, &e.Reason}, {f.ticket, &e.Ticket}} {
		if x.text != "" {
			*x.into = x.text
		}
	}
	for _, x := range []struct {
		list []string
		into *[]string
	}{{f.devices, &e.Devices}, {f.routes, &e.Routes}, {f.signals, &e.Signals}} {
		if len(x.list) > 0 {
			*x.into = x.list
		}
	}
	if len(f.subjects) > 0 {
		e.Subjects = nil
	}
	for _, text := range f.subjects {
		issuer, name, ok := strings.Cut(text, "/")
		if !ok || issuer == "" || name == "" {
			return e, usageError{fmt.Errorf("--subject %s: say ISSUER/USER, or ISSUER/group:GROUP", text)}
		}
		subject := policy.ExceptionSubject{Issuer: issuer, User: name}
		if group, ok := strings.CutPrefix(name, "group:"); ok {
			subject = policy.ExceptionSubject{Issuer: issuer, Group: group}
		}
		e.Subjects = append(e.Subjects, subject)
	}
	if err := parseInstant("--from", f.from, &e.From); err != nil {
		return e, err
	}
	return e, f.ends(&e.Until)
}

// ends reads the end, which is an instant or a duration, and neither where a document says it.
func (f *exceptionFlags) ends(until *time.Time) error {
	switch {
	case f.until != "" && f.lasts != 0:
		return usageError{fmt.Errorf("--until and --for both say the end; use one")}
	case f.lasts < 0:
		return usageError{fmt.Errorf("--for %s: it ends before it starts", f.lasts)}
	case f.lasts > 0:
		*until = time.Time{}
	}
	return parseInstant("--until", f.until, until)
}

func parseInstant(flag, text string, into *time.Time) (err error) {
	if text == "" {
		return nil
	}
	if *into, err = time.Parse(time.RFC3339, text); err != nil {
		return usageError{fmt.Errorf("%s %s: write an instant as 2026-11-27T18:00:00Z", flag, text)}
	}
	return nil
}

func readException(file string, stdin io.Reader) (policy.Exception, error) {
	from, shown := stdin, "standard input"
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return policy.Exception{}, err
		}
		defer opened.Close()
		from, shown = opened, file
	}
	data, err := io.ReadAll(io.LimitReader(from, maxOrder+1))
	switch {
	case err != nil:
		return policy.Exception{}, fmt.Errorf("%s cannot be read: %w", shown, err)
	case len(data) > maxOrder:
		return policy.Exception{}, fmt.Errorf("%s is larger than %d bytes, which no exception is", shown, maxOrder)
	}
	e, problems := policyfile.ParseAskedException(shown, data)
	if len(problems) > 0 {
		return e, problems
	}
	return e, nil
}

func newExceptionRenew() *cobra.Command {
	f, to := &exceptionFlags{}, &approvalsReach{}
	c := &cobra.Command{
		Use: "renew NAME (--for DURATION | --until INSTANT) --reason TEXT --ticket TEXT --config FILE", Args: cobra.ExactArgs(1),
		Short: "Ask for an exception that continues another",
		Long: "Asks for another exception that begins where the named one ends, or now, and excuses the same. It is approved like any\n" +
			"other, and the tier bounds how often that can be done.",
	}
	to.flags(c)
	f.end(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		order := stepOrder{Reason: f.reason, Ticket: f.ticket, For: f.lasts}
		if err := f.ends(&order.Until); err != nil {
			return err
		}
		if f.until == "" && f.lasts == 0 {
			return usageError{fmt.Errorf("say how long: --for DURATION or --until INSTANT; see '%s --help'", c.CommandPath())}
		}
		return to.exception(c, "/v1/exceptions/"+url.PathEscape(args[0])+"/renew", order, "requested")
	}
	return c
}

func newExceptionStep(step, short, done string, wantsReason bool) *cobra.Command {
	var order stepOrder
	to := &approvalsReach{}
	c := &cobra.Command{Use: step + " NAME --config FILE", Short: short, Args: cobra.ExactArgs(1)}
	to.flags(c)
	c.Flags().StringVar(&order.Reason, "reason", "", "why")
	c.RunE = func(c *cobra.Command, args []string) error {
		if wantsReason && strings.TrimSpace(order.Reason) == "" {
			return usageError{fmt.Errorf("say why: --reason TEXT; see '%s --help'", c.CommandPath())}
		}
		return to.exception(c, "/v1/exceptions/"+url.PathEscape(args[0])+"/"+step, order, done)
	}
	return c
}

// exception sends an order, and prints the exception that came of it.
func (r *approvalsReach) exception(c *cobra.Command, path string, order any, done string) error {
	var l approvals.Listed
	if err := r.ask(c.Context(), http.MethodPost, path, order, &l); err != nil {
		return err
	}
	return printAs(c.OutOrStdout(), r.form, l, func(w io.Writer) error {
		fmt.Fprintf(w, "exception %s: %s; %s\n", l.Meta.Name, done, stateText(&l))
		for _, who := range l.MayApprove {
			fmt.Fprintf(w, "may approve: %s\n", oneLine(who))
		}
		return nil
	})
}

func newExceptionShow() *cobra.Command {
	to := &approvalsReach{}
	c := &cobra.Command{Use: "show NAME --config FILE", Short: "Show one exception with all that was done about it", Args: cobra.ExactArgs(1)}
	to.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var l approvals.Listed
		if err := to.ask(c.Context(), http.MethodGet, "/v1/exceptions/"+url.PathEscape(args[0]), nil, &l); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, l, func(w io.Writer) error { return showException(w, &l) })
	}
	return c
}

// exceptionFilter says which exceptions are listed.
type exceptionFilter struct {
	state, route, device, user string
	ending                     time.Duration
}

func newExceptionList() *cobra.Command {
	to, f := &approvalsReach{}, &exceptionFilter{}
	c := &cobra.Command{Use: "list --config FILE", Args: cobra.NoArgs,
		Short: "List exceptions, those of the policy directory too, as they stand now"}
	to.flags(c)
	c.Flags().StringVar(&f.state, "state", "", "only in this `STATE`: "+strings.Join(exceptionStates, ", "))
	c.Flags().StringVar(&f.route, "route", "", "only on this `ROUTE`")
	c.Flags().StringVar(&f.device, "device", "", "only on this `DEVICE`, as it is written")
	c.Flags().StringVar(&f.user, "user", "", "only for this `USER`")
	c.Flags().DurationVar(&f.ending, "ending", 0, "only in force, and over within this `DURATION`, such as 24h")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.state != "" && !slices.Contains(exceptionStates, f.state) {
			return usageError{fmt.Errorf("--state %s: say one of %s", f.state, strings.Join(exceptionStates, ", "))}
		}
		all := []approvals.Listed{}
		if err := to.ask(c.Context(), http.MethodGet, "/v1/exceptions", nil, &all); err != nil {
			return err
		}
		now := time.Now()
		all = slices.DeleteFunc(all, func(l approvals.Listed) bool { return !f.wants(&l, now) })
		return printAs(c.OutOrStdout(), to.form, all, func(w io.Writer) error { return tableOfExceptions(w, all) })
	}
	return c
}
