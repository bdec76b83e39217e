package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
)

var exceptionStates = []string{string(approvals.StateRequested), string(approvals.StatePending), string(approvals.StateInForce),
	string(approvals.StateEnded), string(approvals.StateRefused), string(approvals.StateRevoked), string(approvals.StateVoid)}

func (f *exceptionFilter) wants(l *approvals.Listed, now time.Time) bool {
	has := func(want string, list []string) bool {
		return want == "" || slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, want) })
	}
	users := make([]string, 0, len(l.Subjects))
	for _, s := range l.Subjects {
		users = append(users, s.User)
	}
	return (f.state == "" || f.state == string(l.Stands)) && has(f.route, l.Routes) && has(f.device, l.Devices) && has(f.user, users) &&
		(f.ending == 0 || l.Stands == approvals.StateInForce && !now.Add(f.ending).Before(l.Until))
}

func tableOfExceptions(w io.Writer, all []approvals.Listed) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no exceptions")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tORIGIN\tUNTIL\tSIGNALS\tROUTES\tDEVICES\tSUBJECTS")
	for i := range all {
		l := &all[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Meta.Name, l.Stands, l.Origin, l.Until.UTC().Format(time.RFC3339),
			oneLine(strings.Join(l.Signals, ",")), oneLine(strings.Join(l.Routes, ",")), oneLine(strings.Join(l.Devices, ",")),
			oneLine(subjectsText(l.Subjects)))
	}
	return table.Flush()
}

func subjectsText(subjects []policy.ExceptionSubject) string {
	texts := make([]string, 0, len(subjects))
	for _, s := range subjects {
		if s.Group != "" {
			texts = append(texts, s.Issuer+"/group:"+s.Group)
			continue
		}
		texts = append(texts, s.Issuer+"/"+s.User)
	}
	return strings.Join(texts, ",")
}

// stateText says where an exception stands, and what it takes.
func stateText(l *approvals.Listed) string {
	from, until := l.From.UTC().Format(time.RFC3339), l.Until.UTC().Format(time.RFC3339)
	switch l.Stands {
	case approvals.StateRequested:
		return fmt.Sprintf("from %s until %s, once somebody approves it for %s", from, until, strings.Join(l.Awaits, " and "))
	case approvals.StatePending:
		return fmt.Sprintf("it will be in force from %s until %s", from, until)
	case approvals.StateInForce:
		return "it is in force until " + until
	case approvals.StateVoid:
		return "it excuses nothing, since today's policy could not hold it: " + oneLine(strings.Join(l.Void, "; "))
	default:
		return "it is " + string(l.Stands)
	}
}

func showException(w io.Writer, l *approvals.Listed) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range [][2]string{
		{"name", l.Meta.Name}, {"state", string(l.Stands)}, {"", stateText(l)}, {"origin", l.Origin}, {"owner", l.Meta.Owner},
		{"subjects", subjectsText(l.Subjects)}, {"devices", strings.Join(l.Devices, ", ")}, {"routes", strings.Join(l.Routes, ", ")},
		{"signals", strings.Join(l.Signals, ", ")}, {"reason", l.Reason}, {"ticket", l.Ticket}, {"approver", cmp.Or(l.Approver, "-")},
		{"renews", cmp.Or(l.Renews, "-")}, {"from", l.From.UTC().Format(time.RFC3339)}, {"until", l.Until.UTC().Format(time.RFC3339)},
	} {
		fmt.Fprintf(table, "%s\t%s\n", row[0], oneLine(row[1]))
	}
	for _, who := range l.MayApprove {
		fmt.Fprintf(table, "may approve\t%s\n", oneLine(who))
	}
	historyRows(table, l.History)
	return table.Flush()
}

// historyRows print what was done, in its order.
func historyRows(w io.Writer, history []approvals.Event) {
	for i := range history {
		e := &history[i]
		text := string(e.Step) + " by " + e.By.String()
		for _, m := range e.For {
			text += " for " + m.Team
		}
		for _, more := range []string{e.Reason, e.Ticket} {
			if more != "" {
				text += "; " + more
			}
		}
		fmt.Fprintf(w, "%s\t%s\n", e.At.UTC().Format(time.RFC3339), oneLine(text))
	}
}
