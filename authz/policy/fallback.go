package policy

import (
	"strings"
	"time"
)

// Fallback is where somebody may go whose device cannot comply with a tier: a route that is reserved for that, with less
// asked of the device, for a time. The route says so itself (Route.FallbackFor), and outside that time it is closed to
// everybody, so that nothing temporary stays by silence.
type Fallback struct {
	Route string `yaml:"route"`
	From  Date   `yaml:"from"`  // the first day, from 00:00 UTC
	Until Date   `yaml:"until"` // the first day on which it is over; at most a year after From
}

// Open is the one answer to whether a fallback counts: at From it does, at Until it is over.
func (f *Fallback) Open(at time.Time) bool { return !at.Before(f.From.Time) && at.Before(f.Until.Time) }

// FallbackOffer is where who is refused may go instead.
type FallbackOffer struct {
	Route string `json:"route"`
	// URL is a link to the route; empty where its host or path leave open what to write there.
	URL   string    `json:"url,omitempty"`
	Until time.Time `json:"until"`
}

// wayOut is a tier's fallback, compiled.
type wayOut struct {
	*Fallback
	route *route
	url   string
}

// offer names the tier's fallback to who is refused for what the device is or shows, if they would be admitted there. An alarm
// (denyUnless) leads nowhere.
func (h *hearing) offer(v *Verdict) {
	f := h.tier.fallback
	if f == nil || v.Outcome == Allow || !f.Open(h.in.At) {
		return
	}
	switch v.Reason {
	case ReasonDeviceUnknown:
	case ReasonPosture:
		for i := range v.Unmet {
			if v.Unmet[i].List == ListDenyUnless {
				return
			}
		}
	default:
		return
	}
	there := *h
	there.route, there.tier = f.route, &h.policy.tiers[f.route.tier]
	if reason, _ := there.admitted(); reason != ReasonUndecided {
		return
	}
	v.Fallback = &FallbackOffer{Route: f.Route, URL: f.url, Until: f.Until.UTC()}
}

// closed tells whether a route is the fallback of a tier, and it is not its time.
func (r *route) closed(at time.Time) (detail string, closed bool) {
	if r.fallback == nil || r.fallback.Open(at) {
		return "", false
	}
	return "route " + r.name + " is open as a fallback from " + r.fallback.From.Format(time.DateOnly) + " until " +
		r.fallback.Until.Format(time.DateOnly) + " only", true
}

// link is the URL of a route, if it has one that can be written down: an exact host, and a path without variables but for
// what may follow at its end.
func link(hosts []string, pattern Pattern, methods []string) string {
	get := len(methods) == 0
	for _, m := range methods {
		get = get || m == "GET"
	}
	if len(hosts) == 0 || strings.HasPrefix(hosts[0], "*") || !get {
		return ""
	}
	path := ""
	for i, s := range pattern {
		switch {
		case s.Kind == SegmentExact:
			path += "/" + s.Text
		case s.Kind == SegmentRest && i == len(pattern)-1:
			path += "/"
		default:
			return ""
		}
	}
	if path == "" {
		path = "/"
	}
	return "https://" + hosts[0] + path
}
