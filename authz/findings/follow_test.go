package findings_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

func drifting() findings.Finding {
	return findings.Finding{Kind: findings.Drift, Subject: "device X", Detail: "disk", Wait: time.Hour, Owner: "phones", Summary: "x"}
}

// desk follows one company, look by look.
type desk struct {
	p     *policy.Policy
	cases map[string]findings.Case
	told  []findings.Notice
}

func (d *desk) look(at time.Time, found ...findings.Finding) {
	v := viewOf(d.p, at)
	changed, told := findings.Follow(values(d.cases), found, v)
	for _, c := range changed {
		d.cases[c.ID] = c
	}
	d.told = append(d.told, told...)
}

func (d *desk) of(f findings.Finding) findings.Case { return d.cases[findings.IDOf(f.Key())] }

func newDesk(t *testing.T, s policy.Spec) *desk {
	t.Helper()
	return &desk{p: compile(t, s), cases: map[string]findings.Case{}}
}

// TestReturningTroubleKeepsItsHistory: found, escalated once to the accountable owner, healed, found again.
func TestReturningTroubleKeepsItsHistory(t *testing.T) {
	t.Parallel()
	d, f := newDesk(t, spec()), drifting()
	for at := noon; at.Before(noon.Add(9 * day)); at = at.Add(6 * time.Hour) {
		d.look(at, f)
	}
	d.look(noon.Add(9 * day))
	d.look(noon.Add(9*day + time.Hour))
	if c := d.of(f); c.State != findings.Closed || c.Escalated.IsZero() {
		t.Fatalf("%+v", c)
	}
	d.look(noon.Add(10*day), f)
	d.look(noon.Add(10*day+time.Hour), f)
	c := d.of(f)
	if c.State != findings.Open || c.Reopened != 1 || len(c.History) != 3 || !c.Escalated.IsZero() || !c.Deadline.Equal(noon.Add(17*day+time.Hour)) {
		t.Errorf("%+v", c)
	}
	var told []findings.What
	ids := map[string]bool{}
	for _, n := range d.told {
		told = append(told, n.What)
		ids[n.ID] = true
		if n.What == findings.ToldEscalated && (n.To != "head@acme.example" || n.Page != "https://pager.acme.example/phones") {
			t.Errorf("%+v", n)
		}
		if n.What == findings.ToldOpened && (n.To != "phones@acme.example" || len(n.Taxonomy.CSF) == 0) {
			t.Errorf("%+v", n)
		}
	}
	if len(told) != 4 || told[1] != findings.ToldEscalated || len(ids) != 4 {
		t.Errorf("%v", told)
	}
}

// TestWhatWasOverCountsAnew: a trouble that was closed and is found again with its old date waits as long as any.
func TestWhatWasOverCountsAnew(t *testing.T) {
	t.Parallel()
	d, f := newDesk(t, spec()), drifting()
	f.Since = noon.Add(-3 * day)
	d.look(noon, f)
	d.look(noon.Add(time.Hour))
	d.look(noon.Add(2 * time.Hour))
	d.look(noon.Add(2*time.Hour+time.Minute), f)
	if c := d.of(f); c.State != findings.Closed || len(d.told) != 2 {
		t.Errorf("%+v", c)
	}
	d.look(noon.Add(3*time.Hour), f)
	if c := d.of(f); c.State != findings.Open || c.Reopened != 1 {
		t.Errorf("%+v", c)
	}
}

// TestFlappingIsNeitherNoiseNorHidden: a trouble that is there each other 5 minutes is one case, told once.
func TestFlappingIsNeitherNoiseNorHidden(t *testing.T) {
	t.Parallel()
	d, f := newDesk(t, spec()), drifting()
	for i := range 500 {
		at := noon.Add(time.Duration(i) * 5 * time.Minute)
		if i%2 == 0 {
			d.look(at, f)
		} else {
			d.look(at)
		}
	}
	if len(d.told) != 1 || d.told[0].What != findings.ToldOpened || !d.told[0].At.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v", d.told)
	}
	// What is there for a minute, and then not for hours, is none.
	d = newDesk(t, spec())
	for i := range 50 {
		d.look(noon.Add(time.Duration(i)*6*time.Hour), f)
		d.look(noon.Add(time.Duration(i)*6*time.Hour + time.Minute))
		d.look(noon.Add(time.Duration(i)*6*time.Hour + 2*time.Hour))
	}
	if c := d.of(f); len(d.told) > 0 || c.State != findings.Passed || c.Expires().IsZero() {
		t.Errorf("%+v %+v", d.told, c)
	}
}

// TestPartsOfATrouble: what stands under another finding is followed with that one, unless its own rule is stricter, or the
// other is not watched; what has a case already keeps it.
func TestPartsOfATrouble(t *testing.T) {
	t.Parallel()
	whole := drifting()
	whole.Subject = "population macos"
	before, part, boss := drifting(), drifting(), drifting()
	part.Subject, boss.Subject, boss.Audiences = "device Y", "device B", []string{"executives"}
	d := newDesk(t, spec())
	d.look(noon, before)
	d.look(noon.Add(time.Hour), before)
	under := []findings.Finding{before, part, boss, whole}
	for i := range 3 {
		under[i].Under = whole.Key()
	}
	for i := range 20 {
		d.look(noon.Add(time.Duration(2+i)*time.Hour), under...)
	}
	for f, want := range map[*findings.Finding]findings.State{&before: findings.Open, &part: "", &boss: findings.Open, &whole: findings.Open} {
		if c := d.of(*f); c.State != want {
			t.Errorf("%s: %q", f.Subject, c.State)
		}
	}
	if c := d.of(boss); c.Severity != policy.SeverityHigh || c.Team != "secops" || c.Deadline.Sub(c.Opened) != day {
		t.Errorf("%+v", c)
	}
	d.look(noon.Add(40*time.Hour), part) // the population is well again, and this one is not
	d.look(noon.Add(42*time.Hour), part)
	if c := d.of(part); c.State != findings.Open {
		t.Errorf("%+v", c)
	}
}

// TestUnwatched: what no monitor watches opens no case; what is watched no more is kept until the facts close it.
func TestUnwatched(t *testing.T) {
	t.Parallel()
	quiet := spec()
	quiet.Monitors = quiet.Monitors[1:]
	d, f := newDesk(t, quiet), drifting()
	for i := range 5 {
		d.look(noon.Add(time.Duration(i)*time.Hour), f)
	}
	if len(d.cases) > 0 || findings.Unwatched(d.p, []findings.Finding{f})[findings.Drift] != 1 {
		t.Errorf("%+v", d.cases)
	}
	d = newDesk(t, spec())
	d.look(noon, f)
	d.look(noon.Add(time.Hour), f)
	d.p = compile(t, quiet)
	d.look(noon.Add(8*day), f)
	if c := d.of(f); c.State != findings.Open || c.Escalated.IsZero() {
		t.Errorf("%+v", c)
	}
	d.look(noon.Add(8*day + time.Hour))
	d.look(noon.Add(8*day + 2*time.Hour))
	if c := d.of(f); c.State != findings.Closed {
		t.Errorf("%+v", c)
	}
}

// TestRulesOfMonitors: whose monitor is heard, and which of several.
func TestRulesOfMonitors(t *testing.T) {
	t.Parallel()
	s := spec()
	m := func(name string, severity policy.Severity, within, after time.Duration, audiences ...string) policy.Monitor {
		return policy.Monitor{Meta: meta(name, "secops"), Watch: []string{"drift"}, Severity: severity, CloseWithin: within, After: after, Audiences: audiences}
	}
	s.Monitors = []policy.Monitor{m("low", policy.SeverityLow, time.Hour, 0), m("high", policy.SeverityHigh, 5*time.Hour, 3*time.Hour),
		m("high-too", policy.SeverityHigh, 9*time.Hour, 2*time.Hour), m("staff", policy.SeverityMedium, 30*time.Hour, 0, "staff", "byod")}
	p := compile(t, s)
	for _, tt := range []struct {
		audiences []string
		monitor   string
		within    time.Duration
		after     time.Duration
	}{{nil, "high", time.Hour, 2 * time.Hour}, {[]string{"executives"}, "high", time.Hour, 2 * time.Hour}, {[]string{"byod", "executives"}, "staff", 30 * time.Hour, 0}} {
		r, ok := findings.RuleOf(p, findings.Drift, tt.audiences)
		if !ok || r.Monitor != tt.monitor || r.CloseWithin != tt.within || r.After != tt.after {
			t.Errorf("%v: %+v", tt.audiences, r)
		}
	}
	if _, ok := findings.RuleOf(p, findings.Conflict, nil); ok {
		t.Error("nobody watches conflicts")
	}
}

// TestPeople: what people may do with a case, and what not.
func TestPeople(t *testing.T) {
	t.Parallel()
	d, f := newDesk(t, spec()), drifting()
	f.Owner = "endpoint"
	d.look(noon, f)
	d.look(noon.Add(time.Hour), f)
	at, c := noon.Add(2*time.Hour), d.of(f)
	eve := approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "eve@acme.example"}
	leads := approvals.Caller{Person: eve, Groups: []string{"leads"}}
	socket := approvals.Caller{Person: approvals.Person{Way: approvals.WaySocket, Name: "head@acme.example"}}
	other := leads
	other.Issuer = "partner"
	over := c
	over.State = findings.Closed
	assign := func(c findings.Case, team, person string) error {
		_, _, err := findings.Assign(c, team, person, eve, at, d.p)
		return err
	}
	accept := func(c findings.Case, until time.Time, reason string, by approvals.Caller) error {
		_, _, err := findings.Accept(c, until, reason, by, at, d.p)
		return err
	}
	for i, tt := range []struct{ got, want error }{
		{assign(over, "iam", ""), findings.ErrOver},
		{assign(c, "ghosts", ""), findings.ErrTeam},
		{assign(c, "endpoint", "mallory"), findings.ErrPerson},
		{assign(c, "endpoint", "EVE@acme.example"), nil},
		{accept(over, at.Add(day), "x", leads), findings.ErrOver},
		{accept(c, at.Add(day), "x", socket), findings.ErrUnknownWho},
		{accept(c, at.Add(day), "x", approvals.Caller{Person: approvals.Person{Way: approvals.WayMTLS}}), findings.ErrUnknownWho},
		{accept(c, at.Add(day), "x", approvals.Caller{Person: eve}), findings.ErrNotYours},
		{accept(c, at.Add(day), "x", other), findings.ErrNotYours},
		{accept(c, at.Add(day), "x", approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "ana"}}), findings.ErrNotYours}, // of iam
		{accept(c, at.Add(day), " ", leads), findings.ErrReason},
		{accept(c, at, "x", leads), findings.ErrUntil},
		{accept(c, at.Add(90*day+time.Second), "x", leads), findings.ErrUntil},
		{accept(c, at.Add(90*day), "x", leads), nil},
		{accept(c, at.Add(day), "x", lead), nil}, // of the team that answers where the accountable owner does
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%d: %v, want %v", i, tt.got, tt.want)
		}
	}
	taken, n, err := findings.Assign(c, "endpoint", "eve@acme.example", eve, at, d.p)
	if err != nil || taken.State != findings.InRemediation || n.What != findings.ToldAssigned || len(c.History) != 1 || c.State != findings.Open {
		t.Errorf("%+v %+v %v", taken, n, err)
	}
	given, _, err := findings.Assign(c, "iam", "", eve, at, d.p)
	if err != nil || given.State != findings.Assigned || given.Team != "iam" {
		t.Errorf("%+v %v", given, err)
	}
	started, _, err := findings.Assign(given, "iam", eve.Name, eve, at, d.p)
	if err != nil || started.State != findings.InRemediation || started.Person != eve.Name {
		t.Errorf("%+v %v", started, err)
	}
	d.cases[c.ID] = given // a monitor's team does not take back what somebody assigned; a team that is gone does
	d.look(at.Add(time.Hour), f)
	if c := d.of(f); c.Team != "iam" || c.State != findings.Assigned {
		t.Errorf("%+v", c)
	}
	gone := given
	gone.Team = "gone"
	d.cases[c.ID] = gone
	d.look(at.Add(time.Hour), f)
	if c := d.of(f); c.Team != "endpoint" || c.State != findings.Open {
		t.Errorf("%+v", c)
	}
}

// TestHistoryIsBounded: the first step and the newest are kept, and a step never changes the history of another copy.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	d, f := newDesk(t, spec()), drifting()
	d.look(noon, f)
	d.look(noon.Add(time.Hour), f)
	c := d.of(f)
	first := c.History[0]
	c.History = append(make([]findings.Transition, 0, 9), first)
	one, _, _ := findings.Assign(c, "iam", "", approvals.Person{}, noon, d.p)
	if _, _, err := findings.Assign(c, "secops", "", approvals.Person{}, noon, d.p); err != nil || one.History[1].Reason != "to team iam" {
		t.Errorf("%+v %v", one.History, err)
	}
	for i := range 3 * findings.MaxHistory {
		next, _, err := findings.Assign(c, "iam", "", approvals.Person{}, noon.Add(time.Duration(i)*time.Minute), d.p)
		if err != nil {
			t.Fatal(err)
		}
		c = next
	}
	if len(c.History) != findings.MaxHistory || c.History[0] != first || !c.History[99].At.Equal(noon.Add(299*time.Minute)) {
		t.Errorf("%d: %+v", len(c.History), c.History[99])
	}
}

// TestExceptionEnding: what the approvals say is to be told becomes a notice like the others.
func TestExceptionEnding(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	due := approvals.Notice{Exception: "e", Owner: "iam", Ends: noon.Add(time.Hour)}
	n := findings.ExceptionEnding(p, due, noon)
	if n.What != findings.ToldExceptionEnding || n.To != "iam@acme.example" || n.ID != findings.ExceptionEnding(p, due, noon.Add(time.Minute)).ID {
		t.Errorf("%+v", n)
	}
}
