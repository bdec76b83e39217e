// Command tiergate is the sidecar beside one Envoy (serve), the receiver of webhooks (ingest), and the tools of those who
// write the policy. Exit status: 0 fine, 1 the answer is no, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/config"
)

// The exit statuses.
const (
	exitFine  = 0
	exitNo    = 1
	exitUsage = 2
)

// errSaid ends a command whose output has already said why.
var errSaid = errors.New("the answer is no")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is main without the process: transcripts call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errSaid):
		return exitNo
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "tiergate: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "tiergate: %v\n", err)
		return exitNo
	}
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tiergate",
		Short: "Zero-trust external authorization beside Envoy",
		Long: "tiergate answers Envoy's ext_authz question for every request: who asks, in what state is the device, and what\n" +
			"does this route's tier demand. It programs the same Envoy over xDS.",
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	})
	root.AddCommand(newServe(), newIngest(), newPolicy(), newEnvoy(), newEvidence(), newDeadLetter(), newSource(), newSSF(),
		newStore(), newDevice(),
		newException(), newGrace(), newIdentity(), newOutletVerbs(), newFinding())
	wrapArgs(root)
	return root
}

// wrapArgs makes every fault of arguments a usage error, which cobra does not tell apart.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return usageError{fmt.Errorf("say which; see '%s --help'", c.CommandPath())}
	}}
	c.AddCommand(subs...)
	return c
}

// process is a command that runs until it is told to end.
func process(verb, short string, run func(context.Context, *config.Settings) error) *cobra.Command {
	var file string
	c := &cobra.Command{Use: verb + " --config FILE", Short: short, Args: cobra.NoArgs}
	configFlag(c, &file, true)
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		return run(c.Context(), settings)
	}
	return c
}

// configFlag adds --config.
func configFlag(c *cobra.Command, into *string, required bool) {
	c.Flags().StringVar(into, "config", "", "settings `FILE`")
	if required {
		c.PreRunE = func(c *cobra.Command, _ []string) error {
			if *into == "" {
				return usageError{fmt.Errorf("say which settings: --config FILE; see '%s --help'", c.CommandPath())}
			}
			return nil
		}
	}
}
