package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/xds/dump"
	"github.com/tiergate/tiergate/xds/prove"
)

func newPolicyProve() *cobra.Command {
	var file, from, form, at, cases string
	c := &cobra.Command{
		Use:   "prove DIR",
		Short: "Prove that isolated audiences reach nothing but their own; exit 1 with a way around if they do",
		Long: "Lists for each isolated audience all that its members can reach, with all that can excuse a demand (exceptions in force\n" +
			"and to come, grace, last-known, monitor mode), and proves that nobody who is a member, or may be for all that is known,\n" +
			"is let onto a route that does not list the audience. With --config this is joined with the configuration that tiergate\n" +
			"would give to Envoy: listeners, routes, clusters, endpoints. With --envoy it is joined with what an Envoy holds: a file\n" +
			"(bootstrap or config_dump; - is standard input) or its admin interface, unix:PATH or http://127.0.0.1:PORT.\n\n" +
			"Each counterexample is one request of one asker, with a case that `tiergate policy test` passes; --write-cases keeps\n" +
			"them as files. What the proof takes for granted is printed, too.",
		Example: "  tiergate policy prove policy --config settings.yaml\n" +
			"  tiergate policy prove policy --config settings.yaml --envoy unix:/run/tiergate/envoy-admin.sock",
		Args: cobra.ExactArgs(1),
	}
	configFlag(c, &file, false)
	outputFlag(c, &form)
	c.Flags().StringVar(&from, "envoy", "", "`FILE|ADMIN`: a bootstrap or config_dump, - for standard input, unix:PATH, http://127.0.0.1:PORT")
	c.Flags().StringVar(&at, "at", "", "`INSTANT` (RFC 3339) from which on exceptions count (default: now)")
	c.Flags().StringVar(&cases, "write-cases", "", "`DIR` for the cases of the counterexamples, one file each; it is made, and must be empty")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		instant := time.Now()
		if at != "" {
			var err error
			if instant, err = time.Parse(time.RFC3339, at); err != nil {
				return usageError{fmt.Errorf("--at %s: say an instant as 2026-11-20T08:00:00Z", at)}
			}
		}
		in, said, err := proofInput(c.Context(), c.InOrStdin(), args[0], file, from)
		if err != nil {
			return err
		}
		in.At = instant
		report, err := prove.Check(in)
		if err != nil {
			return err
		}
		report.NotProved = append(report.NotProved, said...)
		if err := writeCases(cases, report); err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), form, report, func(w io.Writer) error { return tableOfProof(w, report) }); err != nil {
			return err
		}
		if !report.Isolated {
			return errSaid
		}
		return nil
	}
	return c
}

// proofInput reads the policy, and Envoy's configuration from where it is asked for. said is what had to be taken for granted.
func proofInput(ctx context.Context, stdin io.Reader, dir, file, from string) (prove.Input, []string, error) {
	compiled, err := compilePolicy(dir, file)
	if err != nil {
		return prove.Input{}, nil, err
	}
	in := prove.Input{Policy: compiled}
	var said []string
	if file != "" {
		if said, err = proofSettings(&in, file, from == ""); err != nil {
			return in, nil, err
		}
	}
	if from != "" {
		in.Envoy, err = envoyConfiguration(ctx, stdin, from)
	}
	return in, said, err
}

// proofSettings adds the names of the settings, which listener is whose, and what Envoy would be given.
func proofSettings(in *prove.Input, file string, build bool) ([]string, error) {
	settings, err := loadSettings(file)
	if err != nil {
		return nil, err
	}
	in.World = world(settings)
	if len(settings.Envoy.Listeners) == 0 {
		return nil, nil // Envoy is somebody else's
	}
	in.Own = map[string][]string{}
	for _, l := range settings.Envoy.Listeners {
		if l.Audience != "" {
			in.Own[l.Audience] = append(in.Own[l.Audience], l.Name)
		}
	}
	if !build {
		return nil, nil
	}
	snapshot, said, err := snapshotToProve(settings, in.Policy)
	if err != nil {
		return nil, err
	}
	if in.Envoy, err = dump.FromSnapshot(snapshot); err != nil {
		return nil, err
	}
	in.Envoy.Origin = "what follows from " + file
	return said, nil
}

// writeCases keeps the case of each counterexample as a file, in a directory that holds nothing else.
func writeCases(dir string, r *prove.Report) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	held, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fmt.Errorf("--write-cases %s: the directory is not empty: name a new one, so that old cases are not taken for new", dir)
	}
	for i := range r.Counterexamples {
		if text := r.Counterexamples[i].Case; text != "" {
			name := filepath.Join(dir, fmt.Sprintf("counterexample-%d.yaml", i+1))
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableOfProof writes what each audience reaches, then the ways around, then how much was looked at and what is taken for
// granted: a proof that does not say so is none.
func tableOfProof(w io.Writer, r *prove.Report) error {
	for i := range r.Audiences {
		tableOfReach(w, &r.Audiences[i], r.Envoy != "")
	}
	for i := range r.Counterexamples {
		tableOfCounterexample(w, i+1, &r.Counterexamples[i])
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", inLine(note))
	}
	verdict := "proved: no member of an isolated audience reaches more"
	if !r.Isolated {
		verdict = "not isolated: " + howMany(len(r.Counterexamples), "counterexample")
	}
	fmt.Fprintf(w, "%s\n  looked at %s, %s, %s of askers who might stand on both sides of a wall", verdict,
		howMany(r.Looked.Audiences, "isolated audience"),
		howMany(r.Looked.Routes, "route"), classes(r.Looked.Classes))
	if r.Envoy != "" {
		fmt.Fprintf(w, ",\n  and in %s at %s, %s, %s", inLine(r.Envoy), howMany(r.Looked.Listeners, "listener"),
			howMany(r.Looked.Paths, "way")+" through", howMany(r.Looked.Endpoints, "endpoint"))
	}
	fmt.Fprint(w, "\n  taken for granted:\n")
	for _, line := range r.NotProved {
		fmt.Fprintf(w, "  - %s\n", inLine(line))
	}
	return nil
}

func classes(n int) string {
	if n == 1 {
		return "1 class"
	}
	return fmt.Sprintf("%d classes", n)
}

func tableOfReach(w io.Writer, a *prove.Reach, envoy bool) {
	fmt.Fprintf(w, "%s (owner %s) reaches\n", a.Audience, a.Owner)
	for i := range a.Routes {
		r := &a.Routes[i]
		methods := "any method"
		if len(r.Methods) > 0 {
			methods = strings.Join(r.Methods, ", ")
		}
		fmt.Fprintf(w, "  route %s: %s %s (%s), tier %s, upstream %s at %s\n", r.Route, strings.Join(r.Hosts, ", "), r.Path, methods, r.Tier,
			r.Upstream, strings.Join(r.Endpoints, ", "))
		if len(r.SharedWith) > 0 {
			fmt.Fprintf(w, "    shared with %s: %s\n", strings.Join(r.SharedWith, ", "), inLine(r.Reason))
		}
		for _, e := range r.Excused {
			fmt.Fprintf(w, "    excused by %s\n", inLine(e))
		}
	}
	if envoy {
		fmt.Fprintf(w, "  by listeners %s (own: %s), clusters %s, at endpoints %s\n", orNone(a.Listeners), orNone(a.Own), orNone(a.Clusters),
			orNone(a.Endpoints))
	}
	fmt.Fprintln(w)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return inLine(strings.Join(names, ", "))
}

func tableOfCounterexample(w io.Writer, n int, c *prove.Counterexample) {
	fmt.Fprintf(w, "counterexample %d: %s, %s\n", n, c.Audience, c.Kind)
	for _, line := range [][2]string{{"what", c.What}, {"who", c.Who}, {"request", c.Request}, {"listener", c.Listener}, {"route", c.Route},
		{"also", strings.Join(c.Also, ", ")}, {"cluster", c.Cluster}, {"endpoint", c.Endpoint}, {"where", c.Where}, {"fix", c.Fix}} {
		if line[1] != "" {
			fmt.Fprintf(w, "  %-9s %s\n", line[0], inLine(line[1]))
		}
	}
	if c.Case != "" {
		fmt.Fprintf(w, "  case for tiergate policy test:\n    %s\n", strings.ReplaceAll(strings.TrimSpace(c.Case), "\n", "\n    "))
	}
	fmt.Fprintln(w)
}
