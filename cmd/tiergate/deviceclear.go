package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/signals"
)

// clearing is the flags of `device clear`: exactly one of asking, approve, refuse and list.
type clearing struct {
	approve, refuse string
	list            bool
	reason, ticket  string
}

func newDeviceClear() *cobra.Command {
	to, f := &approvalsReach{}, &clearing{}
	c := &cobra.Command{
		Use:   "clear DEVICE SIGNAL --reason TEXT --ticket TEXT --config FILE",
		Short: "Ask that an alarm of a device be ended, or approve that it is",
		Long: "An alarm is a failing signal that a tier denies unless it holds. It does not age: it ends by a newer good word of the\n" +
			"source that raised it, or by two people. One asks, and somebody else approves whom the owner of each such tier names, with\n" +
			"a certificate or a token (--server): --approve NAME. What ends is what was known when it was asked for; what a source\n" +
			"reports later counts, an alarm too. Nothing is healthy by it: of what is ended nothing is known, and a tier that denies\n" +
			"unless the signal holds denies until a source says that it does, unless the tier says otherwise (onUnknown).\n" +
			"DEVICE is a serial number, KIND:VALUE or the device's id. The verb asks `tiergate ingest`, or with the embedded store\n" +
			"`tiergate serve`.",
		Args: cobra.MaximumNArgs(2),
	}
	to.flags(c)
	c.Flags().StringVar(&f.approve, "approve", "", "approve the clearance of this `NAME`")
	c.Flags().StringVar(&f.refuse, "refuse", "", "refuse the clearance of this `NAME`, for good; with --reason")
	c.Flags().BoolVar(&f.list, "list", false, "list clearances: what waits, and what was done")
	c.Flags().StringVar(&f.reason, "reason", "", "why")
	c.Flags().StringVar(&f.ticket, "ticket", "", "where it is on record")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.check(args); err != nil {
			return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		if f.list {
			all := []approvals.ClearanceListed{}
			if err := to.ask(c.Context(), http.MethodGet, "/v1/clearances", nil, &all); err != nil {
				return err
			}
			return printAs(c.OutOrStdout(), to.form, all, func(w io.Writer) error { return tableOfClearances(w, all) })
		}
		path, order, done := f.step(args)
		var l approvals.ClearanceListed
		if err := to.ask(c.Context(), http.MethodPost, path, order, &l); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, l, func(w io.Writer) error { return showClearance(w, &l, done) })
	}
	return c
}

func (f *clearing) check(args []string) error {
	ways := 0
	for _, is := range []bool{len(args) > 0, f.approve != "", f.refuse != "", f.list} {
		if is {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("say one of DEVICE SIGNAL, --approve NAME, --refuse NAME and --list")
	case len(args) == 1:
		return errors.New("say which alarm: DEVICE SIGNAL")
	case len(args) == 2 && strings.TrimSpace(f.ticket) == "":
		return errors.New("say where it is on record: --ticket TEXT")
	case len(args) < 2 && f.ticket != "":
		return errors.New("--ticket goes with DEVICE SIGNAL")
	case (len(args) == 2 || f.refuse != "") && strings.TrimSpace(f.reason) == "":
		return errors.New("say why: --reason TEXT")
	case f.list && f.reason != "":
		return errors.New("--list takes no --reason")
	}
	return nil
}

// step is what is to be sent.
func (f *clearing) step(args []string) (path string, order any, done string) {
	const at = "/v1/clearances"
	switch {
	case f.approve != "":
		return at + "/" + url.PathEscape(f.approve) + "/approve", stepOrder{Reason: f.reason}, "approved"
	case f.refuse != "":
		return at + "/" + url.PathEscape(f.refuse) + "/refuse", stepOrder{Reason: f.reason}, "refused"
	}
	return at, clearanceOrder{Device: signals.DeviceID(args[0]), Signal: args[1], Reason: f.reason, Ticket: f.ticket}, "requested"
}

func showClearance(w io.Writer, l *approvals.ClearanceListed, done string) error {
	fmt.Fprintf(w, "%s: %s; %s\n", l.Name, done, clearanceText(l))
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "device\t%s\nsignal\t%s\n", oneLine(string(l.Device)), oneLine(l.Signal))
	for i := range l.Ends {
		e := &l.Ends[i]
		fmt.Fprintf(table, "ends\t%s %s, said by %s, observed until %s\n", e.Attribute, safe(e.Value.String()), e.Source,
			e.Observed.UTC().Format(time.RFC3339Nano))
	}
	for _, who := range l.MayApprove {
		fmt.Fprintf(table, "may approve\t%s\n", oneLine(who))
	}
	historyRows(table, l.History)
	return table.Flush()
}

// clearanceText says where a clearance stands, and what it takes.
func clearanceText(l *approvals.ClearanceListed) string {
	switch l.Stands {
	case approvals.StateInForce:
		return "the alarm is over within seconds, if nobody raises it anew: see tiergate device get"
	case approvals.StateRequested:
		return "the alarm stands until somebody approves for " + strings.Join(l.Awaits, " and ")
	case approvals.StateEnded:
		return "nobody approved it in time"
	default: // it says enough
	}
	return "it is " + string(l.Stands)
}

func tableOfClearances(w io.Writer, all []approvals.ClearanceListed) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no clearances")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tDEVICE\tSIGNAL\tENDS\tASKED BY\tAPPROVED BY\tAWAITS")
	for i := range all {
		l := &all[i]
		ends := make([]string, 0, len(l.Ends))
		for j := range l.Ends {
			ends = append(ends, l.Ends[j].Attribute+" of "+l.Ends[j].Source)
		}
		asked, approved := clearedBy(l.History)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Stands, oneLine(string(l.Device)), oneLine(l.Signal),
			oneLine(strings.Join(ends, ", ")), dash(oneLine(asked)), dash(oneLine(approved)), dash(strings.Join(l.Awaits, ", ")))
	}
	return table.Flush()
}

// clearedBy are those who asked for a clearance, and who approved it; empty: nobody.
func clearedBy(history []approvals.Event) (asked, approved string) {
	var all []string
	for i := range history {
		switch e := &history[i]; e.Step {
		case approvals.StepRequested:
			asked = e.By.String()
		case approvals.StepAgreed, approvals.StepApproved:
			all = append(all, e.By.String())
		default: // nobody's word for it
		}
	}
	return asked, strings.Join(all, ", ")
}
