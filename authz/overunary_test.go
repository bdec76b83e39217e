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

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/assertion/verify"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/authz/unary"
)

// overUnary is a Server on our own transport, and a connection of grpc-go to it; peer is what Admit says.
func overUnary(t *testing.T, s *Server, peer any) *grpc.ClientConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "authz.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := unary.New(unary.Options{Methods: s.Methods(), Admit: func(raw net.Conn) (net.Conn, any, error) { return raw, peer, nil }})
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(ctx)
		running.Wait()
		_ = os.RemoveAll(dir)
	})
	return conn
}

// TestBothTransportsAnswerAlike: every message, however odd, with either reader.
func TestBothTransportsAnswerAlike(t *testing.T) {
	t.Parallel()
	p := compiled(t, "app", "/**")
	messages := oddMessages(t)
	for _, token := range []string{"good", "bad", "panic", ""} {
		messages = append(messages, oddMessage{"token " + token, true, marshal(t, request(token, nil))})
	}
	full := marshal(t, request("good", nil))
	for cut := 0; cut < len(full); cut += 3 {
		messages = append(messages, oddMessage{"cut", false, full[:cut]})
	}
	messages = append(messages, oddMessage{"larger than the limit", false, make([]byte, maxMessageBytes+1)},
		oddMessage{"much larger", false, make([]byte, 5<<20)})
	for _, stock := range []bool{false, true} {
		s := New(Options{Tokens: onePerson{}, StockCodec: stock})
		s.SetPolicy(p)
		byGRPC, own := served(t, func(g *grpc.Server) { s.Register(g) }, s.ServerOptions()...), overUnary(t, s, Envoy{})
		for _, m := range messages {
			a, err := check(t.Context(), byGRPC, m.message)
			if err != nil {
				t.Fatalf("%s by grpc-go: %v", m.name, err)
			}
			b, err := check(t.Context(), own, m.message)
			if err != nil {
				t.Fatalf("%s by our own: %v", m.name, err)
			}
			if reasonOf(a) != reasonOf(b) || a.GetStatus().GetCode() != b.GetStatus().GetCode() {
				t.Errorf("%s: grpc-go says %v, ours %v", m.name, a, b)
			}
		}
	}
}

// TestOnlyAnAuthenticatedPeerGetsAssertions: what Admit does not vouch for gets none.
func TestOnlyAnAuthenticatedPeerGetsAssertions(t *testing.T) {
	t.Parallel()
	message := marshal(t, request("good", nil))
	for _, peer := range []any{Envoy{}, nil, "somebody"} {
		_, known := peer.(Envoy)
		s := asserting(t, false)
		for _, message := range [][]byte{message, message} {
			got, err := check(t.Context(), overUnary(t, s, peer), message)
			if err != nil {
				t.Fatal(err)
			}
			if value, removed, _ := saidTo(got, verify.Header); (strings.Count(value, ".") == 2) != known || removed == known {
				t.Errorf("%v: %q, removed %t", peer, value, removed)
			}
		}
	}
}

// stuck is a store of proofs that does not answer until it is let go.
type stuck struct{ asked, release chan struct{} }

func (s *stuck) Once(token.Once) error {
	s.asked <- struct{}{}
	<-s.release
	return nil
}

// byProof is a teller that many may ask at once: who sends a proof proves it, and nobody else needs to.
type byProof struct{}

func (byProof) Judge(c *token.Credential, at time.Time) (token.Proof, error) {
	proof := anaByKey(at)
	if len(c.Proofs) == 0 {
		proof.Once = token.Once{}
	}
	proof.User.Name = strings.Clone(c.Token) // as the tests' requests have it
	return proof, nil
}

// TestNobodyWaitsForAnothersProof: on one connection, a request whose proof the store does not answer for holds up none of
// the others, and what it asked is whole when the store answers.
func TestNobodyWaitsForAnothersProof(t *testing.T) {
	t.Parallel()
	store := &stuck{asked: make(chan struct{}), release: make(chan struct{})}
	s := New(Options{Tokens: byProof{}, Replays: store})
	s.SetPolicy(compiled(t, "app", "/**"))
	conn := overUnary(t, s, Envoy{})
	var waiting sync.WaitGroup
	const many = 20
	for i := range many {
		waiting.Go(func() {
			name := strings.Repeat(string(rune('a'+i)), 10)
			asks := request(name, nil)
			headers := asks.GetAttributes().GetRequest().GetHttp().GetHeaderMap()
			headers.Headers = append(headers.GetHeaders(), &corev3.HeaderValue{Key: "DPoP", RawValue: []byte("x")})
			got, err := check(context.Background(), conn, marshal(t, asks))
			if err != nil || got.GetOkResponse() == nil || got.GetOkResponse().GetHeaders()[0].GetHeader().GetValue() != "corp/"+name {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		})
		<-store.asked
	}
	message, ctx := marshal(t, request("ben", nil)), t.Context()
	for range 500 {
		if got, err := check(ctx, conn, message); err != nil || got.GetStatus().GetCode() != int32(codes.OK) {
			t.Fatalf("%v, %v", got, err)
		}
	}
	close(store.release)
	waiting.Wait()
}

// BenchmarkUnary is a whole Check as our transport has it done, without the transport.
func BenchmarkUnary(b *testing.B) {
	s := New(Options{Tokens: onePerson{}})
	s.SetPolicy(compiled(b, "app", "/**"))
	wire, err := proto.Marshal(request("good", nil))
	if err != nil {
		b.Fatal(err)
	}
	call := &unary.Call{Message: wire, Slow: func() {}}
	reply := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := s.check(call, reply); len(got) == 0 {
			b.Fatal("no answer")
		}
	}
}
