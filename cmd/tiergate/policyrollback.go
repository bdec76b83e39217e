package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

// maxChangesShown bounds what a table shows of a difference; -o json has all of it.
const maxChangesShown = 20

func newPolicyRollback() *cobra.Command {
	var file, form string
	var order admin.PolicyOrder
	var release bool
	c := &cobra.Command{
		Use:   "rollback DIGEST --config FILE --reason TEXT",
		Short: "Bring a kept policy back into force and pin it; --release ends that",
		Long: "Has the running process bring a policy that it kept (`tiergate policy history`) into force again: its documents, compiled\n" +
			"anew with today's settings and built for Envoy, as any change. DIGEST is a digest or its first 8 hex digits or more.\n" +
			"It is pinned: it stays, over restarts too, until the files of the policy directory are others than they were just\n" +
			"now and compile, or until --release, which brings the policy directory back into force. Exceptions that have ended stay\n" +
			"ended. Who asked, as the kernel says, why, and both digests go on record (evidence.file).",
		Args: cobra.MaximumNArgs(1),
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.Flags().StringVar(&order.Reason, "reason", "", "why, in one line: `TEXT`")
	c.Flags().StringVar(&order.Ticket, "ticket", "", "where it is followed up: `TICKET`")
	c.Flags().BoolVar(&release, "release", false, "bring the policy directory back into force")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := "/v1/policy/rollback"
		if release {
			path = "/v1/policy/release"
		}
		if err := rollbackUsage(&order, release, args); err != nil {
			return usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
		}
		socket, err := socketOf(sidecarSocket, file, form)
		if err != nil {
			return err
		}
		var move admin.PolicyMove
		if err := askAdmin(c.Context(), socket, http.MethodPost, path, order, &move); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), form, move, func(w io.Writer) error { return printMove(w, &move) })
	}
	return c
}

// rollbackUsage completes the order from the arguments.
func rollbackUsage(order *admin.PolicyOrder, release bool, args []string) error {
	switch {
	case release && len(args) > 0:
		return errors.New("--release goes back to the policy directory and names no DIGEST")
	case !release && len(args) == 0:
		return errors.New("say which policy: DIGEST, or --release")
	case !release && strings.TrimSpace(order.Reason) == "":
		return errors.New("say why, for the record: --reason TEXT")
	case !release:
		order.Digest = args[0]
	}
	return orderFault(order)
}

// printMove writes what came into force, how long it stays, and what is different.
func printMove(w io.Writer, move *admin.PolicyMove) error {
	fmt.Fprintf(w, "in force: %s (%s)\nbefore:   %s\n", move.Digest, count(move.Documents, "document"), move.Before)
	if pin := move.Pinned; pin == nil {
		fmt.Fprintln(w, "nothing is pinned: the policy directory counts")
	} else {
		fmt.Fprintf(w, "pinned by %s, until the policy directory changes or `tiergate policy rollback --release`\n", inLine(pin.By))
		if pin.Digest != move.Digest {
			fmt.Fprintf(w, "it was kept as %s; the settings have changed since, so its digest has too\n", pin.Digest)
		}
	}
	fmt.Fprintln(w, move.Record)
	if move.Fault != "" {
		fmt.Fprintf(w, "it is in force, but: %s\n", inLine(move.Fault))
	}
	if len(move.Changes) == 0 {
		_, err := fmt.Fprintln(w, "no document is different")
		return err
	}
	fmt.Fprintf(w, "%s: %s\n", count(len(move.Changes), "change"), move.Direction)
	for i, change := range move.Changes {
		if i == maxChangesShown {
			fmt.Fprintf(w, "  and %d more: -o json\n", len(move.Changes)-i)
			break
		}
		fmt.Fprintf(w, "  %s: %s\n", change.Direction, inLine(change.Text))
	}
	return nil
}
