package xds

import (
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/tiergate/tiergate/authz/policy"
)

func TestPathMatches(t *testing.T) {
	for pattern, want := range map[string]string{
		"/":               "path:/",
		"/a/b":            "path:/a/b path:/a/b/",
		"/**":             "prefix:/",
		"/a/**":           "separated:/a",
		"/a/{x}":          "regex:/a/[^/]+/?",
		"/a/*/c":          "regex:/a/[^/]+/c/?",
		"/a.b/{x}/c+d/**": `regex:/a\.b/[^/]+/c\+d(?:/.*)?`,
		"/{x}/**":         "regex:/[^/]+(?:/.*)?",
	} {
		parsed, err := policy.ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range pathMatches(parsed) {
			switch p := m.GetPathSpecifier().(type) {
			case *routev3.RouteMatch_Path:
				got = append(got, "path:"+p.Path)
			case *routev3.RouteMatch_Prefix:
				got = append(got, "prefix:"+p.Prefix)
			case *routev3.RouteMatch_PathSeparatedPrefix:
				got = append(got, "separated:"+p.PathSeparatedPrefix)
			case *routev3.RouteMatch_SafeRegex:
				got = append(got, "regex:"+p.SafeRegex.GetRegex())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", pattern, got, want)
		}
	}
}

// FuzzEnvoyMatchesWhatThePatternCovers: for every path that has one reading, Envoy's match and the pattern agree, and
// what is written passes Envoy's own constraints.
func FuzzEnvoyMatchesWhatThePatternCovers(f *testing.F) {
	for _, seed := range [][2]string{
		{"/", "/"}, {"/**", "/a/"}, {"/a", "/a/"}, {"/a/**", "/ab"}, {"/a/{x}", "/a/"}, {"/{x}/**", "/a//"}, {"/a.b", "/axb"},
		{"/*/c", "/b/c/"}, {"/a/{x}/**", "/a/b"}, {"/$(x)", "/$(x)"}, {"/ü/*", "/ü/%C3%BC"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		parsed, err := policy.ParsePattern(pattern)
		if err != nil || strings.Contains(pattern, "?") {
			return
		}
		segments, err := policy.SplitRequestPath(path)
		if err != nil || strings.Contains(path, "?") {
			return
		}
		matches := pathMatches(parsed)
		for _, m := range matches {
			if err := m.ValidateAll(); err != nil {
				t.Fatalf("%s: %v", pattern, err)
			}
		}
		got := slices.ContainsFunc(matches, func(m *routev3.RouteMatch) bool { return pathMatched(m, path) })
		if want := parsed.Match(segments); got != want {
			t.Fatalf("%q and %q: Envoy %t, pattern %t", pattern, path, got, want)
		}
	})
}
