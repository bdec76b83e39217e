package ingest

import (
	"math"
	"sync"
	"time"
)

// room bounds what a source may have in the inbox, and how fast it may send. It is per source, so that a flood of one is
// answered 429 while the others are taken.
//
// The sweep counts the inbox; between sweeps we know only what we put there and took away ourselves. Each of n receivers
// therefore adds at most an nth of what was free at its sweep: together they stay within the bound.
type room struct {
	max  int
	rate float64 // deliveries per second, 0: any

	mu      sync.Mutex
	sources map[string]*place
}

type place struct {
	counted int // at the last sweep
	since   int // put there by us since, less what we took away

	tokens float64
	filled time.Time
}

func newRoom(most int, rate float64) *room {
	return &room{max: most, rate: rate, sources: map[string]*place{}}
}

func (r *room) of(source string) *place {
	p := r.sources[source]
	if p == nil {
		p = &place{tokens: max(1, r.rate)}
		r.sources[source] = p
	}
	return p
}

// enter takes a place in the inbox, if there is one. It is given back with leave.
func (r *room) enter(source string, receivers int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of(source)
	if p.since >= max((r.max-p.counted)/receivers, 0) {
		return false
	}
	p.since++
	return true
}

// add counts what was put there without asking.
func (r *room) add(source string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(source).since++
}

func (r *room) leave(source string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(source).since--
}

// begin starts a count: it returns how far each source had come, for counted.
func (r *room) begin() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := map[string]int{}
	for name, p := range r.sources {
		before[name] = p.since
	}
	return before
}

// counted takes over the result of a sweep. What came or went while it ran is counted twice where it came, so the result
// is too high rather than too low until the next one.
func (r *room) counted(found, before map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range found {
		r.of(name)
	}
	for name, p := range r.sources {
		p.counted, p.since = found[name], max(p.since-before[name], 0)
		if p.counted == 0 && p.since == 0 && p.tokens >= r.rate {
			delete(r.sources, name) // names of sources come from the inbox too
		}
	}
}

// mayCome takes a delivery from the source's rate, or says how long to wait for one.
func (r *room) mayCome(source string, now time.Time) (wait time.Duration, ok bool) {
	if r.rate <= 0 {
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of(source)
	if passed := now.Sub(p.filled).Seconds(); passed > 0 {
		p.tokens = min(p.tokens+passed*r.rate, math.Max(1, r.rate)) // a second's worth may come at once
		p.filled = now
	}
	if p.tokens < 1 {
		return time.Duration((1 - p.tokens) / r.rate * float64(time.Second)), false
	}
	p.tokens--
	return 0, true
}
