package engine

import (
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Report is what one look saw, for metrics: counts, and no names but those that a policy gives.
type Report struct {
	At      time.Time
	Took    time.Duration
	Devices int
	Unread  int // devices that are there and cannot be believed
	// Coverage is by signal: of the devices of its platforms those that a source tells fresh facts of. Nil: not known.
	Coverage map[string]Share
	// Identities is of the Identity documents those that a decision saw in the last 30 days; nil: not known.
	Identities *Share
	// Postures is by type how all identities stand, documented or not; nil: not known.
	Postures []inventory.Posture
	// Exceptions are those that excuse something now, of the directory (approvals.OriginPolicy) and of run time; nil: not known.
	Exceptions map[string]Standing
	// Traffic is by tier what sidecars decided in the last 7 days, today among them; nil: not known.
	Traffic   map[string]inventory.TierUse
	Cases     map[CaseLabels]int // those that stand
	Unwatched map[findings.Kind]int
	Blind     map[string]string
}

// Share is a part of a whole.
type Share struct{ Of, Have int }

// Standing counts exceptions, and says for how long the oldest has been in force.
type Standing struct {
	Number int
	Oldest time.Duration
}

// CaseLabels are what standing cases are counted by.
type CaseLabels struct {
	Kind     findings.Kind
	Severity policy.Severity
	Team     string
	State    findings.State
	Overdue  bool
}

// seenWithin is how lately an identity must have been seen to count as covered.
const seenWithin = 30 * 24 * time.Hour

// tally counts devices as they are looked at.
type tally struct {
	devices, unread int
	platforms       map[string]map[string]bool // the signals of a platform
	coverage        map[string]Share
}

func newTally(p *policy.Policy) *tally {
	t := &tally{platforms: map[string]map[string]bool{}, coverage: map[string]Share{}}
	for i := range p.Spec().Baselines {
		b := &p.Spec().Baselines[i]
		for _, platform := range b.Platforms {
			if t.platforms[platform] == nil {
				t.platforms[platform] = map[string]bool{}
			}
			for signal := range b.Signals {
				t.platforms[platform][signal] = true
			}
		}
		for signal := range b.Signals {
			t.coverage[signal] = Share{}
		}
	}
	return t
}

func (t *tally) device(d *findings.DeviceView) {
	t.devices++
	expected := t.platforms[platformOf(d.Posture)]
	for i := range d.Standing.Signals {
		s := &d.Standing.Signals[i]
		if !expected[s.Signal] {
			continue
		}
		share := t.coverage[s.Signal]
		share.Of++
		if s.Status != policy.StatusUnknown {
			share.Have++
		}
		t.coverage[s.Signal] = share
	}
}

func (e *Engine) report(
	v *findings.View, t *tally, held map[string]heldCase, found []findings.Finding, blind map[string]string,
) *Report {
	r := &Report{At: v.At, Devices: t.devices, Unread: t.unread, Cases: map[CaseLabels]int{}, Blind: blind,
		Unwatched: findings.Unwatched(v.Policy, found)}
	if v.Devices != nil {
		r.Coverage = t.coverage
	}
	for _, h := range held {
		if c := &h.kept.Case; c.State.Stands() {
			r.Cases[CaseLabels{c.Finding.Kind, c.Severity, c.Team, c.State, Overdue(c, v.At)}]++
		}
	}
	if v.Exceptions != nil {
		r.Exceptions = standing(v)
	}
	if v.Sightings != nil {
		r.Identities = seen(v)
	}
	if v.Sightings != nil && v.Imported != nil {
		r.Postures = inventory.Postures(inventory.Join(&inventory.World{At: v.At, Policy: v.Policy, Sightings: v.Sightings, Entries: v.Imported}))
	}
	if v.Use != nil {
		r.Traffic = traffic(v)
	}
	return r
}

// standing asks the one state function that verbs ask.
func standing(v *findings.View) map[string]Standing {
	out := map[string]Standing{approvals.OriginPolicy: {}, approvals.OriginRunTime: {}}
	listed := approvals.ListAt(v.Policy, v.Exceptions, v.At)
	for i := range listed {
		l := &listed[i]
		if l.Stands != approvals.StateInForce {
			continue
		}
		s := out[l.Origin]
		s.Number++
		s.Oldest = max(s.Oldest, v.At.Sub(l.From))
		out[l.Origin] = s
	}
	return out
}

func seen(v *findings.View) *Share {
	share := &Share{}
	identities := v.Policy.Spec().Identities
	exact, wild := map[identity.SPIFFEID]int{}, map[int][]identity.SPIFFEPattern{}
	for i := range identities {
		for _, text := range identities[i].SPIFFEIDs {
			exact[identity.SPIFFEID(text)] = i + 1
			if pattern, err := identity.ParseSPIFFEPattern(text); err == nil {
				wild[i] = append(wild[i], pattern)
			}
		}
	}
	covered := map[int]bool{}
	for i := range v.Sightings {
		s := &v.Sightings[i]
		if v.At.Sub(s.Last) > seenWithin {
			continue
		}
		id := identity.SPIFFEID(s.ID)
		if n := exact[id]; n > 0 {
			covered[n-1] = true
			continue
		}
		for n, patterns := range wild {
			for _, pattern := range patterns {
				if pattern.Match(id) {
					covered[n] = true
				}
			}
		}
	}
	share.Of, share.Have = len(identities), len(covered)
	return share
}

// traffic adds what was decided in the last 7 days. Tiers that the policy has no more are left out.
func traffic(v *findings.View) map[string]inventory.TierUse {
	out := map[string]inventory.TierUse{}
	for _, tier := range v.Policy.Spec().Tiers {
		out[tier.Meta.Name] = inventory.TierUse{}
	}
	first := v.At.UTC().AddDate(0, 0, -6).Format(time.DateOnly)
	for i := range v.Use {
		if v.Use[i].Day < first {
			continue
		}
		for tier, use := range v.Use[i].Tiers {
			if sum, ok := out[tier]; ok {
				sum.Allowed, sum.Refused = sum.Allowed+use.Allowed, sum.Refused+use.Refused
				sum.ByException, sum.ByGrace = sum.ByException+use.ByException, sum.ByGrace+use.ByGrace
				sum.ByLastKnown += use.ByLastKnown
				out[tier] = sum
			}
		}
	}
	return out
}

// watch is what every process may tell of it.
func (r *Report) watch() Watch {
	w := Watch{At: r.At, Took: r.Took.Seconds(), Devices: r.Devices, Unread: r.Unread, Blind: r.Blind}
	for kind, n := range r.Unwatched {
		if w.Unwatched == nil {
			w.Unwatched = map[string]int{}
		}
		w.Unwatched[string(kind)] = n
	}
	return w
}

// platformOf is the platform that the newest fact of a posture tells; "": none does.
func platformOf(p *signals.Posture) string {
	platform, newest := "", time.Time{}
	for i := range p.Facts {
		fact := &p.Facts[i]
		if value, ok := fact.Value.AsText(); ok && fact.Attribute == "platform" && (platform == "" || fact.Observed.After(newest)) {
			platform, newest = value, fact.Observed
		}
	}
	return platform
}
