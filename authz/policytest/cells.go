package policytest

import (
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// wantCells lists what of a policy cases should come to. What no request can come to is not wanted: an exception has no
// other route if none demands its signals.
func wantCells(all map[string]*cells, spec policy.Spec) {
	for i := range spec.Tiers {
		wantTier(all, &spec.Tiers[i])
	}
	for _, r := range spec.Routes {
		all["routes"].want(r.Meta.Name, allowed, refused)
	}
	for _, a := range spec.Audiences {
		all["audiences"].want(a.Meta.Name, inside, outside)
	}
	for i := range spec.Exceptions {
		wantException(all["exceptions"], spec, &spec.Exceptions[i])
	}
	wantReasons(all["reasons"], spec)
}

func wantTier(all map[string]*cells, t *policy.Tier) {
	name := t.Meta.Name
	all["tiers"].want(name, allowed, refused)
	for _, signal := range demandedBy(t) {
		all["signals"].want(signal, policy.StatusPassing.String(), policy.StatusFailing.String(),
			policy.StatusUnknown.String())
	}
	if g := t.Grace; g != nil && g.Offline > 0 {
		all["grace"].want(name, string(policy.GraceInside))
		if g.Renewals > 0 {
			all["grace"].want(name, string(policy.GraceRenewed))
		}
		all["grace"].want(name, string(policy.GraceAfter))
	}
	if t.OnGap.LastKnown != nil {
		all["grace"].want(name, lastKnown+string(policy.GraceInside), lastKnown+string(policy.GraceAfter))
	}
	if stepsUp(t) {
		all["challenges"].want(name, string(policy.LoginAsked), string(policy.LoginSatisfied))
	}
}

func wantException(c *cells, spec policy.Spec, e *policy.Exception) {
	c.want(e.Meta.Name, string(policy.ExceptionExcuses), string(policy.ExceptionTooEarly), string(policy.ExceptionTooLate),
		string(policy.ExceptionOtherSubject), string(policy.ExceptionOtherDevice))
	excusable := map[string]bool{} // tiers that demand what it excuses
	for i := range spec.Tiers {
		t := &spec.Tiers[i]
		excusable[t.Meta.Name] = slices.ContainsFunc(e.Signals, func(s string) bool { return excusableBy(t, s) })
	}
	if slices.ContainsFunc(spec.Routes, func(r policy.Route) bool {
		return excusable[r.Tier] && !slices.Contains(e.Routes, r.Meta.Name)
	}) {
		c.want(e.Meta.Name, string(policy.ExceptionOtherRoute))
	}
}

// excusableBy tells whether a tier requires a signal, or steps up for it, from everybody.
func excusableBy(t *policy.Tier, signal string) bool {
	is := func(d policy.Demand) bool { return d.Signal == signal }
	return slices.ContainsFunc(t.Require, is) || t.StepUp != nil && slices.ContainsFunc(t.StepUp.Signals, is)
}

// demandedBy lists the signals of a tier, those of its entries for audiences too.
func demandedBy(t *policy.Tier) []string {
	var all []string
	add := func(require []policy.Demand, deny []policy.DenyUnless, stepUp *policy.StepUpDemand, advise []policy.Demand) {
		for _, d := range require {
			all = append(all, d.Signal)
		}
		for _, d := range deny {
			all = append(all, d.Signal)
		}
		if stepUp != nil {
			for _, d := range stepUp.Signals {
				all = append(all, d.Signal)
			}
		}
		for _, d := range advise {
			all = append(all, d.Signal)
		}
	}
	add(t.Require, t.DenyUnless, t.StepUp, t.Advise)
	for i := range t.Stricter {
		add(t.Stricter[i].Require, t.Stricter[i].DenyUnless, t.Stricter[i].StepUp, nil)
	}
	return all
}

func stepsUp(t *policy.Tier) bool {
	return t.StepUp != nil || slices.ContainsFunc(t.Stricter, func(s policy.Stricter) bool { return s.StepUp != nil })
}

// wantReasons are the reasons for which this policy can refuse, but for those of the transport and of our own faults, and for
// session-revoked and user-risk: those take a transmitter of Shared Signals, of which a policy does not know.
func wantReasons(c *cells, spec policy.Spec) {
	devices, signals, enforced, logins, enrolled := false, false, false, false, false
	for i := range spec.Tiers {
		t := &spec.Tiers[i]
		demands := len(demandedBy(t)) > 0
		devices = devices || demands || t.Identify == policy.IdentifyUserDevice
		signals = signals || demands
		enforced = enforced || t.Mode != policy.ModeMonitor && demands
		logins = logins || t.Mode != policy.ModeMonitor && stepsUp(t)
		enrolled = enrolled || t.Identify == policy.IdentifyUserDevice && !t.SharedDevices
	}
	possible := map[policy.Reason]bool{
		policy.ReasonPath: true, policy.ReasonIdentityDoubted: true, policy.ReasonNoRoute: true,
		policy.ReasonMethod:          slices.ContainsFunc(spec.Routes, func(r policy.Route) bool { return len(r.Methods) > 0 }),
		policy.ReasonIdentityMissing: true, policy.ReasonIdentityExpired: true, policy.ReasonAudience: true,
		policy.ReasonIdentityRevoked: devices,
		policy.ReasonIsolated:        slices.ContainsFunc(spec.Audiences, func(a policy.Audience) bool { return a.Isolated }),
		policy.ReasonDeviceUnknown:   devices, policy.ReasonDeviceContested: devices,
		policy.ReasonStoreUnreachable: devices,
		policy.ReasonEnrolledUser:     enrolled,
		policy.ReasonPosture:          signals && (enforced || denies(spec)),
		policy.ReasonStepUp:           logins,
	}
	for _, reason := range reasons {
		if possible[reason] {
			c.want(string(reason), "")
		}
	}
}

// denies tells whether some tier refuses for posture even in monitor mode.
func denies(spec policy.Spec) bool {
	return slices.ContainsFunc(spec.Tiers, func(t policy.Tier) bool {
		return len(t.DenyUnless) > 0 ||
			slices.ContainsFunc(t.Stricter, func(s policy.Stricter) bool { return len(s.DenyUnless) > 0 })
	})
}
