package identity_test

import (
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
)

// spiffeCorpus are names that are or look like SPIFFE IDs.
var spiffeCorpus = []struct {
	id    string
	valid bool
}{
	{"spiffe://acme.example", true},
	{"spiffe://acme.example/ns/ci/sa/deployer", true},
	{"spiffe://a/b", true},
	{"spiffe://127.0.0.1/b", true},
	{"spiffe://under_score-dash.dot/Under_Score-Dash.Dot", true},
	{"spiffe://acme.example/...", true},
	{"spiffe://acme.example/.hidden/a..b", true},
	{"spiffe://..", true}, // the specification allows any of the characters
	{"spiffe://" + strings.Repeat("a", 255) + "/x", true},
	{"spiffe://a/" + strings.Repeat("x", 2048-11), true},

	{"", false},
	{"spiffe", false},
	{"spiffe:", false},
	{"spiffe:/", false},
	{"spiffe://", false},
	{"spiffe:///x", false},
	{"SPIFFE://acme.example/x", false},
	{"Spiffe://acme.example/x", false},
	{"https://acme.example/x", false},
	{" spiffe://acme.example/x", false},
	{"spiffe://acme.example/x ", false},
	{"spiffe://ACME.example/x", false},
	{"spiffe://acme.example/", false},
	{"spiffe://acme.example/x/", false},
	{"spiffe://acme.example//x", false},
	{"spiffe://acme.example/x//y", false},
	{"spiffe://acme.example/.", false},
	{"spiffe://acme.example/..", false},
	{"spiffe://acme.example/x/../y", false},
	{"spiffe://acme.example/x/./y", false},
	{"spiffe://acme.example/x/..", false},
	{"spiffe://user@acme.example/x", false},
	{"spiffe://user:pw@acme.example/x", false},
	{"spiffe://acme.example:443/x", false},
	{"spiffe://[::1]/x", false},
	{"spiffe://acme.example?q", false},
	{"spiffe://acme.example/x?q=1", false},
	{"spiffe://acme.example/x#f", false},
	{"spiffe://acme.example/%78", false},
	{"spiffe://acme.example/x%2fy", false},
	{"spiffe://acme%2eexample/x", false},
	{"spiffe://acme.example/x;y", false},
	{"spiffe://acme.example/x\\y", false},
	{"spiffe://acme.example/x\x00", false},
	{"spiffe://acme.example\x00.evil.example/x", false},
	{"spiffe://acme.example/x\n", false},
	{"spiffe://acme.example/x\x7f", false},
	{"spiffe://acme.example/ü", false},
	{"spiffe://аcme.example/x", false}, // a Cyrillic а
	{"spiffe://acme.example/\xff", false},
	{"spiffe://acme.example/*", false},
	{"spiffe://*/x", false},
	{"spiffe://" + strings.Repeat("a", 256) + "/x", false},
	{"spiffe://a/" + strings.Repeat("x", 2048-10), false},
}

func TestParseSPIFFEID(t *testing.T) {
	for _, c := range spiffeCorpus {
		id, err := identity.ParseSPIFFEID(c.id)
		if (err == nil) != c.valid {
			t.Errorf("%.80q: %v, want valid %v", c.id, err, c.valid)
		}
		if err != nil && id != "" {
			t.Errorf("%.80q: an error and an ID", c.id)
		}
		checkAgainstReference(t, c.id)
	}
	id, err := identity.ParseSPIFFEID("spiffe://acme.example/ns/ci")
	if err != nil || id.TrustDomain() != "acme.example" || id.Path() != "/ns/ci" ||
		id.String() != "spiffe://acme.example/ns/ci" {
		t.Errorf("parts %q %q, %v", id.TrustDomain(), id.Path(), err)
	}
	if id, _ = identity.ParseSPIFFEID("spiffe://acme.example"); id.TrustDomain() != "acme.example" || id.Path() != "" {
		t.Errorf("parts of a trust domain %q %q", id.TrustDomain(), id.Path())
	}
	var zero identity.SPIFFEID
	if zero.TrustDomain() != "" || zero.Path() != "" || zero.String() != "" {
		t.Error("the zero ID has parts")
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkAgainstReference compares with the parser of the SPIFFE project. The one intended difference: that one has no
// limits of length, the specification (2.1 and 2.3) and we have.
func checkAgainstReference(t failer, s string) {
	t.Helper()
	ours, err := identity.ParseSPIFFEID(s)
	theirs, theirErr := spiffeid.FromString(s)
	want := theirErr == nil && len(s) <= 2048 && len(theirs.TrustDomain().Name()) <= 255
	switch {
	case (err == nil) != want:
		t.Fatalf("%q: we say %v, go-spiffe says %v", s, err, theirErr)
	case err == nil && (string(ours) != s || ours.TrustDomain() != theirs.TrustDomain().Name() ||
		ours.Path() != theirs.Path()):
		t.Fatalf("%q: parts %q %q, go-spiffe %q %q", s, ours.TrustDomain(), ours.Path(), theirs.TrustDomain().Name(),
			theirs.Path())
	}
}

func FuzzParseSPIFFEIDAgreesWithGoSPIFFE(f *testing.F) {
	for _, c := range spiffeCorpus {
		f.Add(c.id)
	}
	f.Fuzz(func(t *testing.T, s string) { checkAgainstReference(t, s) })
}

func TestParseSPIFFEIDAgreesWithGoSPIFFE(t *testing.T) {
	piece := rapid.SampledFrom([]string{"spiffe://", "acme.example", "/", ".", "..", "x", "A", "_", "-", "%2f", ":", "@",
		"?", "#", "*", "\x00", "é", " ", strings.Repeat("z", 200)})
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "spiffe://", "spiffe://acme.example", "spiffe://acme.example/"}).Draw(t,
			"prefix")
		checkAgainstReference(t, prefix+strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), ""))
	})
}

func TestSPIFFEPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string // IDs
	}{
		{"spiffe://acme.example/ns/ci", []string{"spiffe://acme.example/ns/ci"},
			[]string{"spiffe://acme.example", "spiffe://acme.example/ns", "spiffe://acme.example/ns/ci/x",
				"spiffe://acme.example/ns/cix",
				"spiffe://acme.example/NS/ci", "spiffe://acme.example.evil/ns/ci", "spiffe://evil.acme.example/ns/ci",
				"spiffe://acme.exampl/ns/ci"}},
		{"spiffe://acme.example/ns/*", []string{"spiffe://acme.example/ns/ci", "spiffe://acme.example/ns/..."},
			[]string{"spiffe://acme.example/ns", "spiffe://acme.example/ns/ci/sa", "spiffe://acme.example/ci/ns",
				"spiffe://other.example/ns/ci"}},
		{"spiffe://acme.example/*/*/sa", []string{"spiffe://acme.example/a/b/sa"},
			[]string{"spiffe://acme.example/a/sa", "spiffe://acme.example/a/b/c/sa", "spiffe://acme.example/a/b/sa/c",
				"spiffe://acme.example/a/b/x"}},
		{"spiffe://acme.example/ns/**", []string{"spiffe://acme.example/ns/a", "spiffe://acme.example/ns/a/b/c"},
			[]string{"spiffe://acme.example/ns", "spiffe://acme.example/nsx/a", "spiffe://acme.example",
				"spiffe://acme.example/x/ns/a"}},
		{"spiffe://acme.example/**", []string{"spiffe://acme.example/a", "spiffe://acme.example/a/b"},
			[]string{"spiffe://acme.example", "spiffe://acme.example2/a", "spiffe://xacme.example/a"}},
		{"spiffe://acme.example/*/**", []string{"spiffe://acme.example/a/b", "spiffe://acme.example/a/b/c"},
			[]string{"spiffe://acme.example/a", "spiffe://acme.example"}},
	} {
		pattern, err := identity.ParseSPIFFEPattern(c.pattern)
		if err != nil || pattern.String() != c.pattern || pattern.TrustDomain() != "acme.example" {
			t.Errorf("%s: %v, read as %s", c.pattern, err, pattern)
		}
		for want, ids := range map[bool][]string{true: c.yes, false: c.no} {
			for _, s := range ids {
				id, err := identity.ParseSPIFFEID(s)
				if err != nil {
					t.Fatal(err)
				}
				if pattern.Match(id) != want {
					t.Errorf("%s covers %s: %v, want %v", c.pattern, s, !want, want)
				}
			}
		}
		// What was never parsed is covered by nothing.
		for _, forged := range []identity.SPIFFEID{"", "spiffe://acme.example/ns/../ci", "spiffe://acme.example/ns//",
			"acme.example/ns/ci",
			"spiffe://acme.example/ns/%2e", "spiffe://acme.example/ns/ci?x", "spiffe://acme.example/ns/*",
			"SPIFFE://acme.example/ns/ci"} {
			if pattern.Match(forged) {
				t.Errorf("%s covers the invalid %q", c.pattern, forged)
			}
		}
		if (identity.SPIFFEPattern{}).Match(identity.SPIFFEID(c.yes[0])) || (identity.SPIFFEPattern{}).String() != "" {
			t.Error("the zero pattern covers something")
		}
	}
}

func TestParseSPIFFEPatternRefuses(t *testing.T) {
	for _, s := range []string{"", "*", "**", "/ns/*", "acme.example/*", "spiffe://*", "spiffe://*/x",
		"spiffe://*.example/x", "spiffe://**",
		"spiffe://acme.example", "spiffe://acme.example/", "spiffe://acme.example/ns/", "spiffe://acme.example/**/x",
		"spiffe://acme.example/**/**", "spiffe://acme.example/***", "spiffe://acme.example/ci-*",
		"spiffe://acme.example/*x/y",
		"spiffe://acme.example/a**", "spiffe://acme.example/*/../x", "spiffe://acme.example//*", "spiffe://acme.example/*/",
		"SPIFFE://acme.example/*",
		"spiffe://acme.example/{x}", "spiffe://acme.example/[ab]", "spiffe://acme.example/?", "spiffe://acme.example/**\x00",
		"spiffe://" + strings.Repeat("a", 256) + "/*", "spiffe://a/" + strings.Repeat("*/", 1100) + "*"} {
		if p, err := identity.ParseSPIFFEPattern(s); err == nil {
			t.Errorf("%.60q was read as %s", s, p)
		}
	}
}

// matches is a second, naive reading of patterns.
func matches(pattern, id string) bool {
	p, i := strings.Split(pattern, "/"), strings.Split(id, "/")
	for n := 3; n < len(p); n++ {
		if p[n] == "**" {
			return len(i) > n
		}
		if n >= len(i) || p[n] != "*" && p[n] != i[n] {
			return false
		}
	}
	return len(p) == len(i) && p[2] == i[2]
}

func naive(pattern, id string) bool {
	return strings.HasPrefix(id+"/", strings.Join(strings.Split(pattern, "/")[:3], "/")+"/") && matches(pattern, id)
}

func TestSPIFFEPatternAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		domain := rapid.SampledFrom([]string{"a", "ab", "b"})
		id := "spiffe://" + domain.Draw(t, "domain") + join(rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "xy"}), 0,
			4).Draw(t, "path"))
		text := "spiffe://" + domain.Draw(t, "domain of pattern") + join(rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y",
			"*"}), 0, 4).Draw(t, "pattern")) +
			rapid.SampledFrom([]string{"", "/**"}).Draw(t, "end")
		pattern, err := identity.ParseSPIFFEPattern(text)
		if err != nil {
			if strings.Count(text, "/") > 2 {
				t.Fatal(err)
			}
			return
		}
		if got := pattern.Match(identity.SPIFFEID(id)); got != naive(text, id) {
			t.Fatalf("%s covers %s: %v", text, id, got)
		}
	})
}

func join(segments []string) string {
	path := ""
	for _, s := range segments {
		path += "/" + s
	}
	return path
}

// FuzzSPIFFEPatternStaysInItsDomain: whatever pattern and ID, a match is a valid ID of the pattern's own trust domain,
// agrees with the naive reading, and a pattern reads back as it was written.
func FuzzSPIFFEPatternStaysInItsDomain(f *testing.F) {
	for _, c := range spiffeCorpus {
		f.Add("spiffe://acme.example/**", c.id)
		f.Add(c.id, c.id)
	}
	f.Add("spiffe://acme.example/*/b/**", "spiffe://acme.example/a/b/c")
	f.Fuzz(func(t *testing.T, text, s string) {
		pattern, err := identity.ParseSPIFFEPattern(text)
		if err != nil {
			return
		}
		if pattern.String() != text {
			t.Fatalf("%q reads back as %q", text, pattern)
		}
		id, err := identity.ParseSPIFFEID(s)
		covered := pattern.Match(identity.SPIFFEID(s))
		if covered && (err != nil || id.TrustDomain() != pattern.TrustDomain()) {
			t.Fatalf("%q covers %q (%v)", text, s, err)
		}
		if err == nil && covered != naive(text, s) {
			t.Fatalf("%q covers %q: %v", text, s, covered)
		}
	})
}
