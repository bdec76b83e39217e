package policy_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// ruling is a verdict as far as two readers of the policy must agree on it. Its lists are sets that name a signal once
// for each list of the tier.
type ruling struct {
	Outcome      policy.Outcome
	Reason       policy.Reason
	Route, Tier  string
	Unmet, Noted []named
	Waived       []named
	Monitored    string
	Fallback     string // the route, and until when
}

// named is a demand that was not met, and what excused it.
type named struct {
	list   policy.List
	signal string
	status policy.Status
	waiver waiver
}

func (n named) String() string {
	text := fmt.Sprint(n.list, " ", n.signal, " ", n.status)
	if n.waiver.by != "" {
		text += fmt.Sprint(" by ", n.waiver.by, " ", n.waiver.name, " until ", n.waiver.until.Format(time.RFC3339Nano))
	}
	return text
}

func refused(reason policy.Reason) ruling { return ruling{Reason: reason} }

// add names a demand. The tier and an entry for an audience may list the same signal, with other ages: then the excuse
// that ends first is named, and the worse status, in whatever order they stand.
func add(all []named, n named) []named {
	at := slices.IndexFunc(all, func(x named) bool { return x.list == n.list && x.signal == n.signal })
	if at < 0 {
		return append(all, n)
	}
	if cmp.Or(n.waiver.until.Compare(all[at].waiver.until), cmp.Compare(all[at].status, n.status)) < 0 {
		all[at] = n
	}
	return all
}

// rulingOf takes from a verdict what is compared, as it stands.
func rulingOf(v *policy.Verdict) ruling {
	r := ruling{Outcome: v.Outcome, Reason: v.Reason, Route: v.Route, Tier: v.Tier}
	for _, u := range v.Unmet {
		r.Unmet = append(r.Unmet, named{list: u.List, signal: u.Signal, status: u.Status})
	}
	for _, u := range v.Noted {
		r.Noted = append(r.Noted, named{list: u.List, signal: u.Signal, status: u.Status})
	}
	for _, w := range v.Waived {
		r.Waived = append(r.Waived, named{w.List, w.Signal, w.Status, waiver{w.By, w.Name, w.Until.UTC()}})
	}
	if v.Monitored != nil {
		r.Monitored = fmt.Sprint(v.Monitored.Outcome, " ", v.Monitored.Reason)
	}
	if v.Fallback != nil {
		r.Fallback = v.Fallback.Route + v.Fallback.Until.Format(time.RFC3339Nano)
	}
	return r
}

// String is what two rulings are compared by.
func (r ruling) String() string {
	set := func(all []named) string {
		var texts []string
		for _, n := range all {
			texts = append(texts, n.String())
		}
		slices.Sort(texts)
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s %s route=%s tier=%s\n unmet: %s\n noted: %s\n waived: %s\n monitored: %s",
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
