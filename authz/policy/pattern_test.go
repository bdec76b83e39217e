package policy

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPathsOfTwoReadingsAreRefused(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", "x", "admin/x", "http://h/admin", "*", "//admin/x", "/a//b", "/a/../b", "/a/.", "/..", "/a/..;/b", "/a;x=1",
		"/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", `/a\b`, "/a%00", "/a\x00", "/a%2e%2e/b", "/%2E/b", "/a#b", "/a%23b", "/a%3bx", "/a%3f",
		"/a%252fb", "/a%61", "/a%7E", "/a%", "/a%2", "/a%zz", "/a\xff", "/a%ff", "/a%c3x%a9", "/a\x7f", "/a%0d%0aX: y",
		"/" + strings.Repeat("a", maxPathBytes),
	} {
		if got, err := checkPath(path); err == nil {
			t.Errorf("%.60q was read as %q", path, got)
		}
	}
	for path, want := range map[string]string{
		"/": "/", "/?x=/../y": "/", "/a": "/a", "/a/": "/a/", "/a/b?c#d": "/a/b", "/%20x": "/%20x", "/caf%C3%A9": "/caf%C3%A9",
		"/a:b@c!$&'()*+,=": "/a:b@c!$&'()*+,=", "/...": "/...", "/.well-known/x": "/.well-known/x", "/a.b/c..d": "/a.b/c..d",
		"/café": "/café",
	} {
		if got, err := checkPath(path); err != nil || got != want {
			t.Errorf("%q = %q, %v", path, got, err)
		}
	}
}

// FuzzPathHasOneReading: what is accepted reads the same to a server that decodes, one that cleans, and one that does
// neither.
func FuzzPathHasOneReading(f *testing.F) {
	for _, seed := range []string{"/a/b?c", "/a/%2e%2e/b", "/caf%C3%A9/", "/a%2fb", "//", "/a;b/..", "/%25", "/a%0a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := checkPath(raw)
		if err != nil {
			return
		}
		path, _, _ := strings.Cut(raw, "?")
		if got != path {
			t.Fatalf("%q was repaired to %q", path, got)
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("%q does not decode: %v", path, err)
		}
		if strings.Count(decoded, "/") != strings.Count(path, "/") {
			t.Fatalf("%q has other segments when decoded: %q", path, decoded)
		}
		for s := range strings.SplitSeq(decoded, "/") {
			if s == "." || s == ".." || strings.ContainsAny(s, "\\;#?\x00") {
				t.Fatalf("%q decodes to %q", path, decoded)
			}
		}
	})
}

func TestPatternsMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern   string
		yes, nope []string
	}{
		{"/", []string{"/"}, []string{"/a"}},
		{"/**", []string{"/", "/a", "/a/b/"}, nil},
		{"/admin", []string{"/admin", "/admin/"}, []string{"/admin/x", "/administrator", "/ADMIN"}},
		{"/admin/**", []string{"/admin", "/admin/", "/admin/x", "/admin/x/y/"}, []string{"/administrator", "/"}},
		{"/a/{id}", []string{"/a/1", "/a/1/"}, []string{"/a", "/a/", "/a/1/2"}},
		{"/a/*/c", []string{"/a/b/c", "/a/b/c/"}, []string{"/a/c", "/a/b/d"}},
		{"/a/*/**", []string{"/a/b", "/a/b/c/d", "/a/b/"}, []string{"/a", "/a/"}},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != c.pattern {
			t.Errorf("%s is written %s", c.pattern, p)
		}
		root := &node{}
		root.insert(&route{pattern: p})
		for i, path := range append(slices.Clone(c.yes), c.nope...) {
			if _, err := checkPath(path); err != nil {
				t.Fatal(err)
			}
			if (root.find(path[1:], path != "/") != nil) != (i < len(c.yes)) {
				t.Errorf("%s matches %s: %v", c.pattern, path, i >= len(c.yes))
			}
		}
	}
	for _, bad := range []string{"", "admin", "/a//b", "/**/a", "/a*", "/{}", "/{a b}", "/a{b}", "/..", "/a/", "/%41", "/a?b"} {
		if p, err := ParsePattern(bad); err == nil && bad != "/a?b" {
			t.Errorf("%q was accepted as %s", bad, p)
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	var got []string
	for _, text := range []string{"/**", "/a/**", "/a", "/a/*", "/a/{id}", "/a/b", "/{x}/b", "/a/b/**", "/a/{id}/c", "/"} {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := slices.BinarySearchFunc(got, p, func(held string, p Pattern) int {
			q, _ := ParsePattern(held)
			return q.Compare(p)
		})
		got = slices.Insert(got, at, text)
	}
	want := "/a/b /a/b/** /a/{id}/c /a/{id} /a/* /a /a/** /{x}/b / /**"
	if strings.Join(got, " ") != want {
		t.Errorf("order %v\nwant  %s", got, want)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"App.Example": "app.example", "app.example:8443": "app.example", "app.example.": "app.example", "a_b.c:1": "a_b.c",
		"[::1]:80": "[::1]", "127.0.0.1": "127.0.0.1",
		"": "", ":80": "", "a b": "", "a/b": "", "a@b": "", "a..b": "", ".a": "", "a:b": "", "a:": "", "[::1": "", "[::1]x": "",
		"ünï": "", "a\x00": "", "a,b": "", strings.Repeat("a", 254): "",
	} {
		got, err := NormalHost(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.40q = %q, %v", in, got, err)
		}
	}
}
