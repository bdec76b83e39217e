package policy_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// TestAnExplanationIsOfTheVerdict draws policies and requests: what is explained is the verdict that Evaluate reaches,
// and each ground agrees with it and with the slow reading of the documents.
func TestAnExplanationIsOfTheVerdict(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(explanationsAgree, perPolicy))
}

func explanationsAgree(t *rapid.T, requests int) {
	w := drawWorld(t)
	for range requests {
		in := dice{t}.input(w.reference)
		e := w.explained(t, in)
		w.agreeOnSignals(t, &e, in)
		agreeOnExcuses(t, &e)
		agreeOnAudiences(t, &e)
		w.statusesLast(t, &e, in)
	}
}

// explained is the explanation, the same in every form of the posture and not without a word that Evaluate has.
func (w compiled) explained(t *rapid.T, in policy.Input) policy.Explanation {
	e := w.policy.Explain(&in)
	if want := w.policy.Evaluate(&in); !reflect.DeepEqual(e.Verdict, want) {
		t.Fatalf("explained: %s\nevaluated: %s\ninput: %s", text(e.Verdict), text(want), text(in))
	}
	if e.Verdict.Route != "" && (e.Route == nil || e.Route.Found != e.Verdict.Route || e.Tier.Name != e.Verdict.Tier) {
		t.Fatalf("route %s, tier %s, explained as %s, %s", e.Verdict.Route, e.Verdict.Tier, text(e.Route), text(e.Tier))
	}
	if _, err := json.Marshal(e); err != nil {
		t.Fatal(err)
	}
	if page := e.Text(); strings.Contains(page, "%!") || !strings.HasPrefix(page, "ANSWER\n") {
		t.Fatalf("it reads\n%s", page)
	} else if strings.Contains(page, "0001-01-01") && !strings.Contains(e.Verdict.Detail, "0001-01-01") {
		t.Fatalf("it names no time as one\n%s", page)
	}
	if in.Device.Posture != nil {
		packed := in
		packed.Device.Posture, packed.Device.Packed = nil, signals.Pack(in.Device.Posture)
		if again := w.policy.Explain(&packed); text(again) != text(e) {
			t.Fatalf("packed: %s\nnot:    %s", text(again), text(e))
		}
	}
	return e
}

// agreeOnSignals compares each status with the reference's, and each demand's effect with the verdict's lists.
func (w compiled) agreeOnSignals(t *rapid.T, e *policy.Explanation, in policy.Input) {
	if len(e.Signals) > 0 {
		a := &asked{reference: w.reference, in: in, facts: w.permitted(in.Device.Posture), tier: *w.tierNamed(e.Tier.Name)}
		for i := range e.Signals {
			s := &e.Signals[i]
			if want := a.statusIn(s); s.Status != want {
				t.Fatalf("%s is explained as %s, by the documents it is %s: %s", s.Signal, s.Status, want, text(s))
			}
		}
	}
	for _, list := range []struct {
		effect policy.Effect
		unmet  []policy.Unmet
	}{{policy.EffectUnmet, e.Verdict.Unmet}, {policy.EffectNoted, e.Verdict.Noted}, {policy.EffectWaived, unmetOf(e.Verdict.Waived)}} {
		for _, u := range list.unmet {
			if !slices.ContainsFunc(e.Signals, func(s policy.ExplainedSignal) bool {
				return s.Signal == u.Signal && s.List == u.List && s.Status == u.Status && s.Effect == list.effect
			}) {
				t.Fatalf("%s is %s and nothing explains it: %s\n%s", u.Signal, list.effect, text(e.Signals), text(e.Verdict))
			}
		}
	}
}

func unmetOf(waived []policy.Waived) []policy.Unmet {
	var all []policy.Unmet
	for _, w := range waived {
		all = append(all, w.Unmet)
	}
	return all
}

// statusIn is the status by the documents of the demand that is explained.
func (a *asked) statusIn(s *policy.ExplainedSignal) policy.Status {
	require, denyUnless, stepUp, advise := a.tier.Require, a.tier.DenyUnless, a.tier.StepUp, a.tier.Advise
	if s.Audience != "" {
		at := slices.IndexFunc(a.tier.Stricter, func(x policy.Stricter) bool { return x.Audience == s.Audience })
		x := &a.tier.Stricter[at]
		require, denyUnless, stepUp, advise = x.Require, x.DenyUnless, x.StepUp, nil
	}
	demands := map[policy.List][]policy.Demand{policy.ListRequire: require, policy.ListAdvise: advise}
	if stepUp != nil {
		demands[policy.ListStepUp] = stepUp.Signals
	}
	for _, d := range denyUnless {
		if s.List == policy.ListDenyUnless && d.Signal == s.Signal {
			return a.alarm(d)
		}
	}
	for _, d := range demands[s.List] {
		if d.Signal == s.Signal {
			return a.status(d.Signal, d.MaxAge)
		}
	}
	return policy.Status(99) // the tier does not demand it
}

// agreeOnExcuses: what excuses is explained as doing so, with the same end.
func agreeOnExcuses(t *rapid.T, e *policy.Explanation) {
	for _, w := range e.Verdict.Waived {
		switch w.By {
		case policy.WaivedByException:
			if !slices.ContainsFunc(e.Excuses, func(x policy.ExplainedException) bool {
				return x.Name == w.Name && x.State == "in force" && x.Until.Equal(w.Until) && slices.Contains(x.Excuses, w.Signal)
			}) {
				t.Fatalf("exception %s excuses %s: %s", w.Name, w.Signal, text(e.Excuses))
			}
		case policy.WaivedByGrace:
			left := func(g *policy.ExplainedGrace) int { // what is to be ended by somebody is not renewed any more
				if g.Ended.IsZero() {
					return g.Renewals - g.Counted
				}
				return 0
			}
			if g := e.Grace; g == nil || !g.Running || g.Over || !g.Ends.Equal(w.Until) || g.Left != left(g) {
				t.Fatalf("grace until %s: %s", w.Until, text(g))
			}
		case policy.WaivedByLastKnown:
			if e.Tier.LastKnown == 0 || e.Grace != nil && e.Grace.Running {
				t.Fatalf("last known until %s: %s", w.Until, text(e.Grace))
			}
		}
	}
	for _, x := range e.Excuses {
		if len(x.Misses) > 0 && len(x.Excuses) > 0 || x.State != "in force" && len(x.Misses) == 0 {
			t.Fatalf("it cannot be both: %s", text(x))
		}
	}
}

// agreeOnAudiences: whoever came past the audiences is in one, and nobody who is in a wrong one came past.
func agreeOnAudiences(t *rapid.T, e *policy.Explanation) {
	if e.Tier == nil {
		return
	}
	admits, isolates := false, false
	for _, a := range e.Audiences {
		admits = admits || a.Listed && (a.Membership == "member" || a.Membership == "unknown" && a.Isolated)
		isolates = isolates || a.Isolated && !a.Listed && a.Membership != "outside"
		best := "outside"
		for _, x := range a.Entries {
			if x.Membership == "member" || x.Membership == "unknown" && best == "outside" {
				best = x.Membership
			}
		}
		if best != a.Membership {
			t.Fatalf("the entries come to %s: %s", best, text(a))
		}
	}
	switch e.Verdict.Reason {
	case policy.ReasonIsolated:
		admits = admits || isolates
		isolates = !isolates
	case policy.ReasonAudience:
		admits = !admits
	case policy.ReasonIdentityMissing, policy.ReasonIdentityExpired, policy.ReasonSessionRevoked, policy.ReasonUserRisk,
		policy.ReasonIdentityRevoked:
		return
	}
	if !admits || isolates {
		t.Fatalf("%s with %s", e.Verdict.Reason, text(e.Audiences))
	}
}

// statusesLast: a status is the same up to its end, and another 1 ns later.
func (w compiled) statusesLast(t *rapid.T, e *policy.Explanation, in policy.Input) {
	for i := range e.Signals {
		s := &e.Signals[i]
		for _, later := range []struct {
			at   time.Time
			same bool
		}{{s.Until, true}, {s.Until.Add(1), false}} {
			in.At = later.at
			if again := w.policy.Explain(&in); !s.Until.IsZero() && (again.Signals[i].Status == s.Status) != later.same {
				t.Fatalf("%s is %s until %s, and at %s %s", s.Signal, s.Status, s.Until, later.at, again.Signals[i].Status)
			}
		}
	}
}
