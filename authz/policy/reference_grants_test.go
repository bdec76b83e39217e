package policy_test

import (
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// exceptions draws exceptions that the directory can hold, all together.
func (d dice) exceptions(r *reference) []policy.Exception {
	var held []policy.Exception
	for i := range d.below(4, "exceptions") {
		candidate := d.exception(r, fmt.Sprintf("written-%d", i), []string{"written-0", "written-1"})
		with := &reference{spec: r.spec, world: r.world}
		with.spec.Exceptions = append(slices.Clone(held), candidate)
		if !slices.ContainsFunc(with.spec.Exceptions, func(e policy.Exception) bool { return !with.couldHold(e, nil) }) {
			held = with.spec.Exceptions
		}
	}
	return held
}

// granted draws exceptions of run time: what a store holds need not be what the policy could.
func (d dice) granted(r *reference) []policy.Exception {
	var granted []policy.Exception
	for i := range d.below(4, "granted") {
		e := d.exception(r, fmt.Sprintf("granted-%d", i), []string{"granted-0", "granted-1", "written-0"})
		switch d.below(32, "spoilt") {
		case 17:
			e.Approver = "Ana"
		case 16:
			e.Meta.Owner = "nobody"
		case 15:
			e.Ticket = " "
		case 14:
			e.Until = e.Until.Add(20 * step)
		case 11:
			e.Meta.Name = "written-0"
		case 12:
			e.Meta.Name = "Not a name"
		case 13:
			e.Subjects = append(e.Subjects, policy.ExceptionSubject{Issuer: "corp"})
		}
		if i > 0 && !d.oneIn(3, "another") {
			name, before := e.Meta.Name, granted[i-1]
			e = before
			e.Meta.Name = name
			if !d.oneIn(4, "silently") {
				later := pick(d, "later", step, 1, 0, step/2)
				e.Renews, e.From, e.Until = before.Meta.Name, e.From.Add(later), e.Until.Add(later)
			}
		}
		granted = append(granted, e)
	}
	return granted
}

// exception draws one that is most often within the bounds of its routes' tiers, or 1 ns beyond.
func (d dice) exception(r *reference, name string, before []string) policy.Exception {
	e := policy.Exception{
		Meta: meta(name), Reason: "loaner", Approver: "cho", Ticket: "IT-4711", From: d.edge(-4, 1, "from"),
		Subjects: atLeastOne(d, "subject", policy.ExceptionSubject{Issuer: "corp", Group: "staff"},
			policy.ExceptionSubject{Issuer: "corp", User: "ana"}, policy.ExceptionSubject{Issuer: "partner", User: "ana"}),
		Devices: atLeastOne(d, "device", "c02laptop1", "uuid:11111111-2222-3333-4444-555555555555", "serial:C02LAPTOP1",
			"serial:C02OTHER"),
		Routes: []string{pick(d, "route", "app", "app", "app", "page", "work")},
	}
	if d.oneIn(4, "another route") {
		e.Routes = append(e.Routes, pick(d, "route", "page", "admin", "nowhere"))
	}
	tier, _ := r.tierBehind(e.Routes[0])
	lasts := 4 * step
	if tier.Exceptions != nil {
		lasts = tier.Exceptions.MaxDuration
	}
	e.Until = e.From.Add(pick(d, "lasts", lasts, lasts, lasts/2, step, lasts-1, lasts+1, lasts, lasts))
	useful := slices.DeleteFunc(slices.Clone(signalNames), func(signal string) bool {
		in := standsIn(tier, signal)
		return len(in) == 0 || slices.Contains(in, policy.ListDenyUnless)
	})
	if len(useful) == 0 || d.oneIn(12, "any signal") {
		useful = signalNames
	}
	e.Signals = atLeastOne(d, "signal", useful...)
	if d.oneIn(4, "renews") {
		e.Renews = pick(d, "renewed", before...)
	}
	return e
}
