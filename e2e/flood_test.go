package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// BenchmarkFloodOfBadTokens is what a stranger costs the others who, on one connection and without a pause, sends tokens
// with the right header and claims and ever other signatures, all of which must be verified. Four callers ask 400 times a
// second through the same Envoy; reported are their 99th percentiles, alone, beside that stranger, and beside somebody who
// asks as often with one good token, of the same run. bad/alone is not to be more than 2.
//
//	go test ./e2e -run '^$' -bench FloodOfBadTokens -benchtime 5x
func BenchmarkFloodOfBadTokens(b *testing.B) {
	s, err := stage.New(stage.Options{Store: stage.StoreEmbedded})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() }) // what is reported is reported before
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		b.Fatal(err)
	}
	if err := makeHealthy(ctx, s, "ana-laptop"); err != nil {
		b.Fatal(err)
	}
	good := s.Cast.Tokens["ana"]
	strangers := map[string]func() string{"alone": nil, "good": func() string { return good }, "bad": func() string { return badlySigned(good) }}
	p99, flood := map[string][]time.Duration{}, map[string]int{}
	for b.Loop() {
		for _, name := range []string{"alone", "good", "bad"} {
			took, sent := others(b, s, good, strangers[name])
			p99[name] = append(p99[name], took[len(took)*99/100])
			flood[name] += sent
		}
	}
	b.ReportMetric(0, "ns/op") // a round's length is set and says nothing
	middle := func(name string) float64 {
		slices.Sort(p99[name])
		return float64(p99[name][len(p99[name])/2])
	}
	for _, name := range []string{"alone", "good", "bad"} {
		b.ReportMetric(middle(name)/1e3, name+"-p99-µs")
	}
	for _, name := range []string{"good", "bad"} {
		b.ReportMetric(middle(name)/middle("alone"), name+"/alone")
		b.ReportMetric(float64(flood[name])/float64(len(p99[name]))/floodFor.Seconds(), name+"/s")
	}
}

// floodFor is how long each part of a round takes.
const floodFor = 2 * time.Second

// others measures four callers, beside a stranger who sends what next returns; nil: beside nobody. The answers come in the
// order of how long they took, counted from the instant at which each was due.
func others(b *testing.B, s *stage.Stage, good string, next func() string) (took []time.Duration, sentBy int) {
	b.Helper()
	const callers, every = 4, 10 * time.Millisecond
	ask := func(pipe *wire, token string) got {
		return pipe.ask(sent{method: "GET", target: "/", host: stage.PortalHost, fields: []field{{"authorization", "Bearer " + token}}})
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	began := time.Now().Add(50 * time.Millisecond)
	for caller := range callers {
		pipe := newWire(b, s, s.Ports.Ingress, s.Cast.Pairs["ana-laptop"].TLS(), true)
		if a := ask(pipe, good); a.Status != http.StatusOK {
			b.Fatalf("%d %v", a.Status, a.Err)
		}
		group.Go(func() {
			defer pipe.close()
			for due := began.Add(time.Duration(caller) * every / callers); due.Before(began.Add(floodFor)); due = due.Add(every) {
				time.Sleep(time.Until(due))
				a := ask(pipe, good)
				mu.Lock()
				took = append(took, time.Since(due))
				mu.Unlock()
				if a.Status != http.StatusOK {
					b.Errorf("%d %v", a.Status, a.Err)
				}
			}
		})
	}
	if next != nil {
		want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[next() == good]
		pipe := newWire(b, s, s.Ports.Ingress, s.Cast.Pairs["ana-laptop"].TLS(), true)
		group.Go(func() {
			defer pipe.close()
			for ; time.Now().Before(began.Add(floodFor)); sentBy++ {
				if a := ask(pipe, next()); a.Status != want {
					b.Errorf("the stranger: %d %v", a.Status, a.Err)
				}
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		b.Fatal("nobody asked")
	}
	return took, sentBy
}

// badlySigned is a token with another signature each time, of the right length and below the order of the curve, so that it
// takes as much work as a right one.
func badlySigned(token string) string {
	signature := make([]byte, 64)
	_, _ = rand.Read(signature) // crypto/rand.Read never fails
	signature[0], signature[32] = signature[0]&0x7f, signature[32]&0x7f
	return fmt.Sprint(token[:strings.LastIndexByte(token, '.')+1], encode(signature))
}
