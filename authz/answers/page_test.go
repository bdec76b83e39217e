package answers

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func refusedLaptop() Page {
	return Page{Title: "Device needs attention", Detail: "This device does not meet what is asked for here. Each point below says what to do.",
		Reason: "posture", Tier: "privileged", Contact: "https://chat.acme.example/iam", Decision: "01890a5d-ac96-774b-bcce-b302099a8057",
		Unmet: []Demand{
			{Signal: "disk-encrypted", Failing: true, Fix: "Turn on FileVault in System Settings.", URL: "https://it.acme.example/filevault?os=mac&v=2",
				Owner: "endpoint", Contact: "endpoint@acme.example"},
			{Signal: "edr-healthy", Fix: "Start the agent.", Owner: "secops", Contact: "#secops"},
		}}
}

// node finds elements by name.
func nodes(root *html.Node, names ...string) (found []*html.Node) {
	for n := range root.Descendants() {
		for _, name := range names {
			if n.Type == html.ElementNode && n.Data == name {
				found = append(found, n)
			}
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func parsed(t *testing.T, l *Language, p Page) (string, *html.Node) {
	t.Helper()
	page, err := l.HTML(p)
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return page, root
}

// TestPages compares the whole page, with everything and with nothing told.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		language string
		page     Page
	}{
		"page-en.html": {"en", refusedLaptop()}, "page-de.html": {"de", refusedLaptop()},
		"page-nothing.html": {"en", Page{Title: "Not allowed", Decision: "01890a5d-ac96-774b-bcce-b302099a8057"}},
	} {
		page, _ := parsed(t, BuiltIn().Choose(c.language), c.page)
		golden(t, name, page)
	}
}

// TestThePageIsAccessible is what WCAG 2.2 asks of a page of text, as far as its source shows it: language (3.1.1), title
// (2.4.2), one h1 and no level left out (1.3.1), landmarks around all text, names of links (2.4.4), contrast (1.4.3, below),
// and a width that a phone chooses (1.4.10).
func TestThePageIsAccessible(t *testing.T) {
	t.Parallel()
	for tag, language := range BuiltIn().languages {
		for _, p := range []Page{refusedLaptop(), {Title: "Not allowed", Decision: "1"}} {
			page, root := parsed(t, language, p)
			if lang := attribute(nodes(root, "html")[0], "lang"); lang != tag {
				t.Errorf("%s: lang is %q", tag, lang)
			}
			if title := nodes(root, "title"); len(title) != 1 || words(title[0]) != p.Title {
				t.Errorf("%s: the title", tag)
			}
			level := 0
			for _, h := range nodes(root, "h1", "h2", "h3", "h4", "h5", "h6") {
				now, _ := strconv.Atoi(h.Data[1:])
				if now > level+1 || now == 1 && level != 0 || words(h) == "" {
					t.Errorf("%s: %s comes after h%d", tag, h.Data, level)
				}
				level = now
			}
			if len(nodes(root, "main")) != 1 || len(nodes(root, "footer")) != 1 || len(nodes(root, "h1")) != 1 {
				t.Errorf("%s: landmarks", tag)
			}
			for _, n := range nodes(root, "section") {
				if id := attribute(n, "aria-labelledby"); id == "" || strings.Count(page, `id="`+id+`"`) != 1 {
					t.Errorf("%s: a section without a name", tag)
				}
			}
			for n := range nodes(root, "body")[0].ChildNodes() {
				if n.Type == html.TextNode && strings.TrimSpace(n.Data) != "" || n.Type == html.ElementNode && n.Data != "main" && n.Data != "footer" {
					t.Errorf("%s: outside of all landmarks: %s", tag, n.Data)
				}
			}
			for _, a := range nodes(root, "a") {
				if words(a) == "" || attribute(a, "href") == "" {
					t.Errorf("%s: a link without a name or a target", tag)
				}
			}
			if !strings.Contains(page, "width=device-width") || !strings.Contains(page, "prefers-color-scheme: dark") || !strings.Contains(page, "@media print") {
				t.Errorf("%s: phones, the dark and printers", tag)
			}
			if len(page) > 8<<10 {
				t.Errorf("%s: %d bytes", tag, len(page))
			}
		}
	}
}

var color = regexp.MustCompile(`(^|[ ;{])(color|background): (#[0-9a-f]{6})`)

// TestThePageCanBeRead: each color has a contrast of 7:1 to the background of its scheme (WCAG 2.2, 1.4.6).
func TestThePageCanBeRead(t *testing.T) {
	t.Parallel()
	page, _ := parsed(t, BuiltIn().Choose(""), Page{})
	style := between(t, page, "<style>", "</style>")
	dark, light := between(t, style, "dark) {", "@media print"), style[:strings.Index(style, "@media")]
	for name, scheme := range map[string]string{"light": light, "dark": dark, "print": style[strings.Index(style, "@media print"):]} {
		background, colors := "", []string{}
		for _, m := range color.FindAllStringSubmatch(scheme, -1) {
			if m[2] == "background" {
				background = m[3]
			} else {
				colors = append(colors, m[3])
			}
		}
		if background == "" || len(colors) < 3 {
			t.Fatalf("%s: %q, %v", name, background, colors)
		}
		for _, c := range colors {
			if got := contrast(t, c, background); got < 7 {
				t.Errorf("%s: %s on %s has %.1f:1", name, c, background, got)
			}
		}
	}
}

func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, from)
	inside, _, closed := strings.Cut(rest, to)
	if !found || !closed {
		t.Fatalf("nothing between %s and %s", from, to)
	}
	return inside
}

// contrast is that of WCAG 2.2, "contrast ratio".
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(c string) (l float64) {
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(c[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			v := float64(n) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			l += weight * v
		}
		return l
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestThePageKeepsToItself: no script, nothing from elsewhere, no style but the one that the header names.
func TestThePageKeepsToItself(t *testing.T) {
	t.Parallel()
	for _, language := range BuiltIn().languages {
		page, root := parsed(t, language, refusedLaptop())
		for _, n := range nodes(root, "script", "img", "link", "iframe", "object", "embed", "form", "base", "svg", "audio", "video", "input") {
			t.Errorf("it has %s", n.Data)
		}
		for n := range root.Descendants() {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "srcset" {
					t.Errorf("%s has %s", n.Data, a.Key)
				}
			}
		}
		style := between(t, page, "<style>", "</style>")
		sum := sha256.Sum256([]byte(style))
		if !strings.Contains(ContentSecurityPolicy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") ||
			!strings.HasPrefix(ContentSecurityPolicy, "default-src 'none';") || strings.Contains(style, "url(") || strings.Contains(style, "@import") {
			t.Errorf("%s does not fit the style", ContentSecurityPolicy)
		}
	}
}

// TestHostileTexts: whatever stands in a policy, the page has the same elements, and links lead to web pages or to mail.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	shape := func(p Page) (names []string) {
		_, root := parsed(t, BuiltIn().Choose(""), p)
		for n := range root.Descendants() {
			if n.Type == html.ElementNode {
				names = append(names, n.Data)
			}
		}
		return names
	}
	fill := func(text string) Page {
		return Page{Title: text, Detail: text, Reason: text, Tier: text, Contact: text, Decision: text,
			Unmet: []Demand{{Signal: text, Fix: text, URL: text, Owner: text, Contact: text}}}
	}
	want := strings.Join(shape(fill("plain")), " ")
	for _, text := range []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</title></style><b>", "javascript:alert(1)", "&lt;b&gt;",
		"data:text/html,x", "//evil.example", "{{.Title}}", "\x00\xff\u202e", "vbscript:x", "https:evil", "http://", "JavaScript://x/%0aalert(1)", "ftp://x/y"} {
		if got := strings.Join(shape(fill(text)), " "); got != want {
			t.Errorf("%q makes %s", text, got)
		}
	}
	for raw, want := range map[string]string{"https://it.example/a?b=c#d": "https://it.example/a?b=c#d", "http://it.example": "http://it.example",
		"mailto:a@b.example": "", "/x": "", "": "", "https://": "", "HTTPS://It.example": "https://It.example", "https://%zz": ""} {
		if got := Link(raw); got != want {
			t.Errorf("%q leads to %q, want %q", raw, got, want)
		}
	}
	for contact, want := range map[string]string{"iam@acme.example": "mailto:iam@acme.example", "#iam": "", "a@b?cc=c@d.example": "", "https://x.example": "https://x.example"} {
		if got := ContactLink(contact); got != want {
			t.Errorf("%q is reached at %q, want %q", contact, got, want)
		}
	}
}
