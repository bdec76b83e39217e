package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// deviceTable writes what `device get` shows to people.
func deviceTable(to io.Writer, d *admin.Device) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "device\t%s\nrevision\t%d\nas of\t%s\n", d.Device, d.Revision, stampOf(d.AsOf))
	if d.Fault != "" {
		fmt.Fprintf(w, "FAULT\t%s\n", oneLine(d.Fault))
	}
	if d.Gone {
		fmt.Fprintln(w, "GONE\tthe store no longer has this device; below is the last that it showed")
	}
	fmt.Fprintln(w, "\nNAME\tSAID BY\tFIRST\tDELIVERY\tTOGETHER WITH")
	for _, n := range d.Names {
		if n.Fault != "" {
			fmt.Fprintf(w, "%s\t!\t%s\n", safe(n.Name.String()), oneLine(n.Fault))
		}
		for i, s := range n.Said {
			name := safe(n.Name.String())
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, s.Source, stampOf(s.At), safe(s.Delivery), namesOf(s.With))
		}
		if n.Fault == "" && len(n.Said) == 0 {
			fmt.Fprintf(w, "%s\t-\n", safe(n.Name.String()))
		}
	}
	if d.WhyFault != "" {
		fmt.Fprintf(w, "why: %s\n", oneLine(d.WhyFault))
	}
	for i := range d.Contests {
		fmt.Fprintf(w, "CONTESTED\t%s\n", contestText(&d.Contests[i]))
	}
	fmt.Fprintln(w, "\nFACT\tVALUE\tSOURCE\tAGE\tOBSERVED\tRECEIVED\tPATH")
	for i := range d.Facts {
		f := &d.Facts[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Attribute, safe(f.Value.String()), f.Source, f.Age, stampOf(f.Observed),
			stampOf(f.Received), safe(f.Path))
	}
	clearanceRows(w, d.Clearances)
	if err := w.Flush(); err != nil || d.Standing == nil {
		return err
	}
	return standingTable(to, d)
}

func standingTable(to io.Writer, d *admin.Device) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\npolicy %s\nSIGNAL\tSTATUS\tWHY\n", d.Policy)
	for i := range d.Standing.Signals {
		s := &d.Standing.Signals[i]
		status := s.Status.String()
		if s.Disputed {
			status += " (disputed)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Signal, status, oneLine(s.Detail))
	}
	fmt.Fprintln(w, "\nTIER\tDEVICE\tUNMET")
	for i := range d.Standing.Tiers {
		t := &d.Standing.Tiers[i]
		verdict := "passes"
		if t.Refuses {
			verdict = "refused"
		}
		if t.Monitor {
			verdict += " (monitor)"
		}
		unmet := make([]string, 0, len(t.Unmet))
		for j := range t.Unmet {
			unmet = append(unmet, unmetText(&t.Unmet[j]))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", t.Tier, verdict, dash(strings.Join(unmet, ", ")))
	}
	return w.Flush()
}

func unmetText(u *policy.TierUnmet) string {
	text := fmt.Sprintf("%s %s (%s", u.Signal, u.Status, u.List)
	if u.Audience != "" {
		text += " of " + u.Audience
	}
	if u.Noted {
		text += ", noted"
	}
	return text + ")"
}

// The columns of the list have widths of their own: it is written as it comes, and never held as a whole.
const deviceColumns = "%-36s  %-8s  %-10s  %-24s  %-24s  %-24s  %s\n"

func deviceLineHead(w io.Writer) {
	fmt.Fprintf(w, deviceColumns, "DEVICE", "PLATFORM", "LAST HEARD", "REFUSED BY", "FAILING", "UNKNOWN", "NAMES")
}

func deviceLineRow(w io.Writer, l *admin.DeviceLine, now time.Time) error {
	heard := "-"
	if !l.Newest.IsZero() {
		heard = now.Sub(l.Newest).Round(time.Second).String()
	}
	last := namesOf(l.Names)
	if l.Fault != "" {
		last += "  FAULT: " + oneLine(l.Fault)
	}
	if l.Gone {
		last += "  GONE: the store no longer has it"
	}
	_, err := fmt.Fprintf(w, deviceColumns, l.Device, dash(safe(l.Platform)), heard, dash(strings.Join(l.Refused, ",")),
		dash(strings.Join(l.Failing, ",")), dash(strings.Join(l.Unknown, ",")), last)
	return err
}

func summaryTable(to io.Writer, s *admin.DeviceSummary) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "policy %s: %s", s.Policy, count(s.Devices, "device"))
	if s.Faulty > 0 {
		fmt.Fprintf(w, ", of %d nothing can be said: their records cannot be believed", s.Faulty)
	}
	if s.Gone > 0 {
		fmt.Fprintf(w, ", %d the store no longer has", s.Gone)
	}
	fmt.Fprintln(w, "\n\nSIGNAL\tFAILING\tUNKNOWN")
	for _, c := range s.Signals {
		fmt.Fprintf(w, "%s\t%d\t%d\n", c.Signal, c.Failing, c.Unknown)
	}
	fmt.Fprintln(w, "\nTIER\tREFUSES\tFOR")
	for _, t := range s.Tiers {
		reasons := make([]string, 0, len(t.Demands))
		for _, d := range t.Demands {
			reasons = append(reasons, fmt.Sprintf("%s %d failing %d unknown", d.Signal, d.Failing, d.Unknown))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", t.Tier, t.Refused, dash(strings.Join(reasons, ", ")))
	}
	return w.Flush()
}

func contestedTable(to io.Writer, c *admin.ContestedNames) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	if len(c.Carried)+len(c.Said) == 0 && c.Fault == "" {
		fmt.Fprintln(w, "no name is contested")
	}
	for _, name := range c.Carried {
		fmt.Fprintf(w, "%s is carried by %v: it names none of them\n", safe(name.Name.String()), name.Devices)
	}
	for i := range c.Said {
		fmt.Fprintln(w, contestText(&c.Said[i]))
	}
	if c.Fault != "" {
		fmt.Fprintln(w, oneLine(c.Fault))
	}
	return w.Flush()
}

// contestText says who would have joined what.
func contestText(c *ingest.Contest) string {
	if len(c.Claims) == 0 {
		return "a contest that cannot be read"
	}
	names := make([]string, 0, len(c.Claims))
	for _, n := range c.Claims {
		names = append(names, fmt.Sprintf("%s is device %s", safe(n.Alias.String()), n.Device))
	}
	return fmt.Sprintf("%s says that these are one device: %s (delivery %s of %s; joined nothing)", c.Source,
		strings.Join(names, ", "), safe(c.Delivery), stampOf(c.At))
}

func namesOf(aliases []signals.Alias) string {
	names := make([]string, 0, len(aliases))
	for _, a := range aliases {
		names = append(names, safe(a.String()))
	}
	return dash(strings.Join(names, ", "))
}

func stampOf(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// safe keeps what a source said from moving a terminal's cursor or a column.
func safe(text string) string {
	quoted := fmt.Sprintf("%q", text)
	if quoted[1:len(quoted)-1] == text {
		return text
	}
	return quoted
}
