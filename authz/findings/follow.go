package findings

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
)

// Follow turns what is wrong now (Find), and the cases so far, into the cases that change and what is to be told of them. It
// is a function of its arguments, whatever their order: applied again to its own result and the same view it changes nothing
// and tells nothing. It does not modify the cases given. Whoever keeps the cases keeps each changed one first and tells then.
//
// Trouble that comes and goes makes no noise, and is not lost: a case is opened when a trouble has been found for its wait,
// and only a pause of at least settle (and of the wait, while there is no case) ends it. So a trouble whose pauses are
// shorter is a case at the first look after its wait at which it is found.
func Follow(cases []Case, found []Finding, v *View) (changed []Case, told []Notice) {
	fl := &following{v: v, rules: newRules(v.Policy), found: make(map[string]*Finding, len(found))}
	for i := range found {
		f := &found[i]
		key := f.Key()
		if other := fl.found[key]; other == nil || f.Since.Before(other.Since) {
			fl.found[key] = f
		}
	}
	known := make(map[string]bool, len(cases))
	for i := range cases {
		c := cases[i]
		key := c.Finding.Key()
		known[key] = true
		if fl.step(&c, fl.found[key]) {
			changed = append(changed, c)
		}
	}
	for key, f := range fl.found {
		if !known[key] {
			c := Case{ID: IDOf(key), Finding: *f}
			if fl.step(&c, f) {
				changed = append(changed, c)
			}
		}
	}
	slices.SortFunc(changed, func(a, b Case) int { return cmp.Or(cmp.Compare(a.ID, b.ID), compareFindings(a.Finding, b.Finding)) })
	sortNotices(fl.told)
	return changed, fl.told
}

// following is one run of Follow.
type following struct {
	v     *View
	rules *rules
	found map[string]*Finding // by key
	told  []Notice
}

// comesAndGoes are the kinds of what is reported anew all the time. What has a date, or a document, does not come and go.
var comesAndGoes = []Kind{AlarmUncleared, Conflict, ContestedDevice, Drift, IdentityMisconfigured, StaleDevice}

// settle is how long a trouble must be gone for its case to be closed.
func settle(kind Kind) time.Duration {
	if slices.Contains(comesAndGoes, kind) {
		return 15 * time.Minute
	}
	return 0
}

// step moves one case on; f is nil where its trouble is not found. It tells whether anything changed.
func (fl *following) step(c *Case, f *Finding) bool {
	if f != nil && fl.blind(f) {
		f = nil
	}
	changed := false
	switch {
	case f != nil && c.State.Stands():
		changed = fl.present(c, f)
	case f != nil:
		changed = fl.waiting(c, f)
	case fl.v.sees(&c.Finding):
		changed = fl.absent(c)
	}
	if !c.State.Stands() {
		return changed
	}
	return fl.timely(c) || changed
}

// rule is that of a finding. ok is false where no monitor watches it, or where it is followed as a part of another.
func (fl *following) rule(f *Finding) (rule Rule, ok bool) {
	rule, ok = fl.rules.of(f.Kind, f.Audiences)
	if !ok || f.Under == "" {
		return rule, ok
	}
	parent := fl.found[f.Under]
	if parent == nil {
		return rule, true
	}
	above, watched := fl.rules.of(parent.Kind, parent.Audiences)
	return rule, !watched || rule.stricter(&above)
}

// waiting follows a trouble of which there is no case, or one that was closed.
func (fl *following) waiting(c *Case, f *Finding) bool {
	rule, ok := fl.rule(f)
	if !ok {
		return false
	}
	at := fl.v.At
	changed := false
	if c.First.IsZero() {
		c.First, changed = at, true
		if !f.Since.IsZero() && f.Since.Before(at) {
			c.First = f.Since
		}
		if c.First.Before(c.Closed) {
			c.First = c.Closed // what was over is counted anew
		}
		if c.State != Closed {
			c.State = Pending
		}
		c.Finding = *f
	}
	if !c.Gone.IsZero() {
		c.Gone, changed = time.Time{}, true
	}
	if at.Before(c.First.Add(f.Wait)) {
		return changed
	}
	fl.open(c, f, &rule)
	return true
}

func (fl *following) blind(f *Finding) bool {
	_, blind := fl.v.Blind[f.Kind]
	return blind
}

// open opens a case, or opens it again.
func (fl *following) open(c *Case, f *Finding, rule *Rule) {
	at := fl.v.At
	again := c.State == Closed
	if again {
		c.Reopened++
	}
	c.Finding, c.Opened, c.Counts, c.Closed, c.Escalated = *f, at, at, time.Time{}, time.Time{}
	c.Person, c.AcceptedUntil, c.EndingTold = "", time.Time{}, time.Time{}
	c.govern(rule)
	c.Team = team(f, rule)
	if again {
		c.move(at, Open, approvals.Person{}, "it is found again, since "+stamp(c.First))
		fl.tell(c, ToldReopened, "it is found again")
		return
	}
	c.move(at, Open, approvals.Person{}, "found since "+stamp(c.First))
	fl.tell(c, ToldOpened, "")
}

// team is who looks after what was found, until somebody assigns it.
func team(f *Finding, rule *Rule) string { return cmp.Or(rule.Assign, f.Owner, rule.owner) }

// govern takes over what the monitors say.
func (c *Case) govern(rule *Rule) (changed bool) {
	deadline := c.Counts.Add(rule.CloseWithin)
	changed = c.Monitor != rule.Monitor || c.Severity != rule.Severity || !c.Deadline.Equal(deadline)
	c.Monitor, c.Severity, c.Deadline = rule.Monitor, rule.Severity, deadline
	return changed
}

func (fl *following) tell(c *Case, what What, reason string) {
	fl.told = append(fl.told, c.notice(fl.v.Policy, what, fl.v.At, reason))
}

// present follows a case whose trouble is found. One that no monitor watches any more is kept as it stands until the facts
// close it.
func (fl *following) present(c *Case, f *Finding) (changed bool) {
	if !c.Gone.IsZero() {
		c.Gone, changed = time.Time{}, true
	}
	if !sameTrouble(&c.Finding, f) {
		c.Finding, changed = *f, true
	}
	rule, ok := fl.rules.of(f.Kind, f.Audiences)
	if !ok {
		return changed
	}
	if c.govern(&rule) {
		changed = true
	}
	_, teams := governance(fl.v.Policy)
	_, there := teams[c.Team]
	if now := team(f, &rule); now != c.Team && (c.State == Open || !there) {
		c.Team, c.Person, changed = now, "", true
		if c.State == Assigned || c.State == InRemediation {
			c.move(fl.v.At, Open, approvals.Person{}, "the team that it was assigned to is gone")
		}
	}
	return changed
}

// sameTrouble compares what people act on. Evidence changes with each report, and alone is no reason to write a case anew.
func sameTrouble(a, b *Finding) bool {
	return a.Summary == b.Summary && a.Owner == b.Owner && a.Fix == b.Fix && slices.Equal(a.Audiences, b.Audiences) && a.Wait == b.Wait
}

// absent follows a case whose trouble is not found any more.
func (fl *following) absent(c *Case) (changed bool) {
	if c.First.IsZero() && !c.State.Stands() {
		return false
	}
	at := fl.v.At
	if c.Gone.IsZero() {
		c.Gone, changed = at, true
	}
	pause := settle(c.Finding.Kind)
	if !c.State.Stands() {
		pause = max(pause, c.Finding.Wait)
	}
	if at.Before(c.Gone.Add(pause)) {
		return changed
	}
	gone := c.Gone
	c.First, c.Gone = time.Time{}, time.Time{}
	switch {
	case c.State == Pending:
		c.State, c.Closed = Passed, at
	case c.State.Stands():
		c.Closed = at
		c.move(at, Closed, approvals.Person{}, "not found since "+stamp(gone))
		fl.tell(c, ToldClosed, "it is not found since "+stamp(gone))
	}
	return true
}

// timely does what only the instant asks for. While a trouble is gone and its case not yet closed, no deadline counts.
func (fl *following) timely(c *Case) (changed bool) {
	at := fl.v.At
	if c.State == Accepted {
		switch {
		case !at.Before(c.AcceptedUntil):
			within := c.Deadline.Sub(c.Counts)
			c.Counts, c.Deadline, c.Escalated, c.EndingTold = at, at.Add(within), time.Time{}, time.Time{}
			c.AcceptedUntil = time.Time{}
			c.move(at, Open, approvals.Person{}, "the acceptance has ended")
			fl.tell(c, ToldReopened, "the acceptance has ended")
			changed = true
		case c.EndingTold.IsZero() && !at.Before(c.endingAt()):
			c.EndingTold, changed = at, true
			fl.tell(c, ToldAcceptanceEnding, "")
		}
		return changed
	}
	if c.Escalated.IsZero() && c.Gone.IsZero() && at.After(c.Deadline) {
		c.Escalated = at
		fl.tell(c, ToldEscalated, "the deadline has passed")
		return true
	}
	return false
}

// endingAt is when the end of an acceptance is told: a third of its length before it, at most endingBefore.
func (c *Case) endingAt() time.Time {
	accepted := c.AcceptedUntil
	for i := len(c.History) - 1; i >= 0; i-- {
		if c.History[i].To == Accepted {
			accepted = c.History[i].At
			break
		}
	}
	return c.AcceptedUntil.Add(-min(c.AcceptedUntil.Sub(accepted)/3, endingBefore))
}
