package findings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// What tells sorts of exception abuse apart (Finding.Detail).
const (
	detailOutside  = "used-outside"     // used before its start or after its end
	detailEdge     = "used-at-edge"     // used in its last minutes, and continued by none
	detailRenewed  = "renewed-to-bound" // the last renewal that its tiers allow
	detailNeedless = "needless"         // its devices comply
	detailUnused   = "unused"           // nobody has used it
	detailShare    = "standing-share"   // too many of a tier's decisions rest on exceptions
	detailMany     = "many-by-one"      // one person asked for many
)

// Thresholds of exception abuse.
const (
	edge         = 15 * time.Minute    // before the end
	skew         = 5 * time.Minute     // of a sidecar's clock, and until it has heard of a revocation
	toldFor      = 7 * 24 * time.Hour  // after a use at an edge or outside
	waitNeedless = 3 * 24 * time.Hour  // for which all devices must comply
	waitUnused   = 7 * 24 * time.Hour  // from its start
	shareOver    = 7 * 24 * time.Hour  // the days whose decisions are counted
	shareTier    = 10                  // percent
	shareFewest  = 100                 // decisions, for a share to say anything
	manyOver     = 30 * 24 * time.Hour // in which requests are counted
	manyDefault  = 5
)

// standingException is an exception that is or was in force, of the directory or of run time, from when to when it counts.
type standingException struct {
	policy.Exception
	devices   map[signals.Alias]bool // named; true once a device that carries the name complies
	broken    bool                   // a device that it names does not comply
	renewed   bool                   // another one continues it
	revoked   bool                   // ended before its time: whoever used it could not know
	audiences []string
}

// standingExceptions lists them, and makes an index of the devices of those in force.
func (f *finder) standingExceptions() []*standingException {
	var all []*standingException
	note := func(e policy.Exception, revoked bool) {
		s := &standingException{Exception: e, revoked: revoked, devices: map[signals.Alias]bool{}, audiences: f.who.ofSubjects(e.Subjects)}
		for _, name := range e.Devices {
			if alias, err := exceptionDevice(name); err == nil {
				s.devices[alias] = false
			}
		}
		all = append(all, s)
	}
	for i := range f.spec.Exceptions {
		note(f.spec.Exceptions[i], false)
	}
	for i := range f.v.Exceptions {
		if granted, ok := f.v.Exceptions[i].Granted(); ok {
			note(granted, granted.Until.Before(f.v.Exceptions[i].Until))
		}
	}
	f.byName = map[string]*standingException{}
	for _, s := range all {
		f.byName[s.Meta.Name] = s
	}
	for _, s := range all {
		if before := f.byName[s.Renews]; before != nil {
			before.renewed = true
		}
	}
	f.byAlias = map[signals.Alias][]*standingException{}
	for _, s := range all {
		if s.State(f.at) == policy.ExceptionInForce {
			for alias := range s.devices {
				f.byAlias[alias] = append(f.byAlias[alias], s)
			}
		}
	}
	return all
}

// exceptionDevice reads KIND:VALUE, or a serial number alone, as the policy does.
func exceptionDevice(name string) (signals.Alias, error) {
	if strings.Contains(name, ":") {
		return signals.ParseAlias(name)
	}
	return signals.NewAlias(signals.AliasSerial, name)
}

// match notes whether a device still needs the exceptions that name it.
func (f *finder) match(d *DeviceView) {
	for _, alias := range d.Posture.Aliases {
		for _, e := range f.byAlias[alias] {
			e.devices[alias] = true
			e.broken = e.broken || needs(d, e.Signals)
		}
	}
}

// needs tells whether any of the signals is not passing on a device, by the baseline or for any tier.
func needs(d *DeviceView, names []string) bool {
	passing := 0
	for i := range d.Standing.Signals {
		if s := &d.Standing.Signals[i]; s.Status == policy.StatusPassing && slices.Contains(names, s.Signal) {
			passing++
		}
	}
	for i := range d.Standing.Tiers {
		for j := range d.Standing.Tiers[i].Unmet {
			if slices.Contains(names, d.Standing.Tiers[i].Unmet[j].Signal) {
				return true
			}
		}
	}
	return passing < len(sortedSet(names))
}

// abuse tells how exceptions are used, and kept, in other ways than they were meant.
func (f *finder) abuse() {
	if f.v.Use != nil {
		f.standingShare()
	}
	if f.v.Exceptions == nil {
		return
	}
	f.manyByOne()
	use := f.uses()
	for _, e := range f.exceptions {
		if f.v.Use != nil {
			f.edges(e, use)
		}
		switch {
		case e.State(f.at) == policy.ExceptionEnded:
			continue
		case f.renewals(e) > 0 && f.renewals(e) >= f.mostRenewals(e):
			f.abused(e, detailRenewed, e.From, 0, "is the last renewal that its tiers allow",
				fmt.Sprintf("renewal %d; it continues %s", f.renewals(e), e.Renews), "Mend the cause before it ends: nothing continues it.")
		}
		if e.State(f.at) != policy.ExceptionInForce {
			continue
		}
		switch {
		case f.v.Devices != nil && !e.broken && len(e.devices) > 0 && !slices.Contains(slices.Collect(maps.Values(e.devices)), false):
			f.abused(e, detailNeedless, time.Time{}, f.wait(ExceptionAbuse, e.audiences, waitNeedless), "is needed no more, and still stands",
				"all devices that it names show "+list(e.Signals), "End it with `tiergate exception revoke`, or remove the document.")
		case f.v.Use != nil:
			f.unused(e, use)
		}
	}
}

func (f *finder) abused(e *standingException, detail string, since time.Time, wait time.Duration, what, evidence, fix string) {
	f.add(Finding{Kind: ExceptionAbuse, Subject: "exception " + e.Meta.Name, Detail: detail, Since: since, Wait: wait,
		Summary: "exception " + e.Meta.Name + " " + what, Evidence: []string{evidence, "ticket " + e.Ticket + ", approved by " + e.Approver},
		Owner: e.Meta.Owner, Audiences: e.audiences, Fix: policy.Fix{Text: fix}})
}

// uses joins what all sidecars tell of each exception: how often, and when last.
type used struct {
	count       uint64
	first, last time.Time // first is as exact as a day
}

func (f *finder) uses() map[string]used {
	all := map[string]used{}
	for i := range f.v.Use {
		day, err := time.Parse(time.DateOnly, f.v.Use[i].Day)
		if err != nil {
			continue
		}
		for name, u := range f.v.Use[i].Exceptions {
			x := all[name]
			x.count += u.Count
			if u.Last.After(x.last) {
				x.last = u.Last
			}
			if x.first.IsZero() || day.Before(x.first) {
				x.first = day
			}
			all[name] = x
		}
	}
	return all
}

// edges tells of uses outside of an exception's time, and at its very end. To be used as soon as it begins is what exceptions
// are for.
func (f *finder) edges(e *standingException, uses map[string]used) {
	u, ok := uses[e.Meta.Name]
	if !ok || u.count == 0 || f.lasted(u.last, toldFor) {
		return
	}
	late, early := !u.last.Before(e.Until.Add(skew)), u.last.Before(e.From.Add(-skew)) || u.first.Before(e.From.Add(-24*time.Hour))
	switch {
	case late || early:
		f.abused(e, detailOutside, u.last, 0, "was used outside of its time",
			fmt.Sprintf("it stands from %s until %s and was used last at %s", stamp(e.From), stamp(e.Until), stamp(u.last)),
			"Look at the clock and the policy of the sidecars that used it, and at what was reached.")
	case !u.last.Before(e.Until.Add(-edge)) && !e.renewed && !e.revoked:
		f.abused(e, detailEdge, u.last, 0, "was used in its last minutes",
			fmt.Sprintf("it stands until %s and was used last at %s", stamp(e.Until), stamp(u.last)),
			"Ask who used it whether what it excused is mended; nothing continues it.")
	}
}

// unused tells of an exception that nobody has used since it began, as far back as uses are known.
func (f *finder) unused(e *standingException, uses map[string]used) {
	since, known := e.From, time.Time{}
	for i := range f.v.Use {
		if day, err := time.Parse(time.DateOnly, f.v.Use[i].Day); err == nil && (known.IsZero() || day.Before(known)) {
			known = day
		}
	}
	if known.After(since) {
		since = known
	}
	wait := f.wait(ExceptionAbuse, e.audiences, waitUnused)
	if known.IsZero() || uses[e.Meta.Name].count > 0 || !f.lasted(since, wait) {
		return
	}
	f.abused(e, detailUnused, since, wait, "stands and is not used", "no decision since "+stamp(since)+" rests on it",
		"End it with `tiergate exception revoke`, or remove the document.")
}

// renewals counts what an exception continues.
func (f *finder) renewals(e *standingException) int {
	count := 0
	for at := e; at != nil && at.Renews != "" && count <= len(f.exceptions); count++ {
		at = f.byName[at.Renews]
	}
	return count
}

// mostRenewals is the least that a tier of its routes allows.
func (f *finder) mostRenewals(e *standingException) int {
	most := -1
	for _, t := range f.v.Policy.ExceptionTiers(&e.Exception) {
		for i := range f.spec.Tiers {
			if bound := f.spec.Tiers[i].Exceptions; f.spec.Tiers[i].Meta.Name == t.Tier && bound != nil && (most < 0 || bound.MaxRenewals < most) {
				most = bound.MaxRenewals
			}
		}
	}
	return max(most, 0)
}
