package authz

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// TestNoDecisionMixesTwoGenerations: while policies are swapped, each verdict is wholly of one of them.
func TestNoDecisionMixesTwoGenerations(t *testing.T) {
	t.Parallel()
	policies := []*policy.Policy{compiled(t, "one", "/**"), compiled(t, "two", "/x")}
	routeOf := map[string]string{policies[0].Digest(): "one", policies[1].Digest(): "two"}
	var decided sync.Map
	s := New(Options{Tokens: onePerson{}, Events: Events{Decided: func(d *Decision) {
		v := &d.Verdict
		if v.Outcome != policy.Allow || routeOf[v.Policy] != v.Route {
			t.Errorf("route %q by %s: %s %s", v.Route, v.Policy, v.Reason, v.Detail)
		}
		decided.Store(v.Route, true)
	}}})
	s.SetPolicy(policies[1]) // so that both tables are held from the start
	s.SetPolicy(policies[0])
	var asking sync.WaitGroup
	var enough atomic.Bool
	for range 4 {
		asking.Go(func() {
			for i := 0; !enough.Load(); i++ {
				// Envoy may still hold the other table.
				older := policies[i%2]
				call := &Call{Method: "GET", Host: "app.example", Path: "/x", Authorization: []string{"Bearer good"},
					Route: routeOf[older.Digest()], Table: older.Table().Digest()}
				s.decide(&Decision{}, call, "id", time.Now())
			}
		})
	}
	both := func() bool {
		_, one := decided.Load("one")
		_, two := decided.Load("two")
		return one && two
	}
	for i, end := 0, time.Now().Add(20*time.Second); i < 400 || !both() && time.Now().Before(end); i++ {
		s.SetPolicy(policies[i%2])
		s.PostureChanged(&signals.Posture{Device: "d", Revision: signals.Revision(i + 1)})
	}
	enough.Store(true)
	asking.Wait()
	if !both() {
		t.Error("one of the policies never decided anything")
	}
}

// TestHeardIsTheNewestWordOfEachSource on any device, whatever the order in which postures come.
func TestHeardIsTheNewestWordOfEachSource(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(source string, minutes int) signals.Fact {
		received := noon.Add(time.Duration(minutes) * time.Minute)
		return signals.Fact{Attribute: "firewall", Source: source, Value: signals.Bool(true), Observed: received, Received: received.Add(time.Hour)}
	}
	s := New(Options{})
	for _, p := range []*signals.Posture{
		{Device: "a", Facts: []signals.Fact{at("mdm", 5), at("edr", 1)}},
		{Device: "b", Facts: []signals.Fact{at("mdm", 3)}},
		{Device: "a", Facts: []signals.Fact{at("edr", 2)}},
	} {
		before := s.heard.sources()
		held := before["edr"]
		s.PostureChanged(p)
		if !before["edr"].Equal(held) {
			t.Error("what a decision held was changed under it")
		}
	}
	got := s.heard.sources()
	if len(got) != 2 || !got["mdm"].Equal(noon.Add(5*time.Minute)) || !got["edr"].Equal(noon.Add(2*time.Minute)) {
		t.Errorf("%v", got)
	}
}
