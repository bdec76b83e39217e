package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/signals"
)

// AlarmFacts are the facts of a posture that make a signal's alarm, whatever their age: of each source whose last known
// values fail, those values but for which they would not. With all of them gone nobody's last known values fail. They are
// sorted by attribute, then source; none: there is no alarm of the signal, or it fails whatever is known.
//
// They are what a clearance of the alarm ends.
func (p *Policy) AlarmFacts(posture *signals.Posture, name string) []signals.Fact {
	i := slices.IndexFunc(p.signals, func(s signal) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	left := *posture
	var all []signals.Fact
	for { // what one source no longer says, it may take from another: see word
		found := p.signals[i].alarming(viewOf(&left, p.attests))
		if len(found) == 0 {
			break
		}
		all = append(all, found...)
		left.Facts = slices.DeleteFunc(slices.Clone(left.Facts), func(f signals.Fact) bool { return slices.Contains(found, f) })
	}
	slices.SortFunc(all, func(a, b signals.Fact) int {
		return cmp.Or(strings.Compare(a.Attribute, b.Attribute), strings.Compare(a.Source, b.Source))
	})
	return all
}

// alarming are the facts behind the votes of a signal that are alarms, by the variant that counts for the posture.
func (s *signal) alarming(view view) []signals.Fact {
	platform, _ := view.newest("platform").AsText()
	found := map[[2]string]signals.Fact{}
	for i := range s.variants {
		if n := s.variantFor(platform); n >= 0 && i != n {
			continue
		}
		v := &s.variants[i]
		for _, source := range view.sourcesOf(v.telling()) {
			for _, f := range v.culprits(view, source) {
				found[[2]string{f.Attribute, f.Source}] = f
			}
		}
	}
	return slices.Collect(maps.Values(found))
}

// culprits are the facts but for which a source's last known values would not fail: each without which they do not, and each
// that fails by itself. Where values fail only together in ways that this does not take apart, it is all of them.
func (v *variant) culprits(view view, source string) []signals.Fact {
	facts := map[string]signals.Fact{}
	for _, attribute := range v.expression.attributes {
		if f, ok, _ := view.own(attribute, source); ok {
			facts[attribute] = f
		} else if f, ok := view.other(attribute); ok {
			facts[attribute] = f
		}
	}
	fails := func(counts func(attribute string) bool) bool {
		return v.expression.judge(func(attribute string) signals.Value {
			if f, ok := facts[attribute]; ok && counts(attribute) {
				return f.Value
			}
			return signals.Unknown
		}) == StatusFailing
	}
	if v.expression.always == StatusFailing || !fails(func(string) bool { return true }) {
		return nil
	}
	telling, guilty := map[string]signals.Fact{}, map[string]signals.Fact{}
	for _, one := range v.telling() { // a device does not lose its platform where something else can be ended
		f, ok := facts[one]
		if !ok {
			continue
		}
		telling[one] = f
		if !fails(func(a string) bool { return a != one }) || fails(func(a string) bool { return a == one }) {
			guilty[one] = f
		}
	}
	for _, enough := range []map[string]signals.Fact{guilty, telling} {
		if !fails(func(a string) bool { _, is := enough[a]; return !is }) {
			return slices.Collect(maps.Values(enough))
		}
	}
	return slices.Collect(maps.Values(facts))
}

// AlarmTiers are the tiers that deny unless a signal holds, of everybody or of an audience, sorted: a clearance of its alarm
// concerns the owner of each. So it does of the tiers that deny unless another signal holds which reads one of attributes:
// what a clearance ends counts for that signal no more either.
func (p *Policy) AlarmTiers(signal string, attributes ...string) []OwnedTier {
	concerned := []string{signal}
	for i := range p.signals {
		if slices.ContainsFunc(attributes, p.signals[i].reads) {
			concerned = append(concerned, p.signals[i].name)
		}
	}
	tiers := map[string]*Tier{}
	for name, t := range p.rules.tiers {
		if slices.ContainsFunc(concerned, func(s string) bool { return slices.Contains(listsOf(t, s), ListDenyUnless) }) {
			tiers[name] = t
		}
	}
	return ownedTiers(tiers)
}

func (s *signal) reads(attribute string) bool {
	return slices.ContainsFunc(s.variants, func(v variant) bool { return slices.Contains(v.expression.attributes, attribute) })
}
