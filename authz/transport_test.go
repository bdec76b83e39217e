package authz

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// served is a Server on a Unix socket beside health and reflection, as in the product, and a connection to it.
func served(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it holds a socket, which is gone by then
	socket := filepath.Join(dir, "authz.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(options...)
	register(g)
	healthpb.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		running.Wait()
	})
	return conn
}

// bytesCodec sends and receives messages as they are.
type bytesCodec struct{ encoding.CodecV2 }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// check sends a message of any bytes.
func check(ctx context.Context, conn *grpc.ClientConn, message []byte) (*authv3.CheckResponse, error) {
	var wire []byte
	response := &authv3.CheckResponse{}
	err := conn.Invoke(ctx, authv3.Authorization_Check_FullMethodName, &message, &wire, grpc.ForceCodecV2(bytesCodec{Codec()}))
	if err != nil {
		return nil, err
	}
	return response, proto.Unmarshal(wire, response)
}

// TestBothReadersOverTheWire: over a real connection every message is answered, however odd, and alike by both readers;
// health and reflection are on the same server.
func TestBothReadersOverTheWire(t *testing.T) {
	t.Parallel()
	p := compiled(t, "app", "/**")
	conns := map[bool]*grpc.ClientConn{}
	for _, stock := range []bool{false, true} {
		s := New(Options{Tokens: onePerson{}, StockCodec: stock})
		s.SetPolicy(p)
		conns[stock] = served(t, func(g *grpc.Server) { s.Register(g) }, s.ServerOptions()...)
	}
	messages := oddMessages(t)
	for _, token := range []string{"good", "bad", "panic", ""} {
		messages = append(messages, oddMessage{"token " + token, true, marshal(t, request(token, nil))})
	}
	full := marshal(t, request("good", nil))
	for cut := range full {
		messages = append(messages, oddMessage{"cut", false, full[:cut]})
	}
	messages = append(messages, oddMessage{"garbage", false, []byte("garbage")},
		oddMessage{"larger than the limit", false, make([]byte, maxMessageBytes+1)},
		oddMessage{"larger than gRPC's own limit by default", false, make([]byte, 5<<20)})
	seen := map[string]int{}
	for _, m := range messages {
		told := map[bool]string{}
		for stock, conn := range conns {
			response, err := check(t.Context(), conn, m.message)
			if err != nil {
				t.Fatalf("%s, stock %v: %v", m.name, stock, err)
			}
			told[stock] = reasonOf(response)
			if response.GetStatus().GetCode() == int32(codes.OK) != (reasonOf(response) == "allowed") {
				t.Errorf("%s, stock %v: %v", m.name, stock, response)
			}
		}
		if told[true] != told[false] {
			t.Errorf("%s: our reader says %s, protobuf %s", m.name, told[false], told[true])
		}
		seen[told[true]]++
	}
	for _, reason := range []string{"allowed", "malformed", "identity-doubted", "identity-missing", "internal"} {
		if seen[reason] == 0 {
			t.Errorf("nothing was answered with %s: %v", reason, seen)
		}
	}
	for _, conn := range conns {
		others(t, conn)
	}
}

// others asks the services that stand beside ours.
func others(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil ||
		answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", answer, err)
	}
	_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "nobody"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("health of nobody: %v", err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	listed, err := stream.Recv()
	if err != nil || !strings.Contains(listed.String(), "envoy.service.auth.v3.Authorization") {
		t.Errorf("reflection: %v, %v", listed, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

// TestEnvoysOwnClient: the generated client of the API gets what it expects.
func TestEnvoysOwnClient(t *testing.T) {
	t.Parallel()
	s := New(Options{Tokens: onePerson{}})
	s.SetPolicy(compiled(t, "app", "/**"))
	conn := served(t, func(g *grpc.Server) { s.Register(g) }, s.ServerOptions()...)
	response, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), request("good", nil))
	if err != nil || response.GetStatus().GetCode() != int32(codes.OK) ||
		response.GetOkResponse().GetHeaders()[0].GetHeader().GetValue() != "corp/ana" {
		t.Errorf("%v, %v", response, err)
	}
}

// TestRegisterFunc: a function in the place of a Server gets what our reader read.
func TestRegisterFunc(t *testing.T) {
	t.Parallel()
	conn := served(t, func(g *grpc.Server) {
		RegisterFunc(g, func(call *Call) []byte {
			if call.Host != "app.example" || len(call.Authorization) != 1 {
				t.Errorf("%+v", call)
			}
			return respondFast(nil, allowedDecision())
		})
	}, grpc.ForceServerCodecV2(Codec()))
	if response, err := check(t.Context(), conn, marshal(t, request("good", nil))); err != nil || response.GetOkResponse() == nil {
		t.Errorf("%v, %v", response, err)
	}
}

// TestWithoutOurCodec: a server that was made without ServerOptions tells so with an error and admits nobody.
func TestWithoutOurCodec(t *testing.T) {
	t.Parallel()
	s := New(Options{Tokens: onePerson{}})
	s.SetPolicy(compiled(t, "app", "/**"))
	conn := served(t, func(g *grpc.Server) { s.Register(g) })
	if _, err := check(t.Context(), conn, marshal(t, request("good", nil))); status.Code(err) != codes.Internal ||
		!strings.Contains(err.Error(), "exchange") {
		t.Errorf("%v", err)
	}
}
