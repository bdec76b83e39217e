package stage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/returnto"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
)

// Errand is a page that somebody opens in their browser, which keeps its cookies from one errand to the next.
type Errand struct {
	As         string // a caller of the cast; the browser is the one on their laptop
	Host, Path string
	// Link opens the first link of the page where the browser is, in place of Host and Path.
	Link bool
	// Stay follows no redirect.
	Stay bool
	// Login is how the person logs in, if a login page comes: Method and Age count.
	Login oidc.Login
}

// Visit is what came of an errand.
type Visit struct {
	Answer Answer   // the last one
	At     *url.URL // where that is
	Sent   int      // how often the browser was sent to the login application
	Logins int      // how often the person had to log in
}

// browser is one on a laptop of the cast.
type browser struct {
	client *http.Client
	user   string // at the provider
	link   string // the first one of the page where it is
}

// loginApplication is where the routes send browsers for a login, inside this process.
type loginApplication struct {
	*oidc.Application
	server  *http.Server
	address string
	ended   chan struct{}
}

// startApplication serves the login application, if there is a provider that it can ask.
func (s *Stage) startApplication() error {
	if s.Provider == nil {
		return nil
	}
	raw, err := os.ReadFile(s.Path("secrets", "return.key"))
	if err != nil {
		return err
	}
	key, err := returnto.ParseKey(raw)
	if err != nil {
		return err
	}
	pair, err := s.Cast.Servers.Server(lifetime, oidc.RedirectHost)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app := &oidc.Application{Provider: s.Provider, Keys: []returnto.Key{key}, Now: time.Now}
	a := &loginApplication{Application: app, address: listener.Addr().String(), ended: make(chan struct{}),
		server: &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second, TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{pair.TLS()}, MinVersion: tls.VersionTLS12}}}
	go func() {
		defer close(a.ended)
		_ = a.server.ServeTLS(listener, "", "") // it ends when Close closes it; who asks afterwards is told
	}()
	s.application = a
	return nil
}

func (a *loginApplication) close() error {
	if a == nil {
		return nil
	}
	err := a.server.Close()
	<-a.ended
	return err
}

// Browse opens a page in a browser and goes where that leads, as a person would: with cookies and the headers of
// navigations, and logging in where a login page comes.
func (s *Stage) Browse(ctx context.Context, e Errand) Visit {
	began := time.Now()
	visit, err := s.browse(ctx, e)
	visit.Answer.Took, visit.Answer.Err = time.Since(began), err
	return visit
}

// maxRedirects bounds one errand; ten are usual for a login.
const maxRedirects = 20

func (s *Stage) browse(ctx context.Context, e Errand) (v Visit, err error) {
	s.browsing.Lock() // one person, one page at a time
	defer s.browsing.Unlock()
	b, err := s.browserOf(e.As)
	if err != nil {
		return v, err
	}
	address := "https://" + e.Host + e.Path
	if e.Link {
		address = b.link
	}
	if v.At, err = url.Parse(address); err != nil {
		return v, err
	}
	for range maxRedirects {
		if v.At.Host == oidc.RedirectHost && v.At.Path == oidc.StepUpPath {
			v.Sent++
		}
		var form url.Values
		if strings.HasPrefix(v.At.Path, "/login/") {
			v.Logins++
			form = s.Provider.Form(b.user, e.Login.Method, e.Login.Age)
		}
		if v.Answer, err = s.navigate(ctx, b, v.At, form); err != nil {
			return v, err
		}
		location := v.Answer.Header.Get("Location")
		if location == "" || e.Stay {
			b.link = firstLink(string(v.Answer.Body))
			return v, nil
		}
		if v.At, err = v.At.Parse(location); err != nil {
			return v, err
		}
	}
	return v, fmt.Errorf("the browser was sent on %d times, at last to %s%s", maxRedirects, v.At.Host, v.At.Path)
}

// navigate opens one address, or sends a form there. At the hosts behind Envoy the session's cookie becomes the token that
// it stands for, as whatever stands in front of tiergate does it.
func (s *Stage) navigate(ctx context.Context, b *browser, at *url.URL, form url.Values) (a Answer, err error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return a, err
	}
	request.Header = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"},
		"Accept": {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, "Accept-Language": {"en"}}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if at.Port() == "" && at.Host != oidc.RedirectHost {
		for _, c := range b.client.Jar.Cookies(at) {
			if access, ok := s.application.Session(c.Value); ok && c.Name == oidc.SessionCookie {
				request.Header.Set("Authorization", "Bearer "+access)
			}
		}
	}
	response, err := b.client.Do(request)
	if err != nil {
		return a, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return a, fmt.Errorf("read the answer: %w", err)
	}
	a = Answer{Status: response.StatusCode, Proto: response.Proto, Header: response.Header, Body: body}
	return a, a.decode()
}

// browserOf is the browser of somebody of the cast, who must be a user at the provider.
func (s *Stage) browserOf(name string) (*browser, error) {
	if b := s.browsers[name]; b != nil {
		return b, nil
	}
	caller, err := s.Caller(name)
	if err != nil {
		return nil, err
	}
	person, known := people[caller.Token]
	if s.application == nil || !known {
		return nil, fmt.Errorf("%s has no browser: there is no login application, or they are no user", name)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: devca.Pool(s.Cast.Servers), MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{s.Cast.Pairs[caller.Certificate].TLS()}},
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			switch host, port, _ := net.SplitHostPort(to); {
			case host == oidc.RedirectHost:
				to = s.application.address
			case port == "443": // the name of an app
				to = s.Ports.Ingress
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}}
	b := &browser{user: person.subject, client: &http.Client{Transport: transport, Jar: jar, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	s.browsers[name] = b
	return b, nil
}

func (s *Stage) closeBrowsers() {
	for _, b := range s.browsers {
		b.client.CloseIdleConnections()
	}
}
