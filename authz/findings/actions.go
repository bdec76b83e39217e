package findings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
)

// MaxAcceptance is the longest that a finding may be accepted for.
const MaxAcceptance = 90 * 24 * time.Hour

// Errors of what people do with a case; each is wrapped with what to do about it.
var (
	ErrOver       = errors.New("the case does not stand")
	ErrTeam       = errors.New("there is no such team")
	ErrPerson     = errors.New("the person is not of the team")
	ErrUnknownWho = errors.New("it is not known who you are")
	ErrNotYours   = errors.New("it is not yours to accept")
	ErrReason     = errors.New("there is no reason")
	ErrUntil      = errors.New("the date does not do")
)

// stands refuses what cannot be done with a case that nobody has to look after.
func (c *Case) stands() error {
	if c.State.Stands() {
		return nil
	}
	return fmt.Errorf("%s is %s: %w; list those that stand with `tiergate finding list`", c.ID, c.State, ErrOver)
}

// Assign has a team, and one person of it if one is named, look after a case. Whoever takes a case themselves starts on it:
// it is in remediation then. Anybody whom the door lets in may assign. An accepted case stays accepted.
//
// Errors: ErrOver, ErrTeam, ErrPerson (the Governance document lists the team's members, and the person is none of them).
func Assign(c Case, team, person string, by approvals.Person, at time.Time, p *policy.Policy) (Case, Notice, error) {
	if err := c.stands(); err != nil {
		return c, Notice{}, err
	}
	_, teams := governance(p)
	of, ok := teams[team]
	if !ok {
		return c, Notice{}, fmt.Errorf("%q: %w; the teams are %s", team, ErrTeam, list(slices.Sorted(maps.Keys(teams))))
	}
	same := func(member string) bool { return strings.EqualFold(member, person) }
	if person != "" && len(of.Members) > 0 && !slices.ContainsFunc(of.Members, same) {
		return c, Notice{}, fmt.Errorf("%q, team %s: %w; its members stand in the Governance document", person, team, ErrPerson)
	}
	c.Team, c.Person = team, person
	to, reason := Assigned, "to team "+team
	if person != "" {
		reason = "to " + person + " of team " + team
		if strings.EqualFold(person, by.Name) || by.Email != "" && strings.EqualFold(person, by.Email) {
			to = InRemediation
		}
	}
	if c.State == Accepted {
		to = Accepted
	}
	c.move(at.UTC(), to, by, reason)
	return c, c.notice(p, ToldAssigned, at, reason), nil
}

// Accept lets a trouble be until an instant, at most MaxAcceptance from now. It takes somebody who is known by a token or a
// certificate, and whom the Governance document lists among the approvers of the team that owns what was found, or of a team
// that answers where the accountable owner does. At the end the case is open again, with a new deadline. The facts close
// an accepted case as any other.
//
// Errors: ErrOver, ErrUnknownWho, ErrNotYours, ErrReason, ErrUntil.
func Accept(c Case, until time.Time, reason string, by approvals.Caller, at time.Time, p *policy.Policy) (Case, Notice, error) {
	if err := c.stands(); err != nil {
		return c, Notice{}, err
	}
	teams := mayAccept(&c, p)
	may := strings.Join(approvals.MayApprove(p, teams), "; ")
	if by.Way != approvals.WayOIDC && by.Way != approvals.WayMTLS || by.Name == "" {
		return c, Notice{}, fmt.Errorf("%s: %w: all local users count as one person; accept with a certificate or a token (who may: %s)",
			by.Person, ErrUnknownWho, may)
	}
	if !slices.ContainsFunc(teams, func(team string) bool { return speaksFor(p, by, team) }) {
		return c, Notice{}, fmt.Errorf("%s: %w; who may: %s", by.Person, ErrNotYours, may)
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return c, Notice{}, fmt.Errorf("%w: say why the trouble may stand for so long", ErrReason)
	}
	if !until.After(at) || until.Sub(at) > MaxAcceptance {
		return c, Notice{}, fmt.Errorf("%s: %w; name an instant after now and at most %d days ahead", stamp(until), ErrUntil,
			int(MaxAcceptance/days))
	}
	c.AcceptedUntil, c.EndingTold = until.UTC(), time.Time{}
	c.move(at.UTC(), Accepted, by.Person, reason)
	return c, c.notice(p, ToldAccepted, at, reason), nil
}

// mayAccept are the teams whose approvers may accept a case: the owner of what was found, and those that answer where the
// accountable owner does.
func mayAccept(c *Case, p *policy.Policy) []string {
	accountable, all := governance(p)
	teams := []string{}
	if _, ok := all[c.Finding.Owner]; ok {
		teams = append(teams, c.Finding.Owner)
	}
	for name, team := range all {
		if name != c.Finding.Owner && team.Contact == accountable.Contact && team.Contact != "" {
			teams = append(teams, name)
		}
	}
	slices.Sort(teams)
	return teams
}

// speaksFor tells whether a team's approvers name the caller, as they do for exceptions.
func speaksFor(p *policy.Policy, by approvals.Caller, team string) bool {
	approvers, _ := p.Approvers(team)
	return slices.ContainsFunc(approvers, func(a policy.Approver) bool {
		switch {
		case a.Certificate != "":
			return by.Way == approvals.WayMTLS && (by.Name == a.Certificate ||
				strings.Contains(a.Certificate, "@") && strings.EqualFold(by.Name, a.Certificate))
		case by.Way != approvals.WayOIDC || a.Issuer == "" || a.Issuer != by.Issuer:
			return false
		}
		return a.User != "" && a.User == by.Name || a.Group != "" && slices.Contains(by.Groups, a.Group)
	})
}
