package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
)

// clearance tells who is responsible for a clearance of a posture.
func (d *deviceDesk) clearance(ctx context.Context, c signals.Clearance) admin.DeviceClearance {
	out := admin.DeviceClearance{Clearance: c}
	record, err := d.records.Record(ctx, approvals.KindClearance, c.Name)
	if err != nil {
		out.Fault = fmt.Sprintf("who cleared it cannot be read from here: %v; see tiergate device clear --list", err)
		return out
	}
	var said approvals.Clearance
	if err := json.Unmarshal(record.Value, &said); err != nil {
		out.Fault = fmt.Sprintf("the record of who cleared it cannot be read: %v", err)
		return out
	}
	out.Asked, out.Approved = clearedBy(said.History)
	for i := range said.History {
		switch e := &said.History[i]; e.Step {
		case approvals.StepRequested:
			out.Reason, out.Ticket = e.Reason, e.Ticket
		case approvals.StepApproved:
			out.At = e.At
		default: // told elsewhere
		}
	}
	return out
}

// clearanceRows print what counts no more.
func clearanceRows(w io.Writer, all []admin.DeviceClearance) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\nCLEARED\tSOURCE\tUNTIL\tBY\tAPPROVED BY\tTICKET\tREASON")
	for i := range all {
		c := &all[i]
		if c.Fault != "" {
			fmt.Fprintf(w, "%s\t%s\t%s\t!\t%s\n", c.Attribute, c.Source, stampOf(c.Until), oneLine(c.Fault))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Attribute, c.Source, stampOf(c.Until), dash(oneLine(c.Asked)),
			dash(oneLine(c.Approved)), dash(oneLine(c.Ticket)), dash(oneLine(c.Reason)))
	}
}
