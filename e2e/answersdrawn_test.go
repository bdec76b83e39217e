package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pages "github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// look is how somebody looks at a page.
type look struct {
	language string
	width    int // in CSS pixels; 320 is what WCAG 2.2, 1.4.10 asks for
	dark     bool
}

func (l look) String() string {
	return fmt.Sprintf("%s-%d-%s", l.language, l.width, map[bool]string{true: "dark", false: "light"}[l.dark])
}

func looks() (all []look) {
	for _, language := range []string{"en", "de"} {
		for _, width := range []int{320, 360, 1280} {
			all = append(all, look{language, width, false}, look{language, width, true})
		}
	}
	return all
}

// drawing is what a browser has made of a page.
type drawing struct {
	status   int
	decision string
	Title    string
	Headings []string // the h1
	Lang     string
	Text     string   // what can be seen of it
	Wide     []string // what sticks out of the window at a side
	Broken   []string // short words that go over two lines, because there is no room
	Faint    []string // texts with a contrast below 4.5:1 (WCAG 2.2, 1.4.3)
	Links    []string
	tabbed   []string // what Tab comes to, and is seen to
	asked    []string // requests for anything but pages
	said     []string // console, policies, exceptions
	picture  image.Image
}

// measure reads a drawing on the page itself.
const measure = `(() => {
  const numbers = (c) => { const n = c.match(/[0-9.]+/g).map(Number); return n.length === 3 ? [...n, 1] : n };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c[3] === 1) return c;
      if (c[3] !== 0) return null;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  };
  const faint = [], broken = [], wide = [], width = document.documentElement.clientWidth;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = texts.nextNode());) {
    if (!n.data.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(n);
    for (const r of range.getClientRects()) {
      if (r.right > width + 0.5 || r.left < -0.5) wide.push(n.data.trim());
    }
    for (const word of n.data.matchAll(/[^\s-]{1,12}(?=[\s-]|$)/g)) {
      if (word.index > 0 && !/[\s-]/.test(n.data[word.index - 1])) continue; // the end of a longer one
      range.setStart(n, word.index);
      range.setEnd(n, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) broken.push(word[0]);
    }
    const front = numbers(getComputedStyle(n.parentElement).color), back = behind(n.parentElement);
    let opaque = front[3] === 1 && back;
    for (let e = n.parentElement; e; e = e.parentElement) opaque &&= getComputedStyle(e).opacity === '1';
    const [high, low] = opaque ? [light(front), light(back)].sort((a, b) => b - a) : [0, 0];
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(n.data.trim() + ' ' + front + ' on ' + back);
  }
  if (document.documentElement.scrollWidth > width) wide.push('the page, by ' + (document.documentElement.scrollWidth - width));
  return { Title: document.title, Headings: [...document.querySelectorAll('h1')].map((h) => h.innerText), Lang: document.documentElement.lang,
    Text: document.body.innerText, Wide: wide, Faint: faint, Broken: broken, Links: [...document.querySelectorAll('a')].map((a) => a.href) };
})()`

// focused is the link that has the focus, if one sees that it has; empty: no link.
const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e);
  return e.href ? e.href + (s.outlineStyle === 'none' || parseFloat(s.outlineWidth) < 1 ? ' without an outline' : '') : '' })()`

// open has a page drawn. Where a login page comes, ana logs in with her password.
func (c *chromium) open(t *testing.T, l *laptops, address string, as look) *drawing {
	t.Helper()
	p := c.newTab(t, as)
	d := &drawing{}
	p.do("Page.navigate", map[string]any{"url": address}, nil)
	p.hear(d)
	var path string
	if p.eval("location.pathname", &path); strings.HasPrefix(path, "/login/") {
		p.eval(fill(l.s.Provider.Form(ana, oidc.ByPassword, 0)), nil)
		*d = drawing{}
		p.hear(d)
	}
	p.eval(measure, d)
	for range len(d.Links) + 1 {
		for _, kind := range []string{"rawKeyDown", "keyUp"} {
			p.do("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}, nil)
		}
		var at string
		p.eval(focused, &at)
		d.tabbed = append(d.tabbed, at)
	}
	p.eval("document.activeElement.blur()", nil)
	var size struct {
		Content struct{ Width, Height float64 } `json:"cssContentSize"`
	}
	p.do("Page.getLayoutMetrics", nil, &size)
	var shot struct{ Data []byte }
	p.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": as.width, "height": size.Content.Height, "scale": 1}}, &shot)
	d.picture = made(png.Decode(bytes.NewReader(shot.Data)))(t)
	if name := made(url.Parse(address))(t); name.Host != drawnHost || name.Path == "/hostile" {
		kept := filepath.Join("..", ".out", "pages", strings.TrimSuffix(name.Host, ".acme.example")+"-"+as.String()+".png")
		if err := os.MkdirAll(filepath.Dir(kept), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(kept, shot.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.hearNow(d)
	return d
}

// newTab is one that shares nothing with others.
func (c *chromium) newTab(t *testing.T, as look) *tab {
	t.Helper()
	p := &tab{chromium: c, t: t}
	var made struct {
		BrowserContextID, TargetID, SessionID, UserAgent string
	}
	p.do("Browser.getVersion", nil, &made)
	p.do("Target.createBrowserContext", nil, &made)
	p.do("Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": made.BrowserContextID}, &made)
	p.do("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made)
	t.Cleanup(func() {
		(&tab{chromium: c, t: t}).do("Target.disposeBrowserContext", map[string]any{"browserContextId": made.BrowserContextID}, nil)
	})
	p.session = made.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime", "Audits"} {
		p.do(domain+".enable", nil, nil)
	}
	height, scheme := 800, map[bool]string{true: "dark", false: "light"}[as.dark]
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": as.width, "height": height, "deviceScaleFactor": 1,
		"mobile": as.width < 500}, nil)
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.do("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil) // other tabs are open at the same time
	p.do("Network.setUserAgentOverride", map[string]any{"userAgent": made.UserAgent, "acceptLanguage": as.language}, nil)
	return p
}

// fill is what a person does who types into a form and sends it.
func fill(form url.Values) string {
	values, _ := json.Marshal(form) // of strings
	return fmt.Sprintf(`{ const f = document.createElement('form'); f.method = 'post';
  for (const [name, [value]] of Object.entries(%s)) { const i = document.createElement('input'); i.name = name; i.value = value; f.append(i) }
  document.body.append(f); f.submit(); }`, values)
}

// hear takes what the browser tells of a page until the page is there.
func (p *tab) hear(d *drawing) {
	p.t.Helper()
	p.until("the page is there", func(s spoken) bool { d.note(s); return s.Method == "Page.loadEventFired" })
}

// hearNow takes what it has told meanwhile.
func (p *tab) hearNow(d *drawing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.heard[p.session][p.read:] {
		d.note(s)
	}
	p.read = len(p.heard[p.session])
}

func (d *drawing) note(s spoken) {
	var what struct {
		Type     string
		Request  struct{ URL string }
		Response struct {
			Status  int
			Headers map[string]string
		}
		Entry struct{ Source, Text, URL string }
	}
	_ = json.Unmarshal(s.Params, &what) // of other events nothing is read
	switch s.Method {
	case "Network.requestWillBeSent":
		if what.Type != "Document" {
			d.asked = append(d.asked, what.Type+" "+what.Request.URL)
		}
	case "Network.responseReceived":
		if what.Type == "Document" {
			d.status, d.decision = what.Response.Status, what.Response.Headers["x-tiergate-decision-id"]
		}
	case "Log.entryAdded":
		if what.Entry.Source != "network" { // which tells that the page is a 403
			d.said = append(d.said, what.Entry.Source+": "+what.Entry.Text)
		}
	case "Audits.issueAdded":
		// These two are of the way by the provider, which answers a browser that it has not seen with redirects alone.
		if text := string(s.Params); strings.Contains(text, "BounceTrackingIssue") || strings.Contains(text, "NavigationEntryMarkedSkippable") {
			return
		}
		fallthrough
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening":
		d.said = append(d.said, fmt.Sprintf("%s %.400s", s.Method, s.Params))
	}
}

// faults are what is wrong with a drawing, whatever page it is.
func (d *drawing) faults(as look) (wrong []string) {
	add := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	add(d.Lang != as.language, "lang is %q", d.Lang)
	add(d.Title == "" || len(d.Headings) != 1 || d.Headings[0] != d.Title, "the title is %q, and the h1 %q", d.Title, d.Headings)
	add(len(d.Wide) > 0, "wider than %d: %q", as.width, d.Wide)
	add(len(d.Broken) > 0, "no room for words: %q", d.Broken)
	add(len(d.Faint) > 0, "too little contrast: %q", d.Faint)
	add(len(d.asked) > 0, "requests: %q", d.asked)
	add(len(d.said) > 0, "the browser complains: %q", d.said)
	add(!slices.Equal(d.tabbed, append(slices.Clone(d.Links), "")), "Tab comes to %q of the links %q", d.tabbed, d.Links)
	bounds := d.picture.Bounds()
	corner := color.RGBAModel.Convert(d.picture.At(bounds.Min.X, bounds.Min.Y)).(color.RGBA)
	add(bounds.Dx() != as.width || bounds.Dy() < 200, "the picture has %v", bounds)
	add(corner.R < 32 != as.dark || corner.R > 223 == as.dark, "the background is %v", corner)
	written := 0
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if color.RGBAModel.Convert(d.picture.At(x, y)) != corner {
				written++
			}
		}
	}
	add(written*200 < bounds.Dx()*bounds.Dy(), "%d pixels of %v are drawn at all", written, bounds)
	return wrong
}

// drawnByChromium looks at every page in every way, and then at pages that are wrong, which it must notice.
func drawnByChromium(t *testing.T, l *laptops) {
	t.Helper()
	l.drawn["/hostile"] = l.hostile
	for name, wrong := range wrongPages {
		l.drawn["/"+name] = wrong.page
	}
	c := startChromium(t, l.address, stage.PortalHost, stage.PayrollHost, oidc.RedirectHost, drawnHost)
	for _, as := range looks() {
		for _, page := range shownPages {
			t.Run(page.name+"-"+as.String(), func(t *testing.T) {
				t.Parallel()
				d := c.open(t, l, page.address, as)
				wrong := d.faults(as)
				want := append([]string{pages.BuiltIn().Choose(as.language).Reason(page.reason).Title, string(page.reason), d.decision},
					page.says[as.language]...)
				for _, part := range want {
					if part == "" || !strings.Contains(d.Text, part) {
						wrong = append(wrong, fmt.Sprintf("the page does not say %q", part))
					}
				}
				for i, link := range d.Links {
					if i >= len(page.links) || !strings.HasPrefix(link, page.links[i]) {
						wrong = append(wrong, "a link to "+link)
					}
				}
				if len(wrong) > 0 || d.status != page.status || len(d.Links) != len(page.links) {
					t.Errorf("%d with %d links: %s\n%s", d.status, len(d.Links), strings.Join(wrong, "\n"), d.Text)
				}
			})
		}
		t.Run("hostile-"+as.String(), func(t *testing.T) {
			t.Parallel()
			d := c.open(t, l, "https://"+drawnHost+"/hostile", as)
			if wrong := d.faults(as); len(wrong) > 0 || !strings.Contains(d.Text, "<script>") {
				t.Errorf("%s\n%s", strings.Join(wrong, "\n"), d.Text)
			}
		})
	}
	for name, wrong := range wrongPages {
		t.Run("wrong-"+name, func(t *testing.T) {
			t.Parallel()
			as := look{"en", 360, false}
			if got := strings.Join(c.open(t, l, "https://"+drawnHost+"/"+name, as).faults(as), "\n"); !strings.Contains(got, wrong.noticed) {
				t.Errorf("nobody noticed %q: %q", wrong.noticed, got)
			}
		})
	}
}

// hostile is a page of texts that nobody has in mind: markup, words without an end, links that are none.
func (l *laptops) hostile(w http.ResponseWriter, r *http.Request) {
	long := strings.Repeat("Donaudampfschifffahrtsgesellschaft", 8)
	language := pages.BuiltIn().Choose(r.Header.Get("Accept-Language"))
	page, err := language.HTML(pages.Page{Title: "<script>alert(1)</script>" + long, Detail: `"><img src=x onerror=alert(1)>` + long,
		Reason: string(policy.ReasonPosture), Tier: long, Contact: "javascript:alert(1)", Decision: long,
		SignIn: &pages.SignIn{URL: "https://" + long + ".example/" + long, Asked: pages.Login{Kinds: []string{long, long}},
			Came: &pages.Login{Kinds: []string{long}, Methods: []string{"<style>*{display:none}</style>"}}},
		Unmet: []pages.Demand{{Signal: long, Fix: long, URL: "https://" + long + ".example/" + long, Owner: long, Contact: long},
			{Signal: "שלום <b>", Failing: true, Fix: "قم بتشغيل", URL: "javascript:alert(1)", Contact: "https://x.example/\u202e"}}})
	answer(w, page, err, true)
}

func answer(w http.ResponseWriter, page string, err error, guarded bool) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if guarded {
		w.Header().Set("Content-Security-Policy", pages.ContentSecurityPolicy)
	}
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte(page))
}

// wrongPages are ours but for one thing, and what must be noticed of each.
var wrongPages = map[string]struct {
	page    http.HandlerFunc
	noticed string
}{
	"wide":       {spoiled("overflow-wrap: anywhere", "white-space: nowrap", false), "wider than 360"},
	"aside":      {spoiled("</h1>", "</h1><p style='position:absolute;left:-4rem'>aside</p>", false), "wider than 360"},
	"squeezed":   {spoiled("dl { margin: 0; }", "dl { display: grid; grid-template-columns: 1fr 2rem; }", false), "no room for words"},
	"faint":      {spoiled("color: #404040", "color: #888888", false), "too little contrast"},
	"faded":      {spoiled("<footer>", "<footer style='opacity: .9'>", false), "too little contrast"},
	"script":     {spoiled("</main>", "<script>document.title = ''</script></main>", true), "the browser complains"},
	"scripted":   {spoiled("</main>", "<script>document.title = ''</script></main>", false), "the title is"},
	"image":      {spoiled("</main>", "<img src=https://drawn.acme.example/x.png alt=x></main>", false), "requests"},
	"style":      {spoiled("<h1>", "<h1 style='color: red'>", true), "the browser complains"},
	"unreached":  {spoiled("<a href", "<a tabindex=-1 href", false), "Tab comes to"},
	"unseen":     {spoiled("a { color", "a { outline: none; color", false), "without an outline"},
	"language":   {spoiled(`lang="en"`, `lang="fr"`, false), "lang is"},
	"untitled":   {spoiled("<h1>", "<h2>", false), "the h1"},
	"hidden":     {spoiled("<main>", "<main hidden>", false), "Tab comes to"},
	"glaring":    {spoiled("background: #ffffff", "background: #000000", false), "the background is"},
	"invisible":  {spoiled("<main>", "<main style='visibility: hidden'>", false), "the h1"},
	"blank":      {spoiled("<body>", "<body style='clip-path: inset(100%)'>", false), "pixels of"},
	"old-school": {spoiled("<!doctype html>", "", false), "the browser complains"},
}

// spoiled is our page with one thing wrong, and with our policy for content or without any.
func spoiled(old, now string, guarded bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		page, err := pages.BuiltIn().Choose("en").HTML(pages.Page{Title: "Device needs attention", Detail: "This device does not meet it.",
			Reason: "posture", Decision: "01890a5d-ac96-774b-bcce-b302099a8057", Contact: "iam@acme.example", Unmet: []pages.Demand{
				{Signal: "disk-encrypted", Failing: true, Fix: "Turn on FileVault.", URL: "https://it.acme.example/" + strings.Repeat("x", 80)}}})
		if !strings.Contains(page, old) && err == nil {
			err = fmt.Errorf("the page has no %s", old)
		}
		answer(w, strings.Replace(page, old, now, 1), err, guarded)
	}
}
