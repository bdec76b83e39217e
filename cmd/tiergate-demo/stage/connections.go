package stage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// Client asks through any Envoy, that of a Stage or another. Its methods may be called concurrently.
type Client struct {
	servers *devca.CA

	mu    sync.Mutex
	kept  map[connectionKey]*http.Transport
	ended bool
}

// connectionKey tells connections apart: what one caller established is never used for another.
type connectionKey struct {
	fingerprint, address string
	http1                bool
}

// NewClient believes server certificates that this authority has issued, and no other.
func NewClient(servers *devca.CA) *Client {
	return &Client{servers: servers, kept: map[connectionKey]*http.Transport{}}
}

// Ask sends a request to its Address and reads the answer, 1 MiB of it at most. It follows no redirect. It knows no cast:
// who asks is said by Pair and Token, and a request that names As or Listener is an error.
func (c *Client) Ask(ctx context.Context, r Request) Answer {
	began := time.Now()
	answer, err := c.ask(ctx, r)
	answer.Took, answer.Err = time.Since(began), err
	return answer
}

func (c *Client) ask(ctx context.Context, r Request) (Answer, error) {
	if r.As != "" || r.Listener != "" || r.Address == "" {
		return Answer{}, errors.New("a Client needs an Address and knows neither callers nor listeners; ask the Stage")
	}
	transport, err := c.transport(r.Pair, r.Address, r.HTTP1)
	if err != nil {
		return Answer{}, err
	}
	return roundTrip(ctx, r, transport)
}

// roundTrip sends a request and reads the answer, 1 MiB of it at most.
func roundTrip(ctx context.Context, r Request, transport *http.Transport) (Answer, error) {
	token := r.Token
	if r.NoToken {
		token = ""
	}
	request, err := httpRequest(ctx, r, token)
	if err != nil {
		return Answer{}, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	answer := Answer{Status: response.StatusCode, Proto: response.Proto, Header: response.Header, Body: body}
	return answer, answer.decode()
}

// Close lets go of the connections that are idle; nothing can be asked afterwards.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, t := range c.kept {
		t.CloseIdleConnections()
	}
}

// transport returns the connections of one certificate to one address.
func (c *Client) transport(pair *devca.Pair, address string, http1 bool) (*http.Transport, error) {
	key := connectionKey{address: address, http1: http1}
	if pair != nil {
		key.fingerprint = pair.Fingerprint()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, errors.New("the client is closed")
	}
	if c.kept[key] == nil {
		c.kept[key] = newTransport(pair, address, http1, c.servers)
	}
	return c.kept[key], nil
}

func newTransport(pair *devca.Pair, address string, http1 bool, servers *devca.CA) *http.Transport {
	config := &tls.Config{RootCAs: devca.Pool(servers), MinVersion: tls.VersionTLS12}
	if pair != nil {
		certificate := pair.TLS()
		// Shown even to a listener that does not list its CA: what happens then is what is to be seen.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificate, nil
		}
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(http1)
	protocols.SetHTTP2(!http1)
	return &http.Transport{
		TLSClientConfig: config, Protocols: protocols, MaxIdleConnsPerHost: 16, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
	}
}
