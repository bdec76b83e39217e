package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/returnto"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const consolePage = "https://" + stage.PayrollHost + "/console/runs?year=2026&q=a%2Bb"

// aLoginApplication is the one that the console's route names, with a certificate of its own.
func aLoginApplication(t *testing.T, s *stage.Stage) (app *oidc.Application, address string) {
	t.Helper()
	raw, err := os.ReadFile(s.Path("secrets", "return.key"))
	if err != nil {
		t.Fatal(err)
	}
	key := made(returnto.ParseKey(raw))(t)
	app = &oidc.Application{Provider: s.Provider, Keys: []returnto.Key{key}, Now: time.Now}
	pair := made(s.Cast.Servers.Server(time.Hour, oidc.RedirectHost))(t)
	server := httptest.NewUnstartedServer(app)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS()}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return app, server.Listener.Addr().String()
}

// surfer is a person with a browser on a laptop: cookies, redirects, and the headers of navigations.
type surfer struct {
	t      *testing.T
	s      *stage.Stage
	app    *oidc.Application
	client *http.Client
	method string // how the person logs in
	age    time.Duration
	trail  []string // the hosts and paths that were visited since the last visit began
	logins int      // how often the person had to log in
}

func newSurfer(t *testing.T, s *stage.Stage, app *oidc.Application, address, laptop string, http1 bool) *surfer {
	t.Helper()
	places := map[string]string{stage.PayrollHost + ":443": s.Ports.Ingress, oidc.RedirectHost + ":443": address}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: devca.Pool(s.Cast.Servers), MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{s.Cast.Pairs[laptop].TLS()}},
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if place, ok := places[to]; ok {
				to = place
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
		ForceAttemptHTTP2: !http1,
	}
	t.Cleanup(transport.CloseIdleConnections)
	jar := made(cookiejar.New(nil))(t)
	return &surfer{t: t, s: s, app: app, method: oidc.ByKey, client: &http.Client{Transport: transport, Jar: jar, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is where a visit ended.
type page struct {
	at     *url.URL
	status int
	header http.Header
	body   string
}

// request opens one address. At the payroll's host the session's cookie becomes the token that it stands for, as whatever
// stands in front of ext_authz does it.
func (b *surfer) request(method string, at *url.URL, form url.Values, header http.Header) page {
	b.t.Helper()
	request := made(http.NewRequestWithContext(soon(b.t, 10*time.Second), method, at.String(), strings.NewReader(form.Encode())))(b.t)
	request.Header = header.Clone()
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if at.Host == stage.PayrollHost {
		for _, c := range b.client.Jar.Cookies(at) {
			if access, ok := b.app.Session(c.Value); ok && c.Name == oidc.SessionCookie {
				request.Header.Set("Authorization", "Bearer "+access)
			}
		}
	}
	response := made(b.client.Do(request))(b.t)
	defer response.Body.Close()
	body := made(io.ReadAll(io.LimitReader(response.Body, 1<<20)))(b.t)
	return page{at, response.StatusCode, response.Header, string(body)}
}

var navigating = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"},
	"Accept": {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}}

// visit goes somewhere, wherever that leads, and logs in when it is asked to.
func (b *surfer) visit(address string) page {
	b.t.Helper()
	b.trail, b.logins = nil, 0
	at := made(url.Parse(address))(b.t)
	for range 20 {
		b.trail = append(b.trail, at.Host+at.Path)
		var got page
		if strings.HasPrefix(at.Path, "/login/") {
			b.logins++
			got = b.request("POST", at, b.s.Provider.Form(ana, b.method, b.age), navigating)
		} else {
			got = b.request("GET", at, nil, navigating)
		}
		location := got.header.Get("Location")
		if location == "" {
			return got
		}
		at = made(at.Parse(location))(b.t)
	}
	b.t.Fatalf("the browser goes round in circles: %q", b.trail)
	return page{}
}

// sent is how often the last visit came by the login application.
func (b *surfer) sent() (n int) {
	for _, place := range b.trail {
		if place == oidc.RedirectHost+"/step-up" {
			n++
		}
	}
	return n
}

// want checks how a visit ended, and on what way.
func (b *surfer) want(what string, got page, status, sent, logins int) {
	b.t.Helper()
	query := got.at.Query()
	query.Del(returnto.Mark)
	back := got.at.Host + got.at.Path + "?" + query.Encode()
	if got.status != status || b.sent() != sent || b.logins != logins || back != stage.PayrollHost+"/console/runs?q=a%2Bb&year=2026" {
		b.t.Errorf("%s: %d at %s, sent to log in %d times, logged in %d times (%q); want %d, %d, %d\n%.600s", what, got.status, got.at,
			b.sent(), b.logins, b.trail, status, sent, logins, got.body)
	}
}

// TestBrowserStepUp is the whole chain: a person goes to the console with a browser, is sent to log in as the tier wants, comes
// back to the page that was asked for, and is sent again when the login has aged. Who comes back without what was asked for
// gets a page that says so.
func TestBrowserStepUp(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	app, address := aLoginApplication(t, s)
	for _, http1 := range []bool{true, false} {
		b := newSurfer(t, s, app, address, "ana-laptop", http1)
		b.want("not logged in", b.visit(consolePage), 200, 1, 1)
		b.want("logged in", b.visit(consolePage), 200, 0, 0)
	}
	const left = 10 * time.Second // enough for the way through all redirects on a busy machine
	b := newSurfer(t, s, app, address, "ana-laptop", false)
	b.age = 15*time.Minute - left
	began := time.Now()
	b.want("a login that is nearly too old", b.visit(consolePage), 200, 1, 1)
	time.Sleep(time.Until(began.Add(left + 2100*time.Millisecond))) // the provider and the token count in whole seconds
	b.age = 0
	b.want("stale", b.visit(consolePage), 200, 1, 1)
	b.want("fresh", b.visit(consolePage), 200, 0, 0)

	b = newSurfer(t, s, app, address, "ana-laptop", false)
	b.method = oidc.ByPassword // the provider takes what a person has: acr_values is a wish
	got := b.visit(consolePage)
	b.want("back without the factor", got, 401, 1, 1)
	for _, part := range []string{"<html lang=\"en\"", "You came back from signing in", "phr", "15m", "pwd", "step-up"} {
		if !strings.Contains(got.body, part) {
			t.Errorf("the page does not say %q:\n%s", part, got.body)
		}
	}
	if kind := got.header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
		t.Errorf("the page is %s", kind)
	}
	b.want("reloaded", b.visit(got.at.String()), 401, 0, 0)
	_, link, _ := strings.Cut(got.body, `href="https://`+oidc.RedirectHost)
	link, _, _ = strings.Cut(link, `"`)
	b.method = oidc.ByKey
	b.want("the link on the page, with the key", b.visit("https://"+oidc.RedirectHost+strings.ReplaceAll(link, "&amp;", "&")), 200, 1, 1)
}

// TestOnlyNavigationsAreSentToLogIn, through Envoy: scripts, API clients and forms get 401 with the challenge; and the login
// application sends nobody anywhere that tiergate has not signed.
func TestOnlyNavigationsAreSentToLogIn(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	app, address := aLoginApplication(t, s)
	console := made(url.Parse(consolePage))(t)
	var location string
	for _, http1 := range []bool{true, false} {
		b := newSurfer(t, s, app, address, "ana-laptop", http1)
		for what, row := range map[string]struct {
			method string
			header http.Header
			status int
		}{
			"navigation":     {"GET", navigating, 302},
			"form":           {"POST", navigating, 401},
			"fetch":          {"GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}, 401},
			"XMLHttpRequest": {"GET", http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html"}}, 401},
			"frame":          {"GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, 401},
			"curl":           {"GET", http.Header{"Accept": {"*/*"}}, 401},
		} {
			got := b.request(row.method, console, nil, row.header)
			to, challenge := got.header.Get("Location"), got.header.Get("WWW-Authenticate")
			if got.status != row.status || (to != "") != (row.status == 302) || (challenge != "") != (row.status == 401) {
				t.Errorf("%s, HTTP/1 %t: %d to %q, %q; want %d", what, http1, got.status, to, challenge, row.status)
			}
			if row.status == 302 {
				location = to
			}
		}
	}
	b := newSurfer(t, s, app, address, "ana-laptop", false)
	good := made(url.Parse(location))(t)
	for _, evil := range []string{"https://evil.example/", "//evil.example/", `/\evil.example/`, "/console"} {
		query := good.Query()
		query.Set(returnto.ParamPath, evil)
		if got := b.visit("https://" + oidc.RedirectHost + "/step-up?" + query.Encode()); got.status != 400 || len(b.trail) != 1 {
			t.Errorf("return_to %s: %d, %q", evil, got.status, b.trail)
		}
	}
	query := good.Query()
	query.Set(returnto.ParamHost, "evil.example")
	if got := b.visit("https://" + oidc.RedirectHost + "/step-up?" + query.Encode()); got.status != 400 || len(b.trail) != 1 {
		t.Errorf("another host: %d, %q", got.status, b.trail)
	}
	if got := b.visit(location); got.status != 200 {
		t.Errorf("as it was signed: %d, so that nothing above is shown", got.status)
	}
}

// TestLoginsAreNotBorrowed: what one session or one person has shown counts for no other, and no login is of the future.
func TestLoginsAreNotBorrowed(t *testing.T) {
	t.Parallel()
	s := aCompanyWithLogin(t)
	strong, weak := oidc.Login{User: ana, Method: oidc.ByKey, ACR: "phr"}, oidc.Login{User: ana}
	strongest := made(s.Provider.Browser().Login(soon(t, 20*time.Second), strong))(t).Access
	weakest := made(s.Provider.Browser().Login(soon(t, 20*time.Second), weak))(t).Access // another session of hers
	strong.User = "ben@acme.example"
	bens := made(s.Provider.Browser().Login(soon(t, 20*time.Second), strong))(t).Access
	console := stage.Request{As: "ana", Host: stage.PayrollHost, Path: "/console/runs"}
	part := func(token string, i int) string { return strings.Split(token, ".")[i] }
	payload := string(made(base64.RawURLEncoding.DecodeString(part(weakest, 1)))(t))
	claimed := encode([]byte(strings.Replace(payload, "{", `{"acr":"phr",`, 1)))
	for what, row := range map[string]struct {
		token, reason string
		status        int
	}{
		"her own":                             {strongest, "allowed", 200},
		"her other session's":                 {weakest, "step-up", 401},
		"ben's, on her laptop":                {bens, "enrolled-user", 403},
		"hers with ben's claims":              {part(weakest, 0) + "." + part(bens, 1) + "." + part(weakest, 2), "identity-doubted", 401},
		"hers with the stronger one's claims": {part(weakest, 0) + "." + part(strongest, 1) + "." + part(weakest, 2), "identity-doubted", 401},
		"hers with an acr written into it":    {part(weakest, 0) + "." + claimed + "." + part(weakest, 2), "identity-doubted", 401},
		"both after another":                  {weakest + ", Bearer " + strongest, "identity-doubted", 401},
	} {
		console.Token = row.token
		wantAnswer(t, s, what, console, row.status, row.reason)
	}
	console.Token, console.NoToken = "", true
	console.Header = http.Header{"Authorization": {"Bearer " + weakest, "Bearer " + strongest}}
	console.HTTP1 = true
	if got := s.Ask(soon(t, 10*time.Second), console); got.Status == 200 {
		t.Error("two tokens: the stronger one counted")
	}
	console.Header = nil
	console.Token, console.NoToken = weakest, false
	wantAnswer(t, s, "the weaker after the stronger", console, 401, "step-up")
}
