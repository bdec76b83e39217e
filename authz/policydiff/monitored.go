package policydiff

import (
	"fmt"

	"github.com/tiergate/tiergate/authz/policy"
)

// Watched is what tiers in mode monitor let through and would have refused: verdicts with Monitored under the old policy. In
// its lists Tightened counts decisions; a decision with several unmet signals counts for each of them and for each owner.
type Watched struct {
	Judged    int `json:"judged"` // decisions of tiers that only monitor
	Refused   int `json:"refused"`
	SteppedUp int `json:"steppedUp"`
	Tiers     Top `json:"tiers"`
	Signals   Top `json:"signals"`
	Subjects  Top `json:"subjects"`
	Devices   Top `json:"devices"`
	Owners    Top `json:"owners"` // of the unmet signals
}

type watch struct {
	tiers                                      map[string]bool // that are looked at
	judged, refused, steppedUp                 int
	byTier, signals, subjects, devices, owners *tally
}

func newWatch(rows int) *watch {
	return &watch{byTier: newTally(rows), signals: newTally(rows), subjects: newTally(rows), devices: newTally(rows),
		owners: newTally(rows)}
}

// Watch adds to the report what tiers of these names would have refused.
func (b *Blast) Watch(tiers []string) {
	b.watched.tiers = map[string]bool{}
	for _, name := range tiers {
		b.watched.tiers[name] = true
	}
}

func (w *watch) add(id string, j *Judged) {
	if !w.tiers[j.Tier] {
		return
	}
	w.judged++
	if j.Monitored == nil {
		return
	}
	step := AllowToStepUp
	if j.Monitored.Outcome == policy.Deny {
		step = AllowToDeny
		w.refused++
	} else {
		w.steppedUp++
	}
	w.byTier.add(j.Tier, "", id, step)
	w.subjects.add(j.Subject, "", id, step)
	w.devices.add(j.Device, "", id, step)
	owners := map[string]bool{}
	for i := range j.WasUnmet {
		u := &j.WasUnmet[i]
		w.signals.add(u.Signal, u.Owner, id, step)
		owners[u.Owner] = true
	}
	for owner := range owners {
		w.owners.add(owner, "", id, step)
	}
	if len(j.WasUnmet) == 0 { // a login that is wanted always, or a device of which nothing is known
		w.signals.add(fmt.Sprintf("(no signal: %s)", j.Monitored.Reason), "", id, step)
	}
}

func (w *watch) report() *Watched {
	if w.tiers == nil {
		return nil
	}
	return &Watched{Judged: w.judged, Refused: w.refused, SteppedUp: w.steppedUp, Tiers: w.byTier.top(), Signals: w.signals.top(),
		Subjects: w.subjects.top(), Devices: w.devices.top(), Owners: w.owners.top()}
}

// Enforced is a policy's documents with tiers in mode monitor enforced: all of them, or one. The names are those that it
// changed.
func Enforced(spec policy.Spec, tier string) (enforced policy.Spec, names []string) {
	tiers := make([]policy.Tier, len(spec.Tiers))
	for i, t := range spec.Tiers {
		if t.Mode == policy.ModeMonitor && (tier == "" || tier == t.Meta.Name) {
			t.Mode = policy.ModeEnforce
			names = append(names, t.Meta.Name)
		}
		tiers[i] = t
	}
	spec.Tiers = tiers
	return spec, names
}
