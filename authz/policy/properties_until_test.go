package policy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestAnAnswerHoldsUntil compares Until with what is answered to the same question at later instants.
func TestAnAnswerHoldsUntil(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(answersHoldUntil, 3*perPolicy))
}

// answersHoldUntil: what is allowed is allowed at every instant before Until, and right after it something is otherwise:
// it is refused, or rests on something else.
func answersHoldUntil(t *rapid.T, requests int) {
	w := drawWorld(t)
	for range requests {
		in := dice{t}.input(w.reference)
		if in.Device.Posture != nil {
			in.Device.Assessment = w.policy.Assess(in.Device.Posture)
		}
		v := w.policy.Evaluate(&in)
		if v.Outcome != policy.Allow {
			if !v.Until.IsZero() {
				t.Fatalf("a refusal holds until %s: %s", v.Until, text(v))
			}
			continue
		}
		if !v.Until.IsZero() && v.Until.Before(in.At) {
			t.Fatalf("at %s it holds until %s", in.At, v.Until)
		}
		for at := range laterThan(in.At) {
			if then := w.at(in, at); then.Outcome != policy.Allow && (v.Until.IsZero() || at.Before(v.Until)) {
				t.Fatalf("at %s: %s\nwhat was said at %s: %s\ninput: %s\ntier: %s", at, text(then), in.At, text(v), text(in),
					text(w.tierNamed(v.Tier)))
			}
		}
		if then := w.at(in, v.Until.Add(1)); !v.Until.IsZero() && then.Outcome == policy.Allow && restsOn(then) == restsOn(v) {
			t.Fatalf("right after %s nothing has changed: %s\nwhat was said at %s: %s\ninput: %s\ntier: %s", v.Until, text(then),
				in.At, text(v), text(in), text(w.tierNamed(v.Tier)))
		}
	}
}

// at is the answer to the same question at another instant.
func (w compiled) at(in policy.Input, at time.Time) policy.Verdict {
	in.At = at
	return w.policy.Evaluate(&in)
}

// laterThan yields the instants at which something ends in the drawn worlds, and their neighbours.
func laterThan(at time.Time) func(yield func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		for steps := range 24 {
			for _, beside := range []time.Duration{0, time.Minute, time.Minute - step} {
				for ns := time.Duration(-2); ns <= 2; ns++ {
					if x := base.Add(time.Duration(steps-4)*step + beside + ns); x.After(at) && !yield(x) {
						return
					}
				}
			}
		}
		for _, far := range []time.Duration{100*step - 1, 1000 * step, 20_000 * step} {
			if !yield(base.Add(far)) {
				return
			}
		}
	}
}

// restsOn is what of an answer that stays an Allow changes when something that it rested on has ended: what excuses a
// demand, and what asks for the login. What is only noted, or waived in monitor mode, comes and goes.
func restsOn(v policy.Verdict) string {
	var all []any
	for _, u := range v.Noted {
		if u.List == policy.ListStepUp {
			all = append(all, u.Signal)
		}
	}
	for _, w := range v.Waived {
		all = append(all, w.Signal, w.List, w.By, w.Name, w.Until.String(), w.Detail) // of two demands of one signal one is told
	}
	return text(all)
}
