package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/drift"
)

func newEnvoyDiff() *cobra.Command {
	var file, form string
	c := &cobra.Command{
		Use: "diff --config FILE", Short: "Compare the running Envoy with what it was given; exit 1 if it differs", Args: cobra.NoArgs,
		Long: "Asks the running `tiergate serve`, which asks the admin interface of the Envoy beside it (envoy.adminSocket), what\n" +
			"that Envoy holds: listeners, routes, clusters, endpoints, certificates, runtime, bootstrap and command line. Each\n" +
			"difference stands with the first field in which it is one, and what is careless as `envoy lint` finds it. It is the\n" +
			"one Envoy behind that socket; others that the same process programs are not looked at. Exit 1: there is a\n" +
			"difference, or nothing could be compared.",
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var report drift.Report
		if err := askSidecar(c.Context(), file, form, "/v1/envoys/drift", &report); err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), form, report, func(w io.Writer) error { return tableOfDrift(w, report) }); err != nil {
			return err
		}
		if report.Fault != "" || len(report.Differences) > 0 {
			return errSaid
		}
		return nil
	}
	return c
}

func tableOfDrift(w io.Writer, r drift.Report) error {
	if r.Fault != "" {
		_, err := fmt.Fprintf(w, "not compared: %s\n", inLine(r.Fault))
		return err
	}
	if len(r.Differences) == 0 {
		fmt.Fprintf(w, "Envoy %s (node %s) is what was meant\n", inLine(r.Envoy), inLine(r.Node))
	} else {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KIND\tNAME\tCHANGE\tWHERE\tWHAT")
		for _, d := range r.Differences {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.Kind, cmp.Or(inLine(d.Name), "-"), d.Change, cmp.Or(inLine(d.Where), "-"),
				inLine(d.What))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s %s: %s: %s\n", f.Severity, f.Code, inLine(f.Where), inLine(f.What))
	}
	if r.NotLinted != "" {
		fmt.Fprintf(w, "not linted: %s\n", inLine(r.NotLinted))
	}
	return nil
}

// newDrift compares the Envoy behind envoy.adminSocket with what this process serves.
func newDrift(s *config.Settings, sockets config.Sockets, server *xds.Server, o *observer) *drift.Watcher {
	socket := s.EnvoyAdminSocket()
	return drift.New(drift.Options{Socket: socket, Events: o.drift(), Intent: func() drift.Intent {
		served, version := server.Serving()
		return drift.Intent{Resources: served, Version: version,
			Bootstrap: xds.BootstrapOptions{NodeID: "envoy", XDSSocket: sockets.XDS, AdminSocket: socket}}
	}})
}

// compared asks for a comparison after every ACK, once things have settled.
func compared(events xds.Events, soon func()) xds.Events {
	acked := events.Acked
	events.Acked = func(a xds.Ack) {
		acked(a)
		soon()
	}
	return events
}

// driftParts is what compares by itself, where this process programs an Envoy.
func (sc *sidecar) driftParts() []part {
	if len(sc.settings.Envoy.Listeners) == 0 {
		return nil
	}
	return []part{{"envoy drift", sc.drift.Run}}
}

// showDrift compares for whoever asks.
func (sc *sidecar) showDrift(told *http.ServeMux) {
	told.HandleFunc("GET /v1/envoys/drift", func(w http.ResponseWriter, r *http.Request) {
		if len(sc.settings.Envoy.Listeners) == 0 {
			admin.Refuse(w, http.StatusConflict, "this process programs no Envoy, so there is nothing to compare one with: "+
				"write envoy.listeners, or look at a configuration of your own with `tiergate envoy lint`")
			return
		}
		admin.Answer(w, http.StatusOK, sc.drift.Look(r.Context()))
	})
}
