package xds

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tiergate/tiergate/authz/policy"
)

func TestEnvoyStreams(t *testing.T) { //nolint:tparallel // its subtests share one Envoy and take turns
	t.Parallel()
	chat, _ := webSocketServer(t)
	in := streams(grpcServer(t, "calls"), chat)
	silent := upstream("silent", accepting(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }), "")
	silent.Protocol = policy.ProtocolHTTP2
	in.Upstreams = append(in.Upstreams, silent)
	in.Routes = append(in.Routes, route("silent", "envoy.acme.example", "/silent/*", "silent", []string{"employees"}))
	r := newRig(t, newAuthority(t), in)
	r.settled(r.build(r.in))
	for _, c := range []struct {
		name string
		test func(*testing.T, *rig)
	}{
		{"passes a call with its trailers and deadline", testUnaryCall},
		{"passes a stream both ways", testDuplexCall},
		{"tells gRPC clients of refusals in their words", testRefusedCall},
		{"ends a call at the deadline that nobody else keeps", testForgottenDeadline},
		{"opens WebSockets over HTTP/1.1", testWebSocket},
		{"opens WebSockets over HTTP/2", testWebSocketOverHTTP2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			r.authz.set(nil)
			r.authz.questions()
			c.test(t, r)
		})
	}
	r.t = t
}

func testUnaryCall(t *testing.T, r *rig) {
	ctx, cancel := context.WithTimeout(t.Context(), mostUnary)
	defer cancel()
	var header, trailer metadata.MD
	got, err := r.grpcClient("ingress", ana).UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload("hello")},
		grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || got.GetServerId() != "calls" || string(got.GetPayload().GetBody()) != "hello" {
		t.Fatalf("%v, %v", got, err)
	}
	if !slices.Equal(trailer.Get("x-last"), []string{"word"}) || !slices.Equal(header.Get("x-deadline"), []string{"true"}) ||
		!slices.Equal(header.Get("x-subject"), []string{"[corp/ana]"}) {
		t.Errorf("header %v, trailer %v", header, trailer)
	}
	_, err = r.grpcClient("ingress", ana).UnaryCall(ctx,
		&testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: 2, Message: "no such thing"}}, grpc.Trailer(&trailer))
	if status.Code(err) != codes.Unknown || status.Convert(err).Message() != "no such thing" ||
		!slices.Equal(trailer.Get("x-last"), []string{"word"}) {
		t.Errorf("the upstream's error came as %v with %v", err, trailer)
	}
}

func testDuplexCall(t *testing.T, r *rig) {
	stream, err := r.grpcClient("ingress", ana).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two", "three"} {
		if err := spoken(stream, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	stream.CloseSend()
	if _, err := stream.Recv(); err != io.EOF || !slices.Equal(stream.Trailer().Get("x-last"), []string{"word"}) {
		t.Errorf("the end came as %v with %v", err, stream.Trailer())
	}
	if n := r.authz.questions(); n != 1 {
		t.Errorf("%d decisions for one stream", n)
	}
}

func testRefusedCall(t *testing.T, r *rig) {
	for http, want := range map[typev3.StatusCode]codes.Code{
		typev3.StatusCode_Unauthorized:       codes.Unauthenticated,
		typev3.StatusCode_Forbidden:          codes.PermissionDenied,
		typev3.StatusCode_ServiceUnavailable: codes.Unavailable,
	} {
		r.authz.set(deny(http))
		_, err := r.grpcClient("ingress", ana).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		if status.Code(err) != want || status.Convert(err).Message() != "not now" {
			t.Errorf("%v came as %v, want %v", http, err, want)
		}
		stream, err := r.grpcClient("ingress", ana).FullDuplexCall(t.Context())
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != want {
			t.Errorf("%v came to a stream as %v, want %v", http, err, want)
		}
	}
}

// A client that says a deadline and forgets it, and an upstream that never answers: Envoy ends the call, whether or not
// the client has said all.
func testForgottenDeadline(t *testing.T, r *rig) {
	unfinished, writer := io.Pipe()
	defer writer.Close()
	for _, body := range []io.Reader{strings.NewReader("x"), unfinished} {
		began := time.Now()
		request, err := http.NewRequest(http.MethodPost, "https://envoy.acme.example/silent/Call", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {"300m"}}
		response, err := r.client("ingress", ana, true).http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		took := time.Since(began)
		if got := response.Header.Get("Grpc-Status"); got != "4" || took < 250*time.Millisecond || took > 15*time.Second {
			t.Errorf("status %q after %v, want 4 at 300 ms", got, took)
		}
	}
}

func testWebSocket(t *testing.T, r *rig) {
	c := r.client("ingress", ana, false)
	s, code := c.dialWebSocket("app.acme.example", "/chat")
	if s == nil {
		t.Fatalf("the handshake got %d", code)
	}
	for _, text := range []string{"one", "two"} {
		if err := s.speak(text); err != nil {
			t.Error(err)
		}
	}
	check := r.authz.last().GetAttributes()
	if http := check.GetRequest().GetHttp(); http.GetMethod() != "GET" || http.GetPath() != "/chat" ||
		check.GetContextExtensions()[ContextRoute] != "chat" {
		t.Errorf("asked of %v %v", http, check.GetContextExtensions())
	}
	s.conn.Close()
	if n := r.authz.questions(); n != 0 {
		t.Errorf("%d more decisions for one WebSocket", n)
	}
	if _, code := c.dialWebSocket("app.acme.example", "/quiet"); code != http.StatusForbidden {
		t.Errorf("on a route without webSocket: %d", code)
	}
	for status, want := range map[typev3.StatusCode]int{401: 401, 403: 403, 503: 503} {
		r.authz.set(deny(status))
		if _, code := c.dialWebSocket("app.acme.example", "/chat"); code != want {
			t.Errorf("a handshake that is refused with %d got %d", want, code)
		}
	}
}

func testWebSocketOverHTTP2(t *testing.T, r *rig) {
	c := r.client("ingress", ana, true)
	stream, code := c.extendedConnect("app.acme.example", "/chat", "websocket")
	if code != "200" {
		t.Fatalf("the handshake got %q", code)
	}
	stream.speak(t, "over HTTP/2")
	check := r.authz.last().GetAttributes()
	if http := check.GetRequest().GetHttp(); http.GetMethod() != "GET" || http.GetPath() != "/chat" ||
		check.GetContextExtensions()[ContextRoute] != "chat" {
		t.Errorf("asked of %v %v", http, check.GetContextExtensions())
	}
	if n := r.authz.questions(); n != 0 {
		t.Errorf("%d more decisions for one WebSocket", n)
	}
	if _, code := c.extendedConnect("app.acme.example", "/quiet", "websocket"); code != "403" {
		t.Errorf("on a route without webSocket: %q", code)
	}
	for _, protocol := range []string{"connect-udp", "something"} { // a plain CONNECT has none
		if _, code := c.extendedConnect("app.acme.example", "/chat", protocol); code == "200" {
			t.Errorf("a tunnel for %q was opened", protocol)
		}
	}
	if _, code := c.extendedConnect("app.acme.example", "", ""); code == "200" {
		t.Error("a plain CONNECT was let through")
	}
	r.authz.set(deny(typev3.StatusCode_Unauthorized))
	if _, code := c.extendedConnect("app.acme.example", "/chat", "websocket"); code != "401" {
		t.Errorf("a handshake that is refused with 401 got %q", code)
	}
}

// h2stream is the first stream of a connection that is written by hand.
type h2stream struct {
	conn   *tls.Conn
	framer *http2.Framer
}

// extendedConnect asks for a tunnel (RFC 8441, section 4) and returns the status; "" is a stream that was reset.
func (c *client) extendedConnect(host, path, protocol string) (*h2stream, string) {
	c.t.Helper()
	config := c.config.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", c.address, config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.WriteSettings()
	offered := false
	for !offered { // Envoy must say that it takes extended CONNECT before anybody may use it
		frame, err := framer.ReadFrame()
		if err != nil {
			c.t.Fatal(err)
		}
		if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
			value, has := settings.Value(http2.SettingEnableConnectProtocol)
			if !has || value != 1 {
				c.t.Fatal("Envoy does not offer extended CONNECT")
			}
			offered = true
		}
	}
	framer.WriteSettingsAck()
	fields := []hpack.HeaderField{{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: host}}
	if protocol != "" {
		fields = append(fields, hpack.HeaderField{Name: ":scheme", Value: "https"}, hpack.HeaderField{Name: ":path", Value: path},
			hpack.HeaderField{Name: ":protocol", Value: protocol}, hpack.HeaderField{Name: "sec-websocket-version", Value: "13"})
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encoded(fields), EndHeaders: true})
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return nil, ""
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return &h2stream{conn: conn, framer: framer}, f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return nil, ""
		}
	}
}

func (s *h2stream) speak(t *testing.T, text string) {
	t.Helper()
	s.framer.WriteData(1, false, []byte(text))
	heard := ""
	for len(heard) < len(text) {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			t.Fatalf("said %q, heard %q: %v", text, heard, err)
		}
		if data, ok := frame.(*http2.DataFrame); ok {
			heard += string(data.Data())
		}
	}
	if heard != text {
		t.Errorf("said %q, heard %q", text, heard)
	}
}
