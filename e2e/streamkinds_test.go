package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// streamKind opens a stream and hears something on it. wait returns what the client sees when it is cut.
type streamKind func(ctx context.Context, e *ending, p *played) (wait func() error, end func(), err error)

// streamKinds are all that live long. Each client asks for a life of its own too, too short or too long.
var streamKinds = map[string]streamKind{
	"events over HTTP/1.1": func(ctx context.Context, e *ending, p *played) (func() error, func(), error) {
		return e.events(ctx, p, true, "1")
	},
	"events over HTTP/2": func(ctx context.Context, e *ending, p *played) (func() error, func(), error) {
		return e.events(ctx, p, false, "3600000")
	},
	"WebSocket over HTTP/1.1": func(ctx context.Context, e *ending, p *played) (func() error, func(), error) {
		return e.dialSocket(ctx, p)
	},
	"WebSocket over HTTP/2": func(ctx context.Context, e *ending, p *played) (func() error, func(), error) {
		return e.connectSocket(ctx, p)
	},
	"gRPC": func(ctx context.Context, e *ending, p *played) (func() error, func(), error) { return e.call(ctx, p) },
}

func (e *ending) request(ctx context.Context, method, path, life string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+e.host+".acme.example"+path, body)
	if err != nil {
		return nil, err
	}
	if e.token != "" {
		request.Header.Set("Authorization", "Bearer "+e.token)
	}
	if life != "" {
		request.Header.Set("X-Envoy-Upstream-Stream-Duration-Ms", life)
	}
	return request, nil
}

// transport makes a connection of its own.
func (e *ending) transport(p *played, http1 bool) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(http1)
	protocols.SetHTTP2(!http1)
	return &http.Transport{TLSClientConfig: e.config(p), Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", p.settings.Envoy.Listeners[0].Address)
		}}
}

// ask asks once, over a connection of its own.
func (e *ending) ask(t *testing.T, p *played) (status int, body string, err error) {
	t.Helper()
	transport := e.transport(p, true)
	defer transport.CloseIdleConnections()
	request, err := e.request(soon(t, 10*time.Second), http.MethodGet, "/steady/x", "", nil)
	if err != nil {
		return 0, "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return response.StatusCode, string(raw), err
}

// opened is a response that is a stream, or why it is none.
func opened(response *http.Response, err error, want int) error {
	if err == nil && response.StatusCode != want {
		raw, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // as much of it as there is
		err = fmt.Errorf("%s %s", response.Status, raw)
	}
	return err
}

func (e *ending) events(ctx context.Context, p *played, http1 bool, life string) (wait func() error, end func(), err error) {
	transport := e.transport(p, http1)
	request, err := e.request(ctx, http.MethodGet, "/steady/events", life, nil)
	if err != nil {
		return nil, nil, err
	}
	response, err := transport.RoundTrip(request)
	if err := opened(response, err, http.StatusOK); err != nil {
		return nil, nil, err
	}
	end = func() { _ = response.Body.Close(); transport.CloseIdleConnections() }
	return func() error {
		heard, err := io.Copy(io.Discard, response.Body)
		if heard == 0 {
			return errors.Join(errors.New("no event came"), err)
		}
		return err
	}, end, nil
}

func (e *ending) dialSocket(ctx context.Context, p *played) (wait func() error, end func(), err error) {
	dialer := tls.Dialer{Config: e.config(p)}
	conn, err := dialer.DialContext(ctx, "tcp", p.settings.Envoy.Listeners[0].Address)
	if err != nil {
		return nil, nil, err
	}
	end = func() { _ = conn.Close() }
	request, err := e.request(ctx, http.MethodGet, "/socket", "1", nil)
	if err == nil {
		for name, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			request.Header.Set(name, value)
		}
		err = request.Write(conn)
	}
	in := bufio.NewReader(conn)
	if err == nil {
		var response *http.Response
		response, err = http.ReadResponse(in, request)
		err = opened(response, err, http.StatusSwitchingProtocols)
	}
	if err == nil {
		err = echoed(conn, in)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return func() error { _, err := in.ReadByte(); return err }, end, nil
}

// connectSocket is an extended CONNECT (RFC 8441).
//
//nolint:staticcheck // net/http's own transport, which is to be used in place of this one, sends none
func (e *ending) connectSocket(ctx context.Context, p *played) (wait func() error, end func(), err error) {
	config := e.config(p)
	config.NextProtos = []string{"h2"}
	transport := &http2.Transport{DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", p.settings.Envoy.Listeners[0].Address)
	}}
	body, out := io.Pipe()
	request, err := e.request(ctx, http.MethodConnect, "/socket", "3600000", body)
	if err != nil {
		return nil, nil, err
	}
	request.Header[":protocol"] = []string{"websocket"}
	request.Header.Set("Sec-WebSocket-Version", "13")
	response, err := transport.RoundTrip(request)
	if err := opened(response, err, http.StatusOK); err != nil {
		return nil, nil, err
	}
	end = func() { _, _ = out.Close(), response.Body.Close(); transport.CloseIdleConnections() }
	in := bufio.NewReader(response.Body)
	if err := echoed(out, in); err != nil {
		end()
		return nil, nil, err
	}
	return func() error { _, err := in.ReadByte(); return err }, end, nil
}

func (e *ending) call(ctx context.Context, p *played) (wait func() error, end func(), err error) {
	config := e.config(p)
	conn, err := grpc.NewClient("passthrough:///"+p.settings.Envoy.Listeners[0].Address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithAuthority(config.ServerName))
	if err != nil {
		return nil, nil, err
	}
	end = func() { _ = conn.Close() }
	ctx = metadata.AppendToOutgoingContext(ctx, "x-envoy-upstream-stream-duration-ms", "3600000")
	if e.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+e.token)
	}
	stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(ctx)
	if err == nil {
		err = stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte(saidOnce)}})
	}
	if err == nil || errors.Is(err, io.EOF) { // EOF: it was answered before it was sent; why, Recv tells (grpc.ClientStream)
		_, err = stream.Recv()
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return func() error { _, err := stream.Recv(); return err }, end, nil
}
