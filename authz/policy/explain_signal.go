package policy

import (
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/tiergate/tiergate/signals"
)

// ExplainedSignal is one demand of the tier on the device, and what came of it.
type ExplainedSignal struct {
	Signal   string `json:"signal"`
	List     List   `json:"list"`
	Audience string `json:"audience,omitempty"` // demanded of its members only
	// Status is what the sources that count come to: the worse of those that are fresh.
	Status Status `json:"status"`
	Effect Effect `json:"effect,omitempty"` // empty: the judgement did not come so far
	// By, ByName and ExcusedUntil are what excuses it, where Effect is EffectWaived.
	By           Waiver    `json:"by,omitempty"`
	ByName       string    `json:"byName,omitempty"` // of the exception
	ExcusedUntil time.Time `json:"excusedUntil,omitzero"`
	// Until is the last instant at which the status is what it is if nobody says anything more; zero: it does not age.
	Until  time.Time     `json:"until,omitzero"`
	MaxAge time.Duration `json:"maxAge,omitempty"` // ns; the tier's if it is shorter than the baseline's
	// Expr is the healthy statement; empty: no baseline defines it for this platform.
	Expr     string          `json:"expr,omitempty"`
	Prefers  string          `json:"prefers,omitempty"` // the one source that counts, since the baseline prefers it
	Disputed bool            `json:"disputed,omitempty"`
	Detail   string          `json:"detail"` // as a verdict says it
	Owner    string          `json:"owner"`
	Contact  string          `json:"contact,omitempty"`
	Fix      Fix             `json:"fix,omitzero"`
	Sources  []ExplainedVote `json:"sources,omitempty"` // sorted
}

// Effect is what a demand did to the verdict.
type Effect string

// The effects.
const (
	EffectMet    Effect = "met"
	EffectUnmet  Effect = "unmet"
	EffectNoted  Effect = "noted"
	EffectWaived Effect = "waived"
)

// ExplainedVote is what one source's facts say of a signal.
type ExplainedVote struct {
	Source string          `json:"source"`
	Status Status          `json:"status"`          // while it is fresh
	Fresh  bool            `json:"fresh"`           // else it is worth nothing
	Counts bool            `json:"counts"`          // else the baseline prefers another source
	Alarm  bool            `json:"alarm,omitempty"` // its last known values fail; for denyUnless that does not age
	Until  time.Time       `json:"until,omitzero"`  // fresh up to this instant; zero: it says nothing
	Facts  []ExplainedFact `json:"facts,omitempty"`
}

// ExplainedFact is one fact that a vote rests on.
type ExplainedFact struct {
	Attribute string        `json:"attribute"`
	Value     string        `json:"value"` // "unknown" if nobody reports it
	From      string        `json:"from,omitempty"`
	Since     time.Time     `json:"since,omitzero"` // from when it ages
	Age       time.Duration `json:"age,omitempty"`  // ns
	Fresh     bool          `json:"fresh"`
	// Withdrawn: its source has since said that it cannot tell.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

func (h *hearing) explainSignals(e *Explanation) []ExplainedSignal {
	var all []ExplainedSignal
	view := viewOf(h.in.Device.posture(), h.policy.attests)
	for of := range h.each {
		goodLogin := of.stepUp == nil || judgeLogin(of.stepUp, h.in) == loginGood
		for i := range of.demands {
			s := h.explainSignal(&of.demands[i], view)
			s.Audience = h.audienceOf(of)
			if e.Whole {
				s.effect(h, &of.demands[i], goodLogin)
			}
			all = append(all, s)
		}
	}
	return all
}

// posture is the posture in the form in which its facts can be read.
func (d *Device) posture() *signals.Posture {
	if d.Posture == nil && d.Packed != nil {
		return d.Packed.Posture()
	}
	return d.Posture
}

// effect has a demand judged once more, by itself. goodLogin: the login suffices for what is demanded beside it.
func (s *ExplainedSignal) effect(h *hearing, d *demand, goodLogin bool) {
	var alone Verdict
	outcome := Allow
	h.demand(&alone, d, goodLogin, &outcome)
	switch {
	case len(alone.Unmet) > 0:
		s.Effect = EffectUnmet
	case len(alone.Waived) > 0:
		w := &alone.Waived[0]
		s.Effect, s.By, s.ByName, s.ExcusedUntil = EffectWaived, w.By, w.Name, w.Until
	case len(alone.Noted) > 0:
		s.Effect = EffectNoted
	default:
		s.Effect = EffectMet
	}
}

func (h *hearing) explainSignal(d *demand, view view) ExplainedSignal {
	a := h.assessment
	status := a.status(d, h.at)
	u := h.policy.unmet(d, status, a, h.at)
	s := ExplainedSignal{Signal: u.Signal, List: d.list, Status: status, Disputed: a.disputed(d, h.at), Detail: u.Detail,
		Owner: u.Owner, Contact: u.Contact, Fix: u.Fix, Until: a.statusUntil(d, h.at)}
	votes, variant := a.of(d.signal)
	counting, earlier := a.counting(d)
	if variant >= 0 {
		v := &h.policy.signals[d.signal].variants[variant]
		s.MaxAge = v.maxAge - time.Duration(earlier)
		s.Expr = h.policy.exprOf(u.Signal, v)
		if len(counting) == 1 && d.list != ListDenyUnless && slices.Contains(v.prefer, counting[0].source) {
			s.Prefers = counting[0].source.Value()
		}
	}
	for i := range votes {
		v := &votes[i]
		name := v.source.Value()
		told := ExplainedVote{Source: name, Status: v.status, Fresh: v.fresh(h.at + earlier), Alarm: v.alarm,
			Counts: s.Prefers == "" || s.Prefers == name}
		if v.status != StatusUnknown {
			told.Until = instant(v.agesAt - earlier)
		}
		if variant >= 0 {
			told.Facts = explainFacts(&h.policy.signals[d.signal].variants[variant], view, name, h.at, earlier)
		}
		s.Sources = append(s.Sources, told)
	}
	return s
}

// explainFacts are the words that a source's vote was judged by.
func explainFacts(v *variant, view view, source string, at, earlier int64) []ExplainedFact {
	var facts []ExplainedFact
	for _, attribute := range v.expression.attributes {
		w := v.word(view, source, attribute)
		f := ExplainedFact{Attribute: attribute, Value: w.value.String(), Withdrawn: w.withdrawn}
		if attribute == enrolledUser && w.value.Known() {
			f.Value = "somebody" // whom a device is enrolled for is that person's affair
		}
		if w.value.Known() {
			f.From = source
			if _, own, _ := view.own(attribute, source); !own {
				other, _ := view.other(attribute)
				f.From = other.Source
			}
			f.Since = instant(w.agesAt - int64(v.maxAge))
			f.Age = time.Duration(at - nanos(f.Since))
			f.Fresh = !w.withdrawn && at <= w.agesAt-earlier
		}
		facts = append(facts, f)
	}
	return facts
}

// statusUntil is the last instant at which a status is the same: each of the counting votes ends at one, and nothing
// happens between two of them.
func (a *Assessment) statusUntil(d *demand, at int64) time.Time {
	status := a.status(d, at)
	votes, earlier := a.counting(d)
	ends := make([]int64, 0, len(votes))
	for i := range votes {
		if end := votes[i].agesAt; end > math.MinInt64+earlier && end-earlier >= at && end < math.MaxInt64 {
			ends = append(ends, end-earlier)
		}
	}
	slices.Sort(ends)
	for _, end := range ends {
		if a.status(d, end+1) != status {
			return instant(end)
		}
	}
	return time.Time{}
}

// exprOf is the healthy statement as its baseline writes it.
func (p *Policy) exprOf(signal string, v *variant) string {
	for i := range p.spec.Baselines {
		b := &p.spec.Baselines[i]
		if said, ok := b.Signals[signal]; ok && slices.Equal(slices.Sorted(slices.Values(b.Platforms)),
			slices.Sorted(slices.Values(v.platforms))) {
			return said.Expr
		}
	}
	return ""
}

func (h *hearing) explainDevice() *ExplainedDevice {
	d := &ExplainedDevice{Enrolled: ExplainedEnrolled{Demand: h.tier.enrolled}}
	d.Refused, d.Detail = gap(&h.in.Device, h.assessment)
	a := h.assessment
	if a == nil {
		return d
	}
	d.Platform, d.Ownership, d.LastWord = a.platform, a.owned.value, instant(a.newest)
	d.AsOf = h.in.Device.AsOf.UTC()
	for source := range strings.SplitSeq(a.sources.Value(), "\n") {
		if source != "" {
			d.Heard = append(d.Heard, HeardSource{Source: source, At: h.in.Device.Heard[source].UTC()})
		}
	}
	if a.withdrawn != (unique.Handle[string]{}) {
		d.Revoked = a.withdrawn.Value()
	}
	reason, detail := h.enrolled()
	d.Enrolled.Refused, d.Enrolled.Detail = reason != ReasonUndecided, detail
	if detail == "" && h.tier.enrolled != "" && len(a.enrolled) > 0 {
		d.Enrolled.Detail = describeEnrolled(a.enrolled, h.in.Subject.User)
	}
	return d
}
