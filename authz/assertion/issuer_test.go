package assertion_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// TestWhoeverDiffersHasAnother: each thing that an assertion says tells it from others, and nothing else does.
func TestWhoeverDiffersHasAnother(t *testing.T) {
	t.Parallel()
	_, issuer := made(t, assertion.KeyOptions{})
	at := time.Now()
	first := issuer.Assertion(ana(at))
	if again := issuer.Assertion(ana(at.Add(time.Second))); again != first {
		t.Error("the same caller has another assertion a second later")
	}
	seen := map[string]string{first: "ana"}
	for name, change := range map[string]func(*assertion.Grounds){
		"issuer":   func(g *assertion.Grounds) { g.Subject.User.Issuer = "partner" },
		"name":     func(g *assertion.Grounds) { g.Subject.User.Name = "ben@acme.example" },
		"sub":      func(g *assertion.Grounds) { g.Subject.User.Subject = "u-2" },
		"acr":      func(g *assertion.Grounds) { g.Subject.User.ACR = "pwd" },
		"workload": func(g *assertion.Grounds) { g.Subject.Workload = "spiffe://acme.example/x" },
		"no user":  func(g *assertion.Grounds) { g.Subject = &identity.Subject{Workload: "spiffe://acme.example/x"} },
		"nobody":   func(g *assertion.Grounds) { g.Subject = &identity.Subject{} },
		"a device": func(g *assertion.Grounds) {
			g.Subject = &identity.Subject{Device: signals.Alias{Kind: signals.AliasSerial, Value: "C02"}}
		},
		"device":   func(g *assertion.Grounds) { g.Device = "dev-2" },
		"tier":     func(g *assertion.Grounds) { g.Tier = "internal" },
		"route":    func(g *assertion.Grounds) { g.Route = "portal" },
		"upstream": func(g *assertion.Grounds) { g.Upstream = "portal" },
	} {
		g := ana(at)
		change(g)
		raw := issuer.Assertion(g)
		if other, taken := seen[raw]; taken {
			t.Errorf("%s: the assertion is that of %s", name, other)
		}
		seen[raw] = name
		c := claimsOf(t, raw)
		if c.Subject != g.Subject.String() || c.Audience != g.Upstream || c.Tiergate.Device != g.Device || c.Tiergate.Tier != g.Tier ||
			c.Tiergate.Route != g.Route || c.Tiergate.Workload != string(g.Subject.Workload) || (c.Tiergate.User == nil) != (g.Subject.User == nil) {
			t.Errorf("%s: it says %+v", name, c)
		}
		if u := g.Subject.User; u != nil && (c.Tiergate.User.Issuer != u.Issuer || c.Tiergate.User.Name != u.Name ||
			c.Tiergate.User.Subject != u.Subject || c.Tiergate.ACR != u.ACR) {
			t.Errorf("%s: it says %+v", name, c.Tiergate.User)
		}
	}
}

// TestNoAssertionOutlivesItsGrounds, nor is one sent for longer than they last although it was made on better ones.
func TestNoAssertionOutlivesItsGrounds(t *testing.T) {
	t.Parallel()
	_, issuer := made(t, assertion.KeyOptions{})
	at := time.Unix(1_790_000_000, 0)
	if c := claimsOf(t, issuer.Assertion(ana(at))); c.Expires != at.Unix()+60 || c.IssuedAt != at.Unix() || c.NotBefore != c.IssuedAt {
		t.Errorf("%+v", c)
	}
	for _, left := range []time.Duration{50 * time.Second, 40*time.Second + 300*time.Millisecond, time.Second} {
		g := ana(at)
		g.Until = at.Add(left)
		if c := claimsOf(t, issuer.Assertion(g)); c.Expires > g.Until.Unix() || c.Expires <= c.IssuedAt {
			t.Errorf("%s left: %+v", left, c)
		}
	}
}

// TestRequestsDoNotWaitForRenewal: what is in use is signed anew in the background, once in half a life, and never sent in
// its last quarter; without Run a request signs.
func TestRequestsDoNotWaitForRenewal(t *testing.T) {
	t.Parallel()
	for _, background := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			keys, _ := made(t, assertion.KeyOptions{})
			signed := map[bool]int{}
			var mu sync.Mutex
			issuer := assertion.New(assertion.Options{Issuer: gateway, Lifetime: time.Minute, Keys: keys,
				Signed: func(waited bool) { mu.Lock(); defer mu.Unlock(); signed[waited]++ }})
			var running sync.WaitGroup
			if background {
				running.Go(func() { _ = issuer.Run(ctx) })
			}
			for range 600 {
				if left := claimsOf(t, issuer.Assertion(ana(time.Now()))).Expires - time.Now().Unix(); left < 15 {
					t.Fatalf("%d seconds left", left)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			cancel()
			running.Wait()
			if background && (signed[true] != 1 || signed[false] < 18 || signed[false] > 21) || !background && (signed[false] != 0 || signed[true] > 15) {
				t.Errorf("background %t: %v", background, signed)
			}
		})
	}
}

// TestManyCallersAreBounded, and what is in use stays while others come and go.
func TestManyCallersAreBounded(t *testing.T) {
	t.Parallel()
	keys, _ := made(t, assertion.KeyOptions{})
	signed := 0
	issuer := assertion.New(assertion.Options{Issuer: gateway, Lifetime: time.Minute, Keys: keys, Signed: func(bool) { signed++ }})
	at := time.Now()
	mine := issuer.Assertion(ana(at))
	for i := range assertion.MaxKept + 10 {
		g := ana(at)
		g.Device = fmt.Sprint("dev-x", i)
		issuer.Assertion(g)
		if i%1000 == 0 && issuer.Assertion(ana(at)) != mine {
			t.Fatal("what is in use was forgotten")
		}
	}
	before := signed
	g := ana(at)
	g.Device = "dev-x0"
	if issuer.Assertion(g); signed != before+1 {
		t.Error("nothing is ever forgotten")
	}
}

// TestWhatCannotBeSaidIsNotSigned: no assertion is better than one of somebody else.
func TestWhatCannotBeSaidIsNotSigned(t *testing.T) {
	t.Parallel()
	keys, _ := made(t, assertion.KeyOptions{})
	failed := 0
	issuer := assertion.New(assertion.Options{Issuer: gateway, Lifetime: time.Minute, Keys: keys, Failed: func(error) { failed++ }})
	for _, change := range []func(*assertion.Grounds){
		func(g *assertion.Grounds) { g.Subject.User.Name = "ana\xff" },
		func(g *assertion.Grounds) { g.Upstream = "" },
		func(g *assertion.Grounds) { g.Device = strings.Repeat("x", 8<<10) },
	} {
		g := ana(time.Now())
		change(g)
		if raw := issuer.Assertion(g); raw != "" {
			t.Errorf("%.100s", raw)
		}
	}
	if failed != 3 {
		t.Errorf("%d failures were told", failed)
	}
}

// TestTextsAreCopied: those of a decision are parts of a message that is gone when its answer is written. What is kept costs
// nothing.
func TestTextsAreCopied(t *testing.T) {
	_, issuer := made(t, assertion.KeyOptions{})
	message := []byte("spiffe://acme.example/x")
	text := unsafe.String(&message[0], len(message))
	of := func(workload string) *assertion.Grounds {
		g := ana(time.Now())
		g.Subject, g.Device = &identity.Subject{Workload: identity.SPIFFEID(workload)}, workload
		return g
	}
	first := issuer.Assertion(of(text))
	copy(message, "spiffe://acme.example/y")
	if again := issuer.Assertion(of("spiffe://acme.example/x")); again != first {
		t.Error("what is kept changed with the message")
	}
	if other := claimsOf(t, issuer.Assertion(of(text))); other.Subject != "spiffe://acme.example/y" {
		t.Errorf("it says %s", other.Subject)
	}
	g := ana(time.Now())
	issuer.Assertion(g)
	if n := testing.AllocsPerRun(100, func() { issuer.Assertion(g) }); n != 0 {
		t.Errorf("an assertion that is kept costs %v allocations", n)
	}
}

// BenchmarkKept is what an assertion costs a decision at steady state.
func BenchmarkKept(b *testing.B) {
	_, issuer := made(b, assertion.KeyOptions{})
	g := ana(time.Now())
	for b.Loop() {
		issuer.Assertion(g)
	}
}

// BenchmarkSigned is what it costs once in half a minute.
func BenchmarkSigned(b *testing.B) {
	_, issuer := made(b, assertion.KeyOptions{})
	g := ana(time.Now())
	for b.Loop() {
		g.At = g.At.Add(time.Minute)
		issuer.Assertion(g)
	}
}
