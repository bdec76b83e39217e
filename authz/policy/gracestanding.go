package policy

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// GraceStanding is how a device's grace stands with one tier that gives any, at an instant, whoever uses the device: what a
// tier asks of some audiences only may let it begin and end earlier for their members.
type GraceStanding struct {
	Tier string `json:"tier"`
	// Teams own the tier or a baseline that defines what it requires, sorted: any of them may renew.
	Teams   []string      `json:"teams"`
	Running bool          `json:"running"`
	Why     string        `json:"why,omitempty"`   // why it is not running
	Starts  time.Time     `json:"starts,omitzero"` // when the first required signal aged out; zero: none has
	Ends    time.Time     `json:"ends,omitzero"`   // with the renewals that count; zero: it never began
	Offline time.Duration `json:"offline"`         // what it lasts, and what each renewal adds
	Counted int           `json:"counted"`         // renewals that count
	Allowed int           `json:"allowed"`         // renewals that the tier allows
}

// Graces tells how the grace of a posture's device stands with each tier that gives grace, sorted by name. heard is that of
// Device, and ended when somebody ended the grace of a silence (zero: nobody): it is over
// until the device is heard of again. a may be
// nil, or of another version: it is then made anew.
func (p *Policy) Graces(
	a *Assessment, posture *signals.Posture, heard map[string]time.Time, renewals []Renewal, ended, at time.Time,
) []GraceStanding {
	if !a.Fits(p, posture.Device, posture.Revision) {
		a = p.Assess(posture)
	}
	var all []GraceStanding
	for i := range p.tiers { // sorted, as the documents are
		t := &p.tiers[i]
		if t.grace.Offline == 0 {
			continue
		}
		g := GraceStanding{Tier: t.name, Teams: p.graceTeams(t), Offline: t.grace.Offline, Allowed: t.grace.Renewals}
		in := &Input{At: at, Device: Device{Heard: heard, Renewals: renewals, GraceEnded: ended}}
		h := &hearing{policy: p, tier: t, in: in, assessment: a, at: nanos(at), grace: t.grace}
		h.findSilence()
		g.stands(h)
		all = append(all, g)
	}
	return all
}

// stands reads what was found of the silence.
func (g *GraceStanding) stands(h *hearing) {
	s := &h.silence
	if s.starts == math.MaxInt64 {
		g.Why = "the tier requires nothing that this device ever showed"
		return
	}
	g.Starts = time.Unix(0, s.starts).UTC()
	switch {
	case s.starts >= h.at:
		g.Why = "it is not silent: all that is required is known until " + g.Starts.Format(time.RFC3339)
		return
	case h.assessment.newest > s.starts:
		g.Why = "it is not silent: it reported at " + time.Unix(0, h.assessment.newest).UTC().Format(time.RFC3339)
		return
	case !s.proven:
		g.Why = fmt.Sprintf("it is not the device that is silent: source %s has told of no device since %s", s.unheard,
			g.Starts.Format(time.RFC3339))
		return
	}
	g.Ends = time.Unix(0, s.graceEnds).UTC()
	g.Counted = s.counted
	switch {
	case s.ended && h.at >= s.graceEnds:
		g.Why = "it was ended at " + h.in.Device.GraceEnded.UTC().Format(time.RFC3339)
	case h.at >= s.graceEnds:
		g.Why = "it is over since " + g.Ends.Format(time.RFC3339)
	default:
		g.Running = true
	}
}

// graceTeams are the owner of a tier and those of the baselines that define what it requires of everybody.
func (p *Policy) graceTeams(t *tier) []string {
	teams := []string{p.rules.tiers[t.name].Meta.Owner}
	for i := range t.demands {
		if t.demands[i].list != ListRequire {
			continue
		}
		for _, v := range p.signals[t.demands[i].signal].variants {
			teams = append(teams, v.owner)
		}
	}
	slices.Sort(teams)
	return slices.Compact(teams)
}
