package policy

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Standing is how a device stands with a policy at an instant, whoever uses it: no exception, grace or login is counted.
type Standing struct {
	Signals []SignalStanding `json:"signals"` // sorted by name
	Tiers   []TierStanding   `json:"tiers"`   // those that ask something of a device, sorted by name
}

// SignalStanding is the state of one signal by the baseline alone: no tier's shorter maxAge, and alarms as any failure.
type SignalStanding struct {
	Signal   string `json:"signal"`
	Status   Status `json:"status"`
	Disputed bool   `json:"disputed,omitempty"` // sources disagree now
	Detail   string `json:"detail"`             // what each source said, and how old it is
	Owner    string `json:"owner"`
	Fix      Fix    `json:"fix,omitzero"`
	// Reported: a baseline defines it for the device's platform, and a source that may speak of it has told something that
	// decides it, however long ago.
	Reported bool `json:"-"`
	// Since is when it began to be so, as far as the facts still tell: of a failing signal the earliest instant from which one
	// of the failing votes ages, of an unknown one the instant at which its last vote aged out. Zero: they do not tell.
	Since time.Time `json:"-"`
}

// TierStanding is what a tier would find unmet.
type TierStanding struct {
	Tier    string `json:"tier"`
	Monitor bool   `json:"monitor,omitempty"` // it only records
	// Refuses tells that the device as it is now is refused: a require or denyUnless demand of everybody is not met.
	Refuses bool `json:"refuses"`
	// Unmet are the demands that are not met, those of advise and stepUp too.
	Unmet []TierUnmet `json:"unmet,omitempty"`
}

// TierUnmet is one demand of a tier that is not met.
type TierUnmet struct {
	Unmet
	Audience string `json:"audience,omitempty"` // asked of its members only; empty: of everybody
	Noted    bool   `json:"noted,omitempty"`    // it is only noted: advise, or onUnknown: note
}

// Standing tells how the device of a posture stands at an instant. a may be nil, or of another version: it is then made anew.
func (p *Policy) Standing(a *Assessment, posture *signals.Posture, at time.Time) Standing {
	var s Standing
	p.stand(&s, a, posture, at, true)
	return s
}

// Troubles is Standing for who looks at very many devices, one after the other, for what is wrong with them. It is written over
// s, whose memory is used again; signals that pass and are not disputed have no Detail, Owner and Fix.
func (p *Policy) Troubles(s *Standing, a *Assessment, posture *signals.Posture, at time.Time) {
	p.stand(s, a, posture, at, false)
}

func (p *Policy) stand(s *Standing, a *Assessment, posture *signals.Posture, at time.Time, whole bool) {
	if !a.Fits(p, posture.Device, posture.Revision) {
		a = p.Assess(posture)
	}
	now := nanos(at)
	s.Signals = slices.Grow(s.Signals[:0], len(p.signals))
	for i := range p.signals { // by name
		d := &demand{signal: i, list: ListRequire}
		status := a.status(d, now)
		x := SignalStanding{Signal: p.signals[i].name, Status: status, Disputed: a.disputed(d, now), Reported: a.reported(i),
			Since: a.since(d, status, now)}
		if whole || x.Disputed || status != StatusPassing {
			u := p.unmet(d, status, a, now)
			x.Detail, x.Owner, x.Fix = u.Detail, u.Owner, u.Fix
		}
		s.Signals = append(s.Signals, x)
	}
	s.Tiers = slices.Grow(s.Tiers[:0], len(p.tiers))
	for i := range p.tiers {
		t := &p.tiers[i]
		if !t.looksAtDevices() {
			continue
		}
		standing := TierStanding{Tier: t.name, Monitor: t.monitor, Unmet: s.Tiers[:len(s.Tiers)+1][len(s.Tiers)].Unmet[:0]}
		standing.add(p, &t.demanded, "", a, now)
		for j := range t.stricter {
			standing.add(p, &t.stricter[j].demanded, p.audiences[t.stricter[j].audience].name, a, now)
		}
		s.Tiers = append(s.Tiers, standing)
	}
	slices.SortFunc(s.Tiers, func(x, y TierStanding) int { return cmp.Compare(x.Tier, y.Tier) })
}

// reported is SignalStanding.Reported.
func (a *Assessment) reported(signal int) bool {
	votes, variant := a.of(signal)
	return variant >= 0 && slices.ContainsFunc(votes, func(v vote) bool { return v.known })
}

// since is SignalStanding.Since.
func (a *Assessment) since(d *demand, status Status, at int64) time.Time {
	votes, variant := a.of(d.signal)
	switch {
	case variant < 0 || status == StatusPassing:
		return time.Time{}
	case status == StatusUnknown:
		if out, ok := a.agesOut(d); ok && out < at {
			return time.Unix(0, out).UTC()
		}
		return time.Time{}
	}
	earliest := int64(math.MaxInt64)
	for i := range votes {
		if votes[i].status == StatusFailing && votes[i].fresh(at) {
			earliest = min(earliest, votes[i].agesAt-int64(a.policy.signals[d.signal].variants[variant].maxAge))
		}
	}
	if earliest == math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(0, earliest).UTC()
}

func (t *tier) looksAtDevices() bool {
	return len(t.demands) > 0 || slices.ContainsFunc(t.stricter, func(s stricter) bool { return len(s.demands) > 0 })
}

// add notes what of a list of demands is not met.
func (t *TierStanding) add(p *Policy, of *demanded, audience string, a *Assessment, at int64) {
	for i := range of.demands {
		d := &of.demands[i]
		status := a.status(d, at)
		if status == StatusPassing {
			continue
		}
		u := TierUnmet{Unmet: p.unmet(d, status, a, at), Audience: audience}
		u.Noted = d.list == ListAdvise || d.list == ListDenyUnless && status == StatusUnknown && d.noteIfUnknown
		if !u.Noted && d.list != ListStepUp && audience == "" {
			t.Refuses = true
		}
		t.Unmet = append(t.Unmet, u)
	}
}
