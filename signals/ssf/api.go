package ssf

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// The limits of one request to a transmitter.
const (
	askWithin  = 15 * time.Second
	pollWithin = 90 * time.Second // a long poll: the transmitter decides when it answers
	maxAnswer  = 8 << 20
	maxWait    = time.Hour // what a Retry-After may ask for
)

// ClientOptions say where a transmitter's API is and who we are there. Only Issuer has no default.
type ClientOptions struct {
	Issuer string
	// MetadataURL is where the transmitter's configuration is. Default: /.well-known/ssf-configuration between the host and the
	// path of Issuer (SSF 1.0 section 7.2).
	MetadataURL string
	// Hosts are further hosts (host or host:port) that its endpoints may be on. Credentials go to these, and to the host of the
	// metadata, and nowhere else.
	Hosts []string
	Roots *x509.CertPool // who signs their certificates; nil: the system's CAs
	// Token is a bearer token that was made by hand. Else TokenURL with ClientID and ClientSecret: OAuth 2.0 client
	// credentials (RFC 6749 section 4.4). None of them: no credentials are sent.
	Token, TokenURL, ClientID, ClientSecret, Scope string
}

// client asks one transmitter. Redirects are never followed, no proxy is used. It is safe for concurrent use.
type client struct {
	o        ClientOptions
	metadata string
	hosts    []string
	http     *http.Client

	mu      sync.Mutex
	token   string
	expires time.Time // zero: it does not
}

// errConflict is a 409: there is such a stream already.
var errConflict = errors.New("status 409: the transmitter allows no further stream")

// errNoMethod is a 405 or 501: the transmitter does not know that way of asking.
var errNoMethod = errors.New("the transmitter does not take such a request")

func newClient(o ClientOptions) (*client, error) {
	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Host == "" {
		return nil, fmt.Errorf("the issuer %.200q is no URL", o.Issuer)
	}
	where := o.MetadataURL
	if where == "" {
		where = issuer.Scheme + "://" + issuer.Host + "/.well-known/ssf-configuration" + strings.TrimRight(issuer.EscapedPath(), "/")
	}
	u, err := checkURL(where)
	if err != nil {
		return nil, fmt.Errorf("the transmitter's metadata: %w", err)
	}
	c := &client{o: o, metadata: where, hosts: append([]string{u.Host}, o.Hosts...), token: o.Token}
	if o.TokenURL != "" {
		if _, err := checkURL(o.TokenURL); err != nil {
			return nil, fmt.Errorf("the token endpoint: %w", err)
		}
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 5 * time.Second,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// checkURL wants https, or http on a loopback host.
func checkURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%.200q is no https URL", raw)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return nil, fmt.Errorf("%.200q is not https", raw)
	}
	return u, nil
}

// endpoint checks where credentials would go to.
func (c *client) endpoint(raw string) (*url.URL, error) {
	u, err := checkURL(raw)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.hosts, u.Host) && !slices.Contains(c.hosts, u.Hostname()) {
		return nil, fmt.Errorf("the transmitter names an endpoint on %.80q, where our credentials do not go; if that is right, "+
			"add it to allowedHosts", u.Host)
	}
	return u, nil
}

// call is one request to an endpoint.
type call struct {
	method, url string
	query       url.Values
	body        any         // nil: none; else JSON
	header      http.Header // besides our own
	anonymous   bool        // without credentials
	within      time.Duration
}

// do asks, with a token that is fetched anew once after a 401. The body of a success is decoded into answer, unless that is nil.
func (c *client) do(ctx context.Context, what call, answer any) error {
	for again := false; ; again = true {
		token := ""
		if !what.anonymous && what.header.Get("Authorization") == "" {
			var err error
			if token, err = c.credentials(ctx); err != nil {
				return err
			}
		}
		status, err := c.once(ctx, what, token, answer)
		if status == http.StatusUnauthorized && !again && c.forget(token) {
			continue
		}
		return err
	}
}

func (c *client) once(ctx context.Context, what call, token string, answer any) (int, error) {
	u, err := c.endpoint(what.url)
	if err != nil {
		return 0, err
	}
	if len(what.query) > 0 {
		query := u.Query()
		for name, values := range what.query {
			query[name] = values
		}
		u.RawQuery = query.Encode()
	}
	within := what.within
	if within == 0 {
		within = askWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var body io.Reader = http.NoBody
	if what.body != nil {
		raw, err := json.Marshal(what.body)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, what.method, u.String(), body)
	if err != nil {
		return 0, err
	}
	for name, values := range what.header {
		req.Header[name] = values
	}
	if what.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.send(req, answer)
}

// send sends and reads. The URL stays out of errors: it may hold a secret.
func (c *client) send(req *http.Request, answer any) (int, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tiergate")
	what := req.Method + " " + req.URL.Path
	response, err := c.http.Do(req)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err
		}
		return 0, fmt.Errorf("%s: %s cannot be asked: %w", what, req.URL.Host, err)
	}
	defer response.Body.Close()
	status := response.StatusCode
	if err := judge(response); err != nil {
		return status, fmt.Errorf("%s: %w", what, err)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return status, fmt.Errorf("%s: the answer broke off: %w", what, err)
	}
	if len(raw) > maxAnswer {
		return status, fmt.Errorf("%s: the answer has more than %d bytes", what, maxAnswer)
	}
	if answer == nil || len(raw) == 0 && status != http.StatusOK {
		return status, nil
	}
	if err := source.CheckJSON(raw); err != nil {
		return status, fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return status, fmt.Errorf("%s: the answer does not have the shape of SSF 1.0", what)
	}
	return status, nil
}

// judge says what a status means.
func judge(response *http.Response) error {
	status := response.StatusCode
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		return fmt.Errorf("status %d: redirects are not followed; correct the URL", status)
	case status == http.StatusNotFound || status == http.StatusGone:
		return fmt.Errorf("status %d: %w", status, source.ErrGone)
	case status == http.StatusConflict:
		return errConflict
	case status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented:
		return fmt.Errorf("status %d: %w", status, errNoMethod)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("status %d: the transmitter refuses our credentials; check them and their rights", status)
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return &source.Busy{After: retryAfter(response.Header.Get("Retry-After"), time.Now()), Reason: fmt.Errorf("status %d", status)}
	}
	return fmt.Errorf("status %d", status)
}

// retryAfter reads the header's two forms (RFC 9110 section 10.2.3); 0: it says nothing that can be followed.
func retryAfter(header string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(header), 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxWait)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}

// credentials are the token, fetched if there is none or it is about to expire.
func (c *client) credentials(ctx context.Context) (string, error) {
	c.mu.Lock()
	token, expires := c.token, c.expires
	c.mu.Unlock()
	if c.o.TokenURL == "" || token != "" && (expires.IsZero() || time.Now().Before(expires)) {
		return token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if c.o.Scope != "" {
		form.Set("scope", c.o.Scope)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
	req.SetBasicAuth(url.QueryEscape(c.o.ClientID), url.QueryEscape(c.o.ClientSecret))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"` // seconds
	}
	asked := time.Now()
	if _, err := c.send(req, &answer); err != nil {
		return "", fmt.Errorf("no token: %w", err)
	}
	if answer.Token == "" || answer.Type != "" && !strings.EqualFold(answer.Type, "bearer") {
		return "", errors.New("no token: the token endpoint's answer holds no bearer token")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.expires = answer.Token, time.Time{}
	if answer.Expires > 0 { // a tenth early
		c.expires = asked.Add(time.Duration(min(answer.Expires, 1<<31)) * time.Second * 9 / 10)
	}
	return c.token, nil
}

// forget drops a token that was refused, and tells whether another can be had.
func (c *client) forget(token string) bool {
	if c.o.TokenURL == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
	return true
}
