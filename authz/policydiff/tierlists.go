package policydiff

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// standing is where a signal stands in a tier.
type standing struct {
	list policy.List
	policy.DenyUnless
}

// severity orders the lists; 0 is none.
var severity = map[policy.List]int{policy.ListAdvise: 1, policy.ListStepUp: 2, policy.ListRequire: 3, policy.ListDenyUnless: 4}

// verbs are how lists are spoken of.
var verbs = map[policy.List]string{policy.ListAdvise: "advises", policy.ListStepUp: "steps up for", policy.ListRequire: "requires",
	policy.ListDenyUnless: "denies unless"}

func demandsOf(t *policy.Tier) map[string]standing {
	return standingsOf(t.Require, t.DenyUnless, t.StepUp, t.Advise)
}

func stricterDemands(s *policy.Stricter) map[string]standing {
	return standingsOf(s.Require, s.DenyUnless, s.StepUp, nil)
}

func standingsOf(require []policy.Demand, denyUnless []policy.DenyUnless, stepUp *policy.StepUpDemand,
	advise []policy.Demand,
) map[string]standing {
	all := map[string]standing{}
	add := func(list policy.List, demands []policy.Demand) {
		for _, d := range demands {
			all[d.Signal] = standing{list, policy.DenyUnless{Signal: d.Signal, MaxAge: d.MaxAge, OnUnknown: policy.OnUnknownDeny}}
		}
	}
	add(policy.ListRequire, require)
	add(policy.ListAdvise, advise)
	if stepUp != nil {
		add(policy.ListStepUp, stepUp.Signals)
	}
	for _, d := range denyUnless {
		all[d.Signal] = standing{policy.ListDenyUnless, d}
	}
	return all
}

// lists compares what is demanded of everybody, or of the members of one audience: whom is then " of audience X".
func (c *comparison) lists(d *document, field, whom string, was, is map[string]standing, tier *policy.Tier) {
	for _, signal := range union(was, is) {
		old, inOld := was[signal]
		now, inNew := is[signal]
		switch {
		case !inOld:
			d.say(field+string(now.list), c.demanded(now, tier), "now %s %s%s%s", verbs[now.list], signal, whom, withAge(now))
		case !inNew:
			// A tier that looks at no signal looks at no device either, unless it identifies one.
			blind := len(is) == 0 && tier.Identify != policy.IdentifyUserDevice
			d.say(field+string(old.list), either(old.list == policy.ListAdvise && !blind, neither, loosens), "no longer %s %s%s",
				verbs[old.list], signal, whom)
		case now.list != old.list:
			d.say(field+string(now.list), c.moved(old, now, tier), "now %s %s%s, where it %s", verbs[now.list], signal, whom,
				past[old.list])
		default:
			c.sameList(d, field, whom, old, now, tier)
		}
	}
}

var past = map[policy.List]string{policy.ListAdvise: "only advised it", policy.ListStepUp: "stepped up for it",
	policy.ListRequire: "required it", policy.ListDenyUnless: "denied unless it held"}

func withAge(s standing) string {
	text := ""
	if s.MaxAge != 0 {
		text += fmt.Sprintf(", no older than %s", span(s.MaxAge))
	}
	if s.OnUnknown == policy.OnUnknownNote {
		text += ", only noting what is unknown"
	}
	return text
}

// demanded judges a signal more.
func (c *comparison) demanded(now standing, tier *policy.Tier) judgement {
	switch {
	case now.list == policy.ListAdvise:
		return either(tier.Identify == policy.IdentifyUserDevice, neither, tightens) // the others now need a device
	case now.list == policy.ListRequire && clocked(tier):
		return unsure(whyClock)
	}
	return tightens
}

// moved judges a signal that stands in another list.
func (c *comparison) moved(old, now standing, tier *policy.Tier) judgement {
	switch {
	case severity[now.list] < severity[old.list]:
		return loosens
	case old.list == policy.ListAdvise:
		return c.demanded(now, tier)
	case now.OnUnknown == policy.OnUnknownNote:
		return judgement{Loosens, "what is unknown is then only noted"}
	case clocked(tier):
		return unsure(whyClock)
	case now.list == policy.ListDenyUnless && c.prefers(now.Signal):
		return unsure("no source is preferred for what a tier denies unless: another may say that it passes")
	}
	return tightens
}

func (c *comparison) sameList(d *document, field, whom string, old, now standing, tier *policy.Tier) {
	field += string(now.list)
	if old.OnUnknown != now.OnUnknown {
		d.say(field, either(now.OnUnknown == policy.OnUnknownNote, loosens, tightens), "now %s what is unknown of %s%s",
			map[policy.OnUnknown]string{policy.OnUnknownNote: "only notes", policy.OnUnknownDeny: "denies"}[now.OnUnknown], now.Signal, whom)
	}
	if old.MaxAge == now.MaxAge {
		return
	}
	shorter := now.MaxAge != 0 && (old.MaxAge == 0 || now.MaxAge < old.MaxAge)
	j := loosens
	switch {
	case now.list == policy.ListAdvise:
		j = neither
	case shorter:
		j = c.fresher(now.Signal, now.list, tier)
	}
	age := func(d time.Duration) string {
		if d == 0 {
			return "the baseline's age"
		}
		return span(d)
	}
	d.say(field, j, "%s %s%s no older than %s instead of %s", verbs[now.list], now.Signal, whom, age(now.MaxAge), age(old.MaxAge))
}

// fresher judges a shorter age of a signal in one list of a tier.
func (c *comparison) fresher(signal string, list policy.List, tier *policy.Tier) judgement {
	switch {
	case list == policy.ListAdvise:
		return neither
	case list == policy.ListDenyUnless:
		return tightens // an alarm does not age
	case list == policy.ListRequire && clocked(tier):
		return unsure(whyClock)
	case !c.oneVoter(signal):
		return unsure(whyVotes)
	}
	return tightens
}

// prefers tells whether a baseline of either policy prefers a source for the signal.
func (c *comparison) prefers(signal string) bool {
	return slices.ContainsFunc(slices.Concat(c.was.Baselines, c.is.Baselines), func(b policy.Baseline) bool {
		return len(b.Signals[signal].Prefer) > 0
	})
}

// oneVoter tells whether no more than one source can speak of a signal, however it is written: every attribute whose name
// appears in an expression is taken for one that it reads, but the platform, which makes nobody a voter beside others.
func (c *comparison) oneVoter(signal string) bool {
	if c.sources == nil {
		return false
	}
	for _, b := range slices.Concat(c.was.Baselines, c.is.Baselines) {
		s, ok := b.Signals[signal]
		if !ok {
			continue
		}
		var read []string
		for _, a := range signals.Attributes() {
			if strings.Contains(s.Expr, a.Name) && a.Name != "platform" {
				read = append(read, a.Name)
			}
		}
		voters := 0
		for _, source := range c.sources {
			if len(read) == 0 || slices.ContainsFunc(source.Attests, func(a string) bool { return slices.Contains(read, a) }) {
				voters++
			}
		}
		if voters > 1 {
			return false
		}
	}
	return true
}
