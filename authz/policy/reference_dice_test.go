package policy_test

import (
	"time"

	"pgregory.net/rapid"
)

// base is the instant around which all worlds turn, and step the grid on which their instants and spans lie, so that
// boundaries meet: what is asked at a grid point, 1 ns before it and 1 ns after it is asked at many edges.
var base = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const step = 30 * time.Minute

// dice draws small choices; what comes first is the plainest, to which a failing case shrinks.
type dice struct{ t *rapid.T }

func (d dice) below(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

// oneIn is true once in n draws.
func (d dice) oneIn(n int, what string) bool { return d.below(n, what) == n-1 }

func pick[T any](d dice, what string, from ...T) T { return rapid.SampledFrom(from).Draw(d.t, what) }

// some draws a sublist in its order.
func some[T any](d dice, what string, from ...T) []T {
	var drawn []T
	for _, x := range from {
		if d.oneIn(2, what) {
			drawn = append(drawn, x)
		}
	}
	return drawn
}

// atLeastOne is some, and never nothing.
func atLeastOne[T any](d dice, what string, from ...T) []T {
	if drawn := some(d, what, from...); drawn != nil {
		return drawn
	}
	return []T{pick(d, what, from...)}
}

// edge is a grid point from..to steps from base, 1 ns before it or 1 ns after it.
func (d dice) edge(from, to int, what string) time.Time {
	at := base.Add(time.Duration(from+d.below(to-from+1, what)) * step)
	return at.Add(pick(d, what+" ns", time.Duration(0), -1, 1))
}
