package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Credentials are how we show a vendor who we are: Bearer, Word, HTTPBasic, ClientCredentials, PrivateKeyJWT, JWTBearer
// and BasicLogin are all there are. An Endpoint of theirs is a path below the client's base (it begins with a slash), or
// the https URL of another host (http only on a loopback host), to which nothing but the request for the token goes.
type Credentials interface {
	// grant fetches a token, by a client that belongs to the vendor.
	grant(ctx context.Context, c *Client) (grant, error)
}

// grant is what stands in Authorization.
type grant struct {
	token   string
	scheme  string    // empty: Bearer (RFC 6750)
	expires time.Time // zero: it does not
}

func (g grant) authorization() string { return cmp.Or(g.scheme, "Bearer") + " " + g.token }

// Bearer is a token that was made by hand, such as a Fleet API-only user's.
type Bearer struct{ Token string }

func (b Bearer) grant(ctx context.Context, c *Client) (grant, error) {
	return Word{Scheme: "Bearer", Token: b.Token}.grant(ctx, c)
}

// Word is a token that was made by hand, behind a scheme word of the vendor's own: Okta's SSWS, SentinelOne's ApiToken.
type Word struct{ Scheme, Token string }

func (w Word) grant(context.Context, *Client) (grant, error) {
	if w.Token == "" {
		return grant{}, errors.New("the token is empty; make one at the vendor")
	}
	return grant{token: w.Token, scheme: w.Scheme}, nil
}

// HTTPBasic is a user and password with each request (RFC 7617), as Workspace ONE takes them.
type HTTPBasic struct{ User, Password string }

func (b HTTPBasic) grant(context.Context, *Client) (grant, error) {
	if b.User == "" || b.Password == "" {
		return grant{}, errors.New("the user or the password is empty")
	}
	pair := base64.StdEncoding.EncodeToString([]byte(b.User + ":" + b.Password))
	return grant{token: pair, scheme: "Basic"}, nil
}

// ClientCredentials is the OAuth 2.0 grant of the same name (RFC 6749 section 4.4): POST to Endpoint with client_id and
// client_secret in the form, as Jamf Pro's /api/oauth/token and login.microsoftonline.com want them.
type ClientCredentials struct {
	Endpoint, ID, Secret string
	Scope                string // empty: not sent
	InHeader             bool   // id and secret go in Authorization: Basic instead (RFC 6749 section 2.3.1)
	Form                 url.Values
}

func (o ClientCredentials) grant(ctx context.Context, c *Client) (grant, error) {
	form := url.Values{}
	for name, values := range o.Form {
		form[name] = values
	}
	form.Set("grant_type", "client_credentials")
	if o.Scope != "" {
		form.Set("scope", o.Scope)
	}
	if o.InHeader {
		return c.tokenFor(ctx, o.Endpoint, form, func(req *http.Request) {
			req.SetBasicAuth(url.QueryEscape(o.ID), url.QueryEscape(o.Secret))
		})
	}
	form.Set("client_id", o.ID)
	form.Set("client_secret", o.Secret)
	return c.tokenFor(ctx, o.Endpoint, form, nil)
}

// tokenFor posts a form to a token endpoint and reads its answer (RFC 6749 section 5.1).
func (c *Client) tokenFor(
	ctx context.Context, endpoint string, form url.Values, prepare func(*http.Request),
) (grant, error) {
	asked := time.Now()
	body, err := c.postForToken(ctx, endpoint, form.Encode(), prepare)
	if err != nil {
		return grant{}, err
	}
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return grant{}, errors.New("the token endpoint's answer does not have the shape of RFC 6749 section 5.1")
	}
	if answer.Token == "" || (answer.Type != "" && !strings.EqualFold(answer.Type, "bearer")) {
		return grant{}, errors.New("the token endpoint's answer holds no bearer token")
	}
	got := grant{token: answer.Token}
	if answer.Expires > 0 {
		got.expires = asked.Add(time.Duration(min(answer.Expires, 1<<31)) * time.Second)
	}
	return got, nil
}

// BasicLogin is Jamf Pro's own: POST Endpoint (/api/v1/auth/token) with user and password, answered {"token","expires"}
// (developer.jamf.com, "Jamf Pro API Overview").
type BasicLogin struct{ Endpoint, User, Password string }

func (b BasicLogin) grant(ctx context.Context, c *Client) (grant, error) {
	body, err := c.postForToken(ctx, b.Endpoint, "", func(req *http.Request) { req.SetBasicAuth(b.User, b.Password) })
	if err != nil {
		return grant{}, err
	}
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return grant{}, errors.New(`the login's answer is not {"token","expires"}`)
	}
	return grant{token: answer.Token, expires: answer.Expires}, nil
}

// CheckEndpoint says why a token cannot be asked for there, or nil.
func CheckEndpoint(endpoint string) error {
	if strings.HasPrefix(endpoint, "/") {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errors.New("the token endpoint is neither a path below the vendor's URL nor https://host[:port]/path")
	}
	return nil
}

// place is the URL of an endpoint, and how it is named in an error.
func (c *Client) place(endpoint string) (target, said string, err error) {
	if err := CheckEndpoint(endpoint); err != nil {
		return "", "", err
	}
	if strings.HasPrefix(endpoint, "/") {
		u := *c.base
		u.Path += endpoint
		return u.String(), endpoint, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", "", err
	}
	return endpoint, u.Scheme + "://" + u.Host + u.Path, nil
}

// postForToken returns a body that passes CheckJSON. Redirects are not followed: the body or the header is the secret.
func (c *Client) postForToken(
	ctx context.Context, endpoint, form string, prepare func(*http.Request),
) ([]byte, error) {
	target, path, err := c.place(endpoint)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader([]byte(form)))
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if prepare != nil {
		prepare(req)
	}
	_, _, body, err := c.send(req)
	if errors.Is(err, ErrGone) {
		// A token endpoint that is not there says nothing of any device.
		return nil, fmt.Errorf("POST %s: there is no such token endpoint; check the URL", path)
	}
	if err == nil {
		err = CheckJSON(body)
	}
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	return body, nil
}

// login keeps the token and fetches the next before it expires. One caller at a time fetches; the others wait for it.
type login struct {
	credentials Credentials
	turn        chan struct{} // holds one: whoever took it may read and write held
	held        grant
	renew       time.Time
}

func newLogin(credentials Credentials) *login {
	l := &login{credentials: credentials, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// header is the Authorization header, or empty where no credentials are sent.
func (l *login) header(ctx context.Context, c *Client) (string, error) {
	if l.credentials == nil {
		return "", nil
	}
	select {
	case <-l.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	now := time.Now()
	if l.held.token == "" || !l.renew.IsZero() && !now.Before(l.renew) {
		got, err := l.credentials.grant(ctx, c)
		if err != nil {
			return "", err
		}
		l.held, l.renew = got, time.Time{}
		if !got.expires.IsZero() { // a tenth early, but at least once a second
			left := max(got.expires.Sub(now), 0)
			l.renew = now.Add(max(left-left/10, time.Second))
		}
	}
	return l.held.authorization(), nil
}

// forget drops the token if it is still the given one, and reports whether fetching another makes sense.
func (l *login) forget(authorization string) bool {
	if l.credentials == nil {
		return false
	}
	switch l.credentials.(type) {
	case Bearer, Word, HTTPBasic:
		return false
	}
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	if l.held.authorization() == authorization {
		l.held = grant{}
	}
	return true
}
