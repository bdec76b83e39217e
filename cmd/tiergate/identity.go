package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/inventory"
)

func newIdentity() *cobra.Command {
	c := group("identity", "Look at non-human identities: who owns them, what they use, what they could do without",
		newIdentityList(), newIdentityShow(), newIdentityUnused(), newIdentitySuggest(), newIdentityImport())
	c.Long = "The inventory joins the Identity documents of the policy with what decisions really saw of workloads, and with what\n" +
		"other systems list (`identity import`). The verbs ask `tiergate ingest`, or with the embedded store `tiergate serve`."
	return c
}

// identityReach is how the verbs reach the receiver.
type identityReach struct{ file, form string }

func (r *identityReach) flags(c *cobra.Command) {
	configFlag(c, &r.file, true)
	outputFlag(c, &r.form)
}

// identitiesWithin bounds reading and writing of an inventory: a slow disk takes some hundred imported identities a second.
const identitiesWithin = 5 * time.Minute

// maxIdentityAnswer bounds what is read of an inventory.
const maxIdentityAnswer = 512 << 20

func (r *identityReach) ask(ctx context.Context, method, path string, in, out any) error {
	socket, err := socketOf(receiverSocket, r.file, r.form)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, identitiesWithin)
	defer cancel()
	answer, err := callAdmin(ctx, socket, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(io.LimitReader(answer, maxIdentityAnswer)).Decode(out); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", socket, err)
	}
	return nil
}

func (r *identityReach) list(ctx context.Context) (*identityList, error) {
	var list identityList
	return &list, r.ask(ctx, http.MethodGet, "/v1/identities", nil, &list)
}

// identityFilter is which identities are looked at.
type identityFilter struct{ owner, kind, system, state string }

func (f *identityFilter) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.owner, "owner", "", "only those of `TEAM`; none: of nobody")
	c.Flags().StringVar(&f.kind, "type", "", "only those of `TYPE`: "+strings.Join(inventory.Types, ", "))
	c.Flags().StringVar(&f.system, "system", "", "only those recorded in `SYSTEM`, or SYSTEM@PART: "+
		strings.Join(inventory.Systems, ", "))
	c.Flags().StringVar(&f.state, "state", "", "only those in `STATE`: "+joinStates())
}

func joinStates() string {
	words := make([]string, 0, len(inventory.States))
	for _, s := range inventory.States {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

func (f *identityFilter) check() error {
	system, _, _ := strings.Cut(f.system, "@")
	switch {
	case f.kind != "" && !slices.Contains(inventory.Types, f.kind):
		return usageError{fmt.Errorf("--type %s: say one of %s", f.kind, strings.Join(inventory.Types, ", "))}
	case f.system != "" && !slices.Contains(inventory.Systems, system):
		return usageError{fmt.Errorf("--system %s: say one of %s", f.system, strings.Join(inventory.Systems, ", "))}
	case f.state != "" && !slices.Contains(inventory.States, inventory.State(f.state)):
		return usageError{fmt.Errorf("--state %s: say one of %s", f.state, joinStates())}
	}
	return nil
}

func (f *identityFilter) takes(x *inventory.Joined) bool {
	recorded := slices.ContainsFunc(x.Recorded, func(r string) bool {
		origin, _, _ := strings.Cut(r, "/")
		system, _, _ := strings.Cut(origin, "@")
		return f.system == system || f.system == origin
	})
	return (f.owner == "" || f.owner == x.Owner || f.owner == "none" && x.Owner == "") && (f.kind == "" || f.kind == x.Type) &&
		(f.system == "" || recorded) && (f.state == "" || x.Is(inventory.State(f.state)))
}

func newIdentityList() *cobra.Command {
	to, only, byType := &identityReach{}, &identityFilter{}, false
	c := &cobra.Command{Use: "list --config FILE", Short: "List non-human identities", Args: cobra.NoArgs}
	to.flags(c)
	only.flags(c)
	c.Flags().BoolVar(&byType, "by-type", false, "how those of each type stand, in place of the list")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := only.check(); err != nil {
			return err
		}
		list, err := to.list(c.Context())
		if err != nil {
			return err
		}
		list.Identities = slices.DeleteFunc(list.Identities, func(x inventory.Joined) bool { return !only.takes(&x) })
		if byType {
			postures := inventory.Postures(list.Identities)
			return printAs(c.OutOrStdout(), to.form, postures, func(w io.Writer) error { return tableOfPostures(w, postures) })
		}
		return printAs(c.OutOrStdout(), to.form, list, list.table)
	}
	return c
}

func tableOfPostures(w io.Writer, all []inventory.Posture) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no identity")
		return err
	}
	columns := []inventory.State{inventory.StateUnowned, inventory.StateActive, inventory.StateStale, inventory.StateNeverSeen,
		inventory.StateExcessive, inventory.StateUnreviewed, inventory.StateUnrecorded}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(table, "TYPE\tIDENTITIES")
	for _, state := range columns {
		fmt.Fprint(table, "\t"+strings.ToUpper(strings.ReplaceAll(string(state), "-", " ")))
	}
	fmt.Fprintln(table, "\tNEVER EXPIRES")
	for i := range all {
		fmt.Fprintf(table, "%s\t%d", all[i].Type, all[i].Identities)
		for _, state := range columns {
			fmt.Fprintf(table, "\t%d", all[i].States[state])
		}
		fmt.Fprintf(table, "\t%d\n", all[i].NoEnd)
	}
	return table.Flush()
}

func (l *identityList) table(w io.Writer) error {
	for _, why := range l.Unread {
		fmt.Fprintf(w, "not believed: %s\n", oneLine(why))
	}
	if len(l.Identities) == 0 {
		_, err := fmt.Fprintln(w, "no identity")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "IDENTITY\tOWNER\tTYPE\tRECORDED IN\tFIRST SEEN\tLAST SEEN\tCALLS\tROUTES USED\tCREDENTIAL\tSTATE")
	for i := range l.Identities {
		x := &l.Identities[i]
		used, granted := x.UsedRoutes()
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d of %d\t%s\t%s\n", oneLine(x.Name), dashIfNone(x.Owner), dashIfNone(x.Type),
			dashIfNone(systemsOf(x.Recorded)), orDash(x.First), orDash(x.Last), x.Calls(), used, granted,
			dashIfNone(ageOf(x.CredentialFrom, l.At)), statesOf(x))
	}
	return table.Flush()
}

func dashIfNone(text string) string {
	if text == "" {
		return "-"
	}
	return oneLine(text)
}

func systemsOf(recorded []string) string {
	var systems []string
	for _, r := range recorded {
		system, _, _ := strings.Cut(r, "/")
		systems = append(systems, system)
	}
	slices.Sort(systems)
	return strings.Join(slices.Compact(systems), ", ")
}

func statesOf(x *inventory.Joined) string {
	words := make([]string, 0, len(x.States))
	for _, s := range x.States {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

func newIdentityShow() *cobra.Command {
	to := &identityReach{}
	c := &cobra.Command{Use: "show ID --config FILE", Short: "Show one: ID is the name of its document, its SPIFFE ID, or SYSTEM[@PART]/ID",
		Args: cobra.ExactArgs(1)}
	to.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		list, err := to.list(c.Context())
		if err != nil {
			return err
		}
		x, err := list.find(args[0])
		if err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), to.form, x, func(w io.Writer) error { return showIdentity(w, x, list.At) })
	}
	return c
}

// find is the identity of a name, a SPIFFE ID, or where it is recorded.
func (l *identityList) find(name string) (*inventory.Joined, error) {
	for i := range l.Identities {
		x := &l.Identities[i]
		if x.Name == name || slices.Contains(x.SPIFFEIDs, name) || slices.Contains(x.IDs, name) || slices.Contains(x.Recorded, name) {
			return x, nil
		}
	}
	return nil, fmt.Errorf("there is no identity %q; list them with `tiergate identity list`", name)
}

func showIdentity(w io.Writer, x *inventory.Joined, at time.Time) error {
	fields := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	owner := x.Owner
	if owner == "" && x.SaidOwner != "" {
		owner = "nobody by the policy; " + x.SaidOwner + " by where it is recorded"
	}
	for _, f := range [][2]string{{"identity", x.Name}, {"owner", owner}, {"type", x.Type}, {"state", statesOf(x)},
		{"SPIFFE IDs", strings.Join(x.IDs, ", ")}, {"trust domain", strings.Join(x.TrustDomain, ", ")},
		{"recorded in", strings.Join(x.Recorded, ", ")}, {"first seen", orDash(x.First)},
		{"last seen", orDash(x.Last)}, {"last used elsewhere", orDash(x.Elsewhere)}, {"calls from", strings.Join(x.Places, ", ")},
		{"calls", strconv.FormatUint(x.Calls(), 10)}, {"credential", credentialOf(x, at)}, {"credentials at most", maxAgeOf(x)},
		{"review by", reviewOf(x)}, {"may elsewhere", strings.Join(x.Grants, ", ")}} {
		fmt.Fprintf(fields, "%s\t%s\n", f[0], dashIfNone(f[1]))
	}
	if err := fields.Flush(); err != nil || len(x.Routes) == 0 {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\nROUTE\tGRANTED BY\tALLOWED\tREFUSED\tLAST ALLOWED")
	for i := range x.Routes {
		r := &x.Routes[i]
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", oneLine(r.Route), dashIfNone(strings.Join(r.Audiences, ", ")), r.Allowed, r.Refused,
			orDash(r.LastAllowed))
	}
	return table.Flush()
}

func credentialOf(x *inventory.Joined, at time.Time) string {
	old := ""
	if age := ageOf(x.CredentialFrom, at); age != "" {
		old = "; " + age + " old"
	}
	switch {
	case x.NeverExpires:
		return "never expires; since " + orDash(x.CredentialFrom) + old
	case x.CredentialFrom.IsZero():
		return ""
	case x.CredentialUntil.IsZero():
		return "since " + orDash(x.CredentialFrom) + old
	}
	return fmt.Sprintf("%s to %s%s", orDash(x.CredentialFrom), orDash(x.CredentialUntil), old)
}

// ageOf is how old something is, in whole days or, of a younger one, in minutes; "": not known.
func ageOf(from, at time.Time) string {
	switch age := at.Sub(from); {
	case from.IsZero():
		return ""
	case age < 48*time.Hour:
		return max(0, age).Truncate(time.Minute).String()
	default:
		return fmt.Sprintf("%dd", int(age/(24*time.Hour)))
	}
}

// maxAgeOf is how old a credential may become.
func maxAgeOf(x *inventory.Joined) string {
	if x.CredentialMaxAge == 0 {
		return ""
	}
	return time.Duration(x.CredentialMaxAge*int64(time.Second)).String() + " old"
}

func reviewOf(x *inventory.Joined) string {
	if x.ReviewBy.IsZero() {
		return ""
	}
	return x.ReviewBy.Format(time.DateOnly)
}

// unusedRight is a route that an identity may reach and does not use.
type unusedRight struct {
	Identity    string    `json:"identity"`
	Owner       string    `json:"owner,omitempty"`
	Route       string    `json:"route"`
	Audiences   []string  `json:"audiences"`
	LastAllowed time.Time `json:"lastAllowed,omitzero"` // zero: never
	Since       time.Time `json:"observedSince,omitzero"`
}

func newIdentityUnused() *cobra.Command {
	to, only := &identityReach{}, &identityFilter{}
	var days int
	c := &cobra.Command{Use: "unused --config FILE [--days N]",
		Short: "List routes that identities may reach and were not let in to for so long",
		Args:  cobra.NoArgs}
	c.Long = "Exit 1 if there is any. What `OBSERVED SINCE` is later than the days that you ask for says little yet."
	to.flags(c)
	only.flags(c)
	c.Flags().IntVar(&days, "days", inventory.MaxPruneDays, "how many `DAYS`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := only.check(); err != nil {
			return err
		}
		if days < 1 {
			return usageError{fmt.Errorf("--days %d: say 1 or more", days)}
		}
		list, err := to.list(c.Context())
		if err != nil {
			return err
		}
		unused := unusedRights(list, only, days)
		if err := printAs(c.OutOrStdout(), to.form, unused, func(w io.Writer) error { return tableOfUnused(w, unused) }); err != nil {
			return err
		}
		if len(unused) > 0 {
			return errSaid
		}
		return nil
	}
	return c
}

func unusedRights(list *identityList, only *identityFilter, days int) []unusedRight {
	unused := []unusedRight{}
	for i := range list.Identities {
		x := &list.Identities[i]
		for j := range x.Routes {
			r := &x.Routes[j]
			if only.takes(x) && len(r.Audiences) > 0 && r.LastAllowed.Before(list.At.AddDate(0, 0, -days)) {
				unused = append(unused, unusedRight{x.Name, x.Owner, r.Route, r.Audiences, r.LastAllowed, x.First})
			}
		}
	}
	return unused
}

func tableOfUnused(w io.Writer, unused []unusedRight) error {
	if len(unused) == 0 {
		_, err := fmt.Fprintln(w, "every identity uses what it may reach")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "IDENTITY\tOWNER\tROUTE\tGRANTED BY\tLAST ALLOWED\tOBSERVED SINCE")
	for i := range unused {
		u := &unused[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(u.Identity), dashIfNone(u.Owner), u.Route, strings.Join(u.Audiences, ", "),
			orDash(u.LastAllowed), orDash(u.Since))
	}
	return table.Flush()
}
