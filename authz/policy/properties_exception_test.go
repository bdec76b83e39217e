package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

func TestAnExceptionTouchesNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, of(anExceptionTouchesNothingElse, perPolicy/4))
}

// anExceptionTouchesNothingElse asks with and without one exception at each of its boundaries. Where it is not in force
// for this subject, device and route, no byte differs; where it is, only its own signals move, from unmet to waived.
func anExceptionTouchesNothingElse(t *rapid.T, requests int) {
	d, w := dice{t}, drawWorld(t)
	for range requests {
		in := d.input(w.reference)
		e := d.exception(w.reference, "granted-9", []string{"written-0"})
		if !w.couldHold(e, nil) {
			continue
		}
		for _, at := range []time.Time{e.From.Add(-1), e.From, e.From.Add(1), e.Until.Add(-1), e.Until, e.Until.Add(1)} {
			in.At, in.Granted = at, nil
			without := w.policy.Evaluate(&in)
			in.Granted = []policy.Exception{e}
			with := w.policy.Evaluate(&in)
			inside := !at.Before(e.From) && at.Before(e.Until)
			if !inside || !isFor(e, in, without.Route) {
				if text(with) != text(without) {
					t.Fatalf("at %s an exception that does not fit turned %s\ninto %s\nexception %s\ninput %s", at,
						text(without), text(with), text(e), text(in))
				}
				continue
			}
			touched(t, e, &without, &with)
		}
	}
}

// isFor tells whether an exception is for this subject, device and route.
func isFor(e policy.Exception, in policy.Input, route string) bool {
	user := in.Subject.User
	return slices.Contains(e.Routes, route) && user != nil &&
		slices.ContainsFunc(e.Subjects, func(s policy.ExceptionSubject) bool {
			return s.Issuer == user.Issuer && (s.User == user.Name || s.Group != "" && slices.Contains(user.Groups, s.Group))
		}) &&
		slices.ContainsFunc(devices(e), func(name signals.Alias) bool {
			posture := in.Device.Posture
			return name == in.Subject.Device || posture != nil && slices.Contains(posture.Aliases, name)
		})
}

// touched: what was met, noted and unmet stays, but for the exception's own signals.
func touched(t *rapid.T, e policy.Exception, without, with *policy.Verdict) {
	rest := func(list []policy.Unmet) []policy.Unmet {
		return slices.DeleteFunc(append([]policy.Unmet{}, list...), func(u policy.Unmet) bool {
			return slices.Contains(e.Signals, u.Signal) && (u.List == policy.ListRequire || u.List == policy.ListStepUp)
		})
	}
	others := func(v *policy.Verdict) []policy.Waived {
		return slices.DeleteFunc(append([]policy.Waived{}, v.Waived...), func(w policy.Waived) bool {
			return slices.Contains(e.Signals, w.Signal)
		})
	}
	if text(rest(with.Unmet)) != text(rest(without.Unmet)) || text(rest(with.Noted)) != text(rest(without.Noted)) ||
		text(others(with)) != text(others(without)) || with.Outcome < without.Outcome ||
		denyUnless(with) != denyUnless(without) {
		t.Fatalf("an exception for %v turned %s\ninto %s", e.Signals, text(without), text(with))
	}
}
