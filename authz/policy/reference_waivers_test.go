package policy_test

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// waiver is what excuses a demand, and until when.
type waiver struct {
	by    policy.Waiver
	name  string
	until time.Time
}

// excuse tries, in their order, what may excuse a required signal.
func (a *asked) excuse(d policy.Demand, status policy.Status) (waiver, bool) {
	if w, ok := a.exception(d.Signal); ok {
		return w, true
	}
	votes, at := a.counting(d.Signal, d.MaxAge), a.in.At
	if status != policy.StatusUnknown || !lastGood(votes) {
		return waiver{}, false
	}
	end, ok := a.graceEnds()
	a.boundary("grace", end, ok)
	if ok && at.Before(end) {
		return waiver{by: policy.WaivedByGrace, until: end.UTC()}, true
	}
	end, ok = a.lastKnownEnds(votes)
	a.boundary("last-known", end, ok)
	if ok && at.Before(end) {
		return waiver{by: policy.WaivedByLastKnown, until: end.UTC()}, true
	}
	return waiver{}, false
}

// boundary counts how often a case asked right at an end.
func (a *asked) boundary(what string, end time.Time, ok bool) {
	a.saw(what+", 1 ns before its end", ok && end.Sub(a.in.At) == 1)
	a.saw(what+", at its end", ok && end.Equal(a.in.At))
	a.saw(what+", 1 ns after its end", ok && end.Sub(a.in.At) == -1)
}

// fellSilent is the instant at which the first required signal ages out: the start of the device's one clock.
func (a *asked) fellSilent() (start time.Time, ok bool) {
	for _, l := range a.lists() {
		for _, d := range l.require {
			if at, known := agesOut(a.counting(d.Signal, d.MaxAge)); known && (!ok || at.Before(start)) {
				start, ok = at, true
			}
		}
	}
	return start, ok
}

// silent: nobody has reported the device since, and everybody who reports it has reported other devices since.
func (a *asked) silent() bool {
	start, ok := a.fellSilent()
	return ok && !slices.ContainsFunc(a.facts, func(f signals.Fact) bool {
		return f.AgesFrom().After(start) || !a.in.Device.Heard[f.Source].After(start)
	})
}

// graceEnds is the end of the device's grace, renewals included; ok is false if it has none.
func (a *asked) graceEnds() (time.Time, bool) {
	start, ok := a.fellSilent()
	if !ok || a.tier.Grace == nil || !a.silent() {
		return time.Time{}, false
	}
	bound := *a.tier.Grace
	for _, s := range a.stricter {
		if s.Grace != nil {
			bound.Offline = min(bound.Offline, s.Grace.Offline)
			bound.Renewals = min(bound.Renewals, s.Grace.Renewals)
		}
	}
	end, left := start.Add(bound.Offline), bound.Renewals
	lastWord := time.Time{}
	for _, f := range a.facts {
		if f.AgesFrom().After(lastWord) {
			lastWord = f.AgesFrom()
		}
	}
	renewals := slices.Clone(a.in.Device.Renewals)
	slices.SortFunc(renewals, func(x, y policy.Renewal) int { return x.At.Compare(y.At) })
	for _, renewal := range renewals {
		if left > 0 && renewal.At.After(lastWord) && !renewal.At.After(end) && !renewal.At.After(a.in.At) {
			a.saw("grace renewed at its very end", renewal.At.Equal(end))
			end, left = end.Add(bound.Offline), left-1
			a.saw("grace renewed", true)
		}
	}
	if ended := a.in.Device.GraceEnded; ended.After(lastWord) && ended.Before(end) {
		a.saw("grace ended by somebody", true)
		return ended, true
	}
	return end, true
}

// lastKnownEnds is until when a signal lives on while its sources are silent for all devices.
func (a *asked) lastKnownEnds(votes []vote) (time.Time, bool) {
	out, known := agesOut(votes)
	if a.tier.OnGap.LastKnown == nil || !known || a.silent() || a.in.Device.AsOf.Before(out) {
		return time.Time{}, false
	}
	for _, v := range votes {
		if v.known() && a.in.Device.Heard[v.source].After(v.agesOut) {
			return time.Time{}, false
		}
	}
	return out.Add(a.tier.OnGap.LastKnown.For), true
}

// exception finds the waiver of a signal: the one in force longest, then the smallest name.
func (a *asked) exception(signal string) (waiver, bool) {
	candidates := slices.Clone(a.spec.Exceptions)
	for _, e := range a.in.Granted {
		if a.couldHold(e, a.in.Granted) {
			candidates = append(candidates, e)
			continue
		}
		a.saw("granted, but more than the policy could hold", a.fits(e, signal))
	}
	for _, e := range candidates {
		a.saw("exception at its start", e.From.Equal(a.in.At))
		a.saw("exception 1 ns before its start", e.From.Sub(a.in.At) == 1)
		a.boundary("exception", e.Until, true)
	}
	candidates = slices.DeleteFunc(candidates, func(e policy.Exception) bool { return !a.fits(e, signal) })
	if len(candidates) == 0 {
		return waiver{}, false
	}
	best := slices.MinFunc(candidates, func(x, y policy.Exception) int {
		return cmp.Or(y.Until.Compare(x.Until), cmp.Compare(x.Meta.Name, y.Meta.Name))
	})
	a.saw("excused by one of several exceptions", len(candidates) > 1)
	a.saw("excused at run time", strings.HasPrefix(best.Meta.Name, "granted"))
	a.saw("excused by a renewal", best.Renews != "")
	return waiver{by: policy.WaivedByException, name: best.Meta.Name, until: best.Until.UTC()}, true
}

// fits: in force now, for this signal, route, subject and device, and not too long for somebody who may have less.
func (a *asked) fits(e policy.Exception, signal string) bool {
	for _, s := range a.stricter {
		if s.Exceptions != nil && e.Until.Sub(e.From) > s.Exceptions.MaxDuration {
			a.saw("exception too long for a stricter audience", e.State(a.in.At) == policy.ExceptionInForce)
			return false
		}
	}
	return e.State(a.in.At) == policy.ExceptionInForce && slices.Contains(e.Signals, signal) &&
		slices.Contains(e.Routes, a.route.Meta.Name) && slices.ContainsFunc(e.Subjects, a.isSubject) &&
		slices.ContainsFunc(e.Devices, a.isDevice)
}

func (a *asked) isSubject(s policy.ExceptionSubject) bool {
	user := a.in.Subject.User
	return user != nil && user.Issuer == s.Issuer &&
		(s.User != "" && s.User == user.Name || s.Group != "" && slices.Contains(user.Groups, s.Group))
}

func (a *asked) isDevice(name string) bool {
	alias, ok := deviceNamed(name)
	if !ok {
		return false
	}
	posture := a.in.Device.Posture
	return a.in.Subject.Device == alias || posture != nil && slices.Contains(posture.Aliases, alias)
}
