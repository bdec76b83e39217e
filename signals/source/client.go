package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// ClientOptions say where a vendor is asked, as whom and how often. Only Base has no default.
type ClientOptions struct {
	// Base is https://host[:port][/path]; http only on a loopback host.
	Base string
	// RedirectHosts are other hosts (host or host:port) that the vendor may send us to. Credentials never go there.
	RedirectHosts []string
	Credentials   Credentials // nil: none are sent
	// Header is sent with each request for data, never with one for a token: what the vendor wants besides Authorization,
	// as Workspace ONE its aw-tenant-code, or an Accept that names a version. Like the credentials it goes to no other host.
	Header http.Header
	// NoContent: a 204 is an answer, and its body nil (Workspace ONE answers an empty list so). Else it is an error.
	NoContent bool
	Roots     *x509.CertPool // who signs the vendor's certificate; nil: the system's CAs
	Proxy     *url.URL       // nil: none; the environment is not looked at
	Rate      float64        // requests per second; default 5
	Timeout   time.Duration  // of one request with its answer's whole body; default 30s
	MaxBody   int64          // bytes of an answer, after decompression; default 16 MiB
	UserAgent string         // default "tiergate"
}

// Client asks one vendor's HTTP API. Its methods may be called at once; together they keep to the rate.
type Client struct {
	base    *url.URL
	allowed []string
	header  http.Header
	empty   bool
	agent   string
	timeout time.Duration
	maxBody int64
	http    *http.Client
	login   *login
	pace    *pace

	mu       sync.Mutex
	failures int       // in a row
	notUntil time.Time // the vendor asked to be left alone
}

const (
	defaultRate    = 5
	defaultTimeout = 30 * time.Second
	defaultAnswer  = 16 << 20
	maxRedirects   = 5
	firstBackoff   = time.Second
	lastBackoff    = 5 * time.Minute
	// maxRetryAfter bounds what a vendor may ask for: a misspelled date must not end a source for a year.
	maxRetryAfter = time.Hour
)

// NewClient makes a client. It asks nobody yet.
func NewClient(opts ClientOptions) (*Client, error) {
	base, err := checkBase(opts.Base)
	if err != nil {
		return nil, err
	}
	for name := range opts.Header {
		if reserved[http.CanonicalHeaderKey(name)] {
			return nil, fmt.Errorf("the header %s is not one's own to set; leave it out", http.CanonicalHeaderKey(name))
		}
	}
	c := &Client{
		base: base, header: opts.Header.Clone(), empty: opts.NoContent, allowed: opts.RedirectHosts, agent: cmp.Or(opts.UserAgent, "tiergate"),
		timeout: cmp.Or(opts.Timeout, defaultTimeout), maxBody: cmp.Or(opts.MaxBody, defaultAnswer),
		pace: newPace(cmp.Or(opts.Rate, defaultRate)), login: newLogin(opts.Credentials),
	}
	transport := &http.Transport{
		Proxy: http.ProxyURL(opts.Proxy), TLSClientConfig: &tls.Config{RootCAs: opts.Roots, MinVersion: tls.VersionTLS12},
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.mayFollow}
	return c, nil
}

func checkBase(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read; write https://host[:port][/path]")
	case base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("the URL is not https://host[:port][/path]: leave out user, query and fragment")
	case base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())):
		return nil, fmt.Errorf("the URL begins with %s://; use https (http only on a loopback host)", base.Scheme)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	return base, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// redirectError is a redirect that is not followed, however often one asks.
type redirectError string

func (e redirectError) Error() string { return string(e) }

// mayFollow lets nobody send us, or our credentials, to a host that the settings do not name.
func (c *Client) mayFollow(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return redirectError(fmt.Sprintf("more than %d redirects", maxRedirects))
	case via[0].Method != http.MethodGet:
		return redirectError("a request for a token, or another POST, was redirected, which is not followed; correct the URL")
	case req.URL.Host == c.base.Host && req.URL.Scheme == c.base.Scheme:
		return nil
	case req.URL.Scheme != "https" && !loopback(req.URL.Hostname()):
		return redirectError(fmt.Sprintf("a redirect to %.20s:// is not followed", req.URL.Scheme))
	case !slices.Contains(c.allowed, req.URL.Host) && !slices.Contains(c.allowed, req.URL.Hostname()):
		return redirectError(fmt.Sprintf(
			"a redirect to %.80q is not followed; if the vendor's API is there, add it to allowedHosts", req.URL.Host))
	}
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		req.Header.Del(name)
	}
	for name := range c.header {
		if name := http.CanonicalHeaderKey(name); name != "Accept" {
			req.Header.Del(name)
		}
	}
	return nil
}

// reserved are the headers that the client itself sets.
var reserved = map[string]bool{"Authorization": true, "Cookie": true, "Host": true, "Content-Type": true,
	"Content-Length": true, "Connection": true, "Transfer-Encoding": true, "User-Agent": true, "Accept-Encoding": true}

// send paces, sends and reads; any status but 200 is an error, and 204 where the client may have one.
func (c *Client) send(req *http.Request) (status int, header http.Header, body []byte, err error) {
	if err := c.mayAsk(time.Now()); err != nil {
		return 0, nil, nil, err
	}
	if err := c.pace.wait(req.Context()); err != nil {
		return 0, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", c.agent)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	began := time.Now()
	response, err := c.http.Do(req)
	traceOf(ctx).answered(req, response, began)
	if err != nil {
		return 0, nil, nil, c.unreachable(req, err)
	}
	defer response.Body.Close()
	if err := c.judge(response, time.Now()); err != nil {
		return response.StatusCode, nil, nil, err
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, c.maxBody+1))
	if err != nil {
		return response.StatusCode, nil, nil, c.busy(0, fmt.Errorf("the answer broke off after %d bytes: %w", len(body), err))
	}
	if int64(len(body)) > c.maxBody {
		return response.StatusCode, nil, nil, fmt.Errorf("the answer has more than %d bytes; ask for smaller pages", c.maxBody)
	}
	c.mu.Lock()
	c.failures = 0
	c.mu.Unlock()
	return response.StatusCode, response.Header, body, nil
}

// unreachable tells a refused redirect, which asking again does not change, from trouble on the way. The URL stays out of
// the text: a vendor's may hold secrets.
func (c *Client) unreachable(req *http.Request, err error) error {
	if cause, ok := errors.AsType[*url.Error](err); ok {
		err = cause.Err
	}
	if refused, ok := errors.AsType[redirectError](err); ok {
		return refused
	}
	if parent := context.Cause(req.Context()); errors.Is(parent, context.Canceled) {
		return parent
	}
	return c.busy(0, fmt.Errorf("%s cannot be asked: %w", req.URL.Host, err))
}

// Close ends the connections that nobody uses. The client can be used afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }
