package policy

import (
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// The states in which the tested signal, disk-encrypted with 26 hours, can be while the device last reported three
// hours ago. edr-healthy, which the tier requires besides, ages out after two: so the device's grace has run for an
// hour.
var diskStates = map[string][]signals.Fact{
	"passing":        {report("mdm", "disk_encryption", signals.Bool(true), 3*time.Hour)},
	"failing":        {report("mdm", "disk_encryption", signals.Bool(false), 3*time.Hour)},
	"silent":         {report("mdm", "disk_encryption", signals.Bool(true), 27*time.Hour)},
	"failed, silent": {report("mdm", "disk_encryption", signals.Bool(false), 27*time.Hour)},
	"never reported": {},
	"cannot be told": {report("mdm", "disk_encryption", signals.Unknown, 3*time.Hour)},
	"no more be told": {report("mdm", "disk_encryption", signals.Bool(true), 4*time.Hour), report("mdm",
		"disk_encryption", signals.Unknown, 3*time.Hour)},
}

// inList puts disk-encrypted into one list of the tier.
var inList = map[string]func(*Tier){
	"require":    func(t *Tier) { t.Require = append(t.Require, Demand{Signal: "disk-encrypted"}) },
	"denyUnless": func(t *Tier) { t.DenyUnless = []DenyUnless{{Signal: "disk-encrypted"}} },
	"or note":    func(t *Tier) { t.DenyUnless = []DenyUnless{{Signal: "disk-encrypted", OnUnknown: OnUnknownNote}} },
	"stepUp": func(t *Tier) {
		t.StepUp = &StepUpDemand{When: StepUpSignals, ACR: []string{"phr"}, Signals: demandsOf("disk-encrypted")}
	},
	"advise": func(t *Tier) { t.Advise = demandsOf("disk-encrypted") },
}

// TestEveryCell is the table of DESIGN, section 3, in full: each list × each state of the signal × nothing, grace, an
// exception or both, with what becomes of the signal. "deny" and "step-up" are also the outcome; all else is allowed.
// require: "unknown by silence only, inside the tier's bound"; denyUnless: excused "never", "never"; stepUp: by grace
// "no", by an exception "yes".
func TestEveryCell(t *testing.T) {
	t.Parallel()
	const ok, deny, stepUp, noted, grace, exception = "ok", "deny", "step-up", "noted", "grace", "exception"
	for _, c := range []struct {
		list, state string
		login       string // for stepUp
		want        [4]string
	}{ //                                  nothing  grace  exception  both
		{"require", "passing", "", [4]string{ok, ok, ok, ok}},
		{"require", "failing", "", [4]string{deny, deny, exception, exception}},
		{"require", "silent", "", [4]string{deny, grace, exception, exception}},
		{"require", "failed, silent", "", [4]string{deny, deny, exception, exception}},
		{"require", "never reported", "", [4]string{deny, deny, exception, exception}},
		{"require", "cannot be told", "", [4]string{deny, deny, exception, exception}},
		{"require", "no more be told", "", [4]string{deny, deny, exception, exception}},
		{"denyUnless", "passing", "", [4]string{ok, ok, ok, ok}},
		{"denyUnless", "failing", "", [4]string{deny, deny, deny, deny}},
		{"denyUnless", "silent", "", [4]string{deny, deny, deny, deny}},
		{"denyUnless", "failed, silent", "", [4]string{deny, deny, deny, deny}},
		{"denyUnless", "never reported", "", [4]string{deny, deny, deny, deny}},
		{"denyUnless", "cannot be told", "", [4]string{deny, deny, deny, deny}},
		{"denyUnless", "no more be told", "", [4]string{deny, deny, deny, deny}},
		{"or note", "passing", "", [4]string{ok, ok, ok, ok}},
		{"or note", "failing", "", [4]string{deny, deny, deny, deny}},
		{"or note", "silent", "", [4]string{noted, noted, noted, noted}},
		{"or note", "failed, silent", "", [4]string{deny, deny, deny, deny}},
		{"or note", "never reported", "", [4]string{noted, noted, noted, noted}},
		{"or note", "cannot be told", "", [4]string{noted, noted, noted, noted}},
		{"or note", "no more be told", "", [4]string{noted, noted, noted, noted}},
		{"stepUp", "passing", "pwd", [4]string{ok, ok, ok, ok}},
		{"stepUp", "failing", "pwd", [4]string{stepUp, stepUp, exception, exception}},
		{"stepUp", "silent", "pwd", [4]string{stepUp, stepUp, exception, exception}},
		{"stepUp", "never reported", "pwd", [4]string{stepUp, stepUp, exception, exception}},
		{"stepUp", "no more be told", "pwd", [4]string{stepUp, stepUp, exception, exception}},
		{"stepUp", "passing", "phr", [4]string{ok, ok, ok, ok}},
		{"stepUp", "failing", "phr", [4]string{noted, noted, exception, exception}},
		{"stepUp", "silent", "phr", [4]string{noted, noted, exception, exception}},
		{"advise", "passing", "", [4]string{ok, ok, ok, ok}},
		{"advise", "failing", "", [4]string{noted, noted, noted, noted}},
		{"advise", "silent", "", [4]string{noted, noted, noted, noted}},
		{"advise", "never reported", "", [4]string{noted, noted, noted, noted}},
	} {
		for i, want := range c.want {
			inGrace, excepted := i&1 != 0, i&2 != 0
			p := cellPolicy(t, c.list, excepted)
			in := ana()
			in.Subject.User.ACR = c.login
			in.Device = reported(3 * time.Hour)
			set(&in.Device, "disk_encryption", diskStates[c.state]...)
			if !inGrace {
				set(&in.Device, "edr_healthy", report("mdm", "edr_healthy", signals.Bool(true), time.Minute))
			}
			v := p.Evaluate(&in)
			outcome := map[string]Outcome{deny: Deny, stepUp: StepUp}
			wanted, refused := outcome[want]
			if !refused {
				wanted = Allow
			}
			if got := fateOf(v, "disk-encrypted"); got != want || v.Outcome != wanted {
				t.Errorf("%s, %s, %q, grace %t, exception %t: %s, %s; want %s, %s", c.list, c.state, c.login, inGrace, excepted,
					got, v.Outcome, want, wanted)
			}
			if inGrace && fateOf(v, "edr-healthy") != grace {
				t.Errorf("%s, %s: edr-healthy does not live in grace: %s", c.list, c.state, brief(v))
			}
		}
	}
}

// cellPolicy has disk-encrypted in one list. The exception is put in its place behind the compiler, which would refuse
// it for denyUnless and advise: the evaluation alone must know better.
func cellPolicy(t *testing.T, list string, excepted bool) *Policy {
	t.Helper()
	p := privileged(t, func(s *Spec) {
		tier := &s.Tiers[0]
		tier.Require, tier.DenyUnless, tier.StepUp, tier.Advise = demandsOf("edr-healthy"), nil, nil, nil
		inList[list](tier)
	})
	if excepted {
		e := loaner("disk-encrypted")
		r, _ := p.table.lookup("app.acme.example", "/reports", "GET")
		r.exceptions = append(r.exceptions, &exception{Exception: &e, devices: []signals.Alias{laptop}})
	}
	return p
}

// fateOf is what became of a signal in a verdict.
func fateOf(v Verdict, signal string) string {
	named := func(u Unmet) bool { return u.Signal == signal }
	switch at := slices.IndexFunc(v.Unmet, named); {
	case at >= 0 && v.Unmet[at].List == ListStepUp:
		return "step-up"
	case at >= 0:
		return "deny"
	}
	if slices.ContainsFunc(v.Noted, named) {
		return "noted"
	}
	for _, w := range v.Waived {
		if w.Signal == signal {
			return string(w.By)
		}
	}
	return "ok"
}
