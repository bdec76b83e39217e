package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// assertionShare is how much more CPU time a request may take that an assertion goes with.
const assertionShare = 0.10

// addAsserting starts (f): (c) again, which signs who calls.
func (f *fleet) addAsserting(ctx context.Context) error {
	site, err := f.world.Site(ctx, "f", routesOfC, devicesOfC)
	if err != nil {
		return err
	}
	if err := site.Assert(); err != nil {
		return err
	}
	return f.addTiergate(ctx, "f", "tiergate as (c), with the assertion", site)
}

// assertionCost compares the CPU time per request of (c) and (f), paired by rounds. All requests are of one caller to one
// route, so that nearly all get an assertion that is there.
func assertionCost(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	f, err := newFleet()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	plain, err := f.world.Site(ctx, "c", routesOfC, devicesOfC)
	if err != nil {
		return err
	}
	if err := f.addTiergate(ctx, "c", "tiergate, 200 routes, 10,000 devices", plain); err != nil {
		return err
	}
	if err := f.addAsserting(ctx); err != nil {
		return err
	}
	for _, s := range f.servers {
		if err := f.vouch(ctx, s); err != nil {
			return err
		}
	}
	measured := samples{}
	how := shapes[1]
	if err := f.rounds(ctx, gateRounds, []shape{how}, gateMeasure, measured); err != nil {
		return err
	}
	without, with := measured[how.name]["c"], measured[how.name]["f"]
	r := ratio(with, without, cpuMicros)
	fmt.Fprintf(out, "CPU per request at %s, medians of %d interleaved rounds: without the assertion %.1f µs, with it %.1f µs; "+
		"paired with/without %.3f (%.3f–%.3f), at most %.2f is wanted\n",
		how.name, gateRounds, of(without, cpuMicros).median, of(with, cpuMicros).median, r.median, r.least, r.most, 1+assertionShare)
	if r.median > 1+assertionShare {
		return fmt.Errorf("the assertion adds %.0f%% to the CPU time of a request and may add %.0f%%", 100*(r.median-1), 100*assertionShare)
	}
	return nil
}
