package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// longestFallback keeps what is renewed without end from passing for temporary.
const longestFallback = 366 * 24 * time.Hour

// fallbacks joins tiers and the routes that are their fallbacks: each names the other.
func (c *compiler) fallbacks() {
	for i := range c.spec.Tiers {
		if t := &c.spec.Tiers[i]; t.Fallback != nil {
			c.fallback(t, &c.tiers[i])
		}
	}
	for i := range c.spec.Routes {
		r := &c.spec.Routes[i]
		if r.FallbackFor == "" {
			continue
		}
		at, ok := c.tierAt[r.FallbackFor]
		switch {
		case !ok:
			c.unknown(KindRoute, r.Meta.Name, "spec.fallbackFor", fmt.Sprintf("there is no Tier %q", r.FallbackFor), r.FallbackFor,
				slices.Sorted(maps.Keys(c.tierAt)), "write the document or correct the name")
		case c.spec.Tiers[at].Fallback == nil || c.spec.Tiers[at].Fallback.Route != r.Meta.Name:
			c.fault(KindRoute, r.Meta.Name, "spec.fallbackFor", fmt.Sprintf("tier %q does not say that this route is its fallback, and "+
				"until when", r.FallbackFor), fmt.Sprintf("write fallback: {route: %s, from: DATE, until: DATE} there, or remove this",
				r.Meta.Name))
		}
	}
}

func (c *compiler) fallback(t *Tier, compiled *tier) {
	fault := func(field, message, help string) {
		c.fault(KindTier, t.Meta.Name, "spec.fallback"+field, message, help)
	}
	f := t.Fallback
	switch {
	case f.From.IsZero():
		fault(".from", "the fallback has no start", "from: 2026-12-01")
	case f.Until.IsZero():
		fault(".until", "the fallback has no end", "until: 2027-01-31")
	case !f.From.Before(f.Until.Time):
		fault(".until", "the fallback ends before it starts", "write a later end")
	case f.Until.Sub(f.From.Time) > longestFallback:
		fault(".until", "the fallback lasts for more than a year", "end it earlier, and write it anew if it must be")
	}
	if len(demandedOf(t)) == 0 && t.Identify != IdentifyUserDevice {
		fault("", "the tier asks nothing of a device, so nobody needs a fallback", "remove it")
	}
	at := slices.IndexFunc(c.routes, func(r *route) bool { return r.name == f.Route })
	if at < 0 {
		c.unknown(KindTier, t.Meta.Name, "spec.fallback.route", fmt.Sprintf("there is no Route %q", f.Route), f.Route,
			slices.Sorted(slices.Values(names(c.spec.Routes, func(r Route) Meta { return r.Meta }))), "write the document or correct the name")
		return
	}
	r := &c.spec.Routes[at]
	if r.FallbackFor != t.Meta.Name {
		fault(".route", fmt.Sprintf("route %q does not say that it is the fallback of this tier", f.Route),
			fmt.Sprintf("write fallbackFor: %s into the route, which then ends with the fallback", t.Meta.Name))
	}
	if less, ok := c.tierAt[r.Tier]; ok {
		c.asksLess(t, &c.spec.Tiers[less], fault)
	}
	if !slices.ContainsFunc(c.spec.Routes, func(x Route) bool { return x.Tier == t.Meta.Name && common(x.Audiences, r.Audiences) }) {
		fault(".route", fmt.Sprintf("route %q is for none of the audiences of this tier's routes", f.Route),
			"add one of them to the audiences of the route")
	}
	c.routes[at].fallback = f
	compiled.fallback = &wayOut{Fallback: f, route: c.routes[at], url: link(r.Hosts, c.routes[at].pattern, r.Methods)}
}

// asksLess checks that the fallback's tier wants no signal that this one does not, and less in all.
func (c *compiler) asksLess(t, other *Tier, fault func(field, message, help string)) {
	has, wants := demandedOf(t), demandedOf(other)
	for _, signal := range slices.Sorted(maps.Keys(wants)) {
		if !has[signal] {
			fault(".route", fmt.Sprintf("its tier %q asks for signal %q, which this tier does not", other.Meta.Name, signal),
				"a fallback asks less of the device")
			return
		}
	}
	fewer := len(wants) < len(has) || t.Identify == IdentifyUserDevice && other.Identify != IdentifyUserDevice
	switch {
	case !fewer:
		fault(".route", fmt.Sprintf("its tier %q asks as much of the device as this one", other.Meta.Name), "a fallback asks less of the device")
	case other.Fallback != nil:
		fault(".route", fmt.Sprintf("its tier %q has a fallback itself", other.Meta.Name), "let the first lead to where everybody is admitted")
	}
}

// demandedOf are the signals that may refuse somebody, of the tier or of an entry for an audience.
func demandedOf(t *Tier) map[string]bool {
	all := map[string]bool{}
	for list, d := range t.entries() {
		all[d.Signal] = all[d.Signal] || list != ListAdvise
	}
	for i := range t.Stricter {
		for _, d := range t.Stricter[i].entries() {
			all[d.Signal] = true
		}
	}
	maps.DeleteFunc(all, func(_ string, demanded bool) bool { return !demanded })
	return all
}
