package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/returnto"
)

// The places of an Application, on the host of RedirectURI.
const (
	StepUpPath   = "/step-up"   // login.url of the routes
	signedInPath = "/signed-in" // redirect_uri at the provider
)

// SessionCookie is by which a browser is known after a login, at the application and at every host of CookieDomain.
const (
	SessionCookie = "__Secure-session"
	CookieDomain  = "acme.example"
)

// Application is a small login application: what tiergate sends browsers to. It verifies what they bring (package
// authz/returnto), has the provider log the person in as it was asked, keeps the session, and sends the browser back. What
// turns the session's cookie into the Authorization header stands in front of tiergate and asks Session. Its methods may be
// called concurrently.
type Application struct {
	Provider *Provider
	Keys     []returnto.Key // any of them counts
	Now      func() time.Time

	mu       sync.Mutex
	pending  map[string]pendingLogin // by state
	sessions map[string]string       // session → access token
}

// pendingLogin is a login that the provider has not answered yet.
type pendingLogin struct {
	back     *returnto.Return
	verifier string
}

// maxPending bounds the logins under way: whoever begins one and never ends it must not fill the memory.
const maxPending = 1000

// Session is the access token of a session.
func (a *Application) Session(cookie string) (access string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	access, ok = a.sessions[cookie]
	return access, ok
}

// ServeHTTP serves the two places.
func (a *Application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var err error
	switch {
	case r.Method != http.MethodGet:
		http.Error(w, "GET alone", http.StatusMethodNotAllowed)
	case r.URL.Path == StepUpPath:
		err = a.begin(w, r)
	case r.URL.Path == signedInPath:
		err = a.end(w, r)
	default:
		http.NotFound(w, r)
	}
	if err != nil { // whatever is wrong, the browser is sent nowhere
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// begin asks the provider for the login that tiergate wants.
func (a *Application) begin(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	back, err := returnto.Verify(query, a.Now(), a.Keys...)
	if err != nil {
		return err
	}
	f, err := a.flow(r.Context())
	if err != nil {
		return err
	}
	defer f.client.CloseIdleConnections()
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	ask := url.Values{"client_id": {ClientBearer}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {redirectURI},
		"state": {state}, "code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}}
	if back.ACR != "" {
		ask.Set("acr_values", back.ACR)
	}
	if back.MaxAge != "" {
		ask.Set("max_age", back.MaxAge)
	}
	a.mu.Lock()
	if a.pending == nil || len(a.pending) >= maxPending {
		a.pending = map[string]pendingLogin{}
	}
	a.pending[state] = pendingLogin{back, verifier}
	a.mu.Unlock()
	http.SetCookie(w, cookie("__Host-state", state, ""))
	http.Redirect(w, r, f.endpoints.Authorization+"?"+ask.Encode(), http.StatusFound)
	return nil
}

// end takes the provider's answer for the login that this very browser began, and sends it back.
func (a *Application) end(w http.ResponseWriter, r *http.Request) error {
	began, err := r.Cookie("__Host-state")
	if err != nil {
		return errors.New("this browser has begun no login here")
	}
	a.mu.Lock()
	login, ok := a.pending[began.Value]
	delete(a.pending, began.Value)
	a.mu.Unlock()
	if !ok {
		return errors.New("this login is over; begin again")
	}
	f, err := a.flow(r.Context())
	if err != nil {
		return err
	}
	defer f.client.CloseIdleConnections()
	f.state, f.verifier = began.Value, login.verifier
	code, err := f.code(r.URL.Query())
	if err != nil {
		return err
	}
	token, err := f.exchange(r.Context(), code)
	if err != nil {
		return err
	}
	session := rand.Text()
	a.mu.Lock()
	if a.sessions == nil {
		a.sessions = map[string]string{}
	}
	a.sessions[session] = token.Access
	a.mu.Unlock()
	http.SetCookie(w, cookie(SessionCookie, session, CookieDomain))
	http.Redirect(w, r, login.back.URL(), http.StatusFound)
	return nil
}

func (a *Application) flow(ctx context.Context) (flow, error) {
	browser := a.Provider.Browser()
	client := a.Provider.client(nil)
	endpoints, err := browser.discover(ctx, client)
	return flow{browser: browser, client: client, endpoints: endpoints}, err
}

// cookie is one that no script reads and that other sites' forms do not send.
func cookie(name, value, domain string) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Domain: domain, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Form is what a person types into the provider's login page; age is how long ago the provider shall take it to have been.
func (p *Provider) Form(user, method string, age time.Duration) url.Values {
	return url.Values{"user": {user}, "password": {p.passwords[user]}, "method": {method}, "age": {strconv.Itoa(int(age / time.Second))}}
}
