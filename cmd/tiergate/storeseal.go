package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
	"github.com/tiergate/tiergate/signals/ingest"
)

func newStore() *cobra.Command {
	return group("store", "Look after the store", newStoreSeal(), newStoreCheck(), newStoreCompact(), newStoreBackup())
}

func newStoreSeal() *cobra.Command {
	var file, format string
	var yes bool
	c := &cobra.Command{
		Use:   "seal --config FILE [--yes]",
		Short: "Show what no receiver has signed in a shared store, and vouch for it with --yes",
		Long: "Looks at every posture and at every record of receivers in the Redis of the settings, and counts what a key of\n" +
			"store.redis.seal.trustFiles has signed and what not. The answer is yes, exit 0, if all is signed.\n\n" +
			"With --yes it signs the rest with store.redis.seal.keyFile, as it stands: you vouch for what is there, and a forged\n" +
			"device becomes a true one. It is for a store that was unsealed until now, and for a lost key. Stop every\n" +
			"`tiergate ingest` first, and look at what is listed without --yes: a few unsigned devices in a sealed store are\n" +
			"somebody's forgeries, which are mended from a backup and never by this.\n\n" +
			"It also compares all devices with the checkpoint, the signed list of devices and revisions that receivers keep: what\n" +
			"is older than that was put back by somebody, or comes from a backup, and sidecars refuse it. --yes writes a new\n" +
			"checkpoint of what is there, and you vouch for that too: after a backup was restored or the store was emptied.",
		Args: cobra.NoArgs,
	}
	configFlag(c, &file, true)
	c.Flags().BoolVar(&yes, "yes", false, "sign what is not signed")
	outputFlag(c, &format)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkOutput(format); err != nil { // before anything is signed
			return err
		}
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		found, standing, err := vouch(c, settings, yes)
		if err != nil {
			return err
		}
		report := sealReportOf(found, standing, yes)
		if err := printAs(c.OutOrStdout(), format, report, report.table); err != nil {
			return err
		}
		if !report.Sealed {
			return errSaid
		}
		return nil
	}
	return c
}

func vouch(c *cobra.Command, s *config.Settings, sign bool) (found signals.Vouched, standing checkpoint.Standing, err error) {
	r := s.Store.Redis
	switch {
	case r == nil:
		return found, standing, fmt.Errorf("the embedded store has one owner and is not signed; this is for store.redis")
	case r.Unsealed:
		return found, standing, fmt.Errorf("store.redis.unsealed stands in the settings, so nothing would look at a signature; " +
			"write seal in its place first")
	}
	sealer, checker, err := sealKeys(r.Seal)
	if err != nil {
		return found, standing, err
	}
	store, err := openStore(s)
	if err != nil {
		return found, standing, err
	}
	defer func() { _ = store.Close() }() // each write was answered
	sealed := signals.Sealed(store, sealer, checker)
	if standing, err = checkpoint.Compare(c.Context(), sealed); err != nil {
		return found, standing, err
	}
	found, err = signals.Vouch(c.Context(), store, sealer, checker, sealedKinds(), time.Now(), sign)
	if err == nil && sign {
		err = checkpoint.Vouch(c.Context(), sealed, "store seal", time.Now())
	}
	if err != nil && sign {
		err = fmt.Errorf("%w; what is signed stays so: run this again", err)
	}
	return found, standing, err
}

// sealedKinds are the kinds of all records that count only if a receiver has signed them.
func sealedKinds() []string {
	return append(ingest.Kinds(), approvals.KindException, approvals.KindGrace, approvals.KindClearance, findings.RecordKind,
		engine.KindLease, engine.KindEnding, outlets.KindQueue, outlets.KindDead, outlets.KindOutlet, inventory.EntryKind, importKind)
}

// sealReport is what the verb says.
type sealReport struct {
	Sealed     bool       `json:"sealed"` // whether everything is signed now
	Signed     bool       `json:"signed"` // whether this run signed
	Counts     []sealSort `json:"counts"`
	Names      []string   `json:"names"`      // of what was not signed, the first hundred
	Unreadable []string   `json:"unreadable"` // what can be signed by nobody
	Changed    []string   `json:"changed"`    // what somebody wrote meanwhile
	Checkpoint sealPoint  `json:"checkpoint"`
}

// sealPoint is how the devices stood to the checkpoint before this run.
type sealPoint struct {
	At         time.Time `json:"at,omitzero"`
	By         string    `json:"by,omitempty"`
	Devices    int       `json:"devices"`    // in it
	RolledBack int       `json:"rolledBack"` // devices that are older in the store
	Missing    int       `json:"missing"`    // ... that are not there
	Some       []string  `json:"some"`       // the first hundred of both
	Fault      string    `json:"fault,omitempty"`
}

func sealPointOf(s checkpoint.Standing) sealPoint {
	p := sealPoint{RolledBack: s.RolledBack, Missing: s.Missing, Some: append([]string{}, s.Some...), Fault: s.Fault}
	if c := s.Checkpoint; c != nil {
		p.At, p.By, p.Devices = c.At, c.By, c.Devices()
	}
	return p
}

func (p sealPoint) sound() bool { return p.Fault == "" && p.RolledBack+p.Missing == 0 }

func (p sealPoint) table(out io.Writer) {
	switch {
	case p.Fault != "":
		fmt.Fprintf(out, "checkpoint: %s\n", p.Fault)
	case !p.At.IsZero():
		fmt.Fprintf(out, "checkpoint: %d devices, sealed %s by %s; older in the store %d, missing %d\n", p.Devices,
			p.At.Format(time.RFC3339), p.By, p.RolledBack, p.Missing)
	}
	for _, what := range p.Some {
		fmt.Fprintln(out, what)
	}
}

// sealSort counts one sort of thing as it was found.
type sealSort struct {
	What     string `json:"what"`
	Sealed   int    `json:"sealed"`
	Unsealed int    `json:"unsealed"`
}

func sealReportOf(v signals.Vouched, standing checkpoint.Standing, signed bool) sealReport {
	r := sealReport{Signed: signed, Names: append([]string{}, v.Names...), Unreadable: append([]string{}, v.Unreadable...),
		Changed: []string{}, Counts: []sealSort{}, Checkpoint: sealPointOf(standing)}
	open := 0
	for _, what := range append([]string{"posture"}, sealedKinds()...) {
		if n, m := v.Sealed[what], v.Unsealed[what]; n+m > 0 {
			r.Counts = append(r.Counts, sealSort{what, n, m})
			open += m
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Changed)) {
		r.Changed = append(r.Changed, name+": "+v.Changed[name])
	}
	r.Sealed = (signed || open == 0 && r.Checkpoint.sound()) && len(r.Unreadable) == 0 && len(r.Changed) == 0
	return r
}

func (r sealReport) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tSIGNED BEFORE\t"+cmp.Or(map[bool]string{true: "SIGNED NOW"}[r.Signed], "NOT SIGNED"))
	for _, c := range r.Counts {
		fmt.Fprintf(w, "%s\t%d\t%d\n", c.What, c.Sealed, c.Unsealed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !r.Signed {
		for _, name := range r.Names {
			fmt.Fprintf(out, "not signed: %s\n", name)
		}
	}
	r.Checkpoint.table(out)
	for _, why := range r.Unreadable {
		fmt.Fprintf(out, "cannot be read, and so not be signed: %s\n", why)
	}
	for _, why := range r.Changed {
		fmt.Fprintf(out, "written by somebody meanwhile; is every receiver stopped? %s\n", why)
	}
	return nil
}
