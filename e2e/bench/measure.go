package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiergate/tiergate/e2e/bench/load"
)

// shape is how the servers are asked.
type shape struct {
	name                  string
	connections, inFlight int
	rate                  int // 0: closed loop
	turns                 int // how often each server is asked in a round
}

// tailTurns: the p99 of one second is its fifty slowest requests of 5,000, and a machine that stands still for ten milliseconds
// is all of them.
const tailTurns = 4

var shapes = []shape{
	{"1×1, closed loop", 1, 1, 0, 1},
	{"2×16, closed loop", 2, 16, 0, 1},
	{"32×1, closed loop", 32, 1, 0, 1},
	{"1,000/s, open loop", 2, 1, 1000, tailTurns},
	{"5,000/s, open loop", 2, 1, 5000, tailTurns},
}

// sample is one server under one shape in one round.
type sample struct {
	load.Result
	// In bytes, after the measured time; anonymous is the part of resident that no file backs.
	resident, anonymous int64
}

// samples holds the rounds by shape and server: of one shape all servers have the same number of rounds.
type samples map[string]map[string][]sample

func (s samples) add(shape, key string, one sample) {
	if s[shape] == nil {
		s[shape] = map[string][]sample{}
	}
	s[shape][key] = append(s[shape][key], one)
}

const warmUp = 300 * time.Millisecond

// ask measures one server under one shape while all others are paused.
func (f *fleet) ask(ctx context.Context, s *server, how shape, measure time.Duration) (one sample, err error) {
	if err := resume(s.pid); err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, pause(s.pid)) }()
	// What was due while it stood still it does first: it would else fall into nearly every measurement, since a server runs
	// for a thirtieth of the time that passes.
	if err := settle(ctx, s.pid); err != nil {
		return one, err
	}
	one.Result, err = driveOn(ctx, f.wire, order{Load: load.Options{
		Socket: s.socket, Request: s.request, Connections: how.connections, InFlight: how.inFlight, Rate: how.rate,
		WarmUp: warmUp, Measure: measure, Pids: []int{s.pid},
	}})
	if err != nil {
		return one, fmt.Errorf("server (%s), %s: %w", s.key, how.name, err)
	}
	one.resident, one.anonymous, err = resident(s.pid)
	return one, err
}

// rounds asks every server under every shape, round after round. The order of the servers turns from turn to turn, so that none
// is always behind the same one.
func (f *fleet) rounds(ctx context.Context, n int, how []shape, measure time.Duration, into samples) error {
	for round := range n {
		for _, h := range how {
			for n := range h.turns * len(f.servers) {
				s := f.servers[(n+n/len(f.servers)+round)%len(f.servers)]
				one, err := f.ask(ctx, s, h, measure)
				if err != nil {
					return err
				}
				into.add(h.name, s.key, one)
			}
		}
	}
	return nil
}

// spread is the median of some figures, and the least and the most of them.
type spread struct{ median, least, most float64 }

func spreadOf(figures []float64) spread {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return spread{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, least: sorted[0], most: sorted[n-1]}
}

// of takes one figure of every round.
func of(all []sample, figure func(sample) float64) spread {
	figures := make([]float64, 0, len(all))
	for _, s := range all {
		figures = append(figures, figure(s))
	}
	return spreadOf(figures)
}

// ratio pairs the rounds: what the machine did meanwhile was done to both.
func ratio(these, those []sample, figure func(sample) float64) spread {
	figures := make([]float64, 0, len(these))
	for i := range min(len(these), len(those)) {
		figures = append(figures, figure(these[i])/figure(those[i]))
	}
	return spreadOf(figures)
}

// The figures of a sample.
func perSecond(s sample) float64 { return s.PerSecond() }
func cpuMicros(s sample) float64 { return s.CPUMicros(0) }
func p50(s sample) float64       { return s.P50.Seconds() * 1e3 }
func p99(s sample) float64       { return s.P99.Seconds() * 1e3 }
func p999(s sample) float64      { return s.P999.Seconds() * 1e3 }
func megabytes(s sample) float64 { return float64(s.resident) / 1e6 }

func anonymousMegabytes(s sample) float64 { return float64(s.anonymous) / 1e6 }
