package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// gateFactor is how much cheaper than (a) a decision of (c) must be. Three times is what is measured; 2 is safe on noisy
	// machines.
	gateFactor = 2.0
	// gateRounds are judged once, all together: to look after some and add more on a miss would lean towards passing.
	gateRounds  = 21
	gateMeasure = 400 * time.Millisecond
)

// gate compares the CPU time per request of (a) and (c), paired by rounds.
func gate(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	f, err := newFleet()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	site, err := f.world.Site(ctx, "c", routesOfC, devicesOfC)
	if err != nil {
		return err
	}
	if err := f.addFloorAndProduct(ctx, site); err != nil {
		return err
	}
	measured := samples{}
	how := shapes[1]
	if err := f.rounds(ctx, gateRounds, []shape{how}, gateMeasure, measured); err != nil {
		return err
	}
	a, c := measured[how.name]["a"], measured[how.name]["c"]
	r := ratio(a, c, cpuMicros)
	fmt.Fprintf(out, "CPU per request at %s, medians of %d interleaved rounds: "+
		"AlwaysOK grpc-go %.1f µs, tiergate %.1f µs; paired (a)/(c) %.2f (%.2f–%.2f), at least %.1f is wanted\n",
		how.name, gateRounds, of(a, cpuMicros).median, of(c, cpuMicros).median, r.median, r.least, r.most, gateFactor)
	if r.median < gateFactor {
		return fmt.Errorf("a decision costs 1/%.2f of what AlwaysOK costs and may cost 1/%.1f: "+
			"`make bench` shows where else it does, `bin/tiergate-bench profile` where the time goes", r.median, gateFactor)
	}
	return nil
}
