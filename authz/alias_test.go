package authz

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// The Call's texts are parts of a buffer that the next message comes in. If anything that outlives a call kept one, a
// caller could be taken for another. These tests use the real Authority and the real Verifier, with their memories.

// people is a company of callers whose messages have the same length, byte for byte the same but for who they are.
type people struct {
	ca       *devca.CA
	issuer   *devca.Issuer
	messages map[string][]byte // by name
}

func newPeople(t testing.TB, names ...string) *people {
	t.Helper()
	ca, err := devca.New("SVIDs")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devca.NewIssuer("https://login.acme.example", "apps")
	if err != nil {
		t.Fatal(err)
	}
	c := &people{ca: ca, issuer: issuer, messages: map[string][]byte{}}
	length := 0
	for _, name := range names {
		for tries := 0; c.messages[name] == nil; tries++ {
			message := c.message(t, name)
			if length == 0 {
				length = len(message)
			}
			if len(message) == length { // the certificate's percent-encoding makes it longer or shorter
				c.messages[name] = message
			} else if tries == 5000 {
				t.Fatal("no two certificates of one length")
			}
		}
	}
	return c
}

func (c *people) message(t testing.TB, name string) []byte {
	t.Helper()
	id := "spiffe://acme.example/ns/people/" + name
	pair, err := c.ca.SVID(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	bearer, err := c.issuer.Token(name, nil, time.Hour, map[string]any{"iat": nil, "nbf": nil})
	if err != nil {
		t.Fatal(err)
	}
	encoded := strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(string(pair.CertificatePEM()))
	return marshal(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: id, Certificate: encoded},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Host: "app.example", Path: "/" + name,
			HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "authorization", RawValue: []byte("Bearer " + bearer)}}},
		}},
	}})
}

// verifier believes the tokens of the people.
func (c *people) verifier(t testing.TB) *token.Verifier {
	t.Helper()
	set, err := c.issuer.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		t.Fatal(err)
	}
	verifier, err := token.New([]token.Issuer{{Name: "corp", Issuer: c.issuer.Name(), Audiences: []string{"apps"},
		Algorithms: []string{"ES256"}, Keys: keys}}, token.WithDPoP(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// server knows the people. odd is told of every decision that is not the one for who asked.
func (c *people) server(t testing.TB, odd func(string)) *Server {
	t.Helper()
	authority, err := identity.NewAuthority(identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": c.ca.PEM()}})
	if err != nil {
		t.Fatal(err)
	}
	verifier := c.verifier(t)
	s := New(Options{Peers: authority, Tokens: verifier, Events: Events{Decided: func(d *Decision) {
		name := strings.TrimPrefix(d.Request.Path, "/")
		if d.Subject.User == nil || d.Subject.User.Name != name || d.Subject.Workload.Path() != "/ns/people/"+name {
			odd(fmt.Sprintf("%q was taken for %v, %v: %s", name, d.Subject.User, d.Subject.Workload, d.Verdict.Detail))
		}
	}}})
	s.SetPolicy(compiled(t, "app", "/**"))
	return s
}

// TestNothingOutlivesItsMessage: one buffer, now this caller's and now that one's, with memories that are still small.
// Both have verified before, so that only a kept part of the buffer could confuse them.
func TestNothingOutlivesItsMessage(t *testing.T) {
	t.Parallel()
	c := newPeople(t, "ana", "bob")
	buffer := make([]byte, len(c.messages["ana"]))
	for range 20 {
		s := c.server(t, func(what string) { t.Error(what) })
		for _, name := range []string{"ana", "bob", "bob", "ana"} {
			copy(buffer, c.messages[name])
			response := answerTo(t, s, buffer)
			if got := response.GetOkResponse().GetHeaders()[0].GetHeader().GetValue(); got != "corp/"+name {
				t.Fatalf("%s is answered as %q", name, got)
			}
			clear(buffer)
		}
	}
}

// poisonPool spoils every buffer that comes back to it, and hands it out again.
type poisonPool struct{ mem.BufferPool }

func (p poisonPool) Put(b *[]byte) {
	for i := range *b {
		(*b)[i] = '!'
	}
	p.BufferPool.Put(b)
}

// TestCallersStayApartUnderLoad: many callers at once over a real connection, whose buffers are spoilt when gRPC takes
// them back.
func TestCallersStayApartUnderLoad(t *testing.T) {
	t.Parallel()
	names := []string{"ana", "bob", "cho", "dan"}
	c := newPeople(t, names...)
	s := c.server(t, func(what string) { t.Error(what) })
	options := append(s.ServerOptions(), experimental.BufferPool(poisonPool{mem.DefaultBufferPool()}))
	conn := served(t, func(g *grpc.Server) { s.Register(g) }, options...)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				name := names[(i+j*j)%len(names)]
				response, err := check(t.Context(), conn, c.messages[name])
				if err != nil {
					t.Error(err)
					return
				}
				if headers := response.GetOkResponse().GetHeaders(); len(headers) == 0 || headers[0].GetHeader().GetValue() != "corp/"+name {
					t.Errorf("%s is answered with %v", name, response)
					return
				}
			}
		})
	}
	all.Wait()
}
