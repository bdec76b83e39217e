package authz

import (
	"fmt"
	"slices"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// BenchmarkCensus is what counting adds to each decision: of one identity over and over, and of 20,000 in turn.
func BenchmarkCensus(b *testing.B) {
	for _, n := range []int{1, DefaultMaxIdentities} {
		decisions := make([]*Decision, n)
		for i := range decisions {
			decisions[i] = seenDecision(fmt.Sprintf("spiffe://acme.example/ns/payments/sa/checkout-%d", i), "orders", policy.Allow)
			decisions[i].peer = "10.1.2.3"
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := NewCensus(censusStore(b), CensusOptions{Sidecar: "edge"})
			for _, d := range decisions {
				c.Saw(d)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					c.Saw(decisions[i%n])
				}
			})
		})
	}
}

// BenchmarkCensusShare is what counting adds to a whole Check, from the bytes of a message to those of its answer, in per cent:
// of a workload that shows its certificate and a token, and of a user on a device. One server answers the same message in
// short rounds, with and without counting in turn, a pair of rounds for each operation, so that what else the machine does
// falls on both. What is told is the median of the pairs' shares, with their quarters, and the median time without. Use
// -benchtime 1000x or more.
func BenchmarkCensusShare(b *testing.B) {
	for name, begin := range map[string]func(*testing.B, Events) (*Server, []byte){"workload": countedWorkload, "device": countedDevice} {
		b.Run(name, func(b *testing.B) {
			census := NewCensus(censusStore(b), CensusOptions{Sidecar: "edge"})
			counting := false
			s, message := begin(b, Events{Decided: func(d *Decision) {
				if counting {
					census.Saw(d)
				}
			}})
			if response := answerTo(b, s, message); reasonOf(response) != "allowed" {
				b.Fatal(response)
			}
			play := func(count bool) float64 {
				const round = 200
				counting = count
				start := time.Now()
				for range round {
					if _, err := handleCheck(s, b.Context(), received(message), nil); err != nil {
						b.Fatal(err)
					}
				}
				return float64(time.Since(start)) / round
			}
			play(true)
			var without, share []float64
			for i := 0; b.Loop(); i++ {
				var bare, counted float64
				if i%2 == 0 {
					bare, counted = play(false), play(true)
				} else {
					counted, bare = play(true), play(false)
				}
				without, share = append(without, bare), append(share, 100*(counted-bare)/bare)
			}
			slices.Sort(without)
			slices.Sort(share)
			n := len(share)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(without[n/2], "ns/check")
			b.ReportMetric(share[n/2], "%more")
			b.ReportMetric(share[n/4], "%quarter")
			b.ReportMetric(share[3*n/4], "%3quarter")
		})
	}
}

// countedWorkload is a server that believes a certificate and a token, both of which it has verified before, and a message of
// the size that an Envoy of ours sends.
func countedWorkload(b *testing.B, events Events) (*Server, []byte) {
	c := newPeople(b, "ana")
	authority, err := identity.NewAuthority(identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": c.ca.PEM()}})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Options{Peers: authority, Tokens: c.verifier(b), Events: events})
	s.SetPolicy(compiled(b, "app", "/**"))
	return s, grown(b, c.messages["ana"])
}

// countedDevice is a server that knows a device, and a message of its user.
func countedDevice(b *testing.B, events Events) (*Server, []byte) {
	s := guarded(b, true)
	s.opts.Events = events
	return s, grown(b, marshal(b, request("good", nil)))
}

// grown gives a message the headers of a browser besides.
func grown(b *testing.B, message []byte) []byte {
	var m authv3.CheckRequest
	if err := proto.Unmarshal(message, &m); err != nil {
		b.Fatal(err)
	}
	have := m.Attributes.Request.Http.HeaderMap
	for _, h := range typicalRequest(true, "").Attributes.Request.Http.HeaderMap.Headers {
		if h.Key != "authorization" && h.Key[0] != ':' {
			have.Headers = append(have.Headers, h)
		}
	}
	return marshal(b, &m)
}
