package policy

import (
	"cmp"
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
	if !a.fits(p, posture.Device, posture.Revision) {
		a = p.Assess(posture)
	}
	var s Standing
	now := nanos(at)
	for i := range p.signals {
		d := &demand{signal: i, list: ListRequire}
		u := p.unmet(d, a.status(d, now), a, now)
		s.Signals = append(s.Signals, SignalStanding{Signal: u.Signal, Status: u.Status, Disputed: a.disputed(d, now),
			Detail: u.Detail, Owner: u.Owner, Fix: u.Fix})
	}
	slices.SortFunc(s.Signals, func(x, y SignalStanding) int { return cmp.Compare(x.Signal, y.Signal) })
	for i := range p.tiers {
		t := &p.tiers[i]
		if !t.looksAtDevices() {
			continue
		}
		standing := TierStanding{Tier: t.name, Monitor: t.monitor}
		standing.add(p, &t.demanded, "", a, now)
		for j := range t.stricter {
			standing.add(p, &t.stricter[j].demanded, p.audiences[t.stricter[j].audience].name, a, now)
		}
		s.Tiers = append(s.Tiers, standing)
	}
	slices.SortFunc(s.Tiers, func(x, y TierStanding) int { return cmp.Compare(x.Tier, y.Tier) })
	return s
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
