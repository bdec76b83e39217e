package xds

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/tiergate/tiergate/authz/policy"
)

// deny refuses with an HTTP status, as authz does.
func deny(code typev3.StatusCode) func(*authv3.CheckRequest) *authv3.CheckResponse {
	return func(*authv3.CheckRequest) *authv3.CheckResponse {
		return &authv3.CheckResponse{
			Status: &status.Status{Code: 7},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
				Status: &typev3.HttpStatus{Code: code}, Body: "not now",
			}},
		}
	}
}

// questions counts what the decision service was asked since the last call.
func (d *decider) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.asked)
	d.asked = nil
	return n
}

// named issues a server's certificate with DNS names and, if any, SPIFFE IDs.
func (a *authority) named(t *testing.T, ids []string, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, id := range ids {
		uri, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.caPEM)
	return pool
}

// tlsServer answers with a handler of the test's own; it is told the client's names, if the client shows any.
func tlsServer(t *testing.T, a *authority, certificate tls.Certificate, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: a.pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// mostUnary is the deadline that a client says which has one.
const mostUnary = 30 * time.Second

// echoing is a gRPC service that says what it was told.
type echoing struct {
	testgrpc.UnimplementedTestServiceServer
	name string
}

func (e echoing) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	deadline := "none"
	if at, ok := ctx.Deadline(); ok {
		deadline = fmt.Sprint(time.Until(at) > 0 && time.Until(at) <= mostUnary)
	}
	sent, _ := metadata.FromIncomingContext(ctx)
	grpc.SetHeader(ctx, metadata.Pairs("x-deadline", deadline, "x-subject", fmt.Sprint(sent.Get("x-tiergate-subject"))))
	grpc.SetTrailer(ctx, metadata.Pairs("x-last", "word"))
	if s := in.GetResponseStatus(); s.GetCode() != 0 {
		return nil, fmt.Errorf("%s", s.GetMessage())
	}
	return &testgrpc.SimpleResponse{ServerId: e.name, Payload: in.GetPayload()}, nil
}

func (e echoing) FullDuplexCall(s testgrpc.TestService_FullDuplexCallServer) error {
	for {
		in, err := s.Recv()
		if err == io.EOF {
			s.SetTrailer(metadata.Pairs("x-last", "word"))
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// grpcServer serves until the test ends, with HTTP/2 from the first byte where it has no certificate.
func grpcServer(t *testing.T, name string, options ...grpc.ServerOption) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(g, echoing{name: name})
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

// grpcClient calls services behind the host envoy.acme.example, which is in Envoy's certificate, too.
func (r *rig) grpcClient(listener, id string) testgrpc.TestServiceClient {
	c := r.client(listener, id, true)
	conn, err := grpc.NewClient("passthrough:///"+c.address, grpc.WithTransportCredentials(credentials.NewTLS(c.config.Clone())))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return testgrpc.NewTestServiceClient(conn)
}

func payload(text string) *testgrpc.Payload { return &testgrpc.Payload{Body: []byte(text)} }

// spoken is one message there and back over an open stream.
func spoken(s testgrpc.TestService_FullDuplexCallClient, text string) error {
	if err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload(text)}); err != nil {
		return err
	}
	got, err := s.Recv()
	if err == nil && string(got.GetPayload().GetBody()) != text {
		err = fmt.Errorf("said %q, heard %q", text, got.GetPayload().GetBody())
	}
	return err
}

// webSocketServer takes handshakes and sends back what comes, byte by byte. It counts the handshakes.
func webSocketServer(t *testing.T) (address string, opened *atomic.Int32) {
	t.Helper()
	opened = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "websocket" {
			http.Error(w, "no handshake: "+r.Method+" "+r.Header.Get("Upgrade"), http.StatusBadRequest)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		opened.Add(1)
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		go io.Copy(conn, buffered)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), opened
}

const handshake = "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// socket is an open WebSocket as far as a proxy sees it: bytes both ways.
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
}

// dialWebSocket shakes hands over HTTP/1.1 and returns the status; the socket is nil unless that is 101.
func (c *client) dialWebSocket(host, path string) (*socket, int) {
	c.t.Helper()
	config := c.config.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", c.address, config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute)) // longer than any test speaks
	fmt.Fprintf(conn, handshake, path, host)
	s := &socket{conn: conn, reader: bufio.NewReader(conn)}
	response, err := http.ReadResponse(s.reader, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		response.Body.Close()
		return nil, response.StatusCode
	}
	return s, response.StatusCode
}

func (s *socket) speak(text string) error {
	if _, err := io.WriteString(s.conn, text); err != nil {
		return err
	}
	heard := make([]byte, len(text))
	if _, err := io.ReadFull(s.reader, heard); err != nil {
		return err
	}
	if string(heard) != text {
		return fmt.Errorf("said %q, heard %q", text, heard)
	}
	return nil
}

// streams is a listener with a gRPC upstream and one of WebSockets.
func streams(grpcAddress, wsAddress string) Input {
	staff := []string{"employees"}
	ws := route("chat", "app.acme.example", "/chat", "chat", staff, "GET")
	ws.WebSocket = true
	calls := upstream("calls", grpcAddress, "")
	calls.Protocol = policy.ProtocolHTTP2
	return Input{
		Audiences: []policy.Audience{audience("employees", false)},
		Upstreams: []policy.Upstream{calls, upstream("chat", wsAddress, "")},
		Routes: []policy.Route{
			route("calls", "envoy.acme.example", "/**", "calls", staff, "POST"), ws,
			route("quiet", "app.acme.example", "/quiet", "chat", staff),
		},
		Settings: Settings{Listeners: []Listener{{Name: "ingress"}}},
	}
}
