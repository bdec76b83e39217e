package prove

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/xds/reach"
)

var drawn = rapid.Custom(func(t *rapid.T) string {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*"}), 0, 3).Draw(t, "segments")
	if len(segments) == 0 || rapid.Bool().Draw(t, "below") {
		segments = append(segments, "**")
	}
	return "spiffe://" + rapid.SampledFrom([]string{"d.example", "e.example"}).Draw(t, "domain") + "/" + strings.Join(segments, "/")
})

// TestPatterns: the patterns of this package are those of authz/identity, and cells miss no way to be in some and out of others.
func TestPatterns(t *testing.T) {
	t.Parallel()
	var ids []string // every ID of up to five segments over three words
	for _, domain := range []string{"d.example", "e.example"} {
		level := []string{"spiffe://" + domain}
		for range 5 {
			var next []string
			for _, prefix := range level {
				for _, word := range []string{"a", "b", "prove-9"} {
					next = append(next, prefix+"/"+word)
				}
			}
			ids, level = append(ids, next...), next
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var texts []string
		var theirs []identity.SPIFFEPattern
		var ours []pattern
		for range 3 {
			text := drawn.Draw(t, "pattern")
			parsed, err := identity.ParseSPIFFEPattern(text)
			if err != nil {
				t.Fatal(err)
			}
			texts, theirs, ours = append(texts, text), append(theirs, parsed), append(ours, parsePattern(text))
		}
		both, only, covered := false, false, true
		for _, id := range ids {
			var in [3]bool
			for i := range ours {
				if in[i] = ours[i].matches(id); in[i] != theirs[i].Match(identity.SPIFFEID(id)) {
					t.Fatalf("%s and %s: %v", texts[i], id, in[i])
				}
			}
			both, only, covered = both || in[0] && in[1], only || in[0] && in[1] && !in[2], covered && (!in[1] || in[0])
		}
		if ours[0].meets(ours[1]) != both || theirs[0].Overlaps(theirs[1]) != both {
			t.Fatalf("%v meet: %v", texts[:2], both)
		}
		if ours[0].covers(ours[1]) != covered {
			t.Fatalf("%s covers %s: %v", texts[0], texts[1], covered)
		}
		found := slices.ContainsFunc(cells(ours[0].domain, ours[:2], 4), func(id string) bool { return !ours[2].matches(id) })
		if found != only {
			t.Fatalf("in %v and not in %s: some %v, found %v", texts[:2], texts[2], only, found)
		}
	})
}

// TestHandshakes: who gets past a listener, and whose it is.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	entries := func(patterns ...string) *population {
		p := &population{name: "x"}
		for _, text := range patterns {
			parsed := parsePattern(text)
			p.entries = append(p.entries, entry{pattern: &parsed})
		}
		return p
	}
	ci, people := entries("spiffe://d.example/ci/*"), &population{name: "people", entries: []entry{{issuer: "corp"}}}
	segment := `/(?:\.{0,2}[A-Za-z0-9_-][A-Za-z0-9._-]*|\.{3,}[A-Za-z0-9._-]*)`
	for _, c := range []struct {
		of          *population
		trust       reach.Trust
		admits, own bool
	}{
		{ci, reach.Trust{Certificate: "required", Authorities: []string{"file x"}}, true, false},
		{ci, reach.Trust{Certificate: "required", Names: []string{"URI exact spiffe://d.example/ci/a"}}, true, true},
		{ci, reach.Trust{Certificate: "required", Names: []string{`URI regex spiffe://d\.example/ci` + segment}}, true, true},
		{ci, reach.Trust{Certificate: "required", Names: []string{`URI regex spiffe://d\.example/ci(?:` + segment + `)+`}}, true, false},
		{ci, reach.Trust{Certificate: "required", Names: []string{"URI exact spiffe://d.example/web/a"}}, false, false},
		{ci, reach.Trust{Certificate: "optional", Names: []string{"URI exact spiffe://d.example/web/a"}}, true, false},
		{ci, reach.Trust{Certificate: "required", Names: []string{"URI exact spiffe://d.example/web/a"}, Loose: "any"}, true, false},
		{ci, reach.Trust{Certificate: "required", Names: []string{"URI regex spiffe://d.example/web/.*"}}, true, false},
		{ci, reach.Trust{Certificate: "required", Names: []string{"DNS exact web.example"}}, true, false},
		{ci, reach.Trust{Certificate: "required", Authorities: []string{"secret s", "trust domain e.example"}}, false, false},
		{ci, reach.Trust{Certificate: "required", Authorities: []string{"secret s", "trust domain d.example"}}, true, false},
		{people, reach.Trust{Certificate: "required", Names: []string{"URI exact spiffe://d.example/web/a"}}, true, false},
	} {
		var none trust
		path := &reach.Path{Trust: c.trust}
		if got := none.admits(c.of, path); got != c.admits {
			t.Errorf("%s, %+v: admits %v", c.of.name, c.trust, got)
		}
		if got := none.onlyMembers(c.of, path); got != c.own {
			t.Errorf("%s, %+v: only members %v", c.of.name, c.trust, got)
		}
	}
}
