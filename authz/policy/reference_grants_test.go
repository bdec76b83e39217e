package policy_test

import (
	"fmt"
	"slices"
	"time"

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
			e.Approver = "ana"
		case 16:
			e.Meta.Owner = "nobody"
		case 15:
			e.Ticket = " "
		case 14:
			e.Until = e.Until.Add(20 * step)
		case 13:
			e.Subjects = append(e.Subjects, policy.ExceptionSubject{Issuer: "corp"})
		}
		granted = append(granted, e)
	}
	return granted
}

func (d dice) exception(r *reference, name string, before []string) policy.Exception {
	from := d.edge(-4, 1, "from")
	e := policy.Exception{
		Meta: meta(name), Reason: "loaner", Approver: "cho", Ticket: "IT-4711", From: from,
		Until: from.Add(step * pick(d, "lasts", time.Duration(4), 2, 8, 1)).Add(pick(d, "lasts ns", time.Duration(0), -1)),
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
