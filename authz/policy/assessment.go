package policy

import (
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/tiergate/tiergate/signals"
)

// Assessment is what a policy makes of one posture: for each signal, what each source's facts say and until when. It is
// computed when the posture or the policy changes; a request only compares instants. A process holds one for every
// device, so its form is a small one.
type Assessment struct {
	policy   *Policy
	device   signals.DeviceID
	revision signals.Revision
	platform string // "": no source reports it
	owned    ownership
	empty    bool  // nobody who may has said anything of the device
	newest   int64 // ns since 1970; the latest instant from which one of its facts ages
	// withdrawn is what the sources say against the device's certificate; zero: nothing.
	withdrawn unique.Handle[string]
	enrolled  []enrolment           // what the sources say of the device's user
	sources   unique.Handle[string] // their names, separated by newlines; thousands of devices share one
	signals   []judgement           // by index of the policy's signals
	votes     []vote                // of all signals, each judgement's together
}

// judgement is one signal of one device.
type judgement struct {
	first, end uint32 // of its votes
	variant    int8   // index of the signal's variant; -1: no baseline defines the signal for the device's platform
}

// vote is what one source's facts say of one signal.
type vote struct {
	source unique.Handle[string]
	agesAt int64 // ns since 1970; after this instant the vote is worth nothing
	status Status
	alarm  bool // the source's last known values fail, whatever it has said since and however old they are
	known  bool // they decide the signal, whatever it has said since
}

// Assess judges a posture. It is pure: the same posture and policy give the same assessment.
func (p *Policy) Assess(posture *signals.Posture) *Assessment {
	view := viewOf(posture, p.attests)
	platform, _ := view.newest("platform").AsText()
	owner, _ := view.newest("ownership").AsText()
	a := &Assessment{
		policy: p, device: posture.Device, revision: posture.Revision, platform: platform, owned: ownership{value: owner},
		newest: view.newestReport(), sources: unique.Make(strings.Join(view.sourcesOf(nil), "\n")),
		signals: make([]judgement, 0, len(p.signals)), withdrawn: withdrawn(view), enrolled: p.enrolments(view),
	}
	a.empty = a.newest == math.MinInt64
	for i := range p.signals {
		votes, variant := p.signals[i].votes(view, platform)
		first := uint32(len(a.votes))
		a.votes = append(a.votes, votes...)
		a.signals = append(a.signals, judgement{first: first, end: uint32(len(a.votes)), variant: variant})
	}
	a.votes = slices.Clip(a.votes)
	return a
}

// Fits tells whether the assessment is of this policy and posture; a decision never mixes two generations. Nil fits none.
func (a *Assessment) Fits(p *Policy, device signals.DeviceID, revision signals.Revision) bool {
	return a != nil && a.policy == p && a.device == device && a.revision == revision
}

func (a *Assessment) of(signal int) (votes []vote, variant int8) {
	j := a.signals[signal]
	return a.votes[j.first:j.end], j.variant
}

func (s *signal) votes(view view, platform string) ([]vote, int8) {
	variant := s.variantFor(platform)
	if variant < 0 {
		return s.alarms(view), -1
	}
	v := &s.variants[variant]
	var votes []vote
	for _, source := range view.sourcesOf(v.telling()) {
		votes = append(votes, v.vote(view, source))
	}
	return votes, int8(variant)
}

// alarms are what is left of a signal that no baseline defines for the device's platform, or whose platform nobody reports:
// an alarm outlives a change of platform, so whatever fails by any baseline still does. Such votes say nothing else.
func (s *signal) alarms(view view) []vote {
	var alarms []vote
	for i := range s.variants {
		v := &s.variants[i]
		for _, source := range view.sourcesOf(v.telling()) {
			if vote := v.vote(view, source); vote.alarm {
				vote.status = StatusUnknown
				alarms = append(alarms, vote)
			}
		}
	}
	return alarms
}

// word is what a source's vote takes one attribute for. The zero word is unknown.
type word struct {
	value     signals.Value
	agesAt    int64 // ns since 1970
	withdrawn bool  // the source has since said that it cannot tell
}

// word is a source's own fact; what the source has never reported comes from the merged posture.
func (v *variant) word(view view, source, attribute string) word {
	fact, ok, withdrawn := view.own(attribute, source)
	if !ok {
		if fact, ok = view.other(attribute); !ok {
			return word{withdrawn: withdrawn}
		}
	}
	return word{value: fact.Value, agesAt: nanos(fact.AgesFrom().Add(v.maxAge)), withdrawn: withdrawn}
}

// vote judges the signal by one source's words.
func (v *variant) vote(view view, source string) vote {
	words := make(map[string]word, len(v.expression.attributes))
	var ageing []int64
	for _, attribute := range v.expression.attributes {
		w := v.word(view, source, attribute)
		words[attribute] = w
		if w.value.Known() && !w.withdrawn {
			ageing = append(ageing, w.agesAt)
		}
	}
	judge := func(from int64) Status {
		return v.expression.judge(func(attribute string) signals.Value {
			if w := words[attribute]; !w.withdrawn && w.agesAt >= from {
				return w.value
			}
			return signals.Unknown
		})
	}
	status, ages := judge(math.MinInt64), int64(math.MinInt64)
	if status != StatusUnknown {
		// Each fact ages by itself, and what the others still say may be enough: false && unknown is false. The more is
		// unknown the less is decided, so the vote is worth something up to one instant.
		slices.Sort(ageing)
		ages = v.expression.lasting(slices.Compact(ageing), judge)
	}
	lastKnown := v.expression.judge(func(attribute string) signals.Value { return words[attribute].value })
	return vote{source: unique.Make(source), status: status, alarm: lastKnown == StatusFailing, known: lastKnown != StatusUnknown,
		agesAt: ages}
}

// fresh reports whether the vote counts at an instant. A fact exactly as old as it may be still does.
func (v *vote) fresh(at int64) bool { return v.status != StatusUnknown && at <= v.agesAt }

// counting are the votes that count for a demand, and by how much earlier than the baseline says they age: all of them, or
// the preferred source's alone where it has one. Preferences do not count for denyUnless.
func (a *Assessment) counting(d *demand) (votes []vote, earlier int64) {
	votes, variant := a.of(d.signal)
	if variant < 0 {
		return votes, 0
	}
	v := &a.policy.signals[d.signal].variants[variant]
	if d.maxAge != 0 && d.maxAge < v.maxAge {
		earlier = int64(v.maxAge - d.maxAge)
	}
	if d.list == ListDenyUnless {
		return votes, earlier
	}
	for _, preferred := range v.prefer {
		for i := range votes {
			if votes[i].source == preferred {
				return votes[i : i+1], earlier
			}
		}
	}
	return votes, earlier
}

// status folds the votes of a signal: the worse of the fresh ones. For denyUnless an alarm of any source counts, whatever
// its age.
func (a *Assessment) status(d *demand, at int64) Status {
	status, _ := a.standing(d, at)
	return status
}

// disputed reports that sources disagree about a signal at an instant, whether or not all of them count.
func (a *Assessment) disputed(d *demand, at int64) bool {
	votes, _ := a.of(d.signal)
	if len(votes) < 2 {
		return false
	}
	seen := StatusUnknown
	for i := range votes {
		v := &votes[i]
		if !v.fresh(at) {
			continue
		}
		if seen != StatusUnknown && seen != v.status {
			return true
		}
		seen = v.status
	}
	return false
}

// agesOut is the instant after which no vote on the signal is fresh; ok is false if none ever was.
func (a *Assessment) agesOut(d *demand) (at int64, ok bool) {
	votes, earlier := a.counting(d)
	at = math.MinInt64
	for i := range votes {
		if votes[i].status != StatusUnknown {
			at, ok = max(at, votes[i].agesAt), true
		}
	}
	return at - earlier, ok
}

// lastGood tells whether the last that is known of a signal is good, and when that aged out.
func (a *Assessment) lastGood(d *demand) (agedOut int64, ok bool) {
	votes, _ := a.counting(d)
	for i := range votes {
		if votes[i].status == StatusFailing {
			return 0, false
		}
	}
	return a.agesOut(d)
}

// sourcesSilent tells whether each source that had vouched for the signal has told nothing of any device since its vote
// aged out.
func (a *Assessment) sourcesSilent(d *demand, heard map[string]time.Time) bool {
	votes, earlier := a.counting(d)
	for i := range votes {
		v := &votes[i]
		if last, ok := heard[v.source.Value()]; v.status != StatusUnknown && ok && nanos(last) > v.agesAt-earlier {
			return false
		}
	}
	return true
}

// describe tells an operator what each source said and how old that is.
func (a *Assessment) describe(d *demand, at int64) string {
	signal := d.signal
	votes, variant := a.of(signal)
	_, earlier := a.counting(d)
	switch {
	case variant < 0 && a.platform == "":
		return "no source reports the device's platform, so no baseline applies"
	case variant < 0:
		return "no baseline defines this signal for " + a.platform
	case len(votes) == 0:
		return "no source reports " + strings.Join(a.policy.signals[signal].variants[variant].expression.attributes, ", ")
	}
	said := make([]string, 0, len(votes))
	for i := range votes {
		said = append(said, votes[i].describe(at, earlier))
	}
	return strings.Join(said, "; ")
}

func (v *vote) describe(at, earlier int64) string {
	text := v.source.Value() + " says " + v.status.String()
	if v.alarm && v.status != StatusFailing {
		text += " now, failing before"
	}
	switch {
	case v.agesAt == math.MinInt64:
		return text
	case at > v.agesAt-earlier:
		text += " (over since "
	default:
		text += " (good until "
	}
	return text + time.Unix(0, v.agesAt-earlier).UTC().Format(time.RFC3339) + ")"
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

// sourcesOf lists, sorted, the sources that report any of the attributes; nil: anything that they may state.
func (v view) sourcesOf(attributes []string) []string {
	var sources []string
	for _, f := range v.posture.Facts {
		if (attributes == nil || slices.Contains(attributes, f.Attribute)) && v.may(f.Source, f.Attribute) {
			sources = append(sources, f.Source)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}

// newestReport is the latest instant from which a fact of the device ages.
func (v view) newestReport() int64 {
	newest := int64(math.MinInt64)
	for _, f := range v.posture.Facts {
		if v.may(f.Source, f.Attribute) {
			newest = max(newest, nanos(f.AgesFrom()))
		}
	}
	return newest
}

// The instants that nanoseconds since 1970 reach (time.Time.UnixNano).
var firstNano, lastNano = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

// nanos is an instant in ns since 1970; one that they do not reach is the nearest that they do.
func nanos(at time.Time) int64 {
	switch {
	case at.Before(firstNano):
		return math.MinInt64
	case at.After(lastNano):
		return math.MaxInt64
	}
	return at.UnixNano()
}
