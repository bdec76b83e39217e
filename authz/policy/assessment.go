package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Assessment is what a policy makes of one posture: for each signal, what each source's facts say and until when. It is
// computed when the posture or the policy changes; a request only compares instants.
type Assessment struct {
	policy   *Policy
	device   signals.DeviceID
	revision signals.Revision
	signals  []judgement // by index of the policy's signals
	owned    ownership
}

// judgement is one signal of one device.
type judgement struct {
	variant int8 // index of the signal's variant; -1: no baseline defines the signal for the device's platform
	votes   []vote
}

// vote is what one source's facts say of one signal.
type vote struct {
	source string
	status Status
	alarm  bool      // the source's last known values fail, whatever it has said since and however old they are
	agesAt time.Time // after this instant the vote is worth nothing
}

// Assess judges a posture. It is pure: the same posture and policy give the same assessment.
func (p *Policy) Assess(posture *signals.Posture) *Assessment {
	a := &Assessment{
		policy: p, device: posture.Device, revision: posture.Revision,
		signals: make([]judgement, len(p.signals)),
		owned:   p.ownership(posture),
	}
	view := viewOf(posture, p.attests)
	platform, _ := view.newest("platform").AsText()
	for i := range p.signals {
		a.signals[i] = p.signals[i].assess(view, platform)
	}
	return a
}

// fits tells whether the assessment is of this policy and posture; a decision never mixes two generations.
func (a *Assessment) fits(p *Policy, posture *signals.Posture) bool {
	return a != nil && a.policy == p && a.device == posture.Device && a.revision == posture.Revision
}

func (s *signal) assess(view view, platform string) judgement {
	variant := s.variantFor(platform)
	if variant < 0 {
		return judgement{variant: -1}
	}
	v := &s.variants[variant]
	j := judgement{variant: int8(variant)}
	for _, source := range view.sourcesOf(v.telling()) {
		j.votes = append(j.votes, v.vote(view, source))
	}
	return j
}

// vote judges the signal by one source's own facts; what that source has never reported comes from the merged posture.
func (v *variant) vote(view view, source string) vote {
	ages, seen := time.Time{}, false
	note := func(f signals.Fact) {
		if at := f.AgesFrom().Add(v.maxAge); !seen || at.Before(ages) {
			ages, seen = at, true
		}
	}
	status := v.expression.judge(func(attribute string) signals.Value {
		fact, ok, unknownSince := view.own(attribute, source)
		switch {
		case unknownSince:
			return signals.Unknown
		case !ok:
			if fact, ok = view.other(attribute); !ok {
				return signals.Unknown
			}
		}
		note(fact)
		return fact.Value
	})
	lastKnown := v.expression.judge(func(attribute string) signals.Value {
		fact, ok, _ := view.own(attribute, source)
		if !ok {
			fact, ok = view.other(attribute)
		}
		if !ok {
			return signals.Unknown
		}
		return fact.Value
	})
	return vote{source: source, status: status, alarm: lastKnown == StatusFailing, agesAt: ages}
}

// fresh reports whether the vote counts at an instant. A fact exactly maxAge old still does.
func (v *vote) fresh(at time.Time) bool { return v.status != StatusUnknown && !at.After(v.agesAt) }

// status folds the votes for a list that ages: the worse of the fresh ones, or the preferred source's alone.
func (j *judgement) status(s *signal, at time.Time) Status {
	if j.variant < 0 {
		return StatusUnknown
	}
	for _, preferred := range s.variants[j.variant].prefer {
		for i := range j.votes {
			if v := &j.votes[i]; v.source == preferred {
				if v.fresh(at) {
					return v.status
				}
				return StatusUnknown
			}
		}
	}
	return j.worst(at)
}

func (j *judgement) worst(at time.Time) Status {
	status := StatusUnknown
	for i := range j.votes {
		if v := &j.votes[i]; v.fresh(at) && status != StatusFailing {
			status = v.status
		}
	}
	return status
}

// alarmStatus folds the votes for denyUnless: an alarm of any source counts whatever its age, preferences do not.
func (j *judgement) alarmStatus(at time.Time) Status {
	for i := range j.votes {
		if j.votes[i].alarm {
			return StatusFailing
		}
	}
	return j.worst(at)
}

// describe tells an operator what each source said and how old that is.
func (j *judgement) describe(s *signal, platform string, at time.Time) string {
	switch {
	case j.variant < 0 && platform == "":
		return "no source reports the device's platform, so no baseline applies"
	case j.variant < 0:
		return "no baseline defines this signal for " + platform
	case len(j.votes) == 0:
		return "no source reports " + strings.Join(s.variants[j.variant].expression.attributes, ", ")
	}
	said := make([]string, 0, len(j.votes))
	for i := range j.votes {
		v := &j.votes[i]
		word := v.status.String()
		if v.alarm && v.status != StatusFailing {
			word += " now, failing before"
		}
		said = append(said, fmt.Sprintf("%s says %s (good until %s%s)", v.source, word, v.agesAt.UTC().Format(time.RFC3339),
			map[bool]string{true: "", false: ", over"}[!at.After(v.agesAt)]))
	}
	return strings.Join(said, "; ")
}

// view reads a posture as far as its sources may speak.
type view struct {
	posture *signals.Posture
	attests map[string]map[string]bool // nil: not known, every source may speak
}

func viewOf(p *signals.Posture, attests map[string]map[string]bool) view {
	return view{posture: p, attests: attests}
}

func (v view) may(source, attribute string) bool {
	return v.attests == nil || v.attests[source][attribute]
}

// own returns a source's newest known fact of an attribute, and whether the source has since said that it cannot tell.
func (v view) own(attribute, source string) (fact signals.Fact, ok, unknownSince bool) {
	if !v.may(source, attribute) {
		return signals.Fact{}, false, false
	}
	return v.posture.Latest(attribute, source)
}

// other returns the newest known fact of an attribute from any source; at one instant, two that differ are not known.
func (v view) other(attribute string) (fact signals.Fact, ok bool) {
	for _, f := range v.posture.Facts {
		if f.Attribute != attribute || !f.Value.Known() || !v.may(f.Source, attribute) {
			continue
		}
		switch {
		case !ok || f.Observed.After(fact.Observed):
			fact, ok = f, true
		case f.Observed.Equal(fact.Observed) && f.Value != fact.Value:
			fact.Value = signals.Unknown
		}
	}
	return fact, ok && fact.Value.Known()
}

func (v view) newest(attribute string) signals.Value {
	fact, _ := v.other(attribute)
	return fact.Value
}

// sourcesOf lists, sorted, the sources that report any of the attributes.
func (v view) sourcesOf(attributes []string) []string {
	var sources []string
	for _, f := range v.posture.Facts {
		if slices.Contains(attributes, f.Attribute) && v.may(f.Source, f.Attribute) {
			sources = append(sources, f.Source)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}
