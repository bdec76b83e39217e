package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/lint"
)

// lintReport is what `envoy lint` says of one configuration.
type lintReport struct {
	Origin    string         `json:"origin"`
	Listeners int            `json:"listeners"`
	Routes    int            `json:"routes"`
	Clusters  int            `json:"clusters"`
	Findings  []lint.Finding `json:"findings"`
}

func newEnvoyLint() *cobra.Command {
	var form, failOn string
	c := &cobra.Command{
		Use:   "lint FILE|ADMIN",
		Short: "Name what is careless in an Envoy's configuration, with the field and the fix; exit 1 if there is something",
		Long: "Reads a bootstrap or a config_dump (YAML or JSON; - is standard input), or asks a running Envoy on its admin interface:\n" +
			"unix:PATH, or http://127.0.0.1:PORT on this machine. It may be any Envoy, not only one that tiergate programs.\n\n" +
			"  hole  requests or names pass that tiergate has not decided about\n" +
			"  weak  one mistake elsewhere, or one patient client, makes a hole or an outage of it\n" +
			"  note  worth knowing; may be meant so",
		Example: "  tiergate envoy lint bootstrap.yaml\n  tiergate envoy lint unix:/run/tiergate/envoy-admin.sock --fail-on weak",
		Args:    cobra.ExactArgs(1),
	}
	outputFlag(c, &form)
	c.Flags().StringVar(&failOn, "fail-on", string(lint.Note), "exit 1 from this `SEVERITY` on: hole, weak or note")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		least := lint.Severity(failOn)
		if !least.Known() {
			return usageError{fmt.Errorf("--fail-on %s: say hole, weak or note", failOn)}
		}
		config, err := envoyConfiguration(c.Context(), c.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		report := reportOf(config)
		if err := printAs(c.OutOrStdout(), form, report, func(w io.Writer) error { return tableOfLint(w, report) }); err != nil {
			return err
		}
		for _, f := range report.Findings {
			if f.Severity.AtLeast(least) {
				return errSaid
			}
		}
		return nil
	}
	return c
}

func reportOf(config *dump.Config) lintReport {
	r := lintReport{Origin: config.Origin, Listeners: len(config.Listeners), Clusters: len(config.Clusters),
		Findings: append([]lint.Finding{}, lint.Check(config)...)}
	for _, t := range config.AllTables() {
		for _, host := range t.Hosts {
			r.Routes += len(host.Routes)
		}
	}
	return r
}

// tableOfLint writes one block for each finding, since paths and fixes are long, and at the end what was looked at: that
// nothing is found in nothing is no praise.
func tableOfLint(w io.Writer, r lintReport) error {
	counts := map[lint.Severity]int{}
	for _, f := range r.Findings {
		counts[f.Severity]++
		fmt.Fprintf(w, "%s  %s\n", f.Severity, f.Code)
		for _, line := range [][2]string{{"where", f.Where}, {"what", f.What}, {"fix", f.Fix}} {
			fmt.Fprintf(w, "      %-6s %s\n", line[0], inLine(line[1]))
		}
		fmt.Fprintln(w)
	}
	found := "nothing found"
	if len(r.Findings) > 0 {
		var parts []string
		for _, s := range []lint.Severity{lint.Hole, lint.Weak, lint.Note} {
			switch n := counts[s]; {
			case n > 0 && s == lint.Weak:
				parts = append(parts, fmt.Sprintf("%d weak", n))
			case n > 0:
				parts = append(parts, howMany(n, string(s)))
			}
		}
		found = strings.Join(parts, ", ")
	}
	_, err := fmt.Fprintf(w, "%s: %s in %s, %s and %s\n", inLine(r.Origin), found, howMany(r.Listeners, "listener"),
		howMany(r.Routes, "route"), howMany(r.Clusters, "cluster"))
	return err
}

func howMany(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
