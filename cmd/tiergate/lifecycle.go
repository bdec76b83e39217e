package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopWithin is the one deadline that all parts share when the process ends.
const stopWithin = 10 * time.Second

// part is one long-lived thing of the process. run returns nil when its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// runParts starts the parts in order and runs them until ctx ends or one of them fails. It then stops them in reverse
// order, each only after the one started after it is gone, all within stopWithin.
func runParts(ctx context.Context, parts []part) error {
	failed := make(chan error, len(parts))
	stops := make([]func(context.Context) error, 0, len(parts))
	for _, p := range parts {
		stops = append(stops, start(p, failed))
	}
	var faults []error
	select {
	case <-ctx.Done():
	case err := <-failed:
		faults = append(faults, err)
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	for i := len(stops) - 1; i >= 0; i-- {
		if err := stops[i](deadline); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// start runs a part; the returned function ends it and waits.
func start(p part, failed chan<- error) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		switch err := p.run(ctx); {
		case err != nil && ctx.Err() == nil:
			failed <- fmt.Errorf("%s: %w", p.name, err)
		case ctx.Err() == nil:
			failed <- fmt.Errorf("%s ended by itself", p.name)
		}
	}()
	return func(deadline context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-deadline.Done():
			return fmt.Errorf("%s did not stop within %v", p.name, stopWithin)
		}
	}
}
