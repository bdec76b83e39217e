package policydiff

import (
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

func (c *comparison) baselines() {
	each(c, policy.KindBaseline, "baseline", c.was.Baselines, c.is.Baselines, func(b *policy.Baseline) *policy.Meta { return &b.Meta },
		func(d *document, b *policy.Baseline) {
			d.say("", neither, "was added for %s", platforms(b.Platforms))
			for _, name := range union(b.Signals, nil) {
				c.signalAdded(d, name, b.Signals[name])
			}
		},
		func(d *document, b *policy.Baseline) {
			d.say("", neither, "was removed; it was for %s", platforms(b.Platforms))
			for _, name := range union(b.Signals, nil) {
				c.signalRemoved(d, name)
			}
		},
		c.baseline)
}

func platforms(list []string) string {
	if len(list) == 0 {
		return "every platform"
	}
	return listed(list)
}

func (c *comparison) baseline(d *document, was, is *policy.Baseline) {
	gained, lost := without(is.Platforms, was.Platforms), without(was.Platforms, is.Platforms)
	wider, narrower := len(is.Platforms) == 0 && len(was.Platforms) > 0, len(was.Platforms) == 0 && len(is.Platforms) > 0
	kept := union(was.Signals, is.Signals)
	demanded := slices.ContainsFunc(kept, func(s string) bool { return c.use(s).demanded })
	switch {
	case wider:
		d.say("spec.platforms", either(demanded, loosens, neither), "is for every platform instead of %s", listed(was.Platforms))
	case narrower:
		d.say("spec.platforms", c.undefined(kept), "is for %s instead of every platform", listed(is.Platforms))
	default:
		if len(gained) > 0 {
			d.say("spec.platforms", either(demanded, loosens, neither), "is also for %s", listed(gained))
		}
		if len(lost) > 0 {
			d.say("spec.platforms", c.undefined(kept), "is no longer for %s", listed(lost))
		}
	}
	for _, name := range kept {
		old, inOld := was.Signals[name]
		now, inNew := is.Signals[name]
		switch {
		case !inOld:
			c.signalAdded(d, name, now)
		case !inNew:
			c.signalRemoved(d, name)
		default:
			c.signal(d, name, old, now)
		}
	}
}

// use is what the tiers of the new policy, and their entries for audiences, do with a signal.
type use struct {
	demanded bool // in a list other than advise
	chosen   bool // required or stepped up for: the lists in which preferences count
	noted    bool // a tier that denies unless it holds only notes what is unknown
	clocked  bool // required where that says when a device is silent
	lists    []usedIn
}

type usedIn struct {
	list policy.List
	tier *policy.Tier
}

func (c *comparison) use(signal string) use {
	var u use
	for i := range c.is.Tiers {
		t := &c.is.Tiers[i]
		sets := []map[string]standing{demandsOf(t)}
		for j := range t.Stricter {
			sets = append(sets, stricterDemands(&t.Stricter[j]))
		}
		for _, set := range sets {
			s, ok := set[signal]
			if !ok {
				continue
			}
			u.lists = append(u.lists, usedIn{s.list, t})
			u.demanded = u.demanded || s.list != policy.ListAdvise
			u.chosen = u.chosen || s.list == policy.ListRequire || s.list == policy.ListStepUp
			u.noted = u.noted || s.OnUnknown == policy.OnUnknownNote
			u.clocked = u.clocked || s.list == policy.ListRequire && clocked(t)
		}
	}
	return u
}

// undefined judges that signals are no longer defined for some devices, for which they become unknown.
func (c *comparison) undefined(names []string) judgement {
	j := neither
	for _, name := range names {
		switch u := c.use(name); {
		case u.noted:
			return unsure("a tier only notes " + name + " where it is unknown, which it then is")
		case u.clocked:
			j = unsure(whyClock)
		case u.demanded && j.Direction == Neither:
			j = tightens
		}
	}
	return j
}

func (c *comparison) signalAdded(d *document, name string, s policy.Signal) {
	known := slices.ContainsFunc(c.was.Baselines, func(b policy.Baseline) bool { _, ok := b.Signals[name]; return ok })
	d.say("spec.signals."+name, either(known && c.use(name).demanded, loosens, neither), "defines signal %s: %s, no older than %s", name,
		s.Expr, span(s.MaxAge))
}

func (c *comparison) signalRemoved(d *document, name string) {
	d.say("spec.signals."+name, c.undefined([]string{name}), "no longer defines signal %s", name)
}

func (c *comparison) signal(d *document, name string, was, is policy.Signal) {
	u, field := c.use(name), "spec.signals."+name
	if was.Expr != is.Expr {
		d.say(field+".expr", either(u.demanded, unsure("what an expression means is not compared"), neither),
			"judges %s by `%s` instead of `%s`", name, is.Expr, was.Expr)
	}
	if was.MaxAge != is.MaxAge {
		d.say(field+".maxAge", c.age(name, u, is.MaxAge < was.MaxAge), "wants %s no older than %s instead of %s", name, span(is.MaxAge),
			span(was.MaxAge))
	}
	if !slices.Equal(was.Prefer, is.Prefer) {
		d.say(field+".prefer", either(u.chosen, unsure("which source is believed decides what passes"), neither),
			"prefers for %s: %s instead of %s", name, listed(is.Prefer), listed(was.Prefer))
	}
	if was.Fix.Text != is.Fix.Text {
		d.say(field+".fix.text", neither, "tells people to mend %s so: %s", name, quoted(is.Fix.Text))
	}
	if was.Fix.URL != is.Fix.URL {
		d.say(field+".fix.url", neither, "sends people to %s to mend %s, not to %s", quoted(is.Fix.URL), name, quoted(was.Fix.URL))
	}
}

// age judges another age of a signal by all that tiers do with it.
func (c *comparison) age(name string, u use, shorter bool) judgement {
	if !shorter {
		return either(u.demanded, loosens, neither)
	}
	j := neither
	for _, in := range u.lists {
		now := c.fresher(name, in.list, in.tier)
		if now.Direction == CannotTell {
			return now
		}
		if now.Direction == Tightens {
			j = now
		}
	}
	return j
}
