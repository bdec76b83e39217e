package policy_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// ruling is a verdict as far as two readers of the policy must agree on it; lists are sets.
type ruling struct {
	Outcome      policy.Outcome
	Reason       policy.Reason
	Route, Tier  string
	Unmet, Noted []string // "list signal status"
	Waived       []string // "list signal status by name until"
	Monitored    string
}

func refused(reason policy.Reason) ruling { return ruling{Reason: reason} }

func (r *ruling) unmet(list policy.List, signal string, status policy.Status) {
	r.Unmet = append(r.Unmet, fmt.Sprint(list, " ", signal, " ", status))
}

func (r *ruling) note(list policy.List, signal string, status policy.Status) {
	r.Noted = append(r.Noted, fmt.Sprint(list, " ", signal, " ", status))
}

func (r *ruling) waive(list policy.List, signal string, status policy.Status, w waiver) {
	r.Waived = append(r.Waived, fmt.Sprint(list, " ", signal, " ", status, " ", w.by, " ", w.name, " ", instant(w.until)))
}

func instant(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// rulingOf takes from a verdict what is compared.
func rulingOf(v *policy.Verdict) ruling {
	r := ruling{Outcome: v.Outcome, Reason: v.Reason, Route: v.Route, Tier: v.Tier}
	for _, u := range v.Unmet {
		r.unmet(u.List, u.Signal, u.Status)
	}
	for _, u := range v.Noted {
		r.note(u.List, u.Signal, u.Status)
	}
	for _, w := range v.Waived {
		r.waive(w.List, w.Signal, w.Status, waiver{w.By, w.Name, w.Until})
	}
	if v.Monitored != nil {
		r.Monitored = fmt.Sprint(v.Monitored.Outcome, " ", v.Monitored.Reason)
	}
	return r
}

// String is what two rulings are compared by.
func (r ruling) String() string {
	set := func(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
	return fmt.Sprintf("%s %s route=%s tier=%s\n unmet %q\n noted %q\n waived %q\n monitored %q",
		r.Outcome, r.Reason, r.Route, r.Tier, set(r.Unmet), set(r.Noted), set(r.Waived), r.Monitored)
}

// monitored turns a refusal into an admission that says what it would have been, where the tier only watches.
func (a *asked) monitored(r ruling, mayWaive bool) ruling {
	if a.tier.Mode == policy.ModeMonitor && mayWaive && r.Outcome != policy.Allow {
		r.Monitored = fmt.Sprint(r.Outcome, " ", r.Reason)
		r.Outcome, r.Reason = policy.Allow, policy.ReasonAllowed
	}
	return r
}
