package authz

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/authz/assertion/verify"
	"github.com/tiergate/tiergate/authz/policy"
)

func asserting(t testing.TB, stock bool) *Server {
	t.Helper()
	keys, err := assertion.NewKeys(assertion.KeyOptions{RotateEvery: time.Hour, Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Tokens: onePerson{}, StockCodec: stock,
		Assertions: assertion.New(assertion.Options{Issuer: "gateway", Lifetime: time.Minute, Keys: keys})})
	s.SetPolicy(compiled(t, "app", "/**"))
	return s
}

// saidTo is what an answer does with a header of the request: sets it to, or removes it.
func saidTo(response *authv3.CheckResponse, name string) (value string, removed, there bool) {
	for _, h := range response.GetOkResponse().GetHeaders() {
		if h.GetHeader().GetKey() == name {
			return h.GetHeader().GetValue(), false, true
		}
	}
	for _, n := range response.GetOkResponse().GetHeadersToRemove() {
		if n == name {
			return "", true, true
		}
	}
	return "", false, false
}

// TestOnlyAKnownEnvoyGetsAssertions: over the Unix socket, and not over a connection on which anybody could be; there the
// decision is the same, and the header is removed.
func TestOnlyAKnownEnvoyGetsAssertions(t *testing.T) {
	t.Parallel()
	for _, stock := range []bool{true, false} {
		s := asserting(t, stock)
		message, err := proto.Marshal(request("good", nil))
		if err != nil {
			t.Fatal(err)
		}
		got, err := check(t.Context(), served(t, func(g *grpc.Server) { s.Register(g) }, s.ServerOptions()...), message)
		if err != nil {
			t.Fatal(err)
		}
		if value, _, _ := saidTo(got, verify.Header); strings.Count(value, ".") != 2 {
			t.Errorf("over a Unix socket: %q", value)
		}
		got, err = check(t.Context(), overPlainTCP(t, s), message)
		if err != nil {
			t.Fatal(err)
		}
		if _, removed, _ := saidTo(got, verify.Header); !removed || got.GetOkResponse() == nil {
			t.Errorf("over plain TCP: %v", got)
		}
	}
}

func overPlainTCP(t *testing.T, s *Server) *grpc.ClientConn {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(listener) })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); g.Stop(); running.Wait() })
	return conn
}

// TestBothWritersHandOnTheSame: an assertion or none, the token forwarded or kept back, both writers say the same, and
// nothing but the two credentials is kept back.
func TestBothWritersHandOnTheSame(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "h.p.s", strings.Repeat("x", 700)} {
		for _, token := range []policy.TokenHandling{"", policy.TokenForward, policy.TokenRemove} {
			d := allowedDecision()
			d.assertion, d.Verdict.Token = raw, token
			fast := &authv3.CheckResponse{}
			if err := proto.Unmarshal(respondFast(nil, d), fast); err != nil {
				t.Fatal(err)
			}
			if want := respond(d); !proto.Equal(fast, want) {
				t.Fatalf("got  %v\nwant %v", fast, want)
			}
			if value, removed, there := saidTo(fast, verify.Header); value != raw || removed != (raw == "") || !there {
				t.Errorf("assertion %.10q: %q, removed %t, there %t", raw, value, removed, there)
			}
			for _, name := range []string{"authorization", "dpop"} {
				if _, removed, there := saidTo(fast, name); removed != (token == policy.TokenRemove) || removed != there {
					t.Errorf("token %q: %s removed %t, there %t", token, name, removed, there)
				}
			}
		}
	}
}

// BenchmarkAsserted is a whole Check but for gRPC, with and without an assertion, by both writers.
func BenchmarkAsserted(b *testing.B) {
	message := marshal(b, request("good", nil))
	for _, kind := range []struct {
		name         string
		stock, known bool
	}{{"fast/without", false, false}, {"fast/with", false, true}, {"proto/without", true, false}, {"proto/with", true, true}} {
		s := asserting(b, kind.stock)
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x := exchanges.Get().(*exchange)
				x.take(mem.BufferSlice{mem.SliceBuffer(message)})
				x.known = kind.known
				if len(s.answer(nil, x)) == 0 {
					b.Fatal("no answer")
				}
				x.release()
			}
		})
	}
}
