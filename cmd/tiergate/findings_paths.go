package main

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

// What people see of findings and do about them, on the receiver's admin socket and on its listener for people:
//
//	GET  /v1/findings                a findingList, by a findingFilter's parameters, without evidence and history
//	GET  /v1/findings/ID             a findingShown
//	POST /v1/findings/ID/assign      an assignOrder, answered with a findingShown
//	POST /v1/findings/ID/accept      an acceptOrder
//
// What is refused is {"error": TEXT}.

// findingList is findings as they stand, and who looks for them.
type findingList struct {
	Findings []findingShown `json:"findings"`
	Watch    engine.Watch   `json:"watch"`
	// Stale: nobody has looked for so long that what is shown may be over.
	Stale bool `json:"stale,omitempty"`
}

// findingShown is a case with what follows from it.
type findingShown struct {
	findings.Case
	Overdue  bool              `json:"overdue,omitempty"`
	Taxonomy findings.Taxonomy `json:"taxonomy"`
}

// assignOrder has a team, or a person of it, look after a finding. Team empty: the one that does.
type assignOrder struct {
	Team   string `json:"team,omitempty"`
	Person string `json:"person,omitempty"`
}

// acceptOrder lets a finding be, until an instant or for so long.
type acceptOrder struct {
	Until  time.Time     `json:"until,omitzero"`
	For    time.Duration `json:"for,omitempty"` // ns
	Reason string        `json:"reason"`
}

// staleAfter is how long the newest look may be over; it is made every minute.
const staleAfter = 5 * time.Minute

// stateStanding is the default of findingFilter.state.
const (
	stateStanding = "standing"
	stateAny      = "any"
)

var findingStates = []string{stateStanding, stateAny, string(findings.Pending), string(findings.Open), string(findings.Assigned),
	string(findings.InRemediation), string(findings.Accepted), string(findings.Closed), string(findings.Passed)}

// findingFilter says which findings are listed.
type findingFilter struct {
	state, kind, owner, severity, subject string
	overdue                               bool
}

func (f *findingFilter) query() string {
	q := url.Values{}
	for name, value := range map[string]string{"state": f.state, "kind": f.kind, "owner": f.owner, "severity": f.severity,
		"subject": f.subject} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.overdue {
		q.Set("overdue", strconv.FormatBool(true))
	}
	return q.Encode()
}

func filterOf(q url.Values) *findingFilter {
	return &findingFilter{state: q.Get("state"), kind: q.Get("kind"), owner: q.Get("owner"), severity: q.Get("severity"),
		subject: q.Get("subject"), overdue: q.Get("overdue") != ""}
}

func (f *findingFilter) wants(c *findings.Case, at time.Time) bool {
	state := cmp.Or(f.state, stateStanding)
	switch {
	case state == stateStanding && !c.State.Stands(),
		state != stateStanding && state != stateAny && state != string(c.State),
		f.kind != "" && f.kind != string(c.Finding.Kind),
		f.owner != "" && f.owner != c.Team && f.owner != c.Finding.Owner && !strings.EqualFold(f.owner, c.Person),
		f.severity != "" && f.severity != string(c.Severity),
		f.overdue && !engine.Overdue(c, at):
		return false
	}
	return f.subject == "" || strings.Contains(strings.ToLower(c.Finding.Subject), strings.ToLower(f.subject))
}

func shownOf(c findings.Case, at time.Time) findingShown {
	return findingShown{Case: c, Overdue: engine.Overdue(&c, at), Taxonomy: c.Finding.Kind.Taxonomy()}
}

// paths serves them; who tells who sent a request, or why that is nobody.
func (d *findingDesk) paths(mux *http.ServeMux, who func(*http.Request) (approvals.Caller, error)) {
	serve := func(path string, do func(http.ResponseWriter, *http.Request, approvals.Caller) (any, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
			caller, err := who(req)
			if err != nil {
				admin.Refuse(w, http.StatusForbidden, err.Error())
				return
			}
			value, err := do(w, req, caller)
			findingAnswer(w, value, err)
		})
	}
	serve("GET /v1/findings", func(_ http.ResponseWriter, req *http.Request, _ approvals.Caller) (any, error) { return d.list(req) })
	serve("GET /v1/findings/{id}", func(_ http.ResponseWriter, req *http.Request, _ approvals.Caller) (any, error) {
		c, err := d.cases.Get(req.Context(), req.PathValue("id"))
		return shownOf(c, d.cases.Now()), err
	})
	serve("POST /v1/findings/{id}/assign", func(w http.ResponseWriter, req *http.Request, by approvals.Caller) (any, error) {
		var order assignOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		c, err := d.cases.Assign(req.Context(), req.PathValue("id"), order.Team, order.Person, by.Person)
		return shownOf(c, d.cases.Now()), err
	})
	serve("POST /v1/findings/{id}/accept", func(w http.ResponseWriter, req *http.Request, by approvals.Caller) (any, error) {
		var order acceptOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		c, err := d.cases.Accept(req.Context(), req.PathValue("id"), order.Until, order.For, order.Reason, by)
		return shownOf(c, d.cases.Now()), err
	})
}

func (d *findingDesk) list(req *http.Request) (findingList, error) {
	filter, at := filterOf(req.URL.Query()), d.cases.Now()
	list := findingList{Findings: []findingShown{}}
	all, err := d.cases.List(req.Context())
	if err != nil {
		return list, err
	}
	for i := range all {
		if c := all[i]; filter.wants(&c, at) {
			c.History, c.Finding.Evidence = nil, nil
			list.Findings = append(list.Findings, shownOf(c, at))
		}
	}
	if list.Watch, err = engine.ReadWatch(req.Context(), d.cases.Records); err != nil {
		list.Watch = engine.Watch{} // what cannot be believed says nothing
	}
	list.Stale = at.Sub(list.Watch.At) > staleAfter
	return list, nil
}

// findingRefusals are the errors of what people ask for, by the HTTP status that each has.
var findingRefusals = map[int][]error{
	http.StatusBadRequest:          {errOrder},
	http.StatusForbidden:           {findings.ErrUnknownWho, findings.ErrNotYours},
	http.StatusNotFound:            {engine.ErrNoCase},
	http.StatusConflict:            {findings.ErrOver, engine.ErrBusy},
	http.StatusUnprocessableEntity: {findings.ErrTeam, findings.ErrPerson, findings.ErrReason, findings.ErrUntil},
}

// findingAnswer writes a value, or why there is none.
func findingAnswer(w http.ResponseWriter, value any, err error) {
	if err == nil {
		admin.Answer(w, http.StatusOK, value)
		return
	}
	for status, refusals := range findingRefusals {
		if slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(err, refusal) }) {
			admin.Refuse(w, status, err.Error())
			return
		}
	}
	admin.Refuse(w, http.StatusServiceUnavailable, err.Error())
}
