package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tiergate/tiergate/e2e/bench/world"
)

// The sizes of (c) and (d).
const (
	routesOfC, devicesOfC = 200, 10_000
	routesOfD, devicesOfD = 10_000, 100_000
)

// table measures everything and prints it, to out and to the file of -out.
func table(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	f, err := newFleet()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if o.out != "" {
		if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
			return err
		}
		file, err := os.Create(o.out)
		if err != nil {
			return err
		}
		defer file.Close()
		out = io.MultiWriter(out, file)
	}
	site, err := f.addAll(ctx)
	if err != nil {
		return err
	}
	if err := f.printFacts(ctx, out, o, len(site.Request)); err != nil {
		return err
	}
	measured := samples{}
	if err := f.rounds(ctx, o.rounds, shapes, o.measure, measured); err != nil {
		return err
	}
	for _, how := range shapes {
		f.printShape(out, how, measured[how.name])
	}
	if err := f.throughEnvoy(ctx, out, o, site); err != nil {
		return err
	}
	heap, err := f.replicaHeap(ctx)
	if err != nil {
		return err
	}
	printTargets(out, measured, heap)
	return nil
}

// addAll starts (a) to (f) and vouches for them. It returns the site of (c).
func (f *fleet) addAll(ctx context.Context) (*world.Site, error) {
	c, err := f.world.Site(ctx, "c", routesOfC, devicesOfC)
	if err != nil {
		return nil, err
	}
	d, err := f.world.Site(ctx, "d", routesOfD, devicesOfD)
	if err != nil {
		return nil, err
	}
	for _, add := range []func() error{
		func() error { return f.addOwn(ctx, "a", "AlwaysOK grpc-go, as anyone writes it", "stock", c.Request) },
		func() error {
			return f.addOwn(ctx, "b", "AlwaysOK grpc-go with tiergate's reader", "reader", c.Request)
		},
		func() error { return f.addTiergate(ctx, "c", "tiergate, 200 routes, 10,000 devices", c) },
		func() error { return f.addTiergate(ctx, "d", "tiergate, 10,000 routes, 100,000 devices", d) },
		func() error { return f.addLookup(ctx, devicesOfC, c.Request) },
		func() error { return f.addAsserting(ctx) },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	for _, s := range f.servers {
		if err := f.vouch(ctx, s); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// addFloorAndProduct starts (a) and (c) alone.
func (f *fleet) addFloorAndProduct(ctx context.Context, c *world.Site) error {
	if err := f.addOwn(ctx, "a", "AlwaysOK grpc-go, as anyone writes it", "stock", c.Request); err != nil {
		return err
	}
	if err := f.addTiergate(ctx, "c", "tiergate, 200 routes, 10,000 devices", c); err != nil {
		return err
	}
	for _, s := range f.servers {
		if err := f.vouch(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// printShape prints the rows of one shape: medians of the rounds, with the least and the most.
func (f *fleet) printShape(out io.Writer, how shape, rows map[string][]sample) {
	fmt.Fprintf(out, "\n%s\n", how.name)
	fmt.Fprintf(out, "  %-44s %-22s %8s %8s %8s  %-18s %6s  %-18s %-18s\n", "server", "requests/s (min–max)",
		"p50 ms", "p99 ms", "p99.9 ms", "CPU µs/request", "RSS MB", "requests/s × (a)", "CPU of (a) ÷ own")
	for _, key := range keys {
		all := rows[key]
		if len(all) == 0 {
			continue
		}
		fmt.Fprintf(out, "  (%s) %-40s %-22s %8.3f %8.3f %8.3f  %-18s %6.0f  %-18s %-18s\n", key, f.byKey(key).name,
			whole(of(all, perSecond)), of(all, p50).median, of(all, p99).median, of(all, p999).median,
			tenths(of(all, cpuMicros)), of(all, megabytes).median,
			hundredths(ratio(all, rows["a"], perSecond)), hundredths(ratio(rows["a"], all, cpuMicros)))
	}
}

var keys = []string{"a", "b", "c", "d", "e", "f"}

func (f *fleet) byKey(key string) *server {
	for _, s := range f.servers {
		if s.key == key {
			return s
		}
	}
	return &server{key: key}
}

func whole(s spread) string      { return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median, s.least, s.most) }
func tenths(s spread) string     { return fmt.Sprintf("%.1f (%.1f–%.1f)", s.median, s.least, s.most) }
func hundredths(s spread) string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.least, s.most) }

// printTargets says of each target what was measured and whether that reaches it.
func printTargets(out io.Writer, measured samples, heap float64) {
	fmt.Fprintf(out, "\ntargets\n")
	say := func(what string, figure spread, reached bool) {
		verdict := "not reached"
		if reached {
			verdict = "reached"
		}
		fmt.Fprintf(out, "  %-62s %-22s %s\n", what, hundredths(figure), verdict)
	}
	atLeast := func(what string, figure spread, bound float64) { say(what, figure, figure.median >= bound) }
	atMost := func(what string, figure spread, bound float64) { say(what, figure, figure.median <= bound) }
	for _, how := range shapes[1:3] {
		rows := measured[how.name]
		atLeast("requests/s of (c) ≥ 1.8 × (a) at "+how.name, ratio(rows["c"], rows["a"], perSecond), 1.8)
		atLeast("requests/s of (c) ≥ 0.8 × (b) at "+how.name, ratio(rows["c"], rows["b"], perSecond), 0.8)
		atLeast("requests/s of (d) ≥ 0.95 × (c) at "+how.name, ratio(rows["d"], rows["c"], perSecond), 0.95)
	}
	for _, how := range shapes[3:] {
		rows := measured[how.name]
		atMost("p99 of (c) ≤ p99 of (a) at "+how.name, ratio(rows["c"], rows["a"], p99), 1)
	}
	rows := measured[shapes[1].name]
	atMost(fmt.Sprintf("CPU of (c) ≤ CPU of (a) / %.1f at %s (the gate)", gateFactor, shapes[1].name), ratio(rows["c"], rows["a"], cpuMicros),
		1/gateFactor)
	atMost("RSS of (c) after 2×16 ≤ 60 MB", of(rows["c"], megabytes), 60)
	fmt.Fprintf(out, "    of it anonymous, MB: %s; the rest is the program and the mapped store, which the system may drop\n",
		tenths(of(rows["c"], anonymousMegabytes)))
	atMost("heap of a replica, 100,000 devices × 20 facts ≤ 120 MB", spreadOf([]float64{heap}), 120)
	fmt.Fprintf(out, "  Evaluate ≤ 500 ns and 0 allocations, the reader, the routes: `make microbench`\n")
}

// printFacts tells on what was measured, how, and when.
func (f *fleet) printFacts(ctx context.Context, out io.Writer, o options, bytes int) error {
	envoy, err := versionOf(ctx, f.binaries.Envoy, "--version")
	if err != nil {
		return err
	}
	valkey, err := versionOf(ctx, f.binaries.Valkey, "--version")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "tiergate bench, %s\n", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	printMachine(out, f.busy)
	fmt.Fprintf(out, "%s\n%s\n", envoy, valkey)
	fmt.Fprintf(out, "Unix sockets; server on core %d, driver (and Valkey) on core %d; "+
		"one CheckRequest of %d bytes, 15 headers, 800-byte token; every answer checked.\n", f.server, f.wire, bytes)
	fmt.Fprintf(out, "Medians of %d interleaved rounds of %v, open loops of %d (least–most); ratios are paired within a round. "+
		"Absolute figures are this machine's and this hour's.\n", o.rounds, o.measure, o.rounds*tailTurns)
	return nil
}
