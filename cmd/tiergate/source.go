package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/ingest"
)

func newSource() *cobra.Command {
	c := group("source", "Look at the sources of facts, and list a vendor's devices now", newSourceList(), newSourceCheck(), newSourceSync())
	c.Long = "list and sync ask the running receiver: `tiergate ingest`, or with the embedded store `tiergate serve`; check asks the\n" +
		"vendor itself."
	return c
}

// sourceLine is what is said of one source.
type sourceLine struct {
	ingest.SourceStatus
	Type string `json:"type"`
}

func newSourceList() *cobra.Command {
	var file, form string
	c := &cobra.Command{
		Use: "list --config FILE", Short: "List the sources with what came of them", Args: cobra.NoArgs,
		Long: "Lists each source with its last delivery, the last time that all its devices were listed, how many those are, and\n" +
			"what went wrong. Deliveries and faults are those of this receiver since it started. Exit 1: a newest listing does not\n" +
			"count, so that removed devices are not found.",
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		lines, err := sourceLines(c.Context(), settings)
		if err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), form, lines, func(w io.Writer) error { return tableOfSources(w, lines) }); err != nil {
			return err
		}
		for i := range lines {
			if s := lines[i].Sync; s != nil && s.Fault != "" {
				return errSaid
			}
		}
		return nil
	}
	return c
}

func sourceLines(ctx context.Context, settings *config.Settings) ([]sourceLine, error) {
	socket, err := receiverSocket(settings)
	if err != nil {
		return nil, err
	}
	var statuses []ingest.SourceStatus
	if err := askAdmin(ctx, socket, http.MethodGet, "/v1/sources", nil, &statuses); err != nil {
		return nil, err
	}
	types := map[string]string{}
	for i := range settings.Sources {
		types[settings.Sources[i].Name] = settings.Sources[i].Type
	}
	for i := range settings.SSF {
		types[settings.SSF[i].Name] = "ssf"
	}
	lines := []sourceLine{}
	for _, status := range statuses {
		lines = append(lines, sourceLine{status, types[status.Name]})
	}
	return lines, nil
}

func tableOfSources(w io.Writer, lines []sourceLine) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTYPE\tEXPERIMENTAL\tLAST DELIVERY\tLAST LISTING\tDEVICES\tFAULTS\tLAST FAULT")
	for i := range lines {
		l := &lines[i]
		listing, devices, fault := "-", "-", oneLine(l.LastFault)
		if s := l.Sync; s != nil {
			listing, devices = sourceTime(s.CompletAt), strconv.Itoa(s.Complete)
			if s.Running() {
				listing = "running"
				devices = progress(s)
			}
			if s.Fault != "" {
				fault = oneLine(s.Fault)
			}
		}
		if fault == "" {
			fault = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", l.Name, l.Type,
			map[bool]string{true: "yes", false: "-"}[l.Experimental != ""], sourceTime(l.LastDelivery), listing, devices, l.Faults, fault)
	}
	return table.Flush()
}

func sourceTime(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

// progress is how far a listing is: 40, or 40 of 120.
func progress(s *ingest.SyncState) string {
	if s.Total > 0 {
		return fmt.Sprintf("%d of %d", s.Devices, s.Total)
	}
	return strconv.Itoa(s.Devices)
}

func newSourceSync() *cobra.Command {
	var file, form string
	order := syncOrder{}
	var wait time.Duration
	c := &cobra.Command{
		Use: "sync NAME --config FILE", Short: "List all devices of a vendor now, and wait for the end", Args: cobra.ExactArgs(1),
		Long: "Has the receiver list all devices of a vendor now: what was never delivered is found, and what the vendor no longer has\n" +
			"is withdrawn. It shows the progress on a terminal. Interrupting it does not stop the listing. Exit 1: the listing does\n" +
			"not count, and why.",
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.Flags().BoolVar(&order.AcceptShrink, "accept-shrink", false,
		"the listing counts however many devices are gone (this time only)")
	c.Flags().DurationVar(&wait, "wait", time.Hour, "how long to wait for the end; 0s: do not wait")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		socket, err := receiverSocket(settings)
		if err != nil {
			return err
		}
		order.Source = args[0]
		var before ingest.SourceStatus
		if err := askAdmin(c.Context(), socket, http.MethodPost, "/v1/sources/sync", order, &before); err != nil {
			return err
		}
		if wait <= 0 {
			fmt.Fprintf(c.OutOrStdout(), "%s will be listed; see tiergate source list\n", order.Source)
			return nil
		}
		state, err := awaitListing(c, settings, before, wait)
		if err != nil {
			return err
		}
		err = printAs(c.OutOrStdout(), form, state, func(w io.Writer) error { return sayListing(w, order.Source, state) })
		if err == nil && state.Fault != "" {
			return errSaid
		}
		return err
	}
	return c
}

func sayListing(w io.Writer, name string, s *ingest.SyncState) error {
	_, err := fmt.Fprintf(w, "%s: %s on %s, %d withdrawn, %s\n", name, count(s.Devices, "device"), count(s.Pages, "page"),
		s.Withdrawn, count(s.Faults, "fault"))
	if err == nil && s.Fault != "" {
		_, err = fmt.Fprintf(w, "the listing does not count: %s\n", oneLine(s.Fault))
	}
	return err
}

// awaitListing waits for the end of a listing that began after before, and shows its progress on a terminal.
func awaitListing(
	c *cobra.Command, settings *config.Settings, before ingest.SourceStatus, wait time.Duration,
) (*ingest.SyncState, error) {
	show := progressLine(c.ErrOrStderr())
	defer show("")
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		lines, err := sourceLines(ctx, settings)
		if err != nil {
			return nil, err
		}
		for i := range lines {
			s := lines[i].Sync
			if lines[i].Name != before.Name || s == nil {
				continue
			}
			if s.Answered() {
				return s, nil
			}
			if s.Running() {
				show(fmt.Sprintf("%s: page %d, %s devices", before.Name, s.Pages, progress(s)))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the listing has not ended within %s; it goes on, see tiergate source list", wait)
		}
	}
}

// progressLine writes over one line of a terminal; elsewhere it writes nothing.
func progressLine(w io.Writer) func(string) {
	file, ok := w.(*os.File)
	if !ok {
		return func(string) {}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(string) {}
	}
	return func(text string) { fmt.Fprintf(w, "\r\x1b[K%s", text) }
}
