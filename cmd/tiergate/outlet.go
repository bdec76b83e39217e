package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/findings/outlets"
)

func newOutletVerbs() *cobra.Command {
	c := group("outlet", "Look at where findings are told, and at what nobody took",
		newOutletList(), newOutletShow(), newOutletTest(), newOutletRetry(), newOutletDrop())
	c.Long = "Findings and the ends of exceptions are told to the outlets of the settings, from a queue that survives a crash. What\n" +
		"nobody took in three days becomes a dead letter, and stays one until it is retried or dropped, or for 90 days. The verbs\n" +
		"ask `tiergate ingest`, or with the embedded store `tiergate serve`."
	return c
}

func newOutletList() *cobra.Command {
	var file, format string
	c := &cobra.Command{Use: "list --config FILE", Short: "List the outlets and how they fare", Args: cobra.NoArgs,
		Long: "Lists the outlets and how they fare. The exit status is 1 where one is disabled or fails, or has dead letters."}
	configFlag(c, &file, true)
	outputFlag(c, &format)
	c.RunE = func(c *cobra.Command, _ []string) error {
		socket, err := socketOf(receiverSocket, file, format)
		if err != nil {
			return err
		}
		all := []outlets.Status{}
		if err := askAdmin(c.Context(), socket, http.MethodGet, "/v1/outlets", nil, &all); err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), format, all, func(w io.Writer) error { return tableOfOutlets(w, all) }); err != nil {
			return err
		}
		for i := range all {
			if all[i].State != outlets.StateOK || all[i].Dead > 0 {
				return errSaid
			}
		}
		return nil
	}
	return c
}

func tableOfOutlets(w io.Writer, all []outlets.Status) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "the settings have no outlets")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTYPE\tSTATE\tQUEUED\tOLDEST\tDEAD\tWHERE\tERROR")
	for i := range all {
		s := &all[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\n", s.Name, dash(s.Type), s.State, s.Queued, orDash(s.Oldest), s.Dead,
			dash(s.Where), dash(oneLine(s.Error)))
	}
	return table.Flush()
}

func newOutletShow() *cobra.Command {
	var file, format string
	c := &cobra.Command{Use: "show NAME --config FILE", Short: "Show one outlet with its dead letters", Args: cobra.ExactArgs(1)}
	configFlag(c, &file, true)
	outputFlag(c, &format)
	c.RunE = func(c *cobra.Command, args []string) error {
		socket, err := socketOf(receiverSocket, file, format)
		if err != nil {
			return err
		}
		var shown outletShown
		if err := askAdmin(c.Context(), socket, http.MethodGet, "/v1/outlets/"+url.PathEscape(args[0]), nil, &shown); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), format, shown, func(w io.Writer) error { return showOutletText(w, &shown) })
	}
	return c
}

func showOutletText(w io.Writer, s *outletShown) error {
	fmt.Fprintf(w, "outlet   %s, %s, %s\nstate    %s, %d queued, %d dead\n", s.Name, dash(s.Type), dash(s.Where), s.State, s.Queued, s.Dead)
	if s.Error != "" {
		fmt.Fprintf(w, "error    %s\n", oneLine(s.Error))
	}
	if s.Failures > 0 {
		fmt.Fprintf(w, "since    %s, %d failures in a row\n", orDash(s.Since), s.Failures)
	}
	fmt.Fprintf(w, "taken    %s\n", orDash(s.Sent))
	if len(s.Letters) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tTYPE\tABOUT\tAT\tATTEMPTS\tREASON")
	for i := range s.Letters {
		l := &s.Letters[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Type, oneLine(l.About), orDash(l.At), l.Attempts, oneLine(l.Reason))
	}
	if err := table.Flush(); err != nil || !s.More {
		return err
	}
	_, err := fmt.Fprintln(w, "… and others")
	return err
}

func newOutletTest() *cobra.Command {
	var file, format string
	c := &cobra.Command{Use: "test NAME --config FILE", Short: "Send one test event and say what came of it", Args: cobra.ExactArgs(1),
		Long: "Sends one event of type outlet.test now, past the queue, from the process of the receiver. The exit status is 1 where the\n" +
			"outlet does not take it."}
	configFlag(c, &file, true)
	outputFlag(c, &format)
	c.RunE = func(c *cobra.Command, args []string) error {
		socket, err := socketOf(receiverSocket, file, format)
		if err != nil {
			return err
		}
		var tested outletTested
		err = askAdmin(c.Context(), socket, http.MethodPost, "/v1/outlets/"+url.PathEscape(args[0])+"/test", outletOrder{}, &tested)
		if err != nil {
			return err
		}
		err = printAs(c.OutOrStdout(), format, tested, func(w io.Writer) error {
			if tested.Taken {
				_, err := fmt.Fprintf(w, "outlet %s: taken after %s\n", args[0], tested.Took.Round(time.Millisecond))
				return err
			}
			_, err := fmt.Fprintf(w, "outlet %s: not taken: %s\n", args[0], oneLine(tested.Error))
			return err
		})
		if err == nil && !tested.Taken {
			err = errSaid
		}
		return err
	}
	return c
}

func newOutletRetry() *cobra.Command {
	order := &outletVerb{path: "retry", done: "put back into the queue"}
	c := &cobra.Command{Use: "retry NAME (ID | --all) --config FILE", Short: "Put dead letters back into the queue",
		Long: "Puts dead letters back into the queue. An outlet that was disabled is enabled, and what waits is tried at once: --all does\n" +
			"so also where there are no dead letters.", Args: cobra.RangeArgs(1, 2)}
	order.flags(c)
	return c
}

func newOutletDrop() *cobra.Command {
	order := &outletVerb{path: "drop", done: "dropped", asks: true}
	c := &cobra.Command{Use: "drop NAME (ID | --all) --yes --config FILE", Short: "Throw dead letters away for good",
		Args: cobra.RangeArgs(1, 2)}
	order.flags(c)
	c.Flags().BoolVar(&order.order.Waiting, "waiting", false, "what still waits too, as of an outlet that is gone")
	c.Flags().BoolVar(&order.yes, "yes", false, "yes, it shall be told nobody")
	return c
}

// outletVerb is a verb that changes what is kept for an outlet.
type outletVerb struct {
	path, done, file, form string
	order                  outletOrder
	all, asks, yes         bool
}

func (v *outletVerb) flags(c *cobra.Command) {
	configFlag(c, &v.file, true)
	outputFlag(c, &v.form)
	c.Flags().BoolVar(&v.all, "all", false, "all of the outlet")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case v.all == (len(args) == 2):
			return usageError{fmt.Errorf("name one as NAME ID, or all as NAME --all; see '%s --help'", c.CommandPath())}
		case v.asks && !v.yes:
			return usageError{fmt.Errorf("this cannot be undone: say --yes if you mean it; see '%s --help'", c.CommandPath())}
		case !v.all:
			v.order.ID = args[1]
		}
		socket, err := socketOf(receiverSocket, v.file, v.form)
		if err != nil {
			return err
		}
		var done outletDone
		err = askAdmin(c.Context(), socket, http.MethodPost, "/v1/outlets/"+url.PathEscape(args[0])+"/"+v.path, v.order, &done)
		if err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), v.form, done, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s %s\n", count(done.Done, "event"), v.done)
			return err
		})
	}
}
