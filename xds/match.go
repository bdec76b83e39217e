package xds

import (
	"fmt"
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/tiergate/tiergate/authz/policy"
)

// pathMatches says in Envoy's words which paths a pattern covers; several matches are alternatives.
//
//	/                 path /
//	/a/b              path /a/b, path /a/b/
//	/a/{x}, /a/*      safe_regex /a/[^/]+/?
//	/**               prefix /
//	/a/**             path_separated_prefix /a
//	/a/{x}/**         safe_regex /a/[^/]+(?:/.*)?
func pathMatches(p policy.Pattern) []*routev3.RouteMatch {
	rest := len(p) > 0 && p[len(p)-1].Kind == policy.SegmentRest
	fixed := p
	if rest {
		fixed = p[:len(p)-1]
	}
	switch literal, ok := literalPath(fixed); {
	case !ok && rest:
		return []*routev3.RouteMatch{regexMatch(pathRegex(fixed) + "(?:/.*)?")}
	case !ok:
		return []*routev3.RouteMatch{regexMatch(pathRegex(fixed) + "/?")}
	case rest && literal == "":
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}}
	case rest:
		return []*routev3.RouteMatch{
			{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: literal}},
		}
	case literal == "":
		return []*routev3.RouteMatch{exactMatch("/")}
	default:
		return []*routev3.RouteMatch{exactMatch(literal), exactMatch(literal + "/")}
	}
}

// literalPath writes segments that are all exact; none is "".
func literalPath(segments policy.Pattern) (string, bool) {
	var b strings.Builder
	for _, s := range segments {
		if s.Kind != policy.SegmentExact {
			return "", false
		}
		b.WriteString("/" + s.Text)
	}
	return b.String(), true
}

// pathRegex writes an RE2 expression; Envoy matches it against the whole path, so it needs no anchors.
func pathRegex(segments policy.Pattern) string {
	var b strings.Builder
	for _, s := range segments {
		if s.Kind == policy.SegmentExact {
			b.WriteString("/" + regexp.QuoteMeta(s.Text))
		} else {
			b.WriteString("/[^/]+")
		}
	}
	return b.String()
}

func exactMatch(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}
}

func regexMatch(regex string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: regex},
	}}
}

// methodMatch matches any of the methods, which are compared byte for byte (RFC 9110, section 9.1).
func methodMatch(methods []string) *routev3.HeaderMatcher {
	matcher := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: methods[0]}}
	if len(methods) > 1 {
		quoted := make([]string, 0, len(methods))
		for _, m := range methods {
			quoted = append(quoted, regexp.QuoteMeta(m))
		}
		matcher = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
			SafeRegex: &matcherv3.RegexMatcher{Regex: strings.Join(quoted, "|")},
		}}
	}
	return &routev3.HeaderMatcher{
		Name:                 ":method",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: matcher},
	}
}

// deeperHost matches, among the authorities that Envoy's wildcard domain lets in, those with more than one label
// before the suffix: a wildcard of Envoy covers any number of labels, one of the policy covers one. The domain has
// compared the suffix already; counting dots keeps the expression small and free of the case of letters.
func deeperHost(suffix string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name: ":authority",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{
				Regex: fmt.Sprintf(`[^.]+(?:\.[^.]+){%d}`, strings.Count(suffix, ".")+1),
			}},
		}},
		InvertMatch: true,
	}
}
