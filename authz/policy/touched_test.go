package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

// TestTouchedIsWhatWasJudged draws policies and requests: what is said to be touched is what the verdict speaks of, and
// what excused a demand stands in the cell that excuses.
func TestTouchedIsWhatWasJudged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(touchedAgrees, perPolicy))
}

func touchedAgrees(t *rapid.T, requests int) {
	w := drawWorld(t)
	for range requests {
		in := dice{t}.input(w.reference)
		touched := w.policy.Touch(&in)
		if want := w.policy.Evaluate(&in); text(touched.Verdict) != text(want) {
			t.Fatalf("touched: %s\nevaluated: %s", text(touched.Verdict), text(want))
		}
		signalsAgree(t, &touched)
		excusesAgree(t, &touched, w.policy.Spec(), &in)
	}
}

func signalsAgree(t *rapid.T, touched *policy.Touched) {
	v := &touched.Verdict
	said := slices.Concat(v.Unmet, v.Noted)
	for _, waived := range v.Waived {
		said = append(said, waived.Unmet)
	}
	for _, u := range said {
		if !slices.Contains(touched.Signals, policy.SignalTouched{Signal: u.Signal, Status: u.Status}) {
			t.Fatalf("%s is %s, and that is not touched: %s", u.Signal, u.Status, text(touched))
		}
	}
	for _, s := range touched.Signals {
		if s.Status != policy.StatusPassing && !slices.ContainsFunc(said, func(u policy.Unmet) bool { return u.Signal == s.Signal }) {
			t.Fatalf("%s is touched as %s, and the verdict does not speak of it: %s", s.Signal, s.Status, text(touched))
		}
	}
	if (touched.Login == policy.LoginAsked) != (v.Challenge != nil) {
		t.Fatalf("login %q, challenge %v", touched.Login, v.Challenge)
	}
	if v.Reason == policy.ReasonIsolated && !slices.Contains(values(touched.Audiences), true) {
		t.Fatalf("isolated, and a member of nothing: %v", touched.Audiences)
	}
}

func values[K comparable, V any](m map[K]V) []V {
	var all []V
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func excusesAgree(t *rapid.T, touched *policy.Touched, spec policy.Spec, in *policy.Input) {
	for _, waived := range touched.Verdict.Waived {
		switch waived.By {
		case policy.WaivedByException:
			if written(spec, waived.Name) != nil && !slices.Contains(touched.Exceptions,
				policy.ExceptionTouched{Exception: waived.Name, Cell: policy.ExceptionExcuses}) {
				t.Fatalf("exception %s excuses and is not touched: %v", waived.Name, touched.Exceptions)
			}
		case policy.WaivedByGrace:
			if touched.Grace != policy.GraceInside && touched.Grace != policy.GraceRenewed {
				t.Fatalf("grace excuses and is touched as %q", touched.Grace)
			}
		case policy.WaivedByLastKnown:
			if !slices.Contains(touched.LastKnown, policy.GraceInside) {
				t.Fatalf("last-known excuses and is touched as %q", touched.LastKnown)
			}
		}
	}
	for _, x := range touched.Exceptions {
		e := written(spec, x.Exception)
		want := map[policy.ExceptionCell]policy.ExceptionState{policy.ExceptionTooEarly: policy.ExceptionPending,
			policy.ExceptionTooLate: policy.ExceptionEnded}
		state, dated := want[x.Cell]
		if !dated {
			state = policy.ExceptionInForce
		}
		if e.State(in.At) != state {
			t.Fatalf("%s is touched %q, and is %s", x.Exception, x.Cell, e.State(in.At))
		}
		if elsewhere := !slices.Contains(e.Routes, touched.Verdict.Route); elsewhere != (x.Cell == policy.ExceptionOtherRoute) {
			t.Fatalf("%s is touched %q on route %s of %v", x.Exception, x.Cell, touched.Verdict.Route, e.Routes)
		}
	}
}

func written(spec policy.Spec, exception string) *policy.Exception {
	i := slices.IndexFunc(spec.Exceptions, func(e policy.Exception) bool { return e.Meta.Name == exception })
	if i < 0 {
		return nil
	}
	return &spec.Exceptions[i]
}

// TestTouchOfNothing: without a policy, and where no route is found, there is only the verdict.
func TestTouchOfNothing(t *testing.T) {
	t.Parallel()
	var none *policy.Policy
	in := policy.Input{At: time.Unix(0, 0), Request: policy.Request{Method: "GET", Host: "h", Path: "/"}}
	if got := none.Touch(&in); got.Verdict.Reason != policy.ReasonNoPolicy || got.Audiences != nil {
		t.Error(text(got))
	}
}
