package policydiff

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// cors compares whose web pages may use a route from a browser, and how.
func (d *document) cors(was, is *policy.Route) {
	switch {
	case was.CORS == nil && is.CORS == nil:
	case was.CORS == nil:
		d.say("spec.cors", loosens, "opens to web pages of %s, for %s%s", listed(is.CORS.Origins), listed(is.CORS.Methods),
			withCredentials(is.CORS))
	case is.CORS == nil:
		d.say("spec.cors", tightens, "no longer opens to web pages of %s", listed(was.CORS.Origins))
	default:
		d.origins(was.CORS, is.CORS)
		d.sets("spec.cors.methods", was.CORS.Methods, is.CORS.Methods, "web pages may use", "web pages may no longer use")
		d.sets("spec.cors.headers", was.CORS.Headers, is.CORS.Headers, "web pages may send", "web pages may no longer send")
		d.sets("spec.cors.exposeHeaders", was.CORS.ExposeHeaders, is.CORS.ExposeHeaders,
			"web pages may read", "web pages may no longer read")
		d.corsRest(was.CORS, is.CORS)
	}
}

func withCredentials(c *policy.CORS) string {
	if c.Credentials {
		return ", with cookies and certificates"
	}
	return ""
}

// origins: one that another entry covers, before or after, changes nothing by itself.
func (d *document) origins(was, is *policy.CORS) {
	for _, text := range without(is.Origins, was.Origins) {
		if covered(text, was.Origins) {
			d.say("spec.cors.origins", neither, "names web pages of %s, which were covered before", text)
		} else {
			d.say("spec.cors.origins", loosens, "opens to web pages of %s", text)
		}
	}
	for _, text := range without(was.Origins, is.Origins) {
		if covered(text, is.Origins) {
			d.say("spec.cors.origins", neither, "no longer names web pages of %s, which are still covered", text)
		} else {
			d.say("spec.cors.origins", tightens, "no longer opens to web pages of %s", text)
		}
	}
}

func covered(text string, by []string) bool {
	exact, err := policy.ParseOrigin(text)
	return err == nil && exact.Exact() != "" && slices.ContainsFunc(by, func(other string) bool {
		o, err := policy.ParseOrigin(other)
		return err == nil && o.Covers(exact.Exact())
	})
}

// sets tells what came to a list and what went.
func (d *document) sets(field string, was, is []string, more, less string) {
	if gained := without(is, was); len(gained) > 0 {
		d.say(field, loosens, "%s %s", more, listed(gained))
	}
	if lost := without(was, is); len(lost) > 0 {
		d.say(field, tightens, "%s %s", less, listed(lost))
	}
}

func (d *document) corsRest(was, is *policy.CORS) {
	switch {
	case is.Credentials && !was.Credentials:
		d.say("spec.cors.credentials", loosens, "web pages may send cookies and certificates")
	case was.Credentials && !is.Credentials:
		d.say("spec.cors.credentials", tightens, "web pages may no longer send cookies and certificates")
	}
	if then, now := was.MaxAge, is.MaxAge; then != now {
		d.say("spec.cors.maxAge", map[bool]judgement{true: loosens, false: tightens}[now > then],
			"browsers remember for %s instead of %s what web pages may", span(now), span(then))
	}
}

// normalCORS writes the defaults out, browsers' own 5 s too (Fetch standard, "CORS-preflight cache"), and names of headers in
// lower case.
func normalCORS(r *policy.Route) *policy.CORS {
	if r.CORS == nil {
		return nil
	}
	written := *r.CORS
	written.Methods = sorted(policy.CORSMethods(r))
	written.Origins, written.MaxAge = sorted(r.CORS.Origins), cmp.Or(r.CORS.MaxAge, 5*time.Second)
	written.Headers, written.ExposeHeaders = lowered(r.CORS.Headers), lowered(r.CORS.ExposeHeaders)
	return &written
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func lowered(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, strings.ToLower(name))
	}
	return sorted(out)
}
