package xds

import (
	"cmp"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

var (
	someHosts    = []string{"a.example", "b.example", "*.a.example", "*.b.a.example", "x.a.example"}
	someSegments = []string{"a", "b", "a.b", "{x}", "*"}
	someMethods  = []string{"GET", "POST", "OPTIONS"}
	someAudience = []string{"employees", "auditors", "contractors", "guests"} // the last two are isolated
)

// anyPolicy draws routes whose methods do not overlap, as the policy demands.
func anyPolicy(t *rapid.T, base Input) Input {
	in := base
	in.Audiences = []policy.Audience{
		audience("employees", false), audience("auditors", false), audience("contractors", true), audience("guests", true),
	}
	in.Settings.Listeners = slices.Clone(base.Settings.Listeners)
	guests := in.Settings.Listeners[1]
	guests.Name, guests.Audience, guests.Address = "guests", "guests", "127.0.0.1:9444"
	in.Settings.Listeners = append(in.Settings.Listeners, guests)
	in.Upstreams, in.Routes = nil, nil
	for _, name := range []string{"one", "two", "three"} {
		in.Upstreams = append(in.Upstreams, upstream(name, "127.0.0.1:81", ""))
	}
	taken := map[string]bool{}
	for i := range rapid.IntRange(0, 12).Draw(t, "routes") {
		to := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "upstream")
		r := route(string(rune('a'+i)), "", anyPath(t), to,
			rapid.SliceOfNDistinct(rapid.SampledFrom(someAudience), 1, 3, rapid.ID[string]).Draw(t, "audiences"))
		method := rapid.SampledFrom(append([]string{""}, someMethods...)).Draw(t, "method")
		if method != "" {
			r.Methods = []string{method}
		}
		r.CORS = rapid.SampledFrom([]*policy.CORS{nil, {Origins: []string{"https://a.example", "https://*.pages.example"},
			Methods: []string{cmp.Or(method, "PUT")}}}).Draw(t, "cors")
		shape := shapeOf(r.Path)
		for _, host := range rapid.SliceOfNDistinct(rapid.SampledFrom(someHosts), 1, 2, rapid.ID[string]).Draw(t, "hosts") {
			key := host + shape
			some := slices.ContainsFunc(someMethods, func(m string) bool { return taken[key+" "+m] })
			if taken[key+" "] || taken[key+" "+method] || method == "" && some {
				continue
			}
			taken[key+" "+method] = true
			r.Hosts = append(r.Hosts, host)
		}
		if len(r.Hosts) > 0 {
			in.Routes = append(in.Routes, r)
		}
	}
	return in
}

func anyPath(t *rapid.T) string {
	segments := rapid.SliceOfN(rapid.SampledFrom(someSegments), 0, 3).Draw(t, "path")
	if rapid.Bool().Draw(t, "rest") {
		segments = append(segments, "**")
	}
	return "/" + strings.Join(segments, "/")
}

func shapeOf(path string) string { return strings.ReplaceAll(path, "{x}", "{}") }

func TestOrderOfDocumentsDoesNotReachEnvoy(t *testing.T) {
	base := written(t)
	rapid.Check(t, func(t *rapid.T) {
		in := anyPolicy(t, base)
		want, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		shuffle := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		other := in
		other.Routes, other.Audiences, other.Upstreams = shuffled(shuffle, in.Routes), shuffled(shuffle, in.Audiences),
			shuffled(shuffle, in.Upstreams)
		other.Settings.Listeners = shuffled(shuffle, in.Settings.Listeners)
		got, err := Build(other)
		if err != nil {
			t.Fatal(err)
		}
		if want.Digest() != got.Digest() { // of the bytes of every resource
			t.Fatal("another order gave another snapshot")
		}
	})
}

func shuffled[T any](r *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// Nothing that a policy says reaches a listener or the clusters' neighbours: an edit drains no connection.
func TestListenersDoNotDependOnThePolicy(t *testing.T) {
	base := written(t)
	rapid.Check(t, func(t *rapid.T) {
		one, other := anyPolicy(t, base), anyPolicy(t, base)
		other.TableDigest = "another"
		a, err := Build(one)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Build(other)
		if err != nil {
			t.Fatal(err)
		}
		if a.cache.GetVersion(resource.ListenerType) != b.cache.GetVersion(resource.ListenerType) {
			t.Fatal("an edit of the policy changed a listener")
		}
		if len(a.Listeners()) != 3 {
			t.Fatal("this test compares something else")
		}
	})
}

// TestIsolation: whatever the policy, an isolated audience's listener leads only to upstreams that a route of that
// audience names, over clusters and secrets of its own, and no other listener has a route for that audience alone.
func TestIsolation(t *testing.T) {
	base := written(t)
	rapid.Check(t, func(t *rapid.T) {
		in := anyPolicy(t, base)
		snapshot, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := snapshot.Consistent(); err != nil {
			t.Fatal(err)
		}
		audienceOf := map[string]string{}
		for _, l := range in.Settings.Listeners {
			audienceOf[l.Name] = l.Audience
		}
		for _, config := range snapshot.Routes() {
			for _, vhost := range config.GetVirtualHosts() {
				for _, route := range vhost.GetRoutes() {
					if cluster := route.GetRoute().GetCluster(); cluster != "" {
						checkReach(t, in, config.GetName(), audienceOf[config.GetName()], cluster)
					}
				}
			}
		}
	})
}

func checkReach(t *rapid.T, in Input, listener, audience, cluster string) {
	owner, upstream, _ := strings.Cut(cluster, "/")
	if owner != listener {
		t.Fatalf("listener %s reaches cluster %s", listener, cluster)
	}
	if !slices.ContainsFunc(in.Routes, func(r policy.Route) bool {
		open := slices.Contains(r.Audiences, "employees") || slices.Contains(r.Audiences, "auditors")
		return r.Upstream == upstream && (audience != "" && slices.Contains(r.Audiences, audience) || audience == "" && open)
	}) {
		t.Fatalf("listener %s reaches %s, which no route of audience %q names", listener, upstream, audience)
	}
}

// TestEnvoyAndPolicyChooseTheSameRoute reads the route table as Envoy's documentation says and compares it with a naive
// reading of the policy.
func TestEnvoyAndPolicyChooseTheSameRoute(t *testing.T) {
	base := written(t)
	hosts := []string{
		"a.example", "b.example", "x.a.example", "y.a.example", "z.y.a.example", "y.b.a.example", "c.example",
	}
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "a.b", "ab", "axb"}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		in := anyPolicy(t, base)
		snapshot, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(snapshot.Routes(), func(c *routev3.RouteConfiguration) bool {
			return c.GetName() == "ingress"
		})
		for range 20 {
			host := rapid.SampledFrom(hosts).Draw(t, "host")
			path := "/" + strings.Join(segments.Draw(t, "segments"), "/")
			if path != "/" && rapid.Bool().Draw(t, "slash") {
				path += "/"
			}
			method := rapid.SampledFrom(append([]string{"DELETE"}, someMethods...)).Draw(t, "method")
			got, proxied, asked := envoyChooses(snapshot.Routes()[i], host, path, method)
			want, served := policyChooses(in.Routes, host, path, method)
			if proxied != served || asked && got != want || proxied && !asked {
				t.Fatalf("%s %s%s: Envoy takes %q, proxied: %t, asked: %t; the policy %q, served here: %t", method, host, path,
					got, proxied, asked, want, served)
			}
		}
	})
}

// policyChooses is DESIGN section 3 without cleverness: exact host before *.suffix, the most exact path, then the
// method. served says that the route is one of the listener without an audience.
func policyChooses(routes []policy.Route, host, path, method string) (name string, served bool) {
	segments, err := policy.SplitRequestPath(path)
	if err != nil {
		return "", false
	}
	_, suffix, _ := strings.Cut(host, ".")
	var chosen []entry
	for _, wanted := range []string{host, "*." + suffix} {
		for _, r := range routes {
			open := slices.Contains(r.Audiences, "employees") || slices.Contains(r.Audiences, "auditors")
			if pattern, err := policy.ParsePattern(r.Path); err == nil && slices.Contains(r.Hosts, wanted) {
				chosen = append(chosen, entry{pattern, r, open})
			}
		}
		if len(chosen) > 0 {
			break
		}
	}
	chosen = slices.DeleteFunc(chosen, func(e entry) bool { return !e.pattern.Match(segments) })
	slices.SortFunc(chosen, func(a, b entry) int {
		return cmp.Or(a.pattern.Compare(b.pattern), cmp.Compare(a.route.Meta.Name, b.route.Meta.Name))
	})
	for _, e := range chosen {
		listed := len(e.route.Methods) == 0 || slices.Contains(e.route.Methods, method)
		if e.pattern.Compare(chosen[0].pattern) == 0 && listed {
			return e.route.Meta.Name, e.served
		}
	}
	return "", false
}

// envoyChooses follows the documentation of config.route.v3: the exact domain, then the longest suffix; the first route
// that matches. asked says that there is one, so that a decision is asked for, with the context extension name.
func envoyChooses(config *routev3.RouteConfiguration, host, path, method string) (name string, proxied, asked bool) {
	r := firstMatch(config, path, map[string]string{":method": method, ":authority": host})
	if r == nil {
		return "", false, false
	}
	if own := r.GetTypedPerFilterConfig()[authzFilter]; own != nil {
		var config authzv3.ExtAuthzPerRoute
		if err := own.UnmarshalTo(&config); err != nil {
			panic(err)
		}
		name = config.GetCheckSettings().GetContextExtensions()[ContextRoute]
	}
	return name, r.GetRoute() != nil, true
}

func firstMatch(config *routev3.RouteConfiguration, path string, headers map[string]string) *routev3.Route {
	host := headers[":authority"]
	var vhost *routev3.VirtualHost
	for _, v := range config.GetVirtualHosts() {
		domain := v.GetDomains()[0]
		suffix, wildcard := strings.CutPrefix(domain, "*")
		switch {
		case domain == host:
			vhost = v
		case wildcard && strings.HasSuffix(host, suffix) && len(host) > len(suffix) &&
			(vhost == nil || vhost.GetDomains()[0] != host && len(vhost.GetDomains()[0]) < len(domain)):
			vhost = v
		}
	}
	for _, r := range vhost.GetRoutes() {
		missed := slices.ContainsFunc(r.GetMatch().GetHeaders(), func(h *routev3.HeaderMatcher) bool {
			value, there := headers[h.GetName()]
			if _, mere := h.GetHeaderMatchSpecifier().(*routev3.HeaderMatcher_PresentMatch); mere {
				return there != h.GetPresentMatch()
			}
			return (there && stringMatched(h.GetStringMatch(), value)) == h.GetInvertMatch()
		})
		if !missed && pathMatched(r.GetMatch(), path) {
			return r
		}
	}
	return nil
}

func pathMatched(m *routev3.RouteMatch, path string) bool {
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		return path == p.Path
	case *routev3.RouteMatch_Prefix:
		return strings.HasPrefix(path, p.Prefix)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return path == p.PathSeparatedPrefix || strings.HasPrefix(path, p.PathSeparatedPrefix+"/")
	case *routev3.RouteMatch_SafeRegex:
		return regexp.MustCompile(`^(?:` + p.SafeRegex.GetRegex() + `)$`).MatchString(path)
	}
	panic("a path specifier that this test does not know")
}

func stringMatched(m *matcherv3.StringMatcher, value string) bool {
	if m.GetSafeRegex() != nil {
		return regexp.MustCompile(`^(?:` + m.GetSafeRegex().GetRegex() + `)$`).MatchString(value)
	}
	return m.GetExact() == value
}
