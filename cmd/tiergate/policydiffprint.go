package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tiergate/tiergate/authz/policydiff"
)

// table writes the answer for people.
func (r *diffReport) table(w io.Writer) error {
	fmt.Fprintf(w, "old  %s  %s\nnew  %s  %s\n\n", r.Old.Of, r.Old.Digest, r.New.Of, r.New.Digest)
	if r.Tiers == nil {
		r.changes(w)
	} else {
		fmt.Fprintf(w, "%s taken as enforced: %s\n", count(len(r.Tiers), "tier"), strings.Join(r.Tiers, ", "))
	}
	if r.Decisions != nil {
		if err := r.decisions(w); err != nil {
			return err
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", oneLine(note))
	}
	for _, why := range r.Fails {
		fmt.Fprintln(w, why)
	}
	return nil
}

func (r *diffReport) changes(w io.Writer) {
	if len(r.Changes) == 0 {
		fmt.Fprintln(w, "no document differs")
		return
	}
	fmt.Fprintf(w, "%s; together: %s\n", count(len(r.Changes), "change"), r.Direction)
	for _, c := range r.Changes {
		fmt.Fprintf(w, "  %-11s  %s", c.Direction, oneLine(c.Text))
		if c.Owner != "" {
			fmt.Fprintf(w, "  (owner %s)", oneLine(c.Owner))
		}
		fmt.Fprintln(w)
		if c.Why != "" {
			fmt.Fprintf(w, "               because %s\n", oneLine(c.Why))
		}
	}
	for _, o := range r.Owners {
		fmt.Fprintf(w, "answers for %s: %s, %s\n", count(o.Changes, "change"), oneLine(o.Team), oneLine(o.Contact))
	}
}

func (r *diffReport) decisions(w io.Writer) error {
	d := r.Decisions
	fmt.Fprintf(w, "\n%s judged", count(d.Judged, "recorded decision"))
	if d.Judged > 0 {
		fmt.Fprintf(w, ", %s to %s", d.First.UTC().Format(time.RFC3339), d.Last.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(w)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{uint64(d.Annulled), "annulled: not given, the record came too late"}, {d.Lost, "lost: in no record"},
		{uint64(d.NoPolicy), "made before there was a policy: they say nothing"}, {uint64(d.Unreadable), "unreadable"},
		{uint64(d.Outside), "older than what was asked for"},
	} {
		if c.n > 0 {
			fmt.Fprintf(w, "%d %s\n", c.n, c.what)
		}
	}
	if m := d.Monitored; m != nil {
		if err := monitoredTables(w, m); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%d change: %d loosened, %d tightened, %d on other grounds alone\n", d.Changed, d.Loosened, d.Tightened,
			d.Changed-d.Loosened-d.Tightened)
		if err := blastTables(w, d); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nnot shown by recorded decisions:")
	for _, text := range r.Unshown {
		fmt.Fprintf(w, "  %s\n", text)
	}
	return nil
}

func blastTables(w io.Writer, d *policydiff.Report) error {
	if len(d.Classes) > 0 {
		table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(table, "\nCHANGE\tCOUNT\tBECAUSE IT WAS\tAND NOW IS\tEXAMPLE")
		for _, c := range d.Classes {
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", c.Step, c.Count, c.WasReason, c.IsReason, oneLine(c.Example))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		title string
		top   policydiff.Top
	}{{"ROUTE", d.Routes}, {"TIER", d.Tiers}, {"SUBJECT", d.Subjects}, {"DEVICE", d.Devices}, {"UNMET SIGNAL", d.Signals}} {
		if err := topTable(w, list.title, list.top); err != nil {
			return err
		}
	}
	return nil
}

func topTable(w io.Writer, title string, top policydiff.Top) error {
	if len(top.Rows) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "\n%s\tLOOSENED\tTIGHTENED\tOTHER\tMOST\tEXAMPLE\n", title)
	for _, row := range top.Rows {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\n", rowName(row), row.Loosened, row.Tightened, row.Other, row.Step, oneLine(row.Example))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	sayMore(w, top)
	return nil
}

func rowName(row policydiff.Row) string {
	if row.Owner != "" {
		return oneLine(row.Name + " (owner " + row.Owner + ")")
	}
	return oneLine(row.Name)
}

// sayMore tells what a list leaves out.
func sayMore(w io.Writer, top policydiff.Top) {
	switch {
	case top.AtLeast:
		fmt.Fprintf(w, "and %d more; there are more than %d, and those beyond that are not listed\n", top.More, top.Distinct)
	case top.More > 0:
		fmt.Fprintf(w, "and %d more\n", top.More)
	}
}

func monitoredTables(w io.Writer, m *policydiff.Watched) error {
	fmt.Fprintf(w, "%s of these tiers: %d would have been denied, %d asked to step up\n", count(m.Judged, "decision"), m.Refused, m.SteppedUp)
	for _, list := range []struct {
		title string
		top   policydiff.Top
	}{{"TIER", m.Tiers}, {"UNMET SIGNAL", m.Signals}, {"OWNER", m.Owners}, {"SUBJECT", m.Subjects}, {"DEVICE", m.Devices}} {
		if len(list.top.Rows) == 0 {
			continue
		}
		table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintf(table, "\n%s\tDECISIONS\tEXAMPLE\n", list.title)
		for _, row := range list.top.Rows {
			fmt.Fprintf(table, "%s\t%s\t%s\n", rowName(row), strconv.Itoa(row.Tightened), oneLine(row.Example))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		sayMore(w, list.top)
	}
	return nil
}
