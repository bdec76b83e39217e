package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	// Whoever reads us may leave (| head). Caught, that signal does not end us before what was started is ended; children
	// do not inherit it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const usage = `bench [-rounds N] [-seconds S] [-out FILE]   the whole table
bench gate                                  fail if a decision costs more than it may; a minute at most
bench assertion                             fail if the assertion to upstreams costs more than it may; a minute at most
bench memory                                the heap of a replica with 100,000 devices × 20 facts
bench profile [-out FILE]                   where the CPU time of a decision goes`

// run does what the arguments say. The verbs below "hidden" are how the bench starts itself as servers and drivers.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	verb := "table"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "table":
		return table(ctx, args, out)
	case "gate":
		return gate(ctx, out)
	case "assertion":
		return assertionCost(ctx, out)
	case "memory":
		return memory(ctx, out)
	case "profile":
		return profile(ctx, args, out)
	// hidden:
	case "on":
		return runOn(args)
	case "drive":
		return drive(in, out)
	case "serve":
		return serve(ctx, args)
	}
	return fmt.Errorf("there is no %q; use\n%s", verb, usage)
}

// options of the whole table.
type options struct {
	rounds  int
	measure time.Duration
	out     string
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.rounds, "rounds", 5, "")
	seconds := flags.Float64("seconds", 1, "")
	flags.StringVar(&o.out, "out", "", "")
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("%w; use\n%s", err, usage)
	}
	o.measure = time.Duration(*seconds * float64(time.Second))
	if o.rounds < 1 || o.rounds > 100 || o.measure < 100*time.Millisecond || o.measure > time.Minute || flags.NArg() > 0 {
		return o, errors.New("1 to 100 rounds of 0.1 to 60 seconds; use\n" + usage)
	}
	return o, nil
}
