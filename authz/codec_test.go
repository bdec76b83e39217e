package authz

import (
	"context"
	"errors"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// received gives a handler a message as gRPC does: in a buffer that is somebody else's once the handler is done.
func received(message []byte) func(any) error {
	return func(v any) error {
		data := mem.BufferSlice{mem.SliceBuffer(message)}
		defer data.Free()
		return Codec().Unmarshal(data, v)
	}
}

// answerTo is the answer to a message in bytes, through handler and codec. There must be one.
func answerTo(t testing.TB, s answerer, message []byte) *authv3.CheckResponse {
	t.Helper()
	out, err := handleCheck(s, context.Background(), received(message), nil)
	if err != nil {
		t.Fatalf("Check failed: %v", err)
	}
	wire, err := Codec().Marshal(out)
	if err != nil {
		t.Fatalf("the answer cannot be sent: %v", err)
	}
	response := &authv3.CheckResponse{}
	if err := proto.Unmarshal(wire.Materialize(), response); err != nil {
		t.Fatalf("the answer cannot be read: %v", err)
	}
	return response
}

func reasonOf(response *authv3.CheckResponse) string {
	return response.GetDynamicMetadata().GetFields()["reason"].GetStringValue()
}

func TestUndecodableIsAWrittenDenial(t *testing.T) {
	t.Parallel()
	for _, stock := range []bool{false, true} {
		var detail string
		s := New(Options{StockCodec: stock, Tokens: onePerson{}, Events: Events{Decided: func(d *Decision) { detail = d.Verdict.Detail }}})
		s.SetPolicy(compiled(t, "app", "/**"))
		for name, message := range map[string][]byte{
			"a request with a body": append(marshal(t, request("good", nil)), at(pathHTTP, 12, strings.Repeat("b", maxMessageBytes))...),
			"garbage":               []byte("garbage"), "a lone tag": {0x0a}, "an end of no group": {0x0c}, "too large": make([]byte, maxMessageBytes+1),
		} {
			response := answerTo(t, s, message)
			if codes.Code(response.GetStatus().GetCode()) != codes.InvalidArgument || reasonOf(response) != "malformed" ||
				response.GetDeniedResponse().GetStatus().GetCode() != 400 || detail == "" {
				t.Errorf("stock %v, %s: %v, %q", stock, name, response, detail)
			}
		}
	}
}

// TestBrokenReceives: where gRPC cannot receive one whole message, the handler says so and holds nothing.
func TestBrokenReceives(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	broken := errors.New("the stream broke")
	if out, err := handleCheck(s, t.Context(), func(any) error { return broken }, nil); out != nil || !errors.Is(err, broken) {
		t.Errorf("%v, %v", out, err)
	}
	pool := &countingPool{}
	whole := func() mem.BufferSlice {
		b := make([]byte, 4096)
		pool.out++
		return mem.BufferSlice{mem.NewBuffer(&b, pool)}
	}
	_, err := handleCheck(s, t.Context(), func(v any) error {
		for range 2 { // a client that sends two messages where one is allowed
			data := whole()
			if err := Codec().Unmarshal(data, v); err != nil {
				t.Error(err)
			}
			data.Free()
		}
		return broken
	}, nil)
	if !errors.Is(err, broken) || pool.out != 0 {
		t.Errorf("%v; %d buffers are held", err, pool.out)
	}
	if _, err := handleCheck(s, t.Context(), func(v any) error {
		data := append(whole(), whole()...) // a message in two frames
		defer data.Free()
		return Codec().Unmarshal(data, v)
	}, nil); err != nil || pool.out != 0 {
		t.Errorf("%v; %d buffers are held", err, pool.out)
	}
}

// countingPool counts the buffers that have not come back.
type countingPool struct{ out int }

func (p *countingPool) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (p *countingPool) Put(*[]byte)       { p.out-- }

// TestInterceptors: one that stands between sees the service and may refuse.
func TestInterceptors(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	seen := ""
	out, err := handleCheck(s, t.Context(), received(nil), func(ctx context.Context, in any, info *grpc.UnaryServerInfo,
		next grpc.UnaryHandler,
	) (any, error) {
		seen = info.FullMethod
		return next(ctx, in)
	})
	if r, ok := out.(*reply); err != nil || !ok || len(r.wire) == 0 || seen != "/envoy.service.auth.v3.Authorization/Check" {
		t.Errorf("%v, %v, %q", out, err, seen)
	}
}

// TestOtherServicesKeepTheirCodec: health and reflection are read and written by gRPC's own.
func TestOtherServicesKeepTheirCodec(t *testing.T) {
	t.Parallel()
	c := Codec()
	in := &healthpb.HealthCheckRequest{Service: "x"}
	wire, err := c.Marshal(in)
	if err != nil || c.Name() != "proto" {
		t.Fatal(c.Name(), err)
	}
	out := &healthpb.HealthCheckRequest{}
	if err := c.Unmarshal(wire, out); err != nil || !proto.Equal(in, out) {
		t.Errorf("%v, %v", out, err)
	}
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("\x0a")}, out); err == nil {
		t.Error("half a message was taken")
	}
	if _, err := c.Marshal(7); err == nil {
		t.Error("a number is no message")
	}
}
