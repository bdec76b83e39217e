package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Credentials are how we show a vendor who we are. Bearer, ClientCredentials and BasicLogin are all there are.
type Credentials interface {
	// grant fetches a token, by a client that belongs to the vendor.
	grant(ctx context.Context, c *Client) (grant, error)
}

// grant is a bearer token (RFC 6750).
type grant struct {
	token   string
	expires time.Time // zero: it does not
}

// Bearer is a token that was made by hand, such as a Fleet API-only user's.
type Bearer struct{ Token string }

func (b Bearer) grant(context.Context, *Client) (grant, error) {
	if b.Token == "" {
		return grant{}, errors.New("the token is empty; make one at the vendor")
	}
	return grant{token: b.Token}, nil
}

// ClientCredentials is the OAuth 2.0 grant of the same name (RFC 6749 section 4.4): POST Path below the client's base,
// client_id and client_secret in the form, as Jamf Pro's /api/oauth/token wants them.
type ClientCredentials struct {
	Path, ID, Secret string
	Scope            string // empty: not sent
}

func (o ClientCredentials) grant(ctx context.Context, c *Client) (grant, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {o.ID}, "client_secret": {o.Secret}}
	if o.Scope != "" {
		form.Set("scope", o.Scope)
	}
	asked := time.Now()
	body, err := c.postForToken(ctx, o.Path, form.Encode(), nil)
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

// BasicLogin is Jamf Pro's own: POST Path (/api/v1/auth/token) with user and password, answered {"token","expires"}
// (developer.jamf.com, "Jamf Pro API Overview").
type BasicLogin struct{ Path, User, Password string }

func (b BasicLogin) grant(ctx context.Context, c *Client) (grant, error) {
	body, err := c.postForToken(ctx, b.Path, "", func(req *http.Request) { req.SetBasicAuth(b.User, b.Password) })
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

// postForToken returns a body that passes CheckJSON. Redirects are not followed: the body or the header is the secret.
func (c *Client) postForToken(
	ctx context.Context, path, form string, prepare func(*http.Request),
) ([]byte, error) {
	target := *c.base
	target.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader([]byte(form)))
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if prepare != nil {
		prepare(req)
	}
	_, body, err := c.send(req)
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
	return "Bearer " + l.held.token, nil
}

// forget drops the token if it is still the given one, and reports whether fetching another makes sense.
func (l *login) forget(authorization string) bool {
	if l.credentials == nil {
		return false
	}
	if _, static := l.credentials.(Bearer); static {
		return false
	}
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	if "Bearer "+l.held.token == authorization {
		l.held = grant{}
	}
	return true
}
