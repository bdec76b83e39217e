package policy

import (
	"fmt"
	"strings"
)

func (e *Explanation) groundsOfDevice(p *page) {
	d := e.Device
	if d == nil {
		if e.Tier != nil {
			p.part("The device")
			p.item("Nothing is asked of a device at this protection level.")
		}
		return
	}
	p.part("The device")
	if d.Refused != ReasonUndecided {
		p.item("Its state could not be judged: %s", sentence(d.Detail))
	}
	if !d.LastWord.IsZero() {
		text := "Its platform is " + orUnknown(d.Platform) + ", its ownership " + orUnknown(d.Ownership) +
			"; the newest report on it is of " + e.when(d.LastWord)
		if !d.AsOf.IsZero() {
			text += ", in a copy of " + e.when(d.AsOf)
		}
		p.item("%s.", text)
	}
	for _, h := range d.Heard {
		if h.At.IsZero() {
			p.item("Source %s has not been heard of, on any device.", quoted(h.Source))
			continue
		}
		p.item("Source %s last reported any device at all at %s.", quoted(h.Source), e.when(h.At))
	}
	if d.Revoked != "" {
		p.item("Of its certificate: %s.", d.Revoked)
	}
	switch enrolled := &d.Enrolled; {
	case enrolled.Demand == "":
	case enrolled.Refused:
		p.item("It must be enrolled for the user, and is not known to be: %s", sentence(enrolled.Detail))
	case enrolled.Detail != "":
		p.item("It must be enrolled for the user, and is: %s", sentence(enrolled.Detail))
	default:
		p.item("It must not be enrolled for another user, and nobody says that it is.")
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

func (e *Explanation) groundsOfSignals(p *page) {
	if len(e.Signals) == 0 {
		return
	}
	p.part("The checks of the device (signals)")
	if !e.Whole {
		p.item("The request was refused before these counted; this is how they stood.")
	}
	for _, effect := range []Effect{EffectUnmet, EffectWaived, EffectNoted, EffectMet, ""} {
		for i := range e.Signals {
			if e.Signals[i].Effect == effect {
				e.groundsOfSignal(p, &e.Signals[i])
			}
		}
	}
}

// demandOf says what a list of a tier does with a signal.
var demandOf = map[List]string{
	ListRequire:    "has to pass (require)",
	ListDenyUnless: "has to pass and nothing excuses it (denyUnless)",
	ListStepUp:     "has to pass, or a stronger or fresher login is wanted (stepUp)",
	ListAdvise:     "is only noted (advise)",
}

func (e *Explanation) groundsOfSignal(p *page, s *ExplainedSignal) {
	text := fmt.Sprintf("%s %s", quoted(s.Signal), demandOf[s.List])
	if s.Audience != "" {
		text += " for members of audience " + quoted(s.Audience)
	}
	text += ". It is " + s.Status.String()
	if !s.Until.IsZero() && s.Status != StatusUnknown {
		text += " until " + e.when(s.Until)
	}
	text += map[Effect]string{
		EffectMet: "", EffectUnmet: ", so it is not met", EffectNoted: ", which is noted and no more",
		EffectWaived: ", and excused by " + strings.TrimSpace(string(s.By)+" "+s.ByName) + " until " + e.when(s.ExcusedUntil),
		"":           ""}[s.Effect]
	p.item("%s.", text)
	switch s.Expr {
	case "":
		p.subItem("%s", sentence(s.Detail))
	default:
		p.subItem("It passes if %s. A report counts for %s.", s.Expr, lasting(s.MaxAge))
		if len(s.Sources) == 0 {
			p.subItem("%s", sentence(s.Detail))
		}
	}
	for i := range s.Sources {
		e.groundsOfVote(p, s, &s.Sources[i])
	}
	counting := 0
	for i := range s.Sources {
		if s.Sources[i].Fresh && s.Sources[i].Counts {
			counting++
		}
	}
	switch {
	case s.Prefers != "":
		p.subItem("The baseline prefers %s, so only its word counts.", quoted(s.Prefers))
	case counting > 1:
		p.subItem("Of several words that are fresh the worse counts.")
	}
	if s.Disputed {
		p.subItem("The sources disagree.")
	}
	if s.Status != StatusPassing {
		p.subItem("Who answers for it: team %s%s.", s.Owner, contactOf(s.Contact))
	}
}

func contactOf(contact string) string {
	if contact == "" {
		return ""
	}
	return ", " + contact
}

func (e *Explanation) groundsOfVote(p *page, s *ExplainedSignal, v *ExplainedVote) {
	text := quoted(v.Source) + " says " + v.Status.String()
	switch {
	case v.Until.IsZero():
	case v.Fresh:
		text += ", good until " + e.when(v.Until)
	default:
		text += ", but that is too old: it was good until " + e.when(v.Until)
	}
	if v.Alarm && s.List == ListDenyUnless {
		text += ". It raised an alarm, which does not age"
	}
	var facts []string
	for i := range v.Facts {
		facts = append(facts, e.factOf(&v.Facts[i], v.Source))
	}
	if len(facts) > 0 {
		text += ". It goes by " + strings.Join(facts, ", ")
	}
	p.subItem("%s.", text)
}

func (e *Explanation) factOf(f *ExplainedFact, source string) string {
	if f.From == "" {
		return f.Attribute + ", of which nothing is reported"
	}
	text := fmt.Sprintf("%s %s of %s", f.Attribute, short(f.Value), e.when(f.Since))
	if f.From != source {
		text += " as " + quoted(f.From) + " reports it"
	}
	if f.Withdrawn {
		text += ", since when it cannot tell"
	}
	return text
}

func (e *Explanation) groundsOfGrace(p *page) {
	g := e.Grace
	if g == nil {
		if e.Tier != nil && e.Tier.LastKnown > 0 && len(e.Signals) > 0 {
			p.part("Silence")
			e.lastKnown(p)
		}
		return
	}
	p.part("Silence: grace, and the last known state")
	p.item("Grace is the time for which a device that fell silent keeps its last good state: here %s, which may be "+
		"renewed %s.", spoken(g.Offline), times(g.Renewals))
	switch {
	case !g.Running:
		p.item("It does not run: %s.", g.Why)
	case !g.Ended.IsZero():
		p.item("Somebody ended it at %s. There is none until the device is heard of again.", e.when(g.Ended))
	case g.Over:
		p.item("It began at %s and was over at %s, with %s counted.", e.when(g.Starts), e.when(g.Ends),
			plural(g.Counted, "renewal"))
	default:
		p.item("It began at %s and ends at %s, with %s counted and %d left.", e.when(g.Starts), e.when(g.Ends),
			plural(g.Counted, "renewal"), g.Left)
	}
	e.lastKnown(p)
}

func (e *Explanation) lastKnown(p *page) {
	if e.Tier.LastKnown > 0 {
		p.item("While a source tells of no device at all, what it said last counts for another %s. That never follows grace.",
			spoken(e.Tier.LastKnown))
	}
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (e *Explanation) groundsOfExceptions(p *page) {
	if len(e.Excuses) == 0 {
		return
	}
	p.part("Exceptions for this person or this device")
	for i := range e.Excuses {
		x := &e.Excuses[i]
		where := "written in the policy"
		if x.Granted {
			where = "granted at run time"
		}
		text := fmt.Sprintf("%s (%s, ticket %s, team %s), for %s, from %s until %s", quoted(x.Name), where, x.Ticket, x.Owner,
			series(x.Signals), e.when(x.From), e.when(x.Until))
		switch {
		case len(x.Excuses) > 0:
			text += ": it excuses " + series(x.Excuses)
		case len(x.Misses) > 0:
			text += ": it does not count, since " + series(x.Misses)
		default:
			text += ": it is in force, and nothing had to be excused by it"
		}
		p.item("%s.", text)
	}
}
