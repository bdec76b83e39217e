package lint

import (
	"fmt"
	"regexp/syntax"
	"strings"

	"github.com/tiergate/tiergate/xds/dump"
)

const corsAPI = "envoy.extensions.filters.http.cors.v3.CorsPolicy."

// corsRules are about the cors filter, which answers preflights before anybody is asked, and tells browsers whose pages may
// read what the others get.
var corsRules = []rule{
	{code: "cors-any-origin", severity: Hole, source: corsAPI + "allow_credentials; Fetch standard, section 3.3.5",
		route: func(m *manager, r *reached, s say) {
			for _, c := range m.corsPolicies(r) {
				if c.policy.Get("allow_credentials").Bool() && c.anyOrigin() {
					s(c.policy.Get("allow_credentials"), "every page on the web reads what its visitors may read, with their cookies and certificates",
						"name the origins: allow_origin_string_match: [{exact: 'https://app.example.org'}]")
				}
			}
		}},
	{code: "cors-loose-origin", severity: Weak, source: corsAPI + "allow_origin_string_match",
		route: func(m *manager, r *reached, s say) {
			for _, c := range m.corsPolicies(r) {
				if c.anyOrigin() && c.policy.Get("allow_credentials").Bool() {
					continue // cors-any-origin says so
				}
				for _, o := range c.policy.Get("allow_origin_string_match").List() {
					if why := loose(o); why != "" {
						s(o, "pages of others may count as yours: "+why,
							`write exact: 'https://app.example.org', or safe_regex: {regex: 'https://[a-z0-9-]+\.example\.org'}`)
					}
				}
			}
		}},
	{code: "cors-for-others", severity: Weak, source: "envoy.config.route.v3.VirtualHost.typed_per_filter_config",
		route: func(m *manager, r *reached, s say) {
			for _, c := range m.corsPolicies(r) {
				if c.wide && len(m.guards) > 0 && m.corsFirst() {
					s(c.policy, "preflights are answered, before ext_authz is asked, for routes that do not say whose pages may use them",
						"move it to the typed_per_filter_config of the routes that are meant")
				}
				if v := c.policy.Get("forward_not_matching_preflights"); v.Has() && !v.Bool() && m.corsFirst() {
					s(v, "preflights of origins that are not listed are answered, before ext_authz is asked",
						"write forward_not_matching_preflights: true")
				}
			}
		}},
}

// corsPolicy is what one level says to the cors filter.
type corsPolicy struct {
	policy dump.Value
	wide   bool // it is for all routes of a host or a table
}

// corsPolicies are those that count for a route: the filter takes the route's own, then the host's, then the table's.
func (m *manager) corsPolicies(r *reached) []corsPolicy {
	var out []corsPolicy
	for i, level := range r.levels() {
		for _, v := range level.Get("typed_per_filter_config").Fields() {
			settings := v.Unwrapped()
			if settings.Is("v3.FilterConfig") {
				settings = settings.Get("config").Unwrapped()
			}
			if settings.Is("cors.v3.CorsPolicy") {
				out = append(out, corsPolicy{settings, i < 2})
			}
		}
	}
	for i, old := range []dump.Value{r.host.Value.Get("cors"), r.route.Value.Get("route", "cors")} {
		if old.Has() {
			out = append(out, corsPolicy{old, i == 0})
		}
	}
	return out
}

// corsFirst: the filter answers before ext_authz is asked.
func (m *manager) corsFirst() bool {
	for _, f := range m.before() {
		if f.Config.Is("cors.v3.Cors") {
			return true
		}
	}
	return false
}

// strangers are origins that nobody names: an allowed one means that any is.
var strangers = []string{"https://a1b2c3.invalid", "http://x9.test:8080", "null"}

func (c corsPolicy) anyOrigin() bool {
	for _, m := range c.policy.Get("allow_origin_string_match").List() {
		if matches(m, "*") && m.Get("exact").Has() {
			return true // the filter takes this one for any
		}
		for _, stranger := range strangers {
			if matches(m, stranger) {
				return true
			}
		}
	}
	return false
}

// loose says by what an origin that is not meant may match; "" if by nothing that is seen here.
func loose(m dump.Value) string {
	switch {
	case m.Get("exact").Text() == "*":
		return "* is every origin"
	case m.Get("prefix").Has():
		return fmt.Sprintf("%q may go on with any name", m.Get("prefix").Text())
	case m.Get("contains").Has():
		return fmt.Sprintf("%q may stand anywhere", m.Get("contains").Text())
	case m.Get("suffix").Has():
		if suffix := m.Get("suffix").Text(); !strings.HasPrefix(suffix, ".") && !strings.Contains(suffix, "://") {
			return fmt.Sprintf("another name may end in %q", suffix)
		}
	case m.Get("safe_regex", "regex").Has():
		parsed, err := syntax.Parse(m.Get("safe_regex", "regex").Text(), syntax.Perl)
		if err == nil && anyByte(parsed) {
			return "a dot without a backslash is any character"
		}
	}
	return ""
}

func anyByte(r *syntax.Regexp) bool {
	if r.Op == syntax.OpAnyChar || r.Op == syntax.OpAnyCharNotNL {
		return true
	}
	for _, sub := range r.Sub {
		if anyByte(sub) {
			return true
		}
	}
	return false
}
