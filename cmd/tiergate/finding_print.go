package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
)

func tableOfFindings(w io.Writer, list *findingList) error {
	if len(list.Findings) == 0 {
		fmt.Fprintln(w, "no findings")
	} else {
		table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSEVERITY\tSTATE\tKIND\tSUBJECT\tTEAM\tDEADLINE")
		for i := range list.Findings {
			f := &list.Findings[i]
			subject := f.Finding.Subject
			if f.Finding.Detail != "" {
				subject += " (" + f.Finding.Detail + ")"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.ID, cmp.Or(string(f.Severity), "-"), f.State, f.Finding.Kind, oneLine(subject),
				oneLine(cmp.Or(f.Team, f.Finding.Owner)), deadlineText(f))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return watchText(w, list)
}

// deadlineText is until when something has to be done.
func deadlineText(f *findingShown) string {
	switch {
	case f.State == findings.Accepted:
		return "accepted until " + f.AcceptedUntil.UTC().Format(time.RFC3339)
	case f.State == findings.Closed || f.State == findings.Passed:
		return "over since " + f.Closed.UTC().Format(time.RFC3339)
	case f.Deadline.IsZero():
		return "-"
	case f.Overdue:
		return f.Deadline.UTC().Format(time.RFC3339) + " OVERDUE"
	}
	return f.Deadline.UTC().Format(time.RFC3339)
}

// watchText says what the list does not show: that nobody looks, what cannot be judged, and what no Monitor watches.
func watchText(w io.Writer, list *findingList) error {
	switch {
	case list.Watch.At.IsZero():
		fmt.Fprintln(w, "nobody has looked yet: set policy.dir in the settings of the receiver, and see its log")
	case list.Stale:
		fmt.Fprintf(w, "nobody has looked since %s: see the log of the receiver\n", list.Watch.At.UTC().Format(time.RFC3339))
	}
	for _, what := range slices.Sorted(maps.Keys(list.Watch.Blind)) {
		fmt.Fprintf(w, "not judged: %s: %s\n", oneLine(what), oneLine(list.Watch.Blind[what]))
	}
	if n := list.Watch.Unread; n > 0 {
		fmt.Fprintf(w, "not judged: %d devices whose posture cannot be believed; see tiergate device list\n", n)
	}
	for _, kind := range slices.Sorted(maps.Keys(list.Watch.Unwatched)) {
		fmt.Fprintf(w, "not watched by any Monitor: %d of %s\n", list.Watch.Unwatched[kind], oneLine(kind))
	}
	return nil
}

// findingText says where a finding stands.
func findingText(f *findingShown) string {
	who := "team " + oneLine(f.Team)
	if f.Person != "" {
		who = oneLine(f.Person) + " of " + who
	}
	switch f.State {
	case findings.Accepted:
		return "accepted until " + f.AcceptedUntil.UTC().Format(time.RFC3339)
	case findings.InRemediation:
		return who + " works on it until " + deadlineText(f)
	case findings.Assigned:
		return "assigned to " + who + " until " + deadlineText(f)
	default:
		return string(f.State)
	}
}

func showFinding(w io.Writer, f *findingShown) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	taxonomy := slices.Concat(f.Taxonomy.NHI, f.Taxonomy.CSF, f.Taxonomy.MAESTRO)
	rows := [][2]string{{"finding", f.ID}, {"what", f.Finding.Summary}, {"kind", string(f.Finding.Kind)}, {"subject", f.Finding.Subject},
		{"detail", f.Finding.Detail}, {"state", string(f.State)}, {"severity", string(f.Severity)}, {"monitor", f.Monitor},
		{"owner", f.Finding.Owner}, {"team", f.Team}, {"person", f.Person}, {"audiences", strings.Join(f.Finding.Audiences, ", ")},
		{"since", stampOrNone(f.First)}, {"deadline", deadlineText(f)}, {"escalated", stampOrNone(f.Escalated)},
		{"fix", strings.TrimSpace(f.Finding.Fix.Text + " " + f.Finding.Fix.URL)}, {"also called", strings.Join(taxonomy, ", ")}}
	if f.Reopened > 0 {
		rows = append(rows, [2]string{"returned", fmt.Sprintf("%d times", f.Reopened)})
	}
	for _, line := range f.Finding.Evidence {
		rows = append(rows, [2]string{"evidence", line})
	}
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", row[0], oneLine(row[1]))
		}
	}
	for i := range f.History {
		h := &f.History[i]
		text := string(h.To)
		if h.By.Name != "" {
			text += " by " + h.By.String()
		}
		if h.Reason != "" {
			text += "; " + h.Reason
		}
		fmt.Fprintf(table, "%s\t%s\n", h.At.UTC().Format(time.RFC3339), oneLine(text))
	}
	return table.Flush()
}

func stampOrNone(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
