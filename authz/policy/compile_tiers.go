package policy

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"
)

func (c *compiler) compileTiers() {
	for i := range c.spec.Tiers {
		t := &c.spec.Tiers[i]
		c.owner(KindTier, t.Meta)
		if !slices.Contains([]Identify{IdentifyWorkload, IdentifyUser, IdentifyUserDevice}, t.Identify) {
			c.fault(KindTier, t.Meta.Name, "spec.identify", fmt.Sprintf("identify is %q", t.Identify),
				"write workload, user or user+device")
		}
		lists := &tierLists{c: c, tier: t, seen: map[string]List{}}
		lists.all("spec", t.Require, t.DenyUnless, t.StepUp)
		for j, d := range t.Advise {
			lists.demand(ListAdvise, d.Signal, d.MaxAge, fmt.Sprintf("spec.advise[%d]", j))
		}
		c.tierBounds(t)
		c.tierWords(t)
		compiled := tier{name: t.Meta.Name, contact: c.teams[t.Meta.Owner].Contact, identify: t.Identify,
			monitor: t.Mode == ModeMonitor, evidence: t.Evidence, recheck: t.RecheckEvery, enrolled: c.tierEnrolled(t),
			tells: c.tierTells(t)}
		if t.Grace != nil {
			compiled.grace = *t.Grace
		}
		if t.OnGap.LastKnown != nil {
			compiled.lastKnown = t.OnGap.LastKnown.For
		}
		c.tierAt[t.Meta.Name] = i
		c.tiers = append(c.tiers, compiled)
	}
}

// tierLists checks the lists of one tier.
type tierLists struct {
	c    *compiler
	tier *Tier
	seen map[string]List
	// above: these lists stand on top of the tier's own, for one audience.
	above bool
}

func (l *tierLists) fault(field, message, help string) {
	l.c.fault(KindTier, l.tier.Meta.Name, field, message, help)
}

func (l *tierLists) all(field string, require []Demand, denyUnless []DenyUnless, stepUp *StepUpDemand) {
	for i, d := range require {
		l.demand(ListRequire, d.Signal, d.MaxAge, fmt.Sprintf("%s.require[%d]", field, i))
	}
	for i, d := range denyUnless {
		at := fmt.Sprintf("%s.denyUnless[%d]", field, i)
		l.demand(ListDenyUnless, d.Signal, d.MaxAge, at)
		if d.OnUnknown != "" && d.OnUnknown != OnUnknownDeny && d.OnUnknown != OnUnknownNote {
			l.fault(at+".onUnknown", fmt.Sprintf("onUnknown is %q", d.OnUnknown), "write deny or note")
		}
	}
	if stepUp != nil {
		l.login(field+".stepUp", stepUp)
		for i, d := range stepUp.Signals {
			l.demand(ListStepUp, d.Signal, d.MaxAge, fmt.Sprintf("%s.stepUp.signals[%d]", field, i))
		}
	}
}

func (l *tierLists) demand(list List, signal string, maxAge time.Duration, field string) {
	if _, twice := l.seen[signal]; twice {
		l.fault(field, fmt.Sprintf("signal %q stands twice in this tier", signal), "one signal stands in one list")
	}
	l.seen[signal] = list
	known := l.c.signals[signal]
	switch {
	case known == nil:
		l.c.unknown(KindTier, l.tier.Meta.Name, field, fmt.Sprintf("no baseline defines signal %q", signal), signal,
			slices.Sorted(maps.Keys(l.c.signals)), "define it in a Baseline")
	case maxAge != 0:
		l.tightens(known, maxAge, field)
	}
	if l.tier.Identify == IdentifyWorkload {
		l.fault(field, fmt.Sprintf("a tier for workloads has no device to look at, so %q is never met", signal),
			"remove the signal, or identify: user+device")
	}
}

// tightens checks that a tier's maxAge shortens the baseline's and can still be delivered.
func (l *tierLists) tightens(s *signal, maxAge time.Duration, field string) {
	longest := time.Duration(0)
	for i := range s.variants {
		longest = max(longest, s.variants[i].maxAge)
	}
	if _, base, _ := standing(l.tier.entries(), s.name); l.above && base.MaxAge != 0 {
		longest = min(longest, base.MaxAge)
	}
	if longest > 0 && maxAge >= longest {
		l.fault(field+".maxAge", fmt.Sprintf("%s does not tighten the %s that holds anyway", written(maxAge), written(longest)),
			"write a shorter one, or leave it out")
	}
	for i := range s.variants {
		if message := l.c.undeliverable(&s.variants[i], maxAge); message != "" {
			l.fault(field+".maxAge", message, "allow more time, or have a source report more often")
			return
		}
	}
}

func (c *compiler) tierBounds(t *Tier) {
	fault := func(field, message, help string) { c.fault(KindTier, t.Meta.Name, field, message, help) }
	requires := len(t.Require) > 0 || slices.ContainsFunc(t.Stricter, func(s Stricter) bool { return len(s.Require) > 0 })
	if g := t.Grace; g != nil {
		if g.Offline <= 0 {
			fault("spec.grace.offline", "grace says for how long", "offline: 8h, or remove grace")
		}
		if g.Renewals < 0 || g.Renewals > maxRenewals {
			fault("spec.grace.renewals", fmt.Sprintf("%d renewals", g.Renewals), fmt.Sprintf("write 0 to %d", maxRenewals))
		}
		if !requires {
			fault("spec.grace", "grace excuses what a tier requires, and this one requires no signal", "remove it")
		}
	}
	if k := t.OnGap.LastKnown; k != nil {
		if k.For <= 0 {
			fault("spec.onGap.last-known.for", "last-known says for how long", "for: 10m")
		}
	}
	if e := t.Exceptions; e != nil {
		if e.MaxDuration <= 0 {
			fault("spec.exceptions.maxDuration", "exceptions say how long they may be at most", "maxDuration: 14d, or remove exceptions")
		}
		if e.MaxRenewals < 0 || e.MaxRenewals > maxRenewals {
			fault("spec.exceptions.maxRenewals", fmt.Sprintf("%d renewals", e.MaxRenewals), fmt.Sprintf("write 0 to %d", maxRenewals))
		}
	}
}

// sound tells whether other bounds can be compared with this one.
func (g *GraceBound) sound() bool {
	return g.Offline > 0 && g.Renewals >= 0 && g.Renewals <= maxRenewals
}

func (e *ExceptionBound) sound() bool {
	return e.MaxDuration > 0 && e.MaxRenewals >= 0 && e.MaxRenewals <= maxRenewals
}

// maxRenewals keeps what is renewed without end from passing for bounded.
const maxRenewals = 100

func (c *compiler) tierWords(t *Tier) {
	fault := func(field, message, help string) { c.fault(KindTier, t.Meta.Name, field, message, help) }
	if t.Mode != "" && t.Mode != ModeEnforce && t.Mode != ModeMonitor {
		fault("spec.mode", fmt.Sprintf("mode is %q", t.Mode), "write enforce or monitor")
	}
	switch {
	case t.Evidence != "" && t.Evidence != EvidenceRequired:
		fault("spec.evidence", fmt.Sprintf("evidence is %q", t.Evidence), "write required, or leave it out")
	case t.Evidence == EvidenceRequired && c.world.Evidence != nil && !*c.world.Evidence:
		fault("spec.evidence", "the settings record no decisions, so this tier would refuse everything",
			"set evidence.file in the settings")
	}
	if t.RecheckEvery < 0 || t.RecheckEvery != 0 && t.RecheckEvery < time.Second {
		fault("spec.recheckEvery", fmt.Sprintf("every %s is too often", written(t.RecheckEvery)), "write 1s or more")
	}
}

// maxStricter bounds the entries of one tier; which are in force for a request is a bit of one word.
const maxStricter = 32

// compileStricter checks the entries for single audiences. It runs after the audiences are known.
func (c *compiler) compileStricter() {
	for i := range c.spec.Tiers {
		t := &c.spec.Tiers[i]
		if len(t.Stricter) > maxStricter {
			c.fault(KindTier, t.Meta.Name, "spec.stricter", fmt.Sprintf("%d entries; the limit is %d", len(t.Stricter), maxStricter),
				"use a tier of its own")
			continue
		}
		for j := range t.Stricter {
			c.stricter(t, j)
		}
	}
}

func (c *compiler) stricter(t *Tier, at int) {
	s, field := &t.Stricter[at], fmt.Sprintf("spec.stricter[%d]", at)
	fault := func(key, message, help string) { c.fault(KindTier, t.Meta.Name, field+key, message, help) }
	compiled := stricter{grace: s.Grace}
	if c.refer(KindTier, t.Meta.Name, field+".audience", KindAudience, s.Audience) {
		compiled.audience = c.audAt[s.Audience]
	}
	if slices.ContainsFunc(t.Stricter[:at], func(o Stricter) bool { return o.Audience == s.Audience }) {
		fault(".audience", fmt.Sprintf("audience %q has two entries", s.Audience), "write one")
	}
	lists := &tierLists{c: c, tier: t, seen: map[string]List{}, above: true}
	lists.all(field, s.Require, s.DenyUnless, s.StepUp)
	c.harder(t, lists.seen, s, field)
	c.shorter(t, s, field)
	if s.Exceptions != nil {
		compiled.exception = &s.Exceptions.MaxDuration
	}
	if len(lists.seen) == 0 && s.StepUp == nil && s.Grace == nil && s.Exceptions == nil {
		fault("", "the entry asks for nothing", "require, denyUnless, stepUp, or a shorter grace or exceptions")
	}
	if i, ok := c.tierAt[t.Meta.Name]; ok {
		c.tiers[i].stricter = append(c.tiers[i].stricter, compiled)
	}
}

// shorter checks that an entry's login can be had, and that what it bounds it bounds more tightly than the tier.
func (c *compiler) shorter(t *Tier, s *Stricter, field string) {
	fault := func(key, message, help string) { c.fault(KindTier, t.Meta.Name, field+key, message, help) }
	if s.StepUp != nil && t.StepUp != nil && len(t.StepUp.ACR) > 0 && len(s.StepUp.ACR) > 0 && !common(t.StepUp.ACR, s.StepUp.ACR) {
		fault(".stepUp.acr", "no login has both one of these and one of the tier's", "name at least one that the tier accepts too")
	}
	if s.Grace != nil {
		switch base := t.Grace; {
		case base == nil:
			fault(".grace", "the tier has no grace to shorten", "remove it here, or state grace for the tier")
		case !base.sound(): // said of the tier
		case s.Grace.Offline < 0 || s.Grace.Renewals < 0 || s.Grace.Offline > base.Offline || s.Grace.Renewals > base.Renewals:
			fault(".grace", "this is no shorter than the tier's grace", "write a shorter offline, or fewer renewals")
		}
	}
	if s.Exceptions != nil {
		switch base := t.Exceptions; {
		case base == nil:
			fault(".exceptions", "the tier allows no exceptions to shorten", "remove it here, or state exceptions for the tier")
		case !base.sound(): // said of the tier
		case s.Exceptions.MaxDuration < 0 || s.Exceptions.MaxDuration > base.MaxDuration:
			fault(".exceptions.maxDuration", "this is no shorter than the tier's", "write a shorter one")
		case s.Exceptions.MaxRenewals != 0:
			fault(".exceptions.maxRenewals", "renewals are counted for the tier as a whole", "remove it here")
		}
	}
}

// severityOf orders the lists: a signal may move to a harder one for an audience, never to a softer one.
var severityOf = map[List]int{ListAdvise: 1, ListStepUp: 2, ListRequire: 3, ListDenyUnless: 4}

// harder checks that an entry for an audience says more of a signal than the tier already does.
func (c *compiler) harder(t *Tier, seen map[string]List, s *Stricter, field string) {
	for _, signal := range slices.Sorted(maps.Keys(seen)) {
		list, base, ok := standing(t.entries(), signal)
		if !ok {
			continue
		}
		here, d, _ := standing(s.entries(), signal)
		// In the same list of both, a shorter maxAge is more, or a denial where the tier only notes.
		more := d.MaxAge != 0 || base.OnUnknown == OnUnknownNote && d.OnUnknown != OnUnknownNote
		if severityOf[here] < severityOf[list] || here == list && !more {
			c.fault(KindTier, t.Meta.Name, field, fmt.Sprintf("the tier already lists signal %q under %s", signal, list),
				"remove it here; an entry for an audience only adds")
		}
	}
}

// standing finds where a signal stands in lists, in each of which it should be but once.
func standing(entries iter.Seq2[List, DenyUnless], signal string) (List, DenyUnless, bool) {
	for list, d := range entries {
		if d.Signal == signal {
			return list, d, true
		}
	}
	return "", DenyUnless{}, false
}
