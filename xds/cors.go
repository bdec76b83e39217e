package xds

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/tiergate/tiergate/authz/policy"
)

const corsFilter = "envoy.filters.http.cors"

// readable are the headers of refusals, which a page may read whatever else the route shows it.
var readable = []string{"www-authenticate", "retry-after", "x-tiergate-decision-id", "grpc-status", "grpc-message",
	"grpc-status-details-bin"}

// corsAnswers are the headers by which an answer tells a browser what a page may (Fetch standard, section 3.3.3, "HTTP
// responses"). Where a route has cors, only the policy says so, and no upstream.
var corsAnswers = []string{"access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods",
	"access-control-allow-origin", "access-control-expose-headers", "access-control-max-age"}

// wantedMethod is what a preflight is about.
const wantedMethod = "access-control-request-method"

// carried is what no browser sends with a preflight (Fetch standard, section 3.3.5).
var carried = []string{"authorization", "cookie", "dpop"}

// preflights are entries in front of the routes of one host and path, by which Envoy's cors filter answers the preflights of
// listed origins (Fetch standard, section 4.8, "CORS-preflight fetch"). A preflight asks for another method than it has, so
// it does not match the route that it is about.
//
// Envoy answers and not authz, because a preflight says nothing of who asks: there is nothing to judge, and no page can make
// tiergate work. Whatever is no preflight, is from another origin, is about another method or carries credentials does not
// match here and is judged as it stands. The filter does nothing in entries that lead nowhere (Envoy 1.40), so these lead to
// where the route does; authz would be asked about OPTIONS of that route first, if the filter answered nothing.
func (b *builder) preflights(l Listener, entries []entry) []*routev3.Route {
	var routes []*routev3.Route
	for _, e := range entries {
		if !e.served || e.route.CORS == nil {
			continue
		}
		cors, expression := b.corsPolicy(e.route)
		cors.ExposeHeaders = "" // a preflight shows nothing
		for _, match := range pathMatches(e.pattern) {
			wanted := methodMatch(slices.Sorted(slices.Values(policy.CORSMethods(&e.route))))
			wanted.Name = wantedMethod
			match.Headers = []*routev3.HeaderMatcher{methodMatch([]string{http.MethodOptions}), wanted, {
				Name: "origin", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: expressionMatch(expression)},
			}}
			for _, name := range carried {
				match.Headers = append(match.Headers, present(name, false))
			}
			route := b.proxied(l, e.route, match)
			route.TypedPerFilterConfig[corsFilter] = b.pack(cors)
			routes = append(routes, route)
		}
	}
	return routes
}

// unanswered leaves the preflights that preflights did not take to a route that takes OPTIONS itself. Without this entry the
// filter would answer there those of listed origins that are about another method or carry credentials.
func (b *builder) unanswered(l Listener, e entry) []*routev3.Route {
	if !e.served || e.route.CORS == nil || len(e.route.Methods) > 0 && !slices.Contains(e.route.Methods, http.MethodOptions) {
		return nil
	}
	var routes []*routev3.Route
	for _, match := range pathMatches(e.pattern) {
		match.Headers = []*routev3.HeaderMatcher{methodMatch([]string{http.MethodOptions}), present("origin", true),
			present(wantedMethod, true)}
		route := b.proxied(l, e.route, match)
		route.ResponseHeadersToRemove = corsAnswers
		routes = append(routes, route)
	}
	return routes
}

// readableAcross lets pages of listed origins read what the route answers, a refusal by ext_authz included: the filter sees to
// that on the way back. That answers differ by origin is told to caches with every answer, and what upstreams say of
// origins is removed.
func (b *builder) readableAcross(route *routev3.Route, r policy.Route) *routev3.Route {
	if r.CORS == nil {
		return route
	}
	cors, _ := b.corsPolicy(r)
	route.TypedPerFilterConfig[corsFilter] = b.pack(cors)
	route.ResponseHeadersToRemove = corsAnswers
	route.ResponseHeadersToAdd = []*corev3.HeaderValueOption{{
		Header: &corev3.HeaderValue{Key: "vary", Value: "Origin"}, AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
	}}
	return route
}

// corsPolicy is what the filter answers for a route, and an expression of all its origins. It is compared byte for byte, as is
// an origin. No runtime key switches it.
func (b *builder) corsPolicy(r policy.Route) (cors *corsv3.CorsPolicy, expression string) {
	cors = &corsv3.CorsPolicy{
		AllowMethods: strings.Join(slices.Sorted(slices.Values(policy.CORSMethods(&r))), ", "),
		AllowHeaders: joinedNames(r.CORS.Headers), ExposeHeaders: joinedNames(slices.Concat(readable, r.CORS.ExposeHeaders)),
		ForwardNotMatchingPreflights: yes(),
	}
	if r.CORS.MaxAge > 0 {
		cors.MaxAge = strconv.FormatInt(int64(r.CORS.MaxAge.Seconds()), 10)
	}
	if r.CORS.Credentials {
		cors.AllowCredentials = yes()
	}
	expressions := make([]string, 0, len(r.CORS.Origins))
	for _, text := range slices.Sorted(slices.Values(r.CORS.Origins)) {
		origin, err := policy.ParseOrigin(text)
		if err != nil {
			b.routeFault(r, "spec.cors.origins", err.Error(), "write https://HOST, or https://*.SUFFIX")
			continue
		}
		match := expressionMatch(origin.Regex())
		if exact := origin.Exact(); exact != "" {
			match = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: exact}}
		}
		cors.AllowOriginStringMatch = append(cors.AllowOriginStringMatch, match)
		expressions = append(expressions, origin.Regex())
	}
	return cors, strings.Join(expressions, "|")
}

// joinedNames are names of headers, each once, in lower case and sorted.
func joinedNames(names []string) string {
	lower := make([]string, 0, len(names))
	for _, name := range names {
		lower = append(lower, strings.ToLower(name))
	}
	slices.Sort(lower)
	return strings.Join(slices.Compact(lower), ", ")
}

func present(name string, is bool) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: is}}
}

// expressionMatch is compared with the whole value.
func expressionMatch(expression string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: expression},
	}}
}

// cors checks that the filter answers only preflights, in entries that lead nowhere, and only to origins that are named; and
// that what it adds elsewhere is for the same.
func (c *checker) cors(where string, route *routev3.Route) {
	packed := route.GetTypedPerFilterConfig()[corsFilter]
	if packed == nil {
		return
	}
	where += ", route " + route.GetName()
	var cors corsv3.CorsPolicy
	if !c.unpack(where, packed, &cors) {
		return
	}
	if cors.GetFilterEnabled() != nil || cors.GetShadowEnabled() != nil || !cors.GetForwardNotMatchingPreflights().GetValue() ||
		cors.GetAllowPrivateNetworkAccess().GetValue() {
		c.fail("%s: its cors can be switched, or answers origins that it does not name", where)
	}
	for _, m := range cors.GetAllowOriginStringMatch() {
		if m.GetIgnoreCase() || !namesOrigin(m) {
			c.fail("%s: its cors allows origins that are not named", where)
		}
	}
	if len(cors.GetAllowOriginStringMatch()) == 0 || strings.Contains(cors.GetAllowMethods()+cors.GetAllowHeaders()+
		cors.GetExposeHeaders(), "*") {
		c.fail("%s: its cors names no origin, or not which methods and headers", where)
	}
}

// namesOrigin: the matcher is one of those that corsPolicy writes.
func namesOrigin(m *matcherv3.StringMatcher) bool {
	text := m.GetExact()
	if regex := m.GetSafeRegex().GetRegex(); regex != "" {
		suffix, ok := strings.CutPrefix(regex, policy.OriginLabel)
		text = "https://*" + strings.ReplaceAll(suffix, `\`, "")
		if !ok {
			return false
		}
	}
	origin, err := policy.ParseOrigin(text)
	return err == nil && (origin.Exact() == m.GetExact() && m.GetSafeRegex() == nil || origin.Regex() == m.GetSafeRegex().GetRegex())
}
