package policydiff

import (
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

const whyFalls = "requests that it answered may fall to another route"

func (c *comparison) routes() {
	each(c, policy.KindRoute, "route", c.was.Routes, c.is.Routes, func(r *policy.Route) *policy.Meta { return &r.Meta },
		func(d *document, r *policy.Route) {
			d.say("", loosens, "was added: %s %s%s, tier %s, for %s, to upstream %s", methods(r.Methods), listed(r.Hosts), r.Path, r.Tier,
				listed(r.Audiences), r.Upstream)
		},
		func(d *document, r *policy.Route) {
			d.say("", c.uncovered(r, r.Hosts), "was removed: %s %s%s, tier %s, for %s", methods(r.Methods), listed(r.Hosts), r.Path, r.Tier,
				listed(r.Audiences))
		},
		c.route)
}

func methods(list []string) string {
	if len(list) == 0 {
		return "every method of"
	}
	return strings.Join(list, ", ")
}

func (c *comparison) route(d *document, was, is *policy.Route) {
	for _, host := range without(is.Hosts, was.Hosts) {
		d.say("spec.hosts", loosens, "is also served on host %s", host)
	}
	for _, host := range without(was.Hosts, is.Hosts) {
		d.say("spec.hosts", c.uncovered(was, []string{host}), "is no longer served on host %s", host)
	}
	if was.Path != is.Path {
		d.say("spec.path", unsure("other requests reach it, and "+whyFalls), "covers %s instead of %s", is.Path, was.Path)
	}
	c.methods(d, was, is)
	c.moveTier(d, was, is)
	for _, a := range without(is.Audiences, was.Audiences) {
		d.say("spec.audiences", loosens, "is also for audience %s", a)
	}
	for _, a := range without(was.Audiences, is.Audiences) {
		d.say("spec.audiences", tightens, "is no longer for audience %s", a)
	}
	if was.Upstream != is.Upstream {
		d.say("spec.upstream", unsure("who may use the route reaches something else"), "leads to upstream %s instead of %s", is.Upstream,
			was.Upstream)
	}
	switch {
	case is.WebSocket && !was.WebSocket:
		d.say("spec.webSocket", loosens, "opens WebSockets")
	case was.WebSocket && !is.WebSocket:
		d.say("spec.webSocket", tightens, "no longer opens WebSockets")
	}
	if is.Token != was.Token {
		kept := is.Token == policy.TokenRemove
		words := map[bool]string{true: "keeps the client's token from its upstream", false: "hands the client's token to its upstream"}
		d.say("spec.token", map[bool]judgement{true: tightens, false: loosens}[kept], "%s", words[kept])
	}
	d.fallbackFor(was.FallbackFor, is.FallbackFor)
	d.login(was, is)
	d.cors(was, is)
	if is.Shared != was.Shared {
		words := map[bool]string{true: "says", false: "no longer says"}
		d.say("spec.shared", neither, "%s that an isolated audience shares it", words[is.Shared])
	}
	if is.Reason != was.Reason {
		d.say("spec.reason", neither, "is shared for another reason: %s instead of %s", quoted(is.Reason), quoted(was.Reason))
	}
}

func (c *comparison) methods(d *document, was, is *policy.Route) {
	switch gained, lost := without(is.Methods, was.Methods), without(was.Methods, is.Methods); {
	case len(gained)+len(lost) == 0:
	case len(is.Methods) == 0:
		d.say("spec.methods", loosens, "takes every method instead of %s", listed(was.Methods))
	case len(was.Methods) == 0:
		d.say("spec.methods", tightens, "takes %s instead of every method", listed(is.Methods))
	default:
		if len(gained) > 0 {
			d.say("spec.methods", loosens, "also takes %s", listed(gained))
		}
		if len(lost) > 0 {
			d.say("spec.methods", tightens, "no longer takes %s", listed(lost))
		}
	}
}

// moveTier compares the old tier as it was with the new one as it is.
func (c *comparison) moveTier(d *document, was, is *policy.Route) {
	if was.Tier == is.Tier {
		return
	}
	j := unsure("one of the tiers is not there")
	tiers := func(t *policy.Tier) *policy.Meta { return &t.Meta }
	old, now := byName(c.was.Tiers, tiers)[was.Tier], byName(c.is.Tiers, tiers)[is.Tier]
	if old != nil && now != nil {
		between := &document{kind: policy.KindTier, word: "tier", name: is.Tier}
		c.tier(between, old, now)
		j = judgement{Direction: Fold(between.changes)}
		var why []string
		for _, change := range between.changes {
			if change.Direction != j.Direction {
				continue
			}
			text := change.Text
			if change.Why != "" && j.Direction == CannotTell {
				text += " (" + change.Why + ")"
			}
			why = append(why, text)
		}
		j.why = strings.Join(why, "; ")
	}
	d.say("spec.tier", j, "moved from tier %s to %s", was.Tier, is.Tier)
}

// uncovered judges that a route goes away from some hosts: it tightens unless another route of the new policy stands where
// its requests may then fall.
func (c *comparison) uncovered(gone *policy.Route, hosts []string) judgement {
	pattern, err := policy.ParsePattern(gone.Path)
	if err != nil {
		return unsure(whyFalls)
	}
	for i := range c.is.Routes {
		other := &c.is.Routes[i]
		there, err := policy.ParsePattern(other.Path)
		if other.Meta.Name == gone.Meta.Name || err == nil && (!meet(pattern, there) || before(there, pattern)) {
			continue
		}
		for _, host := range hosts {
			for _, h := range other.Hosts {
				if sameHosts(host, h) {
					return unsure(whyFalls + ": " + other.Meta.Name)
				}
			}
		}
	}
	// An exact host hides a wildcard's routes whatever their paths are; the last route on it gone, they are seen.
	for _, host := range hosts {
		for i := range c.is.Routes {
			for _, h := range c.is.Routes[i].Hosts {
				if h != host && sameHosts(host, h) {
					return unsure(whyFalls + ": " + c.is.Routes[i].Meta.Name)
				}
			}
		}
	}
	return tightens
}

// sameHosts tells whether some host is meant by both.
func sameHosts(a, b string) bool {
	wild := func(pattern, host string) bool {
		suffix, ok := strings.CutPrefix(pattern, "*.")
		_, rest, _ := strings.Cut(host, ".")
		return ok && rest == suffix
	}
	return a == b || wild(a, b) || wild(b, a)
}

// before tells whether a pattern goes before another, or has its shape, so that what both cover never was the other's. At the
// first place at which they differ exact goes before {name}, that before *, all before an end, and ** comes last.
func before(a, b policy.Pattern) bool {
	rank := func(p policy.Pattern, i int) int {
		if i < len(p) {
			return 2 * int(p[i].Kind)
		}
		return 2*int(policy.SegmentRest) - 1
	}
	for i := range max(len(a), len(b)) {
		if x, y := rank(a, i), rank(b, i); x != y {
			return x < y
		}
	}
	return true
}

// meet tells whether some path is covered by both patterns.
func meet(a, b policy.Pattern) bool {
	for i := range max(len(a), len(b)) {
		switch {
		case i < len(a) && a[i].Kind == policy.SegmentRest, i < len(b) && b[i].Kind == policy.SegmentRest:
			return true
		case i >= len(a) || i >= len(b):
			return false
		case a[i].Kind == policy.SegmentExact && b[i].Kind == policy.SegmentExact && a[i].Text != b[i].Text:
			return false
		}
	}
	return true
}
