package findings

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
)

// Notice is one thing that outlets tell: a step of a case, or that an exception is about to end. It is whole in itself, and
// has no secrets.
type Notice struct {
	// ID is the same for the same event, whoever finds it and however often, so that receivers can tell what is told again.
	ID        string          `json:"id"`
	What      What            `json:"what"`
	At        time.Time       `json:"at"`
	Case      string          `json:"case,omitempty"` // empty for an exception's end
	Kind      Kind            `json:"kind,omitempty"`
	Severity  policy.Severity `json:"severity,omitempty"`
	Monitor   string          `json:"monitor,omitempty"` // the document that watches it, which names the outlets
	Subject   string          `json:"subject"`
	Detail    string          `json:"detail,omitempty"`
	Summary   string          `json:"summary"`
	Evidence  []string        `json:"evidence,omitempty"`
	Fix       policy.Fix      `json:"fix,omitzero"`
	Owner     string          `json:"owner"`            // the team that answers for what was found
	Team      string          `json:"team"`             // the team that looks after it
	Person    string          `json:"person,omitempty"` // of that team
	To        string          `json:"to"`               // whom to tell: the team's contact; of an escalation the accountable owner's
	Page      string          `json:"page,omitempty"`   // of an escalation, where the team is paged (Team.escalation)
	Audiences []string        `json:"audiences,omitempty"`
	Deadline  time.Time       `json:"deadline,omitzero"`
	Until     time.Time       `json:"until,omitzero"` // the end of an acceptance or exception
	Reopened  int             `json:"reopened,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Taxonomy  Taxonomy        `json:"taxonomy,omitzero"`
}

// What a notice tells.
type What string

// The notices.
const (
	ToldOpened           What = "opened"
	ToldReopened         What = "reopened" // it returned, or its acceptance ended
	ToldAssigned         What = "assigned"
	ToldEscalated        What = "escalated" // the deadline has passed
	ToldAccepted         What = "accepted"
	ToldAcceptanceEnding What = "acceptance-ending"
	ToldClosed           What = "closed"
	ToldExceptionEnding  What = "exception-ending"
)

// endingBefore is how long before the end of an acceptance it is told.
const endingBefore = 7 * 24 * time.Hour

// notice tells a step of a case.
func (c *Case) notice(p *policy.Policy, what What, at time.Time, reason string) Notice {
	f := &c.Finding
	n := Notice{ID: c.ID + "/" + string(what) + "/" + at.UTC().Format(time.RFC3339Nano), What: what, At: at.UTC(), Case: c.ID, Kind: f.Kind,
		Severity: c.Severity, Monitor: c.Monitor, Subject: f.Subject, Detail: f.Detail, Summary: f.Summary, Evidence: f.Evidence, Fix: f.Fix,
		Owner: f.Owner, Team: c.Team, Person: c.Person, Audiences: f.Audiences, Deadline: c.Deadline, Until: c.AcceptedUntil,
		Reopened: c.Reopened, Reason: reason, Taxonomy: f.Kind.Taxonomy()}
	accountable, teams := governance(p)
	n.To = cmp.Or(teams[c.Team].Contact, accountable.Contact)
	if what == ToldEscalated {
		n.To, n.Page = accountable.Contact, teams[c.Team].Escalation
	}
	return n
}

// ExceptionEnding tells what approvals.Due or approvals.DueOfDirectory says is to be told.
func ExceptionEnding(p *policy.Policy, of approvals.Notice, at time.Time) Notice {
	accountable, teams := governance(p)
	asked := ""
	if of.By != (approvals.Person{}) {
		asked = of.By.String()
	}
	return Notice{ID: "exception " + of.Exception + "/" + string(ToldExceptionEnding) + "/" + of.Ends.UTC().Format(time.RFC3339Nano),
		What: ToldExceptionEnding, At: at.UTC(), Subject: "exception " + of.Exception, Owner: of.Owner, Team: of.Owner, Person: asked,
		Summary: "exception " + of.Exception + " ends at " + stamp(of.Ends), To: cmp.Or(teams[of.Owner].Contact, accountable.Contact),
		Until: of.Ends.UTC(), Fix: policy.Fix{Text: "Mend what it excuses, or have it renewed before it ends."}}
}

// governance is the accountable owner and the teams.
func governance(p *policy.Policy) (policy.Contact, map[string]policy.Team) {
	if p == nil || len(p.Spec().Governance) == 0 {
		return policy.Contact{}, nil
	}
	g := &p.Spec().Governance[0]
	return g.Accountable, g.Teams
}

func sortNotices(all []Notice) {
	slices.SortFunc(all, func(a, b Notice) int { return cmp.Or(cmp.Compare(a.Case, b.Case), cmp.Compare(a.ID, b.ID)) })
}
