package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// brief are contents as "name=version" by short type; "?" before the version: only Envoy knows the content. A route table
// names the clusters that stand after a colon.
func brief(t *testing.T, text string) contents {
	t.Helper()
	kinds := map[string]string{"c": resource.ClusterType, "r": resource.RouteType}
	c := contents{}
	for _, field := range strings.Fields(text) {
		kind, rest, _ := strings.Cut(field, "/")
		named, clusters, _ := strings.Cut(rest, ":")
		name, version, ok := strings.Cut(named, "=")
		if !ok {
			t.Fatalf("bad test: %s", field)
		}
		var r types.Resource = &clusterv3.Cluster{Name: name}
		if kind == "r" {
			table := &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{}}}
			for cluster := range strings.SplitSeq(clusters, ",") {
				table.VirtualHosts[0].Routes = append(table.VirtualHosts[0].Routes, &routev3.Route{
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{
						ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
					}},
				})
			}
			r = table
		}
		if strings.HasPrefix(version, "?") {
			r, version = nil, version[1:]
		}
		c.of(kinds[kind])[name] = versioned{r, version}
	}
	return c
}

func (c contents) brief() string {
	var all []string
	for url, items := range c {
		for name, v := range items {
			all = append(all, map[string]string{resource.ClusterType: "c", resource.RouteType: "r"}[url]+"/"+name+"="+v.version)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestFitted(t *testing.T) {
	for name, c := range map[string]struct {
		published, lingering, refused, own, others, want string
	}{
		"nothing refused":           {published: "c/a=2 c/b=2", own: "c/a=1", want: "c/a=2 c/b=2"},
		"own last good":             {"c/a=2 c/b=2", "", "c/a=2", "c/a=1", "c/a=0", "c/a=1 c/b=2"},
		"another's last good":       {"c/a=2", "", "c/a=2", "", "c/a=1", "c/a=1"},
		"none: left out":            {"c/a=2 c/b=2", "", "c/a=2", "", "", "c/b=2"},
		"none, but it holds one":    {"c/a=2 c/b=2", "", "c/a=2!", "c/a=?1", "", "c/a=2 c/b=2"},
		"others know better":        {"c/a=2", "", "c/a=2!", "c/a=?1", "c/a=0", "c/a=0"},
		"under way":                 {"c/a=2", "", "c/a=2+", "c/a=1", "", "c/a=2"},
		"another version":           {"c/a=3", "", "c/a=2", "c/a=1", "", "c/a=3"},
		"both refused":              {"c/a=2", "", "c/a=2 c/a=1", "c/a=1", "c/a=1", ""},
		"others' good refused here": {"c/a=2", "", "c/a=2 c/a=1", "", "c/a=1", ""},
		"what lingers is added":     {published: "c/a=2", lingering: "c/b=1", want: "c/a=2 c/b=1"},
		"never over what is new":    {published: "c/a=2", lingering: "c/a=1", want: "c/a=2"},
		"nor in place of a refused": {"c/a=2", "c/a=1", "c/a=2", "", "", ""},
		"a table goes back with its cluster": {"c/a=2 r/in=2:a,b", "c/b=1", "c/a=2", "r/in=1:b", "",
			"c/b=1 r/in=1"},
		"to another's, if its own names it too": {"c/a=2 r/in=2:a", "c/b=1", "c/a=2", "r/in=1:a", "r/in=0:b",
			"c/b=1 r/in=0"},
		"a table without a better one stays":   {"c/a=2 r/in=2:a", "", "c/a=2", "", "", "r/in=2"},
		"a table of other clusters stays":      {"c/a=2 c/b=1 r/in=2:b", "", "c/a=2", "r/in=1:b", "", "c/b=1 r/in=2"},
		"a table whose cluster is older stays": {"c/a=2 r/in=2:a", "", "c/a=2", "c/a=1 r/in=1:a", "", "c/a=1 r/in=2"},
	} {
		refused := refusals{}
		for url, items := range brief(t, c.refused) {
			for name, v := range items {
				version := strings.TrimRight(v.version, "!+")
				refused[refusedVersion{url, name, version}] = &refusal{
					attempts: 1, stands: strings.HasSuffix(v.version, "!"), trying: strings.HasSuffix(v.version, "+"),
				}
			}
		}
		if strings.Count(c.refused, "c/a=") == 2 { // one name, two versions
			refused[refusedVersion{resource.ClusterType, "a", "2"}] = &refusal{attempts: 1}
		}
		published, own := brief(t, c.published), brief(t, c.own)
		before := published.brief()
		got := fitted(published, brief(t, c.lingering), refused, own, brief(t, c.others))
		if got.brief() != c.want {
			t.Errorf("%s: got %q, want %q", name, got.brief(), c.want)
		}
		if published.brief() != before {
			t.Errorf("%s: the published resources were changed", name)
		}
	}
}

// What lingers is kept as far as what is served and not published names it, and what is kept names.
func TestNeeded(t *testing.T) {
	published := brief(t, "r/in=2:x c/x=1")
	lingering := brief(t, "c/a=1 c/b=1 c/x-old=1")
	for serving, want := range map[string]string{
		"r/in=2:x c/x=1":               "",
		"r/in=1:a c/a=1 c/b=1":         "c/a=1",
		"r/in=1:a,b c/a=1":             "c/a=1 c/b=1",
		"r/in=2:x c/x=1 c/a=1 c/b=1":   "",
		"r/in=1:nowhere c/x=1 c/a=1":   "",
		"r/in=1:x-old,nowhere c/x-y=1": "c/x-old=1",
	} {
		if got := needed(lingering, published, []contents{brief(t, serving)}).brief(); got != want {
			t.Errorf("%s: kept %q, want %q", serving, got, want)
		}
	}
}

func TestNamedIn(t *testing.T) {
	for detail, c := range map[string]struct{ url, names, want string }{
		"Error adding/updating listener(s) in: bad":         {resource.ListenerType, "in ingress", "in"},
		"Error adding/updating listener(s) ingress: bad":    {resource.ListenerType, "in ingress", "ingress"},
		"Error adding/updating cluster(s) in/a: x, in/b: y": {resource.ClusterType, "in/a in/b in/ab", "in/a in/b"},
		"route: unknown cluster 'ingress/nowhere'":          {resource.RouteType, "contractors ingress", "ingress"},
		"something is wrong":                                {resource.ListenerType, "a b", "a b"},
		"":                                                  {resource.ListenerType, "a b", "a b"},
		"Error adding/updating cluster(s) tiergate_authz: no socket": {resource.ClusterType, "authz tiergate_authz", "tiergate_authz"},
	} {
		d := delivery{typeURL: c.url, resources: map[string]versioned{}}
		for _, name := range strings.Fields(c.names) {
			d.resources[name] = versioned{}
		}
		if got := strings.Join(namedIn(d, detail), " "); got != c.want {
			t.Errorf("%q: named %q, want %q", detail, got, c.want)
		}
	}
}

// Whatever comes along with something bad is told apart from it: of each type, one is tried at a time.
func TestDueOneAtATime(t *testing.T) {
	at := time.Unix(1e9, 0)
	s := newSession(false, at)
	published := brief(t, "c/a=1 c/b=1 c/c=1")
	s.nack(delivery{typeURL: resource.ClusterType, resources: maps.Clone(published[resource.ClusterType])}, "bad", at, firstRetry)
	if r, next := s.due(resource.ClusterType, published, at); r != nil || !next.Equal(at.Add(firstRetry)) {
		t.Errorf("due at once: %+v, %v", r, next)
	}
	tried := map[string]bool{}
	for range 3 {
		r, _ := s.due(resource.ClusterType, published, at.Add(firstRetry))
		if r == nil {
			t.Fatalf("nothing is due after %v", tried)
		}
		r.trying, r.next = true, at.Add(2*time.Hour)
		if other, next := s.due(resource.ClusterType, published, at.Add(time.Hour)); other != nil || !next.Equal(r.next) {
			t.Errorf("two are tried at a time")
		}
		for key, candidate := range s.refused {
			if candidate == r {
				tried[key.name] = true
				s.ack(delivery{typeURL: key.typeURL, resources: map[string]versioned{key.name: {version: "1"}}})
			}
		}
	}
	if len(tried) != 3 || len(s.refused) != 0 {
		t.Errorf("tried %v, still refused %v", tried, s.refused)
	}
}

// A version that is sent again and never answered, because nothing asks for it any more, does not block the others.
func TestUnansweredTryGivesWay(t *testing.T) {
	at := time.Unix(1e9, 0)
	s := newSession(false, at)
	published := brief(t, "c/a=1 c/b=1")
	s.nack(delivery{typeURL: resource.ClusterType, resources: maps.Clone(published[resource.ClusterType])}, "bad", at, firstRetry)
	now := at.Add(firstRetry)
	a, _ := s.due(resource.ClusterType, published, now)
	a.trying, a.next = true, now.Add(answerWithin)
	b, _ := s.due(resource.ClusterType, published, now.Add(answerWithin))
	if b == nil || b == a || a.trying || a.attempts != 2 || !a.next.After(now.Add(answerWithin)) {
		t.Errorf("due is %+v, the one without an answer %+v", b, a)
	}
}

func TestBackoff(t *testing.T) {
	for i, want := range []string{"5s", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"} {
		if got := backoff(firstRetry, i+1).String(); got != want {
			t.Errorf("after %d refusals: %s, want %s", i+1, got, want)
		}
	}
	if got := backoff(firstRetry, 1_000_000); got != lastRetry {
		t.Errorf("got %v", got)
	}
}

func TestMinVersions(t *testing.T) {
	for asked, want := range map[string]string{
		"": MinVersion, "1.2.3": MinVersion, "1.38.3": MinVersion, "1.38.12": "1.38.12", "1.40.0": "1.40.0", "2.0.0": "2.0.0",
		"1.40": "4294967295.0.0", "x": "4294967295.0.0", "1.40.-1": "4294967295.0.0",
	} {
		if got := lowest(asked).String(); got != want {
			t.Errorf("%q: %s, want %s", asked, got, want)
		}
	}
	fine := envoyNode("a")
	grpc := envoyNode("a")
	grpc.UserAgentName = "gRPC Go"
	unknown := envoyNode("a")
	unknown.UserAgentVersionType = nil
	for i, c := range []struct {
		err    error
		reason string
	}{
		{tooOld(fine, lowest("")), ""}, {tooOld(fine, lowest("1.40.0")), ""},
		{tooOld(fine, lowest("1.40.1")), "it is Envoy 1.40.0, and 1.40.1 is the lowest"},
		{tooOld(grpc, lowest("")), `it says to be "gRPC Go"`}, {tooOld(unknown, lowest("")), "not which version of Envoy"},
		{tooOld(nil, lowest("")), "names no node"},
	} {
		if fmt.Sprint(c.err) != "<nil>" && c.reason == "" || c.reason != "" && !strings.Contains(fmt.Sprint(c.err), c.reason) {
			t.Errorf("%d: %v, want %q", i, c.err, c.reason)
		}
	}
}
