package xds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"
)

// client speaks mTLS with one of the rig's listeners, under any host name.
func (r *rig) client(listener, id string, http2 bool) *client {
	pair := r.pki.issue(r.t, id)
	certificate, err := tls.X509KeyPair(pair.CertPEM, pair.KeyPEM)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.clientWith(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}, http2)
}

func (r *rig) clientWith(listener string, config *tls.Config, http2 bool) *client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.pki.caPEM)
	config.RootCAs, config.ServerName = roots, "envoy.acme.example"
	address := ""
	for _, l := range r.in.Settings.Listeners {
		if l.Name == listener {
			address = l.Address
		}
	}
	transport := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &client{t: r.t, address: address, config: config, http: &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type client struct {
	t       *testing.T
	address string
	config  *tls.Config
	http    *http.Client
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (c *client) try(method, host, path string, header http.Header) (answer, error) {
	request, err := http.NewRequest(method, "https://"+host+path, nil)
	if err != nil {
		return answer{}, err
	}
	if header != nil {
		request.Header = header
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

func (c *client) do(method, host, path string, header http.Header) answer {
	c.t.Helper()
	got, err := c.try(method, host, path, header)
	if err != nil {
		c.t.Fatalf("%s %s%s: %v", method, host, path, err)
	}
	return got
}

// raw sends bytes as they are, over HTTP/1.1, and returns the status line's code.
func (c *client) raw(request string) int {
	c.t.Helper()
	config := c.config.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", c.address, config)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write([]byte(request)); err != nil {
		c.t.Fatal(err)
	}
	line := make([]byte, 12)
	if _, err := io.ReadFull(conn, line); err != nil {
		c.t.Fatalf("%q: %v", request, err)
	}
	code := 0
	fmt.Sscan(string(line[9:]), &code)
	return code
}

// traced reports whether a request went over a connection that was open before.
func (c *client) traced(method, host, path string) (status int, reused bool) {
	c.t.Helper()
	request, err := http.NewRequest(method, "https://"+host+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	response, err := c.http.Do(request.WithContext(httptrace.WithClientTrace(c.t.Context(), trace)))
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, reused
}
