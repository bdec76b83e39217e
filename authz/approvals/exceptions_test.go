package approvals

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

func TestOneAsksAnotherApproves(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	asked, err := o.Request(t.Context(), local, loaner("loaner"))
	if err != nil || asked.Stands != StateRequested || strings.Join(asked.Awaits, " ") != "iam" || len(asked.MayApprove) != 3 ||
		asked.Meta.Owner != "iam" || asked.Approver != "" || !asked.From.Equal(noon) {
		t.Fatalf("%+v, %v", asked, err)
	}
	refused(t, "a local user approves", second(o.Approve(t.Context(), local, "loaner", "")), RuleUnknown)
	o.now = noon.Add(time.Hour)
	approved, err := o.Approve(t.Context(), cho, "loaner", "seen it")
	if err != nil || approved.Stands != StateInForce || approved.Approver != "cho@acme.example" || len(approved.History) != 2 {
		t.Fatalf("%+v, %v", approved, err)
	}
	refused(t, "approved twice", second(o.Approve(t.Context(), dee, "loaner", "")), RuleState)
	granted, ok := approved.Granted()
	if v := o.p.Evaluate(fails("internal", o.now, granted)); !ok || v.Outcome != policy.Allow || v.Waived[0].Name != "loaner" {
		t.Errorf("%+v", v)
	}
	if v := o.p.Evaluate(fails("internal", o.now.Add(-1), granted)); v.Outcome == policy.Allow {
		t.Error("it counts before it was approved")
	}
	o.now = o.now.Add(time.Hour)
	refused(t, "revoked by a stranger", second(o.Revoke(t.Context(), ben, "loaner", "r")), RuleUnnamed)
	revoked, err := o.Revoke(t.Context(), dee, "loaner", "stolen")
	if err != nil || revoked.Stands != StateRevoked {
		t.Fatalf("%+v, %v", revoked, err)
	}
	granted, _ = revoked.Granted()
	if v := o.p.Evaluate(fails("internal", o.now, granted)); v.Outcome == policy.Allow {
		t.Error("a revoked exception excuses")
	}
	steps := ""
	for _, act := range o.acts {
		steps += string(act.Step) + " by " + act.By.Name + "; "
		if act.Policy != o.p.Digest() || act.Name != "loaner" || act.Kind != KindException {
			t.Errorf("%+v", act)
		}
	}
	if steps != "requested by root (uid 0); approved by cho@acme.example; revoked by spiffe://acme.example/dee; " {
		t.Error(steps)
	}
}

func second[T any](_ T, err error) error { return err }

// TestWhoMayNotApprove: one human in two guises, those whom it excuses, and those whom no team names.
func TestWhoMayNotApprove(t *testing.T) {
	t.Parallel()
	email := func(c Caller, email string) Caller { c.Email = email; return c }
	group := loaner("x")
	group.Subjects = []policy.ExceptionSubject{{Issuer: "corp", Group: "staff"}}
	choAsSubject := loaner("x")
	choAsSubject.Subjects[0].User = "CHO@acme.example"
	for name, tt := range map[string]struct {
		asks, approves Caller
		what           policy.Exception
		rule           Rule
	}{
		"the same":                      {cho, cho, loaner("x"), RuleRequester},
		"local and local":               {local, Caller{Person: Person{Way: WaySocket, Name: "cho (uid 7)"}}, loaner("x"), RuleUnknown},
		"locally known as cho":          {Caller{Person: Person{Way: WaySocket, Name: "cho (uid 7)"}}, cho, loaner("x"), RuleRequester},
		"certificate with the address":  {email(ben, "EVE@acme.example"), eve, loaner("x"), RuleRequester},
		"token with the address":        {Caller{Person: Person{Way: WayMTLS, Name: "Cho@Acme.Example"}}, cho, loaner("x"), RuleRequester},
		"two certificates, one address": {email(ben, "dee@acme.example"), dee, loaner("x"), RuleRequester},
		"another issuer, same name": {Caller{Person: Person{Way: WayOIDC, Issuer: "partner", Name: "cho@acme.example"}}, cho, loaner("x"),
			RuleRequester},
		"a subject":                    {local, cho, choAsSubject, RuleSubject},
		"in the group":                 {local, cho, group, RuleSubject},
		"a certificate for a group":    {local, dee, group, RuleSubject},
		"named by nobody":              {local, ben, loaner("x"), RuleUnnamed},
		"named by another team":        {local, lead, loaner("x"), RuleUnnamed},
		"that name of another issuer":  {local, Caller{Person: Person{Way: WayOIDC, Issuer: "partner", Name: "cho@acme.example"}}, loaner("x"), RuleUnnamed},
		"that name by certificate":     {local, Caller{Person: Person{Way: WayMTLS, Name: "cho@acme.example"}}, loaner("x"), RuleUnnamed},
		"a SPIFFE ID in another case":  {local, Caller{Person: Person{Way: WayMTLS, Name: "spiffe://acme.example/Dee"}}, loaner("x"), RuleUnnamed},
		"a token without an issuer":    {local, Caller{Person: Person{Way: WayOIDC, Name: "cho@acme.example"}}, loaner("x"), RuleUnknown},
		"nobody at all":                {local, Caller{}, loaner("x"), RuleUnknown},
		"a certificate without a name": {local, Caller{Person: Person{Way: WayMTLS}}, loaner("x"), RuleUnknown},
	} {
		o := newOffice(t)
		if _, err := o.Request(t.Context(), tt.asks, tt.what); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := second(o.Approve(t.Context(), tt.approves, "x", ""))
		refused(t, name, err, tt.rule)
		if err != nil && !strings.Contains(err.Error(), "cho@acme.example of issuer corp for iam") {
			t.Errorf("%s: it does not say who may: %v", name, err)
		}
		refused(t, name+" refuses", second(o.Refuse(t.Context(), tt.approves, "x", "no")), tt.rule)
		if l, err := o.Show(t.Context(), "x"); err != nil || l.Stands != StateRequested || len(l.History) != 1 {
			t.Errorf("%s: something was written: %+v, %v", name, l, err)
		}
	}
}

// TestEveryOwnerApproves: an exception on the tiers of two teams takes both.
func TestEveryOwnerApproves(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	both := loaner("both")
	both.Routes, both.Until = []string{"internal", "payroll"}, noon.Add(7*day)
	if l, err := o.Request(t.Context(), ana, both); err != nil || strings.Join(l.Awaits, " ") != "iam payroll" {
		t.Fatalf("%+v, %v", l, err)
	}
	l, err := o.Approve(t.Context(), lead, "both", "")
	if err != nil || l.Stands != StateRequested || strings.Join(l.Awaits, " ") != "iam" {
		t.Fatalf("%+v, %v", l, err)
	}
	if granted, ok := l.Granted(); ok {
		t.Fatalf("half approved is granted: %+v", granted)
	}
	refused(t, "twice by one team", second(o.Approve(t.Context(), lead, "both", "")), RuleUnnamed)
	spec := specOf() // payroll's leads change: what one of them said counts no more
	team := spec.Governance[0].Teams["payroll"]
	team.Approvers = []policy.Approver{{Issuer: "corp", User: "hal@acme.example"}}
	spec.Governance[0].Teams["payroll"] = team
	before := o.p
	o.p = compiled(t, spec)
	if l, err := o.Approve(t.Context(), cho, "both", ""); err != nil || l.Stands != StateRequested || strings.Join(l.Awaits, " ") != "payroll" {
		t.Fatalf("%+v, %v", l, err)
	}
	o.p = before
	l, err = o.Approve(t.Context(), dee, "both", "")
	refused(t, "iam has spoken", err, RuleUnnamed)
	o.p = compiled(t, spec)
	if l, err = o.Approve(t.Context(), oidc("hal@acme.example"), "both", ""); err != nil || l.Stands != StateInForce {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, tier := range []string{"internal", "payroll"} {
		granted, _ := l.Granted()
		if v := o.p.Evaluate(fails(tier, o.now, granted)); v.Outcome != policy.Allow {
			t.Errorf("%s: %+v", tier, v)
		}
	}
}

// TestBoundsOfRequests: nobody is asked to approve what would not count.
func TestBoundsOfRequests(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for name, tt := range map[string]struct {
		change func(*policy.Exception)
		rule   Rule
	}{
		"too long":            {func(e *policy.Exception) { e.Until = noon.Add(14*day + 1) }, RuleBounds},
		"no end":              {func(e *policy.Exception) { e.Until = time.Time{} }, RuleBounds},
		"a tier without":      {func(e *policy.Exception) { e.Routes = []string{"locked"} }, RuleBounds},
		"no such route":       {func(e *policy.Exception) { e.Routes = []string{"x"} }, RuleBounds},
		"never excused":       {func(e *policy.Exception) { e.Signals = []string{"not-compromised"} }, RuleBounds},
		"no such issuer":      {func(e *policy.Exception) { e.Subjects[0].Issuer = "x" }, RuleBounds},
		"nobody":              {func(e *policy.Exception) { e.Subjects = nil }, RuleBounds},
		"no device":           {func(e *policy.Exception) { e.Devices = nil }, RuleBounds},
		"no team":             {func(e *policy.Exception) { e.Meta.Owner = "x" }, RuleBounds},
		"no name":             {func(e *policy.Exception) { e.Meta.Name = "Not A Name" }, RuleBounds},
		"renews nothing":      {func(e *policy.Exception) { e.Renews = "x" }, RuleBounds},
		"no reason":           {func(e *policy.Exception) { e.Reason = " " }, RuleMissing},
		"no ticket":           {func(e *policy.Exception) { e.Ticket = "" }, RuleMissing},
		"a novel":             {func(e *policy.Exception) { e.Reason = strings.Repeat("x", maxWords+1) }, RuleMissing},
		"yesterday":           {func(e *policy.Exception) { e.From = noon.Add(-day) }, RulePast},
		"over":                {func(e *policy.Exception) { e.Until = noon }, RulePast},
		"the directory's":     {func(e *policy.Exception) { e.Meta.Name = "written" }, RuleName},
		"continues unsaid":    {func(e *policy.Exception) { e.Subjects[0].User, e.Devices[0] = "gus@acme.example", "C02WRITTEN1" }, RuleBounds},
		"ends before it does": {func(e *policy.Exception) { e.From, e.Until = noon.Add(2*day), noon.Add(day) }, RuleBounds},
	} {
		e := loaner("e")
		tt.change(&e)
		refused(t, name, second(o.Request(t.Context(), ana, e)), tt.rule)
	}
	if len(o.store.records) != 0 || len(o.acts) != 0 {
		t.Errorf("%d records, %d acts", len(o.store.records), len(o.acts))
	}
	e := loaner("e")
	e.Approver = "cho@acme.example" // is not for the one to say who asks
	if l, err := o.Request(t.Context(), ana, e); err != nil || l.Approver != "" {
		t.Errorf("%+v, %v", l, err)
	}
	refused(t, "taken", second(o.Request(t.Context(), ana, loaner("e"))), RuleName)
	nobody := loaner("nobody")
	nobody.Routes, nobody.Devices, nobody.Until = []string{"unapproved"}, []string{"C02OTHER001"}, noon.Add(day)
	if l, err := o.Request(t.Context(), ana, nobody); err != nil || !strings.Contains(strings.Join(l.MayApprove, ""), "nobody for nobody") {
		t.Errorf("%+v, %v", l, err)
	}
	o.p = nil
	refused(t, "no policy", second(o.Request(t.Context(), ana, loaner("f"))), RuleNoPolicy)
	refused(t, "no policy", second(o.Approve(t.Context(), cho, "e", "")), RuleNoPolicy)
}

// TestPolicyChangedMeanwhile: what the policy of the request could hold, that of the approval need not; and what it could
// hold when it was approved excuses nothing once it cannot any more.
func TestPolicyChangedMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if _, err := o.Request(t.Context(), ana, loaner("e")); err != nil {
		t.Fatal(err)
	}
	wide, spec := o.p, specOf()
	spec.Tiers[0].Exceptions.MaxDuration = 2 * day
	narrow := compiled(t, spec)
	o.p = narrow
	refused(t, "longer than today's policy allows", second(o.Approve(t.Context(), cho, "e", "")), RuleBounds)
	o.p = wide
	if _, err := o.Approve(t.Context(), cho, "e", ""); err != nil {
		t.Fatal(err)
	}
	o.p = narrow
	l, err := o.Show(t.Context(), "e")
	if err != nil || l.Stands != StateVoid || !strings.Contains(strings.Join(l.Void, ""), "lasts 10d") {
		t.Errorf("%+v, %v", l, err)
	}
	granted, _ := l.Granted()
	if v := narrow.Evaluate(fails("internal", o.now, granted)); v.Outcome == policy.Allow {
		t.Error("what is void excuses")
	}
}

func TestRenewals(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	grant := func(name string) {
		t.Helper()
		if l, err := o.Approve(t.Context(), cho, name, ""); err != nil {
			t.Fatalf("%+v, %v", l, err)
		}
	}
	if _, err := o.Request(t.Context(), ana, loaner("e")); err != nil {
		t.Fatal(err)
	}
	refused(t, "not approved", second(o.Renew(t.Context(), ana, "e", noon.Add(12*day), 0, "r", "t")), RuleState)
	refused(t, "not there", second(o.Renew(t.Context(), ana, "x", noon.Add(12*day), 0, "r", "t")), RuleNotFound)
	grant("e")
	same := loaner("same")
	refused(t, "anew without saying so", second(o.Request(t.Context(), ana, same)), RuleBounds)
	l, err := o.Renew(t.Context(), ana, "e", time.Time{}, 5*day, "still no laptop", "IT-4800")
	if err != nil || l.Meta.Name != "e-r1" || l.Renews != "e" || !l.From.Equal(noon.Add(10*day)) || !l.Until.Equal(noon.Add(15*day)) {
		t.Fatalf("%+v, %v", l, err)
	}
	refused(t, "the one who asked", second(o.Approve(t.Context(), ana, "e-r1", "")), RuleRequester)
	grant("e-r1")
	o.now = noon.Add(16 * day) // both are over
	if l, err = o.Renew(t.Context(), ana, "e-r1", o.now.Add(day), 0, "r", "t"); err != nil || l.Meta.Name != "e-r2" || !l.From.Equal(o.now) {
		t.Fatalf("%+v, %v", l, err)
	}
	grant("e-r2")
	refused(t, "a third", second(o.Renew(t.Context(), ana, "e-r2", o.now.Add(2*day), 0, "r", "t")), RuleBounds)
	o.now = o.now.Add(time.Hour)
	if _, err := o.Revoke(t.Context(), local, "e-r2", "found"); err != nil { // the machine's own may take away
		t.Fatal(err)
	}
	refused(t, "a revoked one is anew, unsaid", second(o.Request(t.Context(), ana, loanerFrom("anew", o.now))), RuleBounds)
	w, err := o.Renew(t.Context(), ana, "written", time.Time{}, day, "r", "t")
	if err != nil || w.Meta.Name != "written-r1" || w.Renews != "written" {
		t.Errorf("the directory's: %+v, %v", w, err)
	}
}

func loanerFrom(name string, at time.Time) policy.Exception {
	e := loaner(name)
	e.From, e.Until = at, at.Add(day)
	return e
}

// TestTwoAtOnce: of two steps at the same time the second is judged by what the first left, and one writes once.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if _, err := o.Request(t.Context(), ana, loaner("e")); err != nil {
		t.Fatal(err)
	}
	o.Done = nil
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { errs[i] = second(o.Approve(t.Context(), []Caller{cho, dee, eve, cho}[i%4], "e", "")) })
	}
	all.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		}
	}
	l, err := o.Show(t.Context(), "e")
	if err != nil || done != 1 || len(l.History) != 2 || l.Stands != StateInForce {
		t.Errorf("%d approvals, %+v, %v", done, l, err)
	}
	overtaken := 0 // somebody revokes between the reading and the writing of an approval
	if _, err := o.Request(t.Context(), ben, with(loaner("f"), "C02OTHER001")); err != nil {
		t.Fatal(err)
	}
	o.store.before = func(string, string) error {
		if overtaken++; overtaken == 1 {
			if _, err := o.Revoke(t.Context(), ben, "f", "mistake"); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	refused(t, "revoked meanwhile", second(o.Approve(t.Context(), cho, "f", "")), RuleState)
	o.store.before = func(string, string) error { return signals.ErrConflict }
	if _, err := o.Revoke(t.Context(), ana, "e", "r"); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	o.store.before = func(string, string) error { return errors.New("disk full") }
	if _, err := o.Revoke(t.Context(), ana, "e", "r"); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Error(err)
	}
}

func with(e policy.Exception, device string) policy.Exception {
	e.Devices = []string{device}
	return e
}

// TestStrangersRecords: what cannot be read, or stands under another name, counts for nothing and is not built upon.
func TestStrangersRecords(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if _, err := o.Request(t.Context(), ana, loaner("e")); err != nil {
		t.Fatal(err)
	}
	moved := o.store.records[KindException+"/e"]
	moved.Key = "copy"
	o.store.records[KindException+"/copy"] = moved
	o.store.records[KindException+"/torn"] = signals.Record{Kind: KindException, Key: "torn", Revision: 1, Value: []byte("{")}
	o.store.records[KindException+"/unsigned"] = signals.Record{Kind: KindException, Key: "unsigned", Revision: 1}
	refused(t, "a copy", second(o.Approve(t.Context(), cho, "copy", "")), RuleNotFound)
	if _, err := o.Approve(t.Context(), cho, "torn", ""); !errors.Is(err, signals.ErrCorrupt) {
		t.Error(err)
	}
	if l, err := o.List(t.Context()); err != nil || len(l) != 2 || l[0].Meta.Name != "e" || l[1].Origin != OriginPolicy {
		t.Errorf("%+v, %v", l, err)
	}
	refused(t, "the directory's", second(o.Revoke(t.Context(), local, "written", "r")), RuleState)
}

func TestNotices(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	short := with(loaner("short"), "C02OTHER001")
	short.Until = noon.Add(3 * time.Hour)
	for _, e := range []policy.Exception{loaner("long"), short, with(loaner("unapproved"), "C02OTHER002")} {
		if _, err := o.Request(t.Context(), ana, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"long", "short"} {
		if _, err := o.Approve(t.Context(), cho, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	for after, want := range map[time.Duration]string{0: "", 2*time.Hour - 1: "", 2 * time.Hour: "short", 3*time.Hour - 1: "short", 3 * time.Hour: "",
		9*day - 1: "", 9 * day: "long", 10*day - 1: "long", 10 * day: ""} {
		o.now = noon.Add(after)
		due, err := o.Due(t.Context())
		got := ""
		for _, n := range due {
			got += n.Exception
			if n.Owner != "iam" || n.By != ana.Person || !n.Ends.After(o.now) {
				t.Errorf("%+v", n)
			}
		}
		if got != want || err != nil {
			t.Errorf("after %s: %q, want %q, %v", after, got, want, err)
		}
	}
	o.now = noon.Add(9 * day)
	for i, want := range []bool{true, false} {
		if first, err := o.Noticed(context.Background(), "long", local.Person); first != want || err != nil {
			t.Errorf("%d: %t, %v", i, first, err)
		}
	}
	if due, _ := o.Due(t.Context()); len(due) != 0 {
		t.Errorf("told twice: %+v", due)
	}
}
