// Command tiergate-demo plays the story of examples/ingress with real processes: Valkey, `tiergate ingest`, `tiergate
// serve`, Envoy and three upstreams. It prints one line per request, then stays up and prints what to try by hand.
//
//	tiergate-demo [-exit] [-store redis|embedded]       plays the story; -exit compares and leaves
//	tiergate-demo webhook -stage DIR -device NAME ATTRIBUTE=VALUE...   reports posture to a demo that stays up
//
// With -exit it exits 1 if any answer differs from what the story tells.
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

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// The exit codes: fine, the answer is no, wrong usage.
const (
	exitFine = iota
	exitNo
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, complaints io.Writer) int {
	verb := demo
	if len(args) > 0 {
		switch args[0] {
		case "upstream": // what the demo runs itself as
			verb, args = upstream, args[1:]
		case "webhook":
			verb, args = webhook, args[1:]
		}
	}
	switch err := verb(ctx, args, out, complaints); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitFine
	case errors.Is(err, errUsage):
		fmt.Fprintln(complaints, "tiergate-demo:", err)
		return exitUsage
	default:
		fmt.Fprintln(complaints, "tiergate-demo:", err)
		return exitNo
	}
}

var errUsage = errors.New("wrong usage; see tiergate-demo -h")

// parse lets the flag package tell what is wrong, once.
func parse(flags *flag.FlagSet, args []string, complaints io.Writer) error {
	flags.SetOutput(complaints)
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w (%w)", errUsage, err)
	}
	return err
}

func demo(ctx context.Context, args []string, out, complaints io.Writer) (err error) {
	flags := flag.NewFlagSet("tiergate-demo", flag.ContinueOnError)
	leave := flags.Bool("exit", false, "play, compare every answer with what the story tells, and exit 1 on a difference")
	store := flags.String("store", stage.StoreRedis, "where posture is kept: redis (a real Valkey) or embedded (bbolt)")
	dir := flags.String("dir", "", "lay the stage out in this empty `DIR` and leave it there (default: a temporary one)")
	if err := parse(flags, args, complaints); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: %q is not expected", errUsage, flags.Arg(0))
	}
	if *store != stage.StoreRedis && *store != stage.StoreEmbedded {
		return fmt.Errorf("%w: -store is redis or embedded, not %q", errUsage, *store)
	}
	paper := newPaper(out)
	s, err := raise(ctx, *store, *dir, paper)
	if s != nil {
		defer func() { err = errors.Join(err, s.Close()) }()
	}
	if err != nil {
		return err
	}
	differences := newPlay(s, paper).run(ctx, story())
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	paper.summary(differences)
	if *leave {
		if len(differences) > 0 {
			return fmt.Errorf("%d answers differ from what the story tells", len(differences))
		}
		return nil
	}
	paper.suggestions(suggest(s))
	<-ctx.Done()
	paper.line("")
	paper.line("ending every process")
	return nil
}

// raise builds the stage and starts its processes. The stage is returned even with an error, to be closed.
func raise(ctx context.Context, store, dir string, paper *paper) (*stage.Stage, error) {
	binaries, err := stage.FindBinaries()
	if err != nil {
		return nil, err
	}
	if err := binaries.Check(store); err != nil {
		return nil, err
	}
	s, err := stage.New(stage.Options{Store: store, Dir: dir, Binaries: binaries, Login: true, Agent: true,
		EDR: true, Vendors: "ben-laptop", Evidence: true, Events: stage.Events{
			Started: func(name string, pid int, took time.Duration) {
				paper.line(fmt.Sprintf("  %-18s pid %-8d ready after %s", name, pid, milliseconds(took)))
			},
			Exited: func(name string, err error) {
				paper.bad(fmt.Sprintf("  %s ended by itself: %v; see logs/%s.log", name, err, name))
			},
		}})
	if err != nil {
		return nil, err
	}
	paper.title("The stage: " + s.Dir)
	return s, s.Start(ctx)
}

func upstream(ctx context.Context, args []string, _, complaints io.Writer) error {
	flags := flag.NewFlagSet("tiergate-demo upstream", flag.ContinueOnError)
	var u stage.Upstream
	flags.StringVar(&u.Name, "name", "", "what it calls itself")
	flags.StringVar(&u.Listen, "listen", "", "host:port")
	flags.StringVar(&u.CertFile, "cert", "", "its X.509-SVID (PEM)")
	flags.StringVar(&u.KeyFile, "key", "", "the key of its X.509-SVID (PEM)")
	flags.StringVar(&u.CAFile, "ca", "", "who may have signed the peer's X.509-SVID (PEM)")
	flags.StringVar(&u.WorkloadAPI, "workload-api", "", "the agent's socket, in place of -cert, -key and -ca")
	flags.StringVar(&u.Admit, "admit", "", "the only SPIFFE ID that may connect")
	if err := parse(flags, args, complaints); err != nil {
		return err
	}
	if u.Listen == "" || u.Admit == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: upstream needs -listen, -admit, and -workload-api or -cert, -key and -ca", errUsage)
	}
	return u.Run(ctx)
}
