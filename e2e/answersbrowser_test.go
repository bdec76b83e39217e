package e2e_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	pages "github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// drawnHost is where pages are that no Envoy has sent: those that are wrong, and those of hostile texts.
const drawnHost = "drawn.acme.example"

// laptops is what stands on the laptops of two people, whose browsers know nothing of certificates of devices: it shows
// the laptop's to Envoy, and makes the token of the session's cookie, which whatever stands in front of tiergate does. It
// changes nothing else of a request or an answer. It serves the login application's host and drawnHost too.
type laptops struct {
	s       *stage.Stage
	app     *oidc.Application
	proxies map[string]*httputil.ReverseProxy // by host
	drawn   map[string]http.HandlerFunc       // by path at drawnHost
	address string
}

func newLaptops(t *testing.T, s *stage.Stage) *laptops {
	t.Helper()
	app, _ := aLoginApplication(t, s)
	l := &laptops{s: s, app: app, drawn: map[string]http.HandlerFunc{}, proxies: map[string]*httputil.ReverseProxy{
		stage.PortalHost:  laptopOf(t, s, "ben-laptop", func(*http.Request) string { return s.Cast.Tokens["ben"] }),
		stage.PayrollHost: laptopOf(t, s, "ana-laptop", func(r *http.Request) string { return sessionToken(app, r) })}}
	pair := made(s.Cast.Servers.Server(time.Hour, stage.PortalHost, stage.PayrollHost, oidc.RedirectHost, drawnHost))(t)
	server := httptest.NewUnstartedServer(l)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS()}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	l.address = server.Listener.Addr().String()
	return l
}

func sessionToken(app *oidc.Application, r *http.Request) string {
	c, err := r.Cookie(oidc.SessionCookie)
	if err != nil {
		return ""
	}
	access, _ := app.Session(c.Value)
	return access
}

// laptopOf leads to Envoy with the certificate of a laptop.
func laptopOf(t *testing.T, s *stage.Stage, pair string, token func(*http.Request) string) *httputil.ReverseProxy {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: devca.Pool(s.Cast.Servers), MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{s.Cast.Pairs[pair].TLS()}},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Ports.Ingress)
		}}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "https", r.In.Host
		if access := token(r.In); access != "" {
			r.Out.Header.Set("Authorization", "Bearer "+access)
		}
	}}
}

func (l *laptops) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch proxy, drawn := l.proxies[r.Host], l.drawn[r.URL.Path]; {
	case proxy != nil:
		proxy.ServeHTTP(w, r)
	case r.Host == oidc.RedirectHost:
		l.app.ServeHTTP(w, r)
	case r.Host == drawnHost && drawn != nil:
		drawn(w, r)
	default:
		http.NotFound(w, r)
	}
}

// shown is a page of tiergate's that somebody gets to see.
type shown struct {
	name    string
	address string
	status  int
	reason  policy.Reason
	says    map[string][]string // beside title, reason and decision, by language
	links   []string            // what their targets begin with, in the order of Tab
}

var shownPages = []shown{
	{"refused", "https://" + stage.PortalHost + "/reports?year=2026", http.StatusForbidden, policy.ReasonPosture, map[string][]string{
		"en": {"disk-encrypted", "This check fails.", "Turn on FileVault or BitLocker.", "endpoint@acme.example", "iam@acme.example", "What to do"},
		"de": {"disk-encrypted", "Diese Prüfung ist nicht bestanden.", "Turn on FileVault or BitLocker.", "endpoint@acme.example", "iam@acme.example",
			"Was zu tun ist"}}, []string{"https://it.acme.example/disk", "mailto:endpoint@acme.example", "https://it.acme.example/edr",
		"mailto:endpoint@acme.example", "https://it.acme.example/compromised", "mailto:endpoint@acme.example", "mailto:iam@acme.example"}},
	{"sign-in", consolePage, http.StatusUnauthorized, policy.ReasonStepUp, map[string][]string{
		"en": {"You came back from signing in", "phr", "15m", "pwd", "Sign in once more", "Install the pending system update"},
		"de": {"Sie kommen von der Anmeldung zurück", "phr", "15m", "pwd", "Noch einmal anmelden", "Install the pending system update"}},
		[]string{"https://" + oidc.RedirectHost + "/step-up?", "https://it.acme.example/updates", "mailto:endpoint@acme.example",
			"mailto:iam@acme.example"}},
}

// TestPagesInABrowser: what a browser shows to a person who is refused, and to one whose login is not what was asked for,
// through the real Envoy, in each language. TIERGATE_PROVE=1 has a real Chromium draw them, on a phone and a desk, in
// light and in dark, and looks at what is drawn.
func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	l := newLaptops(t, s)
	receipt, err := s.Report(soon(t, 10*time.Second), "ben-laptop", map[string]any{"platform": "macos", "disk_encryption": false,
		"edr_healthy": false, "compromised": true})
	if err != nil || receipt.Status != http.StatusAccepted {
		t.Fatalf("%d %v", receipt.Status, err)
	}
	eventually(t, s, stage.Request{As: "ben", Host: stage.PortalHost}, http.StatusForbidden)
	for _, language := range []string{"en", "de"} {
		for _, page := range shownPages {
			overHTTP(t, l, page, language)
		}
	}
	if os.Getenv("TIERGATE_PROVE") != "" {
		drawnByChromium(t, l)
	}
}

// overHTTP reads a page as its source, with a browser's headers.
func overHTTP(t *testing.T, l *laptops, page shown, language string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: devca.Pool(l.s.Cast.Servers), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if strings.HasSuffix(to, ".acme.example:443") {
				to = l.address
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Jar: made(cookiejar.New(nil))(t), Timeout: time.Minute}
	open := func(method, address string, form url.Values) *http.Response {
		request := made(http.NewRequestWithContext(soon(t, time.Minute), method, address, strings.NewReader(form.Encode())))(t)
		request.Header = navigating.Clone()
		request.Header.Set("Accept-Language", language+";q=0.9, fr;q=0.8")
		if form != nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return made(client.Do(request))(t)
	}
	response := open(http.MethodGet, page.address, nil)
	if at := response.Request.URL; strings.HasPrefix(at.Path, "/login/") {
		_ = response.Body.Close() // it says what to send
		response = open(http.MethodPost, at.String(), l.s.Provider.Form(ana, oidc.ByPassword, 0))
	}
	defer response.Body.Close()
	body := string(made(io.ReadAll(response.Body))(t))
	root := made(html.Parse(strings.NewReader(body)))(t)
	var text strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			text.WriteString(n.Data)
		}
	}
	want := append([]string{pages.BuiltIn().Choose(language).Reason(page.reason).Title, string(page.reason),
		response.Header.Get("X-Tiergate-Decision-Id")}, page.says[language]...)
	for _, part := range want {
		if part == "" || !strings.Contains(text.String(), part) {
			t.Errorf("%s, %s: the page does not say %q", page.name, language, part)
		}
	}
	if response.StatusCode != page.status || !strings.Contains(body, `<html lang="`+language+`"`) || strings.Contains(body, "<script") ||
		response.Header.Get("Content-Security-Policy") != pages.ContentSecurityPolicy {
		t.Errorf("%s, %s: %d %v\n%s", page.name, language, response.StatusCode, response.Header, body)
	}
}
