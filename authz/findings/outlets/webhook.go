package outlets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Shape is what a webhook's body looks like.
type Shape string

// The shapes.
const (
	ShapePlain       Shape = "webhook"     // type, timestamp, data
	ShapeSlack       Shape = "slack"       // text and blocks
	ShapeCloudEvents Shape = "cloudevents" // the structured mode
)

// WebhookOptions say where events are posted. URL and Shape have no default.
type WebhookOptions struct {
	URL     string // https, or http on a loopback host
	Shape   Shape
	Secrets []string // whsec_…; each signs (Standard Webhooks), several while one is rotated
	// Source is that of CloudEvents, a URI reference that no other sender has; default DefaultSource.
	Source  string
	Header  http.Header
	Roots   *x509.CertPool // nil: the system's CAs
	Proxy   *url.URL       // nil: none; the environment is not looked at
	Timeout time.Duration  // of one attempt with its whole answer; default 15 s (Standard Webhooks: 15 to 30)
}

// Webhook posts events. It follows no redirect.
type Webhook struct {
	url     *url.URL
	shape   Shape
	source  string
	signer  *signer
	header  http.Header
	timeout time.Duration
	client  *http.Client
}

const (
	defaultTimeout = 15 * time.Second
	maxAnswer      = 64 << 10 // of an answer that is read, so that its connection can be used again
	maxRetryAfter  = time.Hour
)

// NewWebhook makes one and asks nobody. The URL stays out of errors: Slack's is a secret.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(strings.TrimSpace(o.URL))
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL is not https://host[:port]/path")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, errors.New("the URL is not https; http is for a loopback host")
	}
	signer, err := newSigner(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Source == "" {
		o.Source = DefaultSource
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	transport := &http.Transport{Proxy: http.ProxyURL(o.Proxy), TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 1, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 32 << 10}
	client := &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Webhook{url: u, shape: o.Shape, source: o.Source, signer: signer, header: o.Header.Clone(), timeout: o.Timeout,
		client: client}, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// Where implements Outlet.
func (w *Webhook) Where() string { return w.url.Scheme + "://" + w.url.Host }

// Target implements Outlet.
func (w *Webhook) Target() string { return digestOf(string(w.shape), w.url.String()) }

func digestOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// body is what is posted, and its media type.
func (w *Webhook) body(e *Event) ([]byte, string) {
	switch w.shape {
	case ShapeSlack:
		return slack(e), "application/json"
	case ShapeCloudEvents:
		return cloud(e, w.source), "application/cloudevents+json; charset=utf-8"
	default:
		return plain(e), "application/json"
	}
}

// Send implements Outlet: any 2xx is yes.
func (w *Webhook) Send(ctx context.Context, e *Event) error {
	body, media := w.body(e)
	if len(body) > MaxBody {
		return &Failure{Refused: true, Err: fmt.Errorf("the body has %d bytes; the limit is %d", len(body), MaxBody)}
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return &Failure{Err: errors.New("the request could not be made")}
	}
	for name, values := range w.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Content-Type", media)
	req.Header.Set("User-Agent", "tiergate")
	w.signer.sign(req.Header, e.ID, time.Now(), body)
	answer, err := w.client.Do(req)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // without the URL
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%s has not answered within %s", w.url.Host, w.timeout)
		}
		return &Failure{Err: err}
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // what it says does not matter, nor that it broke off
	return judge(answer)
}

// judge is what an answer means. Standard Webhooks: 2xx is yes, 410 ends it, 429 and 502 to 504 ask to be slower. What says
// that the place or the credentials are wrong is true for whatever is sent; all else is taken to be about this event.
func judge(answer *http.Response) error {
	status := answer.StatusCode
	if status/100 == 2 {
		return nil
	}
	f := &Failure{Status: status, Err: fmt.Errorf("the answer was %d %s", status, http.StatusText(status))}
	switch {
	case status == http.StatusGone:
		f.Gone = true
	case status/100 == 3:
		f.Err = fmt.Errorf("the answer was %d, a redirect, which is not followed: write the new URL into the settings", status)
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusBadGateway ||
		status == http.StatusGatewayTimeout:
		f.After = retryAfter(answer.Header.Get("Retry-After"), time.Now())
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound ||
		status == http.StatusMethodNotAllowed || status == http.StatusRequestTimeout || status == http.StatusProxyAuthRequired:
	default:
		f.Refused = true
	}
	return f
}

// retryAfter reads RFC 9110, section 10.2.3: seconds or a date. What cannot be read says nothing; an hour is the most.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	return 0
}
