package policydiff

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// fallback compares where those may go whose device cannot comply with a tier, and how long the route there is open.
func (d *document) fallback(was, is *policy.Fallback) {
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.say("spec.fallback", neither, "leads to route %s from %s until %s", is.Route, day(is.From), day(is.Until))
	case is == nil:
		d.say("spec.fallback", neither, "no longer leads to route %s", was.Route)
	default:
		if was.Route != is.Route {
			d.say("spec.fallback.route", neither, "leads to route %s instead of %s", is.Route, was.Route)
		}
		if !was.From.Equal(is.From.Time) {
			d.say("spec.fallback.from", either(is.From.Before(was.From.Time), loosens, tightens), "opens route %s from %s instead of %s", is.Route,
				day(is.From), day(was.From))
		}
		if !was.Until.Equal(is.Until.Time) {
			d.say("spec.fallback.until", either(is.Until.After(was.Until.Time), loosens, tightens), "opens route %s until %s instead of %s",
				is.Route, day(is.Until), day(was.Until))
		}
	}
}

func day(d policy.Date) string { return d.Format(time.DateOnly) }

// fallbackFor compares whether a route is open for a time only.
func (d *document) fallbackFor(was, is string) {
	switch {
	case was == is:
	case was == "":
		d.say("spec.fallbackFor", tightens, "is open only as long as the fallback of tier %s", is)
	case is == "":
		d.say("spec.fallbackFor", loosens, "is no longer open only as long as the fallback of tier %s", was)
	default:
		d.say("spec.fallbackFor", unsure("their fallbacks may be open at other times"),
			"is open as long as the fallback of tier %s instead of %s", is, was)
	}
}
