package policy_test

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// fallback draws, for some worlds, a route that is the fallback of the main tier for a while.
func (d dice) fallback(spec *policy.Spec) {
	main := &spec.Tiers[slices.IndexFunc(spec.Tiers, func(t policy.Tier) bool { return t.Meta.Name == "main" })]
	asks := main.Identify == policy.IdentifyUserDevice || len(main.Require)+len(main.DenyUnless) > 0
	if !asks || !d.oneIn(3, "fallback") {
		return
	}
	spec.Tiers = append(spec.Tiers, policy.Tier{Meta: meta("shelter"), Identify: policy.IdentifyUser})
	page := &spec.Routes[slices.IndexFunc(spec.Routes, func(r policy.Route) bool { return r.Meta.Name == "page" })]
	page.Tier, page.FallbackFor = "shelter", "main"
	from := base.Add(time.Duration(d.below(3, "from")-1) * step)
	main.Fallback = &policy.Fallback{Route: "page", From: policy.Date{Time: from}, Until: policy.Date{Time: from.Add(d.span(3, "until"))}}
}

// closed: a route that is a fallback is there from the first to the last instant of it, and not at its end.
func (a *asked) closed() bool {
	if a.route.FallbackFor == "" {
		return false
	}
	for _, t := range a.spec.Tiers {
		if t.Meta.Name == a.route.FallbackFor {
			shut := a.in.At.Before(t.Fallback.From.Time) || !t.Fallback.Until.After(a.in.At)
			a.saw("fallback closed", shut)
			a.saw("fallback at its end", a.in.At.Equal(t.Fallback.Until.Time))
			return shut
		}
	}
	return false
}

// offered names the fallback of a tier to who is refused for the device, unless it raised an alarm, and would be let in there.
func (a *asked) offered(r ruling) ruling {
	f := a.tier.Fallback
	alarmed := slices.ContainsFunc(r.Unmet, func(n named) bool { return n.list == policy.ListDenyUnless })
	if f == nil || r.Outcome == policy.Allow || alarmed || r.Reason != policy.ReasonPosture && r.Reason != policy.ReasonDeviceUnknown ||
		a.in.At.Before(f.From.Time) || !f.Until.After(a.in.At) {
		return r
	}
	there := *a
	there.route = a.spec.Routes[slices.IndexFunc(a.spec.Routes, func(x policy.Route) bool { return x.Meta.Name == f.Route })]
	there.tier = a.tierOf(there.route)
	if there.outsideAudiences() == "" {
		r.Fallback = f.Route + f.Until.UTC().Format(time.RFC3339Nano)
	}
	a.saw("fallback offered", r.Fallback != "")
	a.saw("fallback of another audience", r.Fallback == "")
	return r
}
