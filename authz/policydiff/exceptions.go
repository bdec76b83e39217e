package policydiff

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

func (c *comparison) exceptions() {
	each(c, policy.KindException, "exception", c.was.Exceptions, c.is.Exceptions,
		func(e *policy.Exception) *policy.Meta { return &e.Meta },
		func(d *document, e *policy.Exception) {
			d.say("", loosens, "was added: excuses %s on %s for %s on %s until %s", listed(e.Signals), listed(e.Routes), subjects(e.Subjects),
				listed(e.Devices), e.Until.UTC().Format(time.RFC3339))
		},
		func(d *document, e *policy.Exception) {
			d.say("", tightens, "was removed: it excused %s on %s for %s on %s until %s", listed(e.Signals), listed(e.Routes),
				subjects(e.Subjects), listed(e.Devices), e.Until.UTC().Format(time.RFC3339))
		},
		c.exception)
}

func (c *comparison) exception(d *document, was, is *policy.Exception) {
	for _, s := range without(is.Subjects, was.Subjects) {
		d.say("spec.subjects", loosens, "also excuses %s", subject(s))
	}
	for _, s := range without(was.Subjects, is.Subjects) {
		d.say("spec.subjects", tightens, "no longer excuses %s", subject(s))
	}
	for _, list := range [...]struct {
		field, what string
		was, is     []string
	}{
		{"spec.devices", "device", was.Devices, is.Devices}, {"spec.routes", "route", was.Routes, is.Routes},
		{"spec.signals", "signal", was.Signals, is.Signals},
	} {
		for _, x := range without(list.is, list.was) {
			d.say(list.field, loosens, "also covers %s %s", list.what, x)
		}
		for _, x := range without(list.was, list.is) {
			d.say(list.field, tightens, "no longer covers %s %s", list.what, x)
		}
	}
	c.lasts(d, was, is)
	for _, text := range [...]struct{ field, what, was, is string }{
		{"spec.reason", "has the reason", was.Reason, is.Reason}, {"spec.approver", "is approved by", was.Approver, is.Approver},
		{"spec.ticket", "has the ticket", was.Ticket, is.Ticket}, {"spec.renews", "renews", was.Renews, is.Renews},
	} {
		if text.was != text.is {
			d.say(text.field, neither, "%s %s instead of %s", text.what, quoted(text.is), quoted(text.was))
		}
	}
}

// lasts compares the instants. An exception that is shorter may be one that a bound for an audience now lets count.
func (c *comparison) lasts(d *document, was, is *policy.Exception) {
	shorter := tightens
	if slices.ContainsFunc(c.is.Tiers, func(t policy.Tier) bool {
		return slices.ContainsFunc(t.Stricter, func(s policy.Stricter) bool { return s.Exceptions != nil })
	}) {
		shorter = unsure("a tier lets only short exceptions count for an audience, and it is shorter now")
	}
	if by := is.From.Sub(was.From); by != 0 {
		now, before := instants(is.From, was.From)
		words := map[bool]string{true: "later", false: "earlier"}
		d.say("spec.from", either(by < 0, loosens, shorter), "starts %s instead of %s (%s %s)", now, before, spoken(by.Abs()), words[by > 0])
	}
	if by := is.Until.Sub(was.Until); by != 0 {
		now, before := instants(is.Until, was.Until)
		words := map[bool]string{true: "longer", false: "shorter"}
		d.say("spec.until", either(by > 0, loosens, shorter), "now ends %s instead of %s (%s %s)", now, before, spoken(by.Abs()), words[by > 0])
	}
}

func subjects(all []policy.ExceptionSubject) string {
	texts := make([]string, 0, len(all))
	for _, s := range all {
		texts = append(texts, subject(s))
	}
	return listed(texts)
}

func subject(s policy.ExceptionSubject) string {
	if s.Group != "" {
		return "group " + s.Group + " of issuer " + s.Issuer
	}
	return "user " + s.User + " of issuer " + s.Issuer
}
