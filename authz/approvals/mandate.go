package approvals

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// owners are the teams of tiers, sorted, each once.
func owners(tiers []policy.OwnedTier) []string {
	teams := make([]string, 0, len(tiers))
	for _, t := range tiers {
		teams = append(teams, t.Owner)
	}
	slices.Sort(teams)
	return slices.Compact(teams)
}

// mandates tells for which of the teams a person may approve, and by which entry.
func mandates(p *policy.Policy, who Caller, teams []string) []Mandate {
	var mine []Mandate
	for _, team := range teams {
		approvers, _ := p.Approvers(team)
		for _, a := range approvers {
			if who.is(a) {
				mine = append(mine, Mandate{Team: team, As: a})
				break
			}
		}
	}
	return mine
}

// is tells whether an entry of a team's approvers names the caller.
func (c Caller) is(a policy.Approver) bool {
	switch {
	case !c.known():
		return false
	case a.Certificate != "":
		return c.Way == WayMTLS && (c.Name == a.Certificate ||
			strings.Contains(a.Certificate, "@") && strings.EqualFold(c.Name, a.Certificate))
	case c.Way != WayOIDC || a.Issuer == "" || a.Issuer != c.Issuer:
		return false
	}
	return a.User != "" && a.User == c.Name || a.Group != "" && slices.Contains(c.Groups, a.Group)
}

// MayApprove lists who may approve for teams, each with its team, sorted by team.
func MayApprove(p *policy.Policy, teams []string) []string {
	all := []string{}
	for _, team := range teams {
		approvers, _ := p.Approvers(team)
		for _, a := range approvers {
			all = append(all, a.String()+" for "+team)
		}
		if len(approvers) == 0 {
			all = append(all, "nobody for "+team+", whose approvers the Governance document does not list")
		}
	}
	return all
}

// awaited are the teams that nobody has spoken for who still may: a policy may have changed since.
func awaited(p *policy.Policy, history []Event, teams []string) []string {
	return slices.DeleteFunc(slices.Clone(teams), func(team string) bool {
		approvers, _ := p.Approvers(team)
		return slices.ContainsFunc(history, func(e Event) bool {
			return (e.Step == StepAgreed || e.Step == StepApproved) && slices.ContainsFunc(e.For, func(m Mandate) bool {
				return m.Team == team && slices.Contains(approvers, m.As)
			})
		})
	})
}

// approval is the step of a caller who approves what teams must approve, asked for by requester for subjects: agreed while
// others have to, approved with the last.
func approval(p *policy.Policy, who Caller, history []Event, teams []string, subjects []policy.ExceptionSubject) (Event, error) {
	if len(teams) == 0 {
		return Event{}, refuse(RuleNothing, "ask for it anew", "no tier of today's policy is concerned")
	}
	if err := mayApprove(p, who, history, teams, subjects); err != nil {
		return Event{}, err
	}
	mine := mandates(p, who, teams)
	open := awaited(p, history, teams)
	if !slices.ContainsFunc(mine, func(m Mandate) bool { return slices.Contains(open, m.Team) }) {
		return Event{}, &Refusal{Rule: RuleUnnamed, Why: "for " + strings.Join(teamsOf(mine), ", ") + " it is approved already; it still takes " +
			strings.Join(open, ", "), MayApprove: MayApprove(p, open)}
	}
	e := Event{By: who.Person, Step: StepAgreed, For: mine}
	if len(awaited(p, append(slices.Clone(history), e), teams)) == 0 {
		e.Step = StepApproved
	}
	return e, nil
}

func teamsOf(mine []Mandate) []string {
	teams := make([]string, 0, len(mine))
	for _, m := range mine {
		teams = append(teams, m.Team)
	}
	return teams
}

// mayApprove refuses whoever may not approve, or refuse, what was asked for.
func mayApprove(p *policy.Policy, who Caller, history []Event, teams []string, subjects []policy.ExceptionSubject) error {
	if !who.known() {
		return &Refusal{Rule: RuleUnknown, Why: "nobody knows which human " + who.String() + " is, and all local users count as one",
			Help: "approve with a certificate or a token: --server URL with --cert and --key, or --token-file", MayApprove: MayApprove(p, teams)}
	}
	for i := range history {
		if history[i].Step == StepRequested && MayBeSame(who.Person, history[i].By) {
			return &Refusal{Rule: RuleRequester, Why: who.String() + " may be who asked for it, " + history[i].By.String(),
				Help: "let somebody else approve", MayApprove: MayApprove(p, teams)}
		}
	}
	for _, s := range subjects {
		if why := who.mayBeSubject(s); why != "" {
			return &Refusal{Rule: RuleSubject, Why: why, Help: "let somebody else approve", MayApprove: MayApprove(p, teams)}
		}
	}
	if len(mandates(p, who, teams)) == 0 {
		return &Refusal{Rule: RuleUnnamed, Why: "no team that must approve this names " + who.String() + " among its approvers",
			MayApprove: MayApprove(p, teams)}
	}
	return nil
}

// mayBeSubject says why a caller may be one of those whom an exception excuses; empty: no.
func (c Caller) mayBeSubject(s policy.ExceptionSubject) string {
	switch {
	case s.User != "":
		subject := Person{Way: WayOIDC, Issuer: s.Issuer, Name: s.User}
		if MayBeSame(c.Person, subject) {
			return c.String() + " may be " + s.User + ", for whom it is"
		}
	case c.Way == WayMTLS:
		return "a certificate does not tell whether its holder is in group " + s.Group + " of " + s.Issuer +
			", for which the exception is; a token of that issuer does"
	case c.Issuer == s.Issuer && slices.Contains(c.Groups, s.Group):
		return c.String() + " is in group " + s.Group + ", for which the exception is"
	}
	return ""
}
