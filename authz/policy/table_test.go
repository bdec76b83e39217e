package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plainLookup is the naive reader of the same rule: every pattern that covers the path, in order of precedence; the
// routes of the first one's shape, by method.
func plainLookup(routes []*route, path, method string) (*route, found) {
	segments, err := SplitRequestPath(path)
	if err != nil {
		return nil, foundNothing
	}
	routes = slices.Clone(routes)
	slices.SortStableFunc(routes, func(a, b *route) int { return a.pattern.Compare(b.pattern) })
	for i, r := range routes {
		if !r.pattern.Match(segments) {
			continue
		}
		for _, same := range routes[i:] {
			if same.pattern.Compare(r.pattern) == 0 && (same.methods == nil || slices.Contains(same.methods, method)) {
				return same, foundRoute
			}
		}
		return r, foundOtherMethods
	}
	return nil, foundNothing
}

// TestTableAgreesWithThePlainRule draws sets of routes that share few segments, so that turns are often taken back.
func TestTableAgreesWithThePlainRule(t *testing.T) {
	t.Parallel()
	segment := rapid.SampledFrom([]string{"a", "b", "c", "{x}", "{y}", "*"})
	rapid.Check(t, func(t *rapid.T) {
		var routes []*route
		taken := map[string]bool{}
		for i := range rapid.IntRange(1, 12).Draw(t, "routes") {
			text := "/" + strings.Join(rapid.SliceOfN(segment, 0, 4).Draw(t, "pattern"), "/")
			if rapid.Bool().Draw(t, "rest") {
				text = strings.TrimSuffix(text, "/") + "/**"
			}
			p, err := ParsePattern(text)
			if err != nil {
				t.Fatal(err)
			}
			var methods []string
			if rapid.Bool().Draw(t, "methods") {
				methods = []string{rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method")}
			}
			key := p.shape()
			if taken[key] || methods != nil && taken[key+methods[0]] || methods == nil && (taken[key+"GET"] || taken[key+"POST"]) {
				continue // New refuses such a pair
			}
			taken[key+strings.Join(methods, "")] = true
			routes = append(routes, &route{name: fmt.Sprint(i), pattern: p, methods: methods})
		}
		hosts := map[string][]string{}
		for _, r := range routes {
			hosts[r.name] = []string{"h.example"}
		}
		table := newTable(routes, hosts)
		path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 5).Draw(t, "path"), "/")
		if path != "/" && rapid.Bool().Draw(t, "slash") {
			path += "/"
		}
		method := rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "asked")
		want, how := plainLookup(routes, path, method)
		got, gotHow := table.lookup("h.example", path, method)
		if gotHow != how || how == foundRoute && got != want {
			t.Fatalf("%s %s: the table says %d %v, the plain rule %d %v", method, path, gotHow, got, how, want)
		}
	})
}

// manyRoutes is a table of n routes on n/50 hosts, with variables in the middle.
func manyRoutes(n int) *Table {
	routes := make([]*route, 0, n)
	hosts := map[string][]string{}
	for i := range n {
		p, err := ParsePattern(fmt.Sprintf("/api/v1/team-%d/{id}/items-%d/**", i%50, i))
		if err != nil {
			panic(err)
		}
		r := &route{name: fmt.Sprint(i), pattern: p, methods: []string{"GET", "POST"}}
		routes = append(routes, r)
		hosts[r.name] = []string{fmt.Sprintf("host-%d.example", i/50)}
	}
	return newTable(routes, hosts)
}

func BenchmarkRouteMatch(b *testing.B) {
	for _, n := range []int{200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table := manyRoutes(n)
			host, path := fmt.Sprintf("host-%d.example", n/50-1), fmt.Sprintf("/api/v1/team-49/abc-123/items-%d/x/y", n-1)
			b.ReportAllocs()
			for b.Loop() {
				if _, how := table.lookup(host, path, "GET"); how != foundRoute {
					b.Fatal("not found")
				}
			}
		})
	}
}
