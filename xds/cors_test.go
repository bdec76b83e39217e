package xds

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestPreflightsAreOfTheRouteThatTheyAreAbout: whatever the policy, Envoy's filter answers a preflight if and only if the
// request that it announces would go to a route of the policy that is served here and lets such pages do that; and any other
// OPTIONS request, and any other method, meets the same route as if there were no cors at all.
func TestPreflightsAreOfTheRouteThatTheyAreAbout(t *testing.T) {
	base := written(t)
	answered := 0
	rapid.Check(t, func(t *rapid.T) {
		in := anyPolicy(t, base)
		table := ingressTable(t, in)
		plain := in
		plain.Routes = slices.Clone(in.Routes)
		for i := range plain.Routes {
			plain.Routes[i].CORS = nil
		}
		without := ingressTable(t, plain)
		for range min(8, 8*len(in.Routes)) {
			host, path, headers := aPreflight(t, in.Routes)
			if !vhostOf(table, host) {
				continue
			}
			wanted, carried := headers["access-control-request-method"], headers["authorization"]
			name, served := policyChooses(in.Routes, host, path, wanted)
			i := slices.IndexFunc(in.Routes, func(r policy.Route) bool { return r.Meta.Name == name })
			listed := headers["origin"] == "https://a.example" || headers["origin"] == "https://x.pages.example"
			want := headers[":method"] == "OPTIONS" && carried == "" && wanted != "" && served && in.Routes[i].CORS != nil &&
				slices.Contains(in.Routes[i].CORS.Methods, wanted) && listed
			got := answers(firstMatch(table, path, headers), headers)
			if got != want {
				t.Fatalf("%v %s is answered: %t, want %t; route %q", headers, path, got, want, name)
			}
			if got {
				answered++
				continue
			}
			a, b := firstMatch(table, path, headers), firstMatch(without, path, headers)
			if (a == nil) != (b == nil) || a.GetName() != b.GetName() || !proto.Equal(a.GetRoute(), b.GetRoute()) ||
				!proto.Equal(a.GetDirectResponse(), b.GetDirectResponse()) {
				t.Fatalf("%v %s: %v, and without cors %v", headers, path, a, b)
			}
		}
	})
	if answered == 0 {
		t.Error("no preflight was answered: this test tests nothing")
	}
}

// aPreflight is a request of a browser about one of the routes, or nearly one.
func aPreflight(t *rapid.T, routes []policy.Route) (host, path string, headers map[string]string) {
	meant := rapid.SampledFrom(routes).Draw(t, "meant")
	host = strings.Replace(rapid.SampledFrom(meant.Hosts).Draw(t, "host"), "*", "z", 1)
	segment := rapid.SampledFrom([]string{"a", "b", "c"})
	path = strings.NewReplacer("{x}", segment.Draw(t, "x"), "**", segment.Draw(t, "rest"), "*", segment.Draw(t, "any")).
		Replace(meant.Path)
	headers = map[string]string{":authority": host,
		":method": rapid.SampledFrom([]string{"OPTIONS", "OPTIONS", "OPTIONS", "GET"}).Draw(t, "method")}
	for _, h := range [][]string{
		{"origin", "https://a.example", "https://x.pages.example", "https://b.example", "https://x.y.pages.example", ""},
		{"access-control-request-method", "GET", "POST", "OPTIONS", "PUT", ""},
		{"authorization", "", "", "", "x"},
	} {
		if value := rapid.SampledFrom(h[1:]).Draw(t, h[0]); value != "" {
			headers[h[0]] = value
		}
	}
	return host, path, headers
}

func ingressTable(t *rapid.T, in Input) *routev3.RouteConfiguration {
	snapshot, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Consistent(); err != nil {
		t.Fatal(err)
	}
	for _, table := range snapshot.Routes() {
		if table.GetName() == "ingress" {
			return table
		}
	}
	panic("there is no ingress")
}

func vhostOf(table *routev3.RouteConfiguration, host string) bool {
	_, suffix, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(table.GetVirtualHosts(), func(v *routev3.VirtualHost) bool {
		return v.GetName() == host || v.GetName() == "*."+suffix
	})
}

// answers is what the cors filter of Envoy 1.40 does with a request on a route.
func answers(r *routev3.Route, headers map[string]string) bool {
	packed := r.GetTypedPerFilterConfig()[corsFilter]
	if packed == nil || r.GetRoute() == nil || headers[":method"] != "OPTIONS" || headers["access-control-request-method"] == "" {
		return false
	}
	var cors corsv3.CorsPolicy
	if err := packed.UnmarshalTo(&cors); err != nil {
		panic(err)
	}
	return slices.ContainsFunc(cors.GetAllowOriginStringMatch(), func(m *matcherv3.StringMatcher) bool {
		return stringMatched(m, headers["origin"])
	})
}

func TestConsistentFindsCORS(t *testing.T) {
	hole := func(change func(*corsv3.CorsPolicy)) func(*testing.T, *resources) {
		return func(t *testing.T, r *resources) {
			repack(t, crossRoute(t, r).GetTypedPerFilterConfig()[corsFilter], &corsv3.CorsPolicy{}, change)
		}
	}
	origin := func(m *matcherv3.StringMatcher) func(*testing.T, *resources) {
		return hole(func(c *corsv3.CorsPolicy) { c.AllowOriginStringMatch = append(c.GetAllowOriginStringMatch(), m) })
	}
	for _, c := range []struct {
		name  string
		plant func(*testing.T, *resources)
		want  string
	}{
		{"nothing", func(*testing.T, *resources) {}, ""},
		{"a switch", hole(func(c *corsv3.CorsPolicy) {
			c.FilterEnabled = &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 1}}
		}), "can be switched"},
		{"an answer to everybody", hole(func(c *corsv3.CorsPolicy) { c.ForwardNotMatchingPreflights = wrapperspb.Bool(false) }),
			"answers origins that it does not name"},
		{"no origin", hole(func(c *corsv3.CorsPolicy) { c.AllowOriginStringMatch = nil }), "names no origin"},
		{"every header", hole(func(c *corsv3.CorsPolicy) { c.AllowHeaders = "*" }), "names no origin, or not which"},
		{"any origin", origin(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "https://"}}),
			"allows origins that are not named"},
		{"any case", origin(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "https://a.example"},
			IgnoreCase: true}), "allows origins that are not named"},
		{"plaintext", origin(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "http://a.example"}}),
			"allows origins that are not named"},
		{"an expression", origin(expressionMatch(`https://.*\.example`)), "allows origins that are not named"},
		{"an expression with a loose end", origin(expressionMatch(policy.OriginLabel + `\.a.example`)), "allows origins that are not named"},
		{"an alternative", origin(expressionMatch(policy.OriginLabel + `\.a\.example|.*`)), "allows origins that are not named"},
		{"on a host", func(_ *testing.T, r *resources) {
			r.routes[1].GetVirtualHosts()[0].TypedPerFilterConfig[corsFilter] = new(anypb.Any)
		}, "answers preflights of every route"},
		{"another message", func(t *testing.T, r *resources) {
			packed, _ := anypb.New(&corsv3.Cors{})
			crossRoute(t, r).TypedPerFilterConfig[corsFilter] = packed
		}, "CorsPolicy"},
		{"behind", hcmHole(func(h *hcmv3.HttpConnectionManager) {
			f := h.GetHttpFilters()
			f[0], f[1] = f[1], f[0]
		}), "cors is not the first"},
		{"gone", hcmHole(func(h *hcmv3.HttpConnectionManager) { h.HttpFilters = h.GetHttpFilters()[1:] }), "cors is not the first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := written(t)
			in.Routes[1].CORS = &policy.CORS{Origins: []string{"https://desk.acme.example", "https://*.pages.acme.example"}}
			good := mustBuild(t, in)
			r := resources{clusters: good.Clusters(), endpoints: good.Endpoints(), secrets: good.Secrets()}
			for _, l := range good.Listeners() {
				r.listeners = append(r.listeners, proto.CloneOf(l))
			}
			for _, l := range good.Routes() {
				r.routes = append(r.routes, proto.CloneOf(l))
			}
			c.plant(t, &r)
			bad, err := newSnapshot(r, good.Table(), nil)
			if err != nil {
				t.Fatal(err)
			}
			switch err := bad.Consistent(); {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// crossRoute is a route with cors.
func crossRoute(t *testing.T, r *resources) *routev3.Route {
	t.Helper()
	for _, table := range r.routes {
		for _, host := range table.GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				if route.GetTypedPerFilterConfig()[corsFilter] != nil {
					return route
				}
			}
		}
	}
	t.Fatal("there is no route with cors")
	return nil
}

// TestBuildWithoutAnOrigin: what policy.New refuses is refused here too, and not programmed as something else.
func TestBuildWithoutAnOrigin(t *testing.T) {
	for _, text := range []string{"*", "http://a.example", "https://a.example/"} {
		in := written(t)
		in.Routes[1].CORS = &policy.CORS{Origins: []string{text}}
		if _, err := Build(in); err == nil || !strings.Contains(err.Error(), "Route payroll-admin: spec.cors.origins:") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzOriginsAreMatchedAlike: what the policy says of an origin, what Envoy is told, and a model that takes labels apart are
// one.
func FuzzOriginsAreMatchedAlike(f *testing.F) {
	for _, pattern := range []string{desk, pages, "https://[::1]:8443", "https://10.0.0.1", "https://*.a.b"} {
		for _, origin := range someOrigins {
			f.Add(pattern, origin)
		}
		f.Add(pattern, pattern)
	}
	f.Fuzz(func(t *testing.T, pattern, origin string) {
		o, err := policy.ParseOrigin(pattern)
		if err != nil {
			return
		}
		covers := o.Covers(origin)
		told := regexp.MustCompile(`^(?:` + o.Regex() + `)$`).MatchString(origin)
		if exact := o.Exact(); exact != "" && (origin == exact) != covers {
			t.Errorf("%q covers %q: %t", pattern, origin, covers)
		}
		if model := modelCovers(pattern, origin); covers != told || covers != model {
			t.Errorf("%q covers %q: policy %t, Envoy %t, model %t", pattern, origin, covers, told, model)
		}
		if !namesOrigin(expressionMatch(o.Regex())) && o.Exact() == "" {
			t.Errorf("%q: Consistent refuses what Build writes", pattern)
		}
	})
}

// modelCovers compares label by label.
func modelCovers(pattern, origin string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(origin, ".")
	if want[0] != "https://*" {
		return pattern == origin
	}
	label, ok := strings.CutPrefix(got[0], "https://")
	return ok && label != "" && slices.Equal(want[1:], got[1:]) && !strings.ContainsFunc(label, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", r)
	})
}
