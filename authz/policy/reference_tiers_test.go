package policy_test

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// nowhere is no list of a tier.
const nowhere policy.List = ""

// tier draws a tier; every signal stands in one of its lists at most.
func (d dice) tier(name string) policy.Tier {
	t := policy.Tier{Meta: meta(name), Identify: pick(d, "identify", policy.IdentifyUserDevice, policy.IdentifyUserDevice,
		policy.IdentifyUserDevice, policy.IdentifyUser), Mode: pick(d, "mode", "", "", "", policy.ModeMonitor)}
	d.ownDevice(&t)
	var login policy.StepUpDemand
	demanded := signalNames
	if d.oneIn(6, "no signals") {
		demanded = nil
	}
	for _, signal := range demanded {
		demand := d.demand(signal)
		switch pick(d, signal, nowhere, policy.ListRequire, nowhere, policy.ListRequire, policy.ListDenyUnless,
			policy.ListStepUp, policy.ListAdvise, policy.ListRequire) {
		case policy.ListRequire:
			t.Require = append(t.Require, demand)
		case policy.ListDenyUnless:
			t.DenyUnless = append(t.DenyUnless, d.denyUnless(demand))
		case policy.ListStepUp:
			login.Signals = append(login.Signals, demand)
		case policy.ListAdvise:
			t.Advise = append(t.Advise, demand)
		}
	}
	if login.Signals != nil || d.oneIn(4, "stepUp") {
		t.StepUp = d.login(login)
	}
	if t.Require != nil && !d.oneIn(3, "no grace") {
		t.Grace = &policy.GraceBound{Offline: d.span(3, "offline"), Renewals: pick(d, "renewals", 1, 2, 0)}
	}
	if t.Require != nil && !d.oneIn(3, "no last-known") {
		t.OnGap.LastKnown = &policy.LastKnown{For: d.span(3, "for")}
	}
	if !d.oneIn(4, "no exceptions") {
		t.Exceptions = &policy.ExceptionBound{MaxDuration: step * time.Duration(pick(d, "maxDuration", 8, 4, 2)),
			MaxRenewals: d.below(3, "maxRenewals")}
	}
	for _, audience := range some(d, "stricter", "executives", "byod") {
		if entry, asks := d.stricter(audience, &t); asks {
			t.Stricter = append(t.Stricter, entry)
		}
	}
	return t
}

func (d dice) span(most int, what string) time.Duration {
	return step * time.Duration(1+d.below(most, what))
}

// demand draws one whose maxAge is the baseline's, or shorter than any of them.
func (d dice) demand(signal string) policy.Demand {
	return policy.Demand{Signal: signal, MaxAge: pick(d, "tighter", 0, 0, 0, step)}
}

func (d dice) denyUnless(demand policy.Demand) policy.DenyUnless {
	return policy.DenyUnless{Signal: demand.Signal, MaxAge: demand.MaxAge,
		OnUnknown: pick(d, "onUnknown", "", policy.OnUnknownNote, policy.OnUnknownDeny)}
}

// login completes a demand for a login: at least one of acr, amr and maxAge.
func (d dice) login(login policy.StepUpDemand) *policy.StepUpDemand {
	if login.Signals != nil {
		login.When = pick(d, "when", policy.StepUpSignals, policy.StepUpAlways, "")
	}
	what := d.below(7, "login") + 1
	if what&1 != 0 {
		login.ACR = pick(d, "acr", []string{"phr"}, []string{"phrh", "phr"})
	}
	if what&2 != 0 {
		login.AMR = []string{"hwk", "face"}
	}
	if what&4 != 0 {
		login.MaxAge = d.span(2, "login maxAge")
	}
	return &login
}

// stricter draws what a tier asks of one audience besides; asks is false if that came to nothing.
func (d dice) stricter(audience string, t *policy.Tier) (entry policy.Stricter, asks bool) {
	entry.Audience = audience
	var login policy.StepUpDemand
	for _, signal := range signalNames {
		demand := d.demand(signal)
		list := pick(d, "stricter "+signal, nowhere, nowhere, nowhere, nowhere, policy.ListRequire, policy.ListDenyUnless,
			policy.ListStepUp, nowhere)
		if demand.MaxAge != 0 {
			demand.MaxAge = step / 2 // the tier's own may be a step
		}
		if !harder(list, demand, t) {
			continue
		}
		switch list {
		case policy.ListRequire:
			entry.Require = append(entry.Require, demand)
		case policy.ListDenyUnless:
			entry.DenyUnless = append(entry.DenyUnless, d.denyUnless(demand))
		case policy.ListStepUp:
			login.Signals = append(login.Signals, demand)
		}
	}
	if login.Signals != nil || d.oneIn(3, "stricter stepUp") {
		entry.StepUp = d.login(login)
	}
	if t.Grace != nil && d.oneIn(2, "stricter grace") {
		entry.Grace = &policy.GraceBound{Offline: pick(d, "stricter offline", t.Grace.Offline, step, 0),
			Renewals: min(t.Grace.Renewals, d.below(3, "stricter renewals"))}
		if *entry.Grace == *t.Grace {
			entry.Grace.Offline /= 2
		}
	}
	if t.Exceptions != nil && d.oneIn(2, "stricter exceptions") {
		entry.Exceptions = &policy.ExceptionBound{
			MaxDuration: pick(d, "stricter maxDuration", t.Exceptions.MaxDuration-1, t.Exceptions.MaxDuration/2, 0)}
	}
	return entry, entry.Require != nil || entry.DenyUnless != nil || entry.StepUp != nil || entry.Grace != nil ||
		entry.Exceptions != nil
}

// harder tells whether an entry for an audience may put the signal into this list: a harder one than the tier's own, or
// the same with less room.
func harder(list policy.List, demand policy.Demand, t *policy.Tier) bool {
	order := []policy.List{nowhere, policy.ListAdvise, policy.ListStepUp, policy.ListRequire, policy.ListDenyUnless}
	has, everybody := nowhere, policy.Tier{Require: t.Require, DenyUnless: t.DenyUnless, StepUp: t.StepUp}
	if in := standsIn(everybody, demand.Signal); in != nil {
		has = in[0]
	} else if slices.ContainsFunc(t.Advise, func(a policy.Demand) bool { return a.Signal == demand.Signal }) {
		has = policy.ListAdvise
	}
	was, is := slices.Index(order, has), slices.Index(order, list)
	return is > was || is == was && demand.MaxAge != 0
}
