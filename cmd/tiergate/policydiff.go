package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// policyDiff is `policy diff` as it was asked for.
type policyDiff struct {
	file, form, since, tier string
	decisions, failOn       []string
	monitor                 bool
	rows                    int

	settings *config.Settings // nil: not given
	world    policy.World
}

func newPolicyDiff() *cobra.Command {
	o := &policyDiff{}
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a change of the policy does, and to whom by recorded decisions",
		Long: "Names every difference between two policies in words, the loosening first, each with the team that answers for it.\n" +
			"\"loosens\": some request may get a better answer; \"tightens\": none may; \"cannot tell\": it may, and why that cannot be\n" +
			"told from the documents. OLD and NEW are policy directories; git:REV:DIR is DIR as it was in a commit; with --config,\n" +
			"sha256:HEX is a policy that `serve` keeps (`policy history`).\n\n" +
			"With --decisions or --since the recorded decisions are judged under both, and what changes is counted and listed, the\n" +
			"most loosened first, each with the id of one such decision. --since reads evidence.file of the settings and the older\n" +
			"files beside it. Records show who came, with the facts and the instant of then. Exceptions granted at run time are in\n" +
			"the records and not in the words.\n\n" +
			"--monitor DIR instead of OLD NEW tells what the tiers of DIR in mode monitor would have refused: their policy against\n" +
			"itself with these tiers enforced.",
		Args: func(c *cobra.Command, args []string) error {
			if o.monitor {
				return cobra.ExactArgs(1)(c, args)
			}
			return cobra.ExactArgs(2)(c, args)
		},
	}
	configFlag(c, &o.file, false)
	outputFlag(c, &o.form)
	c.Flags().StringArrayVar(&o.decisions, "decisions", nil, "judge the recorded decisions of `FILE` (repeatable; - is standard input)")
	c.Flags().StringVar(&o.since, "since", "",
		"judge recorded decisions no older than `AGE` (7d, 12h); without --decisions those of the settings")
	c.Flags().StringArrayVar(&o.failOn, "fail-on", nil,
		"exit 1 on `WHAT` (repeatable): loosen (a change that loosens or of which that cannot be told, or a decision that does), "+
			"deny (a decision that is newly refused), any (any difference)")
	c.Flags().BoolVar(&o.monitor, "monitor", false, "tell what the tiers in mode monitor would have refused")
	c.Flags().StringVar(&o.tier, "tier", "", "with --monitor: only tier `NAME`")
	c.Flags().IntVar(&o.rows, "rows", 10, "how many lines each list has at most")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.usage(c); err != nil {
			return err
		}
		report, err := o.run(c, args)
		if err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), o.form, report, func(w io.Writer) error { return report.table(w) }); err != nil {
			return err
		}
		if len(report.Fails) > 0 {
			return errSaid
		}
		return nil
	}
	return c
}

// The words of --fail-on.
const (
	failLoosen = "loosen"
	failDeny   = "deny"
	failAny    = "any"
)

func (o *policyDiff) usage(c *cobra.Command) error {
	if err := checkOutput(o.form); err != nil {
		return err
	}
	message := ""
	for _, what := range o.failOn {
		if !slices.Contains([]string{failLoosen, failDeny, failAny}, what) {
			message = fmt.Sprintf("--fail-on %s: say loosen, deny or any", what)
		}
	}
	records := len(o.decisions) > 0 || o.since != ""
	switch {
	case message != "":
	case o.tier != "" && !o.monitor:
		message = "--tier says which tier of --monitor DIR: add that"
	case o.monitor && !records:
		message = "--monitor looks at recorded decisions: add --decisions FILE, or --since AGE with --config FILE"
	case slices.Contains(o.failOn, failDeny) && !records:
		message = "--fail-on deny looks at recorded decisions: add --decisions FILE, or --since AGE with --config FILE"
	case o.since != "" && len(o.decisions) == 0 && o.file == "":
		message = "--since reads the evidence file of the settings: add --config FILE, or --decisions FILE"
	case o.rows < 1 || o.rows > 1000:
		message = "--rows: say 1 to 1000"
	}
	if message != "" {
		return usageError{fmt.Errorf("%s; see '%s --help'", message, c.CommandPath())}
	}
	return nil
}

// diffReport is the answer.
type diffReport struct {
	Old       diffPolicy           `json:"old"`
	New       diffPolicy           `json:"new"`
	Direction policydiff.Direction `json:"direction"`
	Changes   []policydiff.Change  `json:"changes"`
	Owners    []diffOwner          `json:"owners"`
	Tiers     []string             `json:"monitor,omitempty"` // that were taken as enforced
	Decisions *policydiff.Report   `json:"decisions,omitempty"`
	Read      []string             `json:"read,omitempty"`    // files
	Unshown   []string             `json:"unshown,omitempty"` // what recorded decisions cannot show
	Notes     []string             `json:"notes,omitempty"`
	Fails     []string             `json:"fails"`
}

type diffPolicy struct {
	Of     string `json:"of"`
	Digest string `json:"digest"`
}

// diffOwner is who answers for what changes.
type diffOwner struct {
	Team    string `json:"team"`
	Contact string `json:"contact,omitempty"`
	Changes int    `json:"changes"`
}

func (o *policyDiff) run(c *cobra.Command, args []string) (*diffReport, error) {
	if o.file != "" {
		settings, err := loadSettings(o.file)
		if err != nil {
			return nil, err
		}
		o.settings, o.world = settings, world(settings)
	}
	from, err := o.from()
	if err != nil {
		return nil, err
	}
	older, newer, tiers, err := o.policies(c.Context(), args)
	if err != nil {
		return nil, err
	}
	report := &diffReport{Old: diffPolicy{args[0], older.Digest()}, New: diffPolicy{args[len(args)-1], newer.Digest()}, Tiers: tiers,
		Changes: policydiff.Compare(older, newer, o.world.Sources), Fails: []string{}}
	report.Direction, report.Owners = policydiff.Fold(report.Changes), ownersOf(report.Changes, older, newer)
	if report.Changes == nil {
		report.Changes = []policydiff.Change{}
	}
	if o.file == "" && !o.monitor {
		report.Notes = append(report.Notes, "judged without --config: which sources may speak of a signal is not known, so less can be told")
	}
	if len(o.decisions) > 0 || o.since != "" {
		run := &decisionsRun{judge: policydiff.NewJudge(older, newer), blast: policydiff.NewBlast(o.rows), from: from,
			stdin: c.InOrStdin(), bar: newBar(c.ErrOrStderr())}
		if o.monitor {
			run.blast.Watch(tiers)
		}
		if err := run.read(c.Context(), o.decisions, o.settings); err != nil {
			return nil, err
		}
		report.Decisions, report.Read, report.Unshown = run.blast.Report(), run.names, policydiff.Unshown()
		report.Notes = append(report.Notes, run.notes...)
	}
	report.owned(older, newer)
	report.fail(o.failOn)
	return report, nil
}

// from is the instant before which records do not count.
func (o *policyDiff) from() (time.Time, error) {
	if o.since == "" {
		return time.Time{}, nil
	}
	age, err := strictyaml.ParseDuration(o.since)
	if err != nil {
		return time.Time{}, usageError{fmt.Errorf("--since: %w; write 7d, 12h or 1d12h", err)}
	}
	return time.Now().Add(-age), nil
}

// policies are the two that are compared, and the tiers that the second enforces.
func (o *policyDiff) policies(ctx context.Context, args []string) (older, newer *policy.Policy, tiers []string, err error) {
	older, err = o.policyOf(ctx, args[0])
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", args[0], err)
	}
	if !o.monitor {
		if newer, err = o.policyOf(ctx, args[1]); err != nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", args[1], err)
		}
		return older, newer, nil, nil
	}
	spec, tiers := policydiff.Enforced(older.Spec(), o.tier)
	switch {
	case len(tiers) == 0 && o.tier != "":
		return nil, nil, nil, fmt.Errorf("%s has no tier %q in mode monitor; leave out --tier to see all that only monitor", args[0], o.tier)
	case len(tiers) == 0:
		return nil, nil, nil, fmt.Errorf("no tier of %s is in mode monitor, so there is nothing that it would have refused", args[0])
	}
	newer, faults := policy.New(spec, o.world)
	if len(faults) > 0 {
		return nil, nil, nil, fmt.Errorf("enforced, %s has a fault: %s", args[0], faults[0].Message)
	}
	return older, newer, tiers, nil
}

// ownersOf are the teams that answer for what changes, those with the most of it first.
func ownersOf(changes []policydiff.Change, older, newer *policy.Policy) []diffOwner {
	contacts := map[string]string{}
	for _, p := range []*policy.Policy{newer, older} {
		for _, g := range p.Spec().Governance {
			contacts[g.Accountable.Name] = g.Accountable.Contact
			for name, team := range g.Teams {
				contacts[name] = team.Contact
			}
		}
	}
	owners := []diffOwner{}
	for _, change := range changes {
		at := slices.IndexFunc(owners, func(o diffOwner) bool { return o.Team == change.Owner })
		if at < 0 {
			at = len(owners)
			owners = append(owners, diffOwner{Team: change.Owner, Contact: contacts[change.Owner]})
		}
		owners[at].Changes++
	}
	slices.SortStableFunc(owners, func(a, b diffOwner) int { return b.Changes - a.Changes })
	return owners
}

// owned names who answers for the routes and tiers that are listed.
func (r *diffReport) owned(older, newer *policy.Policy) {
	if r.Decisions == nil {
		return
	}
	routes, tiers := map[string]string{}, map[string]string{}
	for _, p := range []*policy.Policy{older, newer} {
		spec := p.Spec()
		for i := range spec.Routes {
			routes[spec.Routes[i].Meta.Name] = spec.Routes[i].Meta.Owner
		}
		for i := range spec.Tiers {
			tiers[spec.Tiers[i].Meta.Name] = spec.Tiers[i].Meta.Owner
		}
	}
	for i := range r.Decisions.Routes.Rows {
		r.Decisions.Routes.Rows[i].Owner = routes[r.Decisions.Routes.Rows[i].Name]
	}
	for i := range r.Decisions.Tiers.Rows {
		r.Decisions.Tiers.Rows[i].Owner = tiers[r.Decisions.Tiers.Rows[i].Name]
	}
}

// fail says what of --fail-on came true.
func (r *diffReport) fail(on []string) {
	var changed, loosened, denied int
	if r.Decisions != nil {
		changed, loosened, denied = r.Decisions.Changed, r.Decisions.Loosened, r.Decisions.Denied()
	}
	loose := 0
	for _, c := range r.Changes {
		if c.Direction == policydiff.Loosens || c.Direction == policydiff.CannotTell {
			loose++
		}
	}
	for _, what := range []string{failLoosen, failDeny, failAny} {
		var why []string
		add := func(n int, one, text string) {
			if n > 0 {
				why = append(why, count(n, one)+" "+text)
			}
		}
		switch what {
		case failLoosen:
			add(loose, "change", "that may loosen")
			add(loosened, "recorded decision", "loosened")
		case failDeny:
			add(denied, "recorded decision", "newly denied")
		case failAny:
			add(len(r.Changes), "change", "in words")
			add(changed, "recorded decision", "changed")
		}
		// What was not looked at must not pass for fine.
		if d := r.Decisions; d != nil {
			add(d.Unreadable, "recorded line", "unreadable, of which nothing is known")
			if what == failDeny && d.Judged == 0 {
				why = append(why, "no recorded decision was judged, so nothing is known")
			}
		}
		if len(why) > 0 && slices.Contains(on, what) {
			r.Fails = append(r.Fails, "--fail-on "+what+": "+strings.Join(why, ", "))
		}
	}
}

var errNoConfig = errors.New("a digest names a policy that is kept where policy.history.dir of the settings says: add --config FILE")
