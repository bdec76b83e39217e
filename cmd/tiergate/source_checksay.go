package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// deviceAttribute is how an expression of the policy names an attribute. One that stands in a quoted text is taken for a
// need too: that asks for too much, never for too little.
var deviceAttribute = regexp.MustCompile(`\bdevice\.([a-z][a-z0-9_]*)`)

func attributesOf(expr string) []string {
	var names []string
	for _, m := range deviceAttribute.FindAllStringSubmatch(expr, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func listed(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func sayChecked(w io.Writer, f *checkedSource) error {
	fmt.Fprintf(w, "%s (%s)\n", f.Name, f.Type)
	if f.Experimental != "" {
		fmt.Fprintf(w, "experimental: %s\n", f.Experimental)
	}
	for _, a := range f.Answers {
		status := fmt.Sprintf("status %d", a.Status)
		if a.Status == 0 {
			status = "not reached"
		}
		fmt.Fprintf(w, "%s %s%s: %s in %d ms\n", a.Method, a.Host, a.Path, status, a.Milliseconds)
	}
	if f.ClockAhead != nil {
		fmt.Fprintf(w, "its clock is %gs ahead of ours\n", *f.ClockAhead)
	}
	if p := f.Page; p != nil {
		fmt.Fprintf(w, "first page: %s, %d unreadable", count(p.Devices, "device"), p.Unreadable)
		if p.Total > 0 {
			fmt.Fprintf(w, ", %d in all", p.Total)
		}
		fmt.Fprintln(w, map[bool]string{true: ", more follow", false: ""}[p.More])
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ATTRIBUTE\tATTESTED\tSAID\tKNOWN\tNEEDED BY")
	for _, a := range f.Attributes {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", a.Attribute, map[bool]string{true: "yes", false: "no"}[a.Attested], a.Said,
			a.Known, listed(a.Signals, "-"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, note := range f.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	for _, fault := range f.Faults {
		fmt.Fprintf(w, "fault: %s\n", fault)
	}
	return nil
}
