package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// Request is one request through Envoy.
type Request struct {
	As       string // a caller of the cast; empty: whom Pair and Token say
	Listener string // ListenerIngress (the default) or ListenerContracts
	Address  string // host:port of another Envoy; default the Listener's
	Method   string // default GET
	Host     string // SNI and authority; the connection goes to the listener on loopback
	Path     string // as it is sent, with its query; default /
	Header   http.Header
	Body     []byte
	HTTP1    bool        // HTTP/1.1; default HTTP/2
	Pair     *devca.Pair // shown instead of the caller's certificate
	Token    string      // sent instead of the caller's token
	NoToken  bool        // no token is sent
}

// Answer is what came back. Took runs from the first byte sent to the last one read, connection setup included.
type Answer struct {
	Status  int
	Proto   string // HTTP/1.1 or HTTP/2.0
	Header  http.Header
	Body    []byte
	Problem *Problem // of a body that is application/problem+json
	Echo    *Echo    // of a body that an upstream of the stage wrote
	Took    time.Duration
	Err     error // no answer came
}

// DecisionID is set on every answer that tiergate decided on, for or against.
func (a Answer) DecisionID() string { return a.Header.Get("x-tiergate-decision-id") }

// Reason is the stable word of a refusal, "allowed" if an upstream answered, else empty: the answer is Envoy's own.
func (a Answer) Reason() string {
	switch {
	case a.Problem != nil:
		return a.Problem.Reason
	case a.Echo != nil:
		return "allowed"
	}
	return ""
}

// Problem is a refusal as tiergate writes it (RFC 9457 with our members).
type Problem struct {
	Type       string  `json:"type"`
	Title      string  `json:"title"`
	Status     int     `json:"status"`
	Detail     string  `json:"detail"`
	Reason     string  `json:"reason"`
	DecisionID string  `json:"decisionId"`
	Tier       string  `json:"tier"`
	Unmet      []Unmet `json:"unmet"`
}

// Unmet is one demand that was not met, with whom to ask and what to do.
type Unmet struct {
	Signal  string `json:"signal"`
	List    string `json:"list"`
	Status  string `json:"status"`
	Owner   string `json:"owner"`
	Contact string `json:"contact"`
	Fix     struct {
		Text string `json:"text"`
		URL  string `json:"url"`
	} `json:"fix"`
}

// Ask sends a request and reads the answer, as a Client does, with the listeners and callers of the stage.
func (s *Stage) Ask(ctx context.Context, r Request) Answer {
	began := time.Now()
	address, err := s.Ports.Listener(r.Listener)
	if err != nil {
		return Answer{Took: time.Since(began), Err: err}
	}
	if r.Address == "" {
		r.Address = address
	}
	if r.Pair, r.Token, err = s.credentials(r); err != nil {
		return Answer{Took: time.Since(began), Err: err}
	}
	r.As, r.Listener = "", ""
	return s.client.Ask(ctx, r)
}

func (s *Stage) credentials(r Request) (pair *devca.Pair, token string, err error) {
	if r.As != "" {
		caller, err := s.Caller(r.As)
		if err != nil {
			return nil, "", err
		}
		pair, token = s.Cast.Pairs[caller.Certificate], s.Cast.Tokens[caller.Token]
	}
	if r.Pair != nil {
		pair = r.Pair
	}
	if r.Token != "" {
		token = r.Token
	}
	if r.NoToken {
		token = ""
	}
	return pair, token, nil
}

func httpRequest(ctx context.Context, r Request, token string) (*http.Request, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Path == "" {
		r.Path = "/"
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, "https://"+r.Host+"/", bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	if len(r.Body) == 0 {
		request.Body = http.NoBody
	}
	request.URL = &url.URL{Scheme: "https", Host: r.Host, Opaque: r.Path}
	if strings.HasPrefix(r.Path, "//") { // an opaque part of that form would be sent as an absolute URL
		request.URL.Opaque = ""
		request.URL.Path, request.URL.RawQuery, _ = strings.Cut(r.Path, "?")
	}
	for name, values := range r.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, nil
}

// decode reads the two forms of body that the stage knows; any other is left as it is.
func (a *Answer) decode() error {
	switch contentType, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";"); contentType {
	case "application/problem+json":
		a.Problem = &Problem{}
		if err := json.Unmarshal(a.Body, a.Problem); err != nil {
			return fmt.Errorf("the refusal is no JSON: %w: %s", err, a.Body)
		}
	case echoType:
		a.Echo = &Echo{}
		if err := json.Unmarshal(a.Body, a.Echo); err != nil {
			return fmt.Errorf("the upstream's answer is no JSON: %w", err)
		}
	}
	return nil
}
