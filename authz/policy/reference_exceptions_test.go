package policy_test

import (
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// couldHold tells whether the directory could hold this exception beside the others: complete, and inside the bounds of
// the tier of every route that it names.
func (r *reference) couldHold(e policy.Exception, others []policy.Exception) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if _, ok := r.spec.Governance[0].Teams[e.Meta.Owner]; !ok || strings.Trim(e.Meta.Name, letters) != "" ||
		e.From.IsZero() || !e.From.Before(e.Until) || len(e.Subjects)*len(e.Devices)*len(e.Routes)*len(e.Signals) == 0 {
		return false
	}
	all := slices.Concat(r.spec.Exceptions, others)
	if len(slices.DeleteFunc(all, func(x policy.Exception) bool { return x.Meta.Name != e.Meta.Name })) > 1 {
		return false
	}
	for _, text := range []string{e.Reason, e.Approver, e.Ticket} {
		if strings.TrimSpace(text) == "" {
			return false
		}
	}
	for _, s := range e.Subjects {
		if s.Issuer == "" || (s.User == "") == (s.Group == "") || strings.EqualFold(s.User, e.Approver) ||
			r.world.Issuers != nil && !slices.Contains(r.world.Issuers, s.Issuer) {
			return false
		}
	}
	for _, name := range e.Devices {
		if _, ok := deviceNamed(name); !ok {
			return false
		}
	}
	return r.inBounds(e, others) && r.everySignalUseful(e) && !r.continuesSilently(e, others)
}

// deviceNamed reads KIND:VALUE, or a serial number alone.
func deviceNamed(name string) (signals.Alias, bool) {
	if !strings.Contains(name, ":") {
		name = "serial:" + name
	}
	alias, err := signals.ParseAlias(name)
	return alias, err == nil
}

// inBounds judges an exception by the tier of each of its routes.
func (r *reference) inBounds(e policy.Exception, others []policy.Exception) bool {
	renewals := r.renewals(e, others)
	for _, name := range e.Routes {
		tier, ok := r.tierBehind(name)
		if !ok || renewals < 0 || tier.Exceptions == nil || e.Until.Sub(e.From) > tier.Exceptions.MaxDuration ||
			renewals > tier.Exceptions.MaxRenewals {
			return false
		}
		for _, signal := range e.Signals {
			if slices.Contains(standsIn(tier, signal), policy.ListDenyUnless) {
				return false
			}
		}
	}
	return true
}

// everySignalUseful: an exception from what nobody demands was meant for something else.
func (r *reference) everySignalUseful(e policy.Exception) bool {
	for _, signal := range e.Signals {
		demanded := func(route string) bool {
			tier, _ := r.tierBehind(route)
			in := standsIn(tier, signal)
			return slices.Contains(in, policy.ListRequire) || slices.Contains(in, policy.ListStepUp)
		}
		if !slices.ContainsFunc(e.Routes, demanded) {
			return false
		}
	}
	return true
}

func (r *reference) tierBehind(route string) (policy.Tier, bool) {
	for _, x := range r.spec.Routes {
		if x.Meta.Name == route {
			return r.tierOf(x), true
		}
	}
	return policy.Tier{}, false
}

// standsIn are the lists in which a tier names a signal, for everybody or for one audience.
func standsIn(t policy.Tier, signal string) (in []policy.List) {
	all := []lists{{t.Require, t.DenyUnless, t.StepUp}}
	for _, s := range t.Stricter {
		all = append(all, lists{s.Require, s.DenyUnless, s.StepUp})
	}
	for _, l := range all {
		for _, d := range l.require {
			if d.Signal == signal {
				in = append(in, policy.ListRequire)
			}
		}
		for _, d := range l.denyUnless {
			if d.Signal == signal {
				in = append(in, policy.ListDenyUnless)
			}
		}
		if l.stepUp == nil {
			continue
		}
		for _, d := range l.stepUp.Signals {
			if d.Signal == signal {
				in = append(in, policy.ListStepUp)
			}
		}
	}
	return in
}

// renewals counts how often something was renewed to come to this exception; -1 if the chain leads nowhere, or to one
// that does not begin before the one that renews it.
func (r *reference) renewals(e policy.Exception, others []policy.Exception) int {
	all := slices.Concat(r.spec.Exceptions, others)
	for n := 0; ; n++ {
		if e.Renews == "" {
			return n
		}
		at := slices.IndexFunc(all, func(x policy.Exception) bool { return x.Meta.Name == e.Renews })
		if at < 0 || !all[at].From.Before(e.From) {
			return -1
		}
		e = all[at]
	}
}

// continuesSilently judges what renewals found in order: what takes up where another exception ends, within a day,
// for the same subject, device, route and signal, is its renewal and must say so.
func (r *reference) continuesSilently(e policy.Exception, others []policy.Exception) bool {
	all, ancestors := slices.Concat(r.spec.Exceptions, others), map[string]bool{e.Meta.Name: true}
	for at := e; at.Renews != ""; {
		ancestors[at.Renews] = true
		at = all[slices.IndexFunc(all, func(x policy.Exception) bool { return x.Meta.Name == at.Renews })]
	}
	for _, other := range all {
		later := e.From.After(other.From) || e.From.Equal(other.From) && e.Meta.Name > other.Meta.Name
		if !ancestors[other.Meta.Name] && later && e.From.Before(other.Until.Add(24*time.Hour)) &&
			share(e.Subjects, other.Subjects) && share(devices(e), devices(other)) &&
			share(e.Routes, other.Routes) && share(e.Signals, other.Signals) {
			return true
		}
	}
	return false
}

func devices(e policy.Exception) []signals.Alias {
	var aliases []signals.Alias
	for _, name := range e.Devices {
		if alias, ok := deviceNamed(name); ok {
			aliases = append(aliases, alias)
		}
	}
	return aliases
}

func share[T comparable](a, b []T) bool {
	return slices.ContainsFunc(a, func(x T) bool { return slices.Contains(b, x) })
}
