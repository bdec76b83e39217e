package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policy"
)

func newEvidence() *cobra.Command {
	return group("evidence", "Look into the record of decisions", newEvidenceReplay())
}

func newEvidenceReplay() *cobra.Command {
	var file, dir string
	c := &cobra.Command{
		Use:   "replay FILE... --policy DIR",
		Short: "Decide recorded decisions again and compare the answers",
		Long: "Judges every record of the files (- is standard input) that was made with the policy in DIR once more. The\n" +
			"answer is yes, exit 0, if there is such a record and each came to the recorded verdict, byte for byte, and every\n" +
			"line could be read. A policy's digest covers the settings that it was judged with: give those with --config.",
		Args: cobra.MinimumNArgs(1),
	}
	configFlag(c, &file, false)
	c.Flags().StringVar(&dir, "policy", "", "policy `DIR`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if dir == "" {
			return usageError{fmt.Errorf("say with which policy: --policy DIR; see '%s --help'", c.CommandPath())}
		}
		compiled, err := compilePolicy(dir, file)
		if err != nil {
			return err
		}
		replay := &evidenceReplay{policy: compiled, out: c.OutOrStdout()}
		for _, name := range args {
			if err := replay.file(name, c.InOrStdin()); err != nil {
				return err
			}
		}
		return replay.sum()
	}
	return c
}

// evidenceReplay counts what became of each line.
type evidenceReplay struct {
	policy *policy.Policy
	out    io.Writer

	same, differ, others, annulled, unreadable, changes int
	lost                                                uint64
}

func (e *evidenceReplay) file(name string, stdin io.Reader) error {
	from := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("the record cannot be read: %w", err)
		}
		defer f.Close()
		from = f
	}
	for r, err := range evidence.Read(from) {
		switch {
		case errors.Is(err, evidence.ErrTorn):
			fmt.Fprintf(e.out, "%s: %v: it is being written, or a crash ended it\n", name, err)
		case err != nil:
			e.unreadable++
			fmt.Fprintf(e.out, "%s: %v\n", name, err)
		case r.Change != nil: // who brought which policy into force is nothing to decide again
			e.changes++
		case r.ID == "":
			e.lost += r.Lost
		case r.Annulled:
			e.annulled++
		default:
			e.record(name, &r)
		}
	}
	return nil
}

// record judges one record. One without a policy is judged as it was then: there was none.
func (e *evidenceReplay) record(name string, r *evidence.Record) {
	verdict, err := evidence.Replay(e.policy, r)
	if err != nil {
		e.others++
		return
	}
	differences := evidence.Differences(r.Verdict, verdict)
	if len(differences) == 0 {
		e.same++
		return
	}
	e.differ++
	fmt.Fprintf(e.out, "%s: decision %s\n", name, r.ID)
	for _, d := range differences {
		fmt.Fprintf(e.out, "  %s\n", d)
	}
}

// sum prints the counts and is the answer.
func (e *evidenceReplay) sum() error {
	fmt.Fprintf(e.out, "policy %s: %s replayed, %d the same, %d different\n",
		e.policy.Digest(), count(e.same+e.differ, "decision"), e.same, e.differ)
	for _, c := range []struct {
		n    int
		what string
	}{
		{e.others, "made with another policy"}, {e.annulled, "annulled: not given, the record came too late"},
		{e.changes, "not decisions, but changes of the policy"}, {e.unreadable, "unreadable"},
	} {
		if c.n > 0 {
			fmt.Fprintf(e.out, "%d %s\n", c.n, c.what)
		}
	}
	if e.lost > 0 {
		fmt.Fprintf(e.out, "%d lost: in no record\n", e.lost)
	}
	switch {
	case e.differ > 0 || e.unreadable > 0:
		return errSaid
	case e.same == 0:
		fmt.Fprintln(e.out, "nothing was compared: give the policy as it was then, "+
			"and with --config the settings that it was judged with")
		return errSaid
	}
	return nil
}
