package findings

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// renewedGraces are the graces that somebody has renewed: a grace that nobody asked for more of ends by itself, as each
// weekend does, and is no trouble.
func (f *finder) renewedGraces() map[signals.DeviceID]*approvals.Grace {
	renewed := map[signals.DeviceID]*approvals.Grace{}
	for i := range f.v.Graces {
		if g := &f.v.Graces[i]; len(g.Renewals) > 0 {
			renewed[g.Device] = g
		}
	}
	return renewed
}

// grace tells that the last renewal of a device's grace runs, or that its grace is over and the device still silent. key is
// that of the finding; empty: there is none.
func (f *finder) grace(d *DeviceView, n *deviceNote, renewed map[signals.DeviceID]*approvals.Grace) (key string) {
	g := renewed[d.Posture.Device]
	if g == nil || f.v.Heard == nil {
		return ""
	}
	renewals := make([]policy.Renewal, 0, len(g.Renewals))
	last := time.Time{}
	for _, r := range g.Renewals {
		renewals = append(renewals, policy.Renewal{At: r.At, By: r.By.String()})
		if !r.At.After(f.at) && r.At.After(last) {
			last = r.At
		}
	}
	var ended time.Time
	if g.Ended != nil {
		ended = g.Ended.At
	}
	x := Finding{Kind: GraceOverrun, Subject: n.subject, Audiences: n.audiences, Wait: f.wait(GraceOverrun, n.audiences, 0),
		Summary: "the grace of " + n.subject + " has come to its end, and the device is still silent",
		Fix:     policy.Fix{Text: "Have the device report, or end its grace with `tiergate grace end`."}}
	owners := map[string]int{}
	for _, s := range f.v.Policy.Graces(nil, d.Posture, f.v.Heard, renewals, ended, f.at) {
		if s.Ends.IsZero() || s.Counted == 0 {
			continue
		}
		since := s.Ends
		switch {
		case s.Running && s.Counted < s.Allowed:
			continue
		case s.Running:
			since = last
			x.Evidence = append(x.Evidence, "tier "+s.Tier+": the last renewal runs until "+stamp(s.Ends))
		default:
			x.Evidence = append(x.Evidence, "tier "+s.Tier+": "+s.Why)
		}
		if x.Since.IsZero() || since.Before(x.Since) {
			x.Since = since
		}
		owners[f.who.tiers[s.Tier]]++
	}
	if len(x.Evidence) == 0 {
		return ""
	}
	slices.Sort(x.Evidence)
	x.Owner = cmp.Or(most(owners), n.owner)
	f.add(x)
	return x.Key()
}
