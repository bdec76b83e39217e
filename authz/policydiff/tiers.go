package policydiff

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Why some changes of a tier cannot be told.
const (
	whyClock = "it moves the instant from which a silent device's grace or last-known counts, which can be for the better"
	whyVotes = "several sources may speak of the signal: an older bad word of one ages out before a newer good one of another"
	whyOwner = "devices whose ownership nobody reported then count as possible members of an audience"
)

func (c *comparison) tiers() {
	each(c, policy.KindTier, "tier", c.was.Tiers, c.is.Tiers, func(t *policy.Tier) *policy.Meta { return &t.Meta },
		func(d *document, _ *policy.Tier) {
			d.say("", neither, "was added; the routes that use it say what that does")
		},
		func(d *document, _ *policy.Tier) {
			d.say("", neither, "was removed; the routes that used it say what that does")
		},
		c.tier)
}

// tier compares two tiers, of one name or, for a route that moved, of two.
func (c *comparison) tier(d *document, was, is *policy.Tier) {
	c.identify(d, was, is)
	c.lists(d, "spec.", "", demandsOf(was), demandsOf(is), is)
	d.stepUp("spec.", "", was.StepUp, is.StepUp)
	d.grace("spec.", "", was.Grace, is.Grace, false)
	d.onGap(was.OnGap.LastKnown, is.OnGap.LastKnown)
	d.exceptionBound("spec.", "", was.Exceptions, is.Exceptions, false)
	d.enrolled(was, is)
	d.bound("spec.recheckEvery", "asks streams again every", "no longer asks streams again", was.RecheckEvery, is.RecheckEvery)
	switch is.Mode {
	case was.Mode:
	case policy.ModeMonitor:
		d.say("spec.mode", loosens, "only monitors: what it requires and steps up for refuses nobody any more")
	default:
		d.say("spec.mode", tightens, "is enforced; until now it only monitored")
	}
	switch is.Evidence {
	case was.Evidence:
	case policy.EvidenceRequired:
		d.say("spec.evidence", tightens, "gives no answer that cannot be recorded")
	default:
		d.say("spec.evidence", loosens, "gives answers that cannot be recorded")
	}
	if tells(was) != tells(is) {
		d.say("spec.tells", neither, "tells who is refused %s instead of %s", tells(is), tells(was))
	}
	d.fallback(was.Fallback, is.Fallback)
	c.stricter(d, was, is)
}

// tells is what a tier tells; not to say it is to tell all.
func tells(t *policy.Tier) policy.Tells {
	if t.Tells == "" {
		return policy.TellsAll
	}
	return t.Tells
}

// enrolled compares what a tier asks of the user that a device is enrolled for.
func (d *document) enrolled(was, is *policy.Tier) {
	j := neither
	switch before, now := enrolment(was), enrolment(is); {
	case now < before:
		j = loosens
	case now > before:
		j = tightens
	}
	if was.EnrolledUser != is.EnrolledUser {
		d.say("spec.enrolledUser", j, "takes the user that a device is enrolled for as %s instead of %s", is.EnrolledUser, was.EnrolledUser)
	}
	switch {
	case is.SharedDevices && !was.SharedDevices:
		d.say("spec.sharedDevices", j, "lets users in on devices that are enrolled for others")
	case was.SharedDevices && !is.SharedDevices:
		d.say("spec.sharedDevices", j, "no longer lets users in on devices that are enrolled for others")
	}
}

// enrolment orders what tiers ask: 0 is nothing, which only one that identifies a device can.
func enrolment(t *policy.Tier) int {
	switch {
	case t.Identify != policy.IdentifyUserDevice || t.SharedDevices:
		return 0
	case t.EnrolledUser == policy.EnrolledWhenKnown:
		return 1
	}
	return 2
}

func (c *comparison) identify(d *document, was, is *policy.Tier) {
	if was.Identify == is.Identify {
		return
	}
	j := unsure("it wants to know another kind of subject")
	switch {
	case was.Identify == policy.IdentifyUserDevice && is.Identify == policy.IdentifyUser:
		j = loosens
	case was.Identify == policy.IdentifyUser && is.Identify == policy.IdentifyUserDevice:
		j = either(c.ownershipMatters(was, is), unsure(whyOwner), tightens)
	}
	d.say("spec.identify", j, "identifies %s instead of %s", is.Identify, was.Identify)
}

// ownershipMatters: an isolated audience, or one that the tier asks more of, counts devices of unknown ownership.
func (c *comparison) ownershipMatters(tiers ...*policy.Tier) bool {
	for _, a := range slices.Concat(c.was.Audiences, c.is.Audiences) {
		if !byOwnership(&a) {
			continue
		}
		if a.Isolated || slices.ContainsFunc(tiers, func(t *policy.Tier) bool { return asksMoreOf(t, a.Meta.Name) }) {
			return true
		}
	}
	return false
}

// byOwnership tells whether a device of unknown ownership may be a member.
func byOwnership(a *policy.Audience) bool {
	owned := func(m policy.Member) bool { return m.DeviceOwnership != "" }
	return a.OwnershipUnknown != policy.OwnershipOutside &&
		(slices.ContainsFunc(a.Members, owned) || slices.ContainsFunc(a.Workloads, owned))
}

func asksMoreOf(t *policy.Tier, audience string) bool {
	return slices.ContainsFunc(t.Stricter, func(s policy.Stricter) bool { return s.Audience == audience })
}

// clocked tells that what a tier requires also says when a device is silent.
func clocked(t *policy.Tier) bool { return t.Grace != nil || t.OnGap.LastKnown != nil }

func (d *document) grace(field, whom string, was, is *policy.GraceBound, unboundedIfNil bool) {
	field += "grace"
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.say(field, either(unboundedIfNil, tightens, loosens), "gives%s a silent device %s of grace and %s", whom, span(is.Offline),
			counted(is.Renewals, "renewal"))
	case is == nil:
		d.say(field, either(unboundedIfNil, loosens, tightens), "has no grace%s any more; it was %s", whom, span(was.Offline))
	default:
		if was.Offline != is.Offline {
			d.say(field+".offline", either(is.Offline > was.Offline, loosens, tightens), "gives%s a silent device %s of grace instead of %s",
				whom, span(is.Offline), span(was.Offline))
		}
		d.renewals(field+".renewals", "grace"+whom, was.Renewals, is.Renewals)
	}
}

func (d *document) onGap(was, is *policy.LastKnown) {
	const field = "spec.onGap"
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.say(field, loosens, "trusts the last known state for %s while a source is silent", span(is.For))
	case is == nil:
		d.say(field, tightens, "no longer trusts the last known state (for %s) while a source is silent", span(was.For))
	case was.For != is.For:
		d.say(field+".last-known.for", either(is.For > was.For, loosens, tightens),
			"trusts the last known state for %s instead of %s while a source is silent", span(is.For), span(was.For))
	}
}

func (d *document) exceptionBound(field, whom string, was, is *policy.ExceptionBound, unboundedIfNil bool) {
	field += "exceptions"
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.say(field, either(unboundedIfNil, tightens, loosens), "allows exceptions%s of at most %s and %s", whom, span(is.MaxDuration),
			counted(is.MaxRenewals, "renewal"))
	case is == nil:
		d.say(field, either(unboundedIfNil, loosens, tightens), "has no bound on exceptions%s of its own any more", whom)
	default:
		if was.MaxDuration != is.MaxDuration {
			d.say(field+".maxDuration", either(is.MaxDuration > was.MaxDuration, loosens, tightens),
				"allows exceptions%s of at most %s instead of %s", whom, span(is.MaxDuration), span(was.MaxDuration))
		}
		d.renewals(field+".maxRenewals", "an exception"+whom, was.MaxRenewals, is.MaxRenewals)
	}
}

func (d *document) renewals(field, of string, was, is int) {
	if was != is {
		d.say(field, either(is > was, loosens, tightens), "allows %s of %s instead of %d", counted(is, "renewal"), of, was)
	}
}

// bound compares a longest time, of which 0 is none.
func (d *document) bound(field, what, none string, was, is time.Duration) {
	switch {
	case was == is:
	case is == 0:
		d.say(field, loosens, "%s (it was %s)", none, span(was))
	case was == 0:
		d.say(field, tightens, "%s %s", what, span(is))
	default:
		d.say(field, either(is > was, loosens, tightens), "%s %s instead of %s", what, span(is), span(was))
	}
}
