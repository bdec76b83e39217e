package policy

import (
	"fmt"
	"slices"
)

// awaited is what a step-up waits for.
func awaited(c *Challenge) string {
	if c != nil && c.SVID != nil {
		return "the program shows a fresh token of itself"
	}
	return "you have logged in again"
}

// steppingUp tells what to do about a step-up.
func steppingUp(c *Challenge) string {
	if c.SVID != nil {
		return sentence("Have the program fetch and send what is wanted: " + wantedLogin(c))
	}
	return sentence("Log in again: " + wantedLogin(c) + " is wanted")
}

func (e *Explanation) groundsOfSVIDs(p *page) {
	p.part("The program's own token")
	for i := range e.Logins {
		l := &e.Logins[i]
		text := "Always wanted is " + wantedLogin(&l.Wanted)
		if l.Audience != "" {
			text += ", of members of audience " + quoted(l.Audience)
		}
		p.item("%s. %s.", text, e.shownSVID(l))
	}
}

func (e *Explanation) shownSVID(l *ExplainedLogin) string {
	s := l.SVID
	if s == nil {
		return "None was shown beside a certificate of the same program"
	}
	text := fmt.Sprintf("Shown was one for %s", short(series(quotedAll(s.Audiences))))
	switch {
	case s.Issued.IsZero():
		text += " that does not say when it was issued"
	case s.Issued.After(e.At):
		text += " that claims to be from the future"
	default:
		text += ", issued at " + e.when(s.Issued)
	}
	switch lacks := slices.ContainsFunc(l.Wanted.SVID.Audiences, func(a string) bool { return !slices.Contains(s.Audiences, a) }); {
	case l.Suffices:
		return text + ", which suffices"
	case lacks:
		return text + ", which does not suffice: it is for another audience"
	}
	return text + ", which does not suffice: it is not fresh"
}
