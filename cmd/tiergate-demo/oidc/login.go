package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Login is what an application asks the provider for, and what the user does on the provider's page.
type Login struct {
	User   string
	Method string        // ByPassword (the default) or ByKey
	Age    time.Duration // how long ago the provider shall take the user to have logged in; whole seconds
	// ACR and MaxAge are what an insufficient_user_authentication challenge asks for (RFC 9470, section 4): acr_values,
	// separated by spaces, and max_age. Zero: not asked for.
	ACR    string
	MaxAge time.Duration
	// Resource is what the token shall be for (RFC 8707, section 2), one of Config.Resources. Empty: Config.Audience.
	Resource string
	// Certificate is shown at the token endpoint, and the token is bound to it. Nil: it is not.
	Certificate *tls.Certificate
	// Key is proved at the token endpoint, and the token is bound to it. Nil: it is not.
	Key *Key
}

// Token is what the provider issued.
type Token struct {
	Access string
	Type   string // Bearer or DPoP
	// Refresh is used up by Browser.Refresh, which nobody has to be at (RFC 6749, section 6).
	Refresh string
	Asked   bool // the user had to log in; false: the browser's session was enough
}

// Browser is one browser of one person: it keeps the provider's session. It is for one login at a time.
type Browser struct {
	provider *Provider
	jar      http.CookieJar
}

// Browser opens a browser that has not been at the provider yet.
func (p *Provider) Browser() *Browser {
	jar, _ := cookiejar.New(nil) // never fails
	return &Browser{provider: p, jar: jar}
}

// Login runs the code flow with PKCE (RFC 7636, S256) and returns the access token. An error of the provider's is told with
// its code and description.
func (b *Browser) Login(ctx context.Context, l Login) (Token, error) {
	client := b.provider.client(l.Certificate)
	client.Jar = b.jar
	defer client.CloseIdleConnections()
	endpoints, err := b.discover(ctx, client)
	if err != nil {
		return Token{}, err
	}
	f := flow{browser: b, client: client, login: l, endpoints: endpoints, state: rand.Text(), verifier: rand.Text() + rand.Text()}
	code, err := f.authorize(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("log in %s: %w", l.User, err)
	}
	token, err := f.exchange(ctx, code)
	if err != nil {
		return Token{}, fmt.Errorf("exchange the code of %s: %w", l.User, err)
	}
	token.Asked = f.asked
	return token, nil
}

// endpoints are of the provider's metadata (OpenID Connect Discovery 1.0, section 3).
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

func (b *Browser) discover(ctx context.Context, client *http.Client) (e endpoints, err error) {
	issuer := b.provider.issuer
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return e, err
	}
	body, err := read(client, request, http.StatusOK)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("the provider's metadata is no JSON: %w", err)
	}
	if e.Issuer != issuer {
		return e, fmt.Errorf("%s calls itself %s", issuer, e.Issuer)
	}
	return e, nil
}

// flow is one run of the code flow.
type flow struct {
	browser         *Browser
	client          *http.Client
	login           Login
	endpoints       endpoints
	state, verifier string
	asked           bool
}

func (f *flow) clientID() string {
	switch {
	case f.login.Key != nil:
		return ClientDPoP
	case f.login.Certificate != nil:
		return ClientCertificate
	}
	return ClientBearer
}

// maxSteps bounds the redirects of one login; four are usual.
const maxSteps = 10

// authorize goes where the provider sends the browser until it is sent back with a code.
func (f *flow) authorize(ctx context.Context) (code string, err error) {
	challenge := sha256.Sum256([]byte(f.verifier))
	query := url.Values{
		"client_id": {f.clientID()}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {redirectURI},
		"state": {f.state}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	if f.login.Resource != "" {
		query.Set("resource", f.login.Resource)
	}
	if f.login.ACR != "" {
		query.Set("acr_values", f.login.ACR)
	}
	if f.login.MaxAge > 0 {
		query.Set("max_age", strconv.Itoa(int(f.login.MaxAge/time.Second)))
	}
	at, err := url.Parse(f.endpoints.Authorization + "?" + query.Encode())
	if err != nil {
		return "", err
	}
	for range maxSteps {
		if strings.HasPrefix(at.String(), redirectURI+"?") {
			return f.code(at.Query())
		}
		if at, err = f.step(ctx, at); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("the provider sent the browser on %d times", maxSteps)
}

// step opens a page and returns where it leads; on the login page the user logs in.
func (f *flow) step(ctx context.Context, at *url.URL) (_ *url.URL, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err == nil && strings.HasPrefix(at.Path, "/login/") {
		request, err = f.form(ctx, at)
	}
	if err != nil {
		return nil, err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if location, err := response.Location(); err == nil {
		return location, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return nil, errors.Join(fmt.Errorf("%s %s answered %s: %.500s", request.Method, at.Path, response.Status, body), err)
}

func (f *flow) form(ctx context.Context, at *url.URL) (*http.Request, error) {
	if f.asked {
		return nil, errors.New("the provider asks for a second login at once")
	}
	f.asked = true
	method := f.login.Method
	if method == "" {
		method = ByPassword
	}
	return formRequest(ctx, at.String(), url.Values{
		"user": {f.login.User}, "password": {f.browser.provider.passwords[f.login.User]}, "method": {method},
		"age": {strconv.Itoa(int(f.login.Age / time.Second))},
	})
}

// code reads the answer to an authorization request (RFC 6749, section 4.1.2; RFC 9207, section 2).
func (f *flow) code(answer url.Values) (string, error) {
	if fault := answer.Get("error"); fault != "" {
		return "", fmt.Errorf("the provider says %s: %s", fault, answer.Get("error_description"))
	}
	if answer.Get("state") != f.state || answer.Get("iss") != f.endpoints.Issuer || answer.Get("code") == "" {
		return "", fmt.Errorf("the answer is not one to this request: %.500q", answer.Encode())
	}
	return answer.Get("code"), nil
}

func (f *flow) exchange(ctx context.Context, code string) (Token, error) {
	return f.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {f.verifier},
		"redirect_uri": {redirectURI}, "client_id": {f.clientID()},
	})
}

// Refresh has a bearer token issued anew, without anybody logging in.
func (b *Browser) Refresh(ctx context.Context, t Token) (Token, error) {
	client := b.provider.client(nil)
	defer client.CloseIdleConnections()
	endpoints, err := b.discover(ctx, client)
	if err != nil {
		return Token{}, err
	}
	f := flow{browser: b, client: client, endpoints: endpoints}
	return f.token(ctx, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh}, "client_id": {f.clientID()},
	})
}

// token asks the token endpoint.
func (f *flow) token(ctx context.Context, form url.Values) (Token, error) {
	request, err := formRequest(ctx, f.endpoints.Token, form)
	if err != nil {
		return Token{}, err
	}
	if f.login.Key != nil {
		proof, err := f.login.Key.Proof(request.Method, f.endpoints.Token, "")
		if err != nil {
			return Token{}, err
		}
		request.Header.Set("DPoP", proof)
	}
	body, err := read(f.client, request, http.StatusOK)
	if err != nil {
		return Token{}, err
	}
	var answer struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
		Again  string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Token{}, fmt.Errorf("the token endpoint answered no JSON: %w", err)
	}
	if answer.Access == "" {
		return Token{}, errors.New("the token endpoint answered without a token")
	}
	return Token{Access: answer.Access, Type: answer.Type, Refresh: answer.Again}, nil
}
