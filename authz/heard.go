package authz

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// heard is when each source last reported any device: what tells a device that fell silent from a source that did. It goes
// by the instant from which a fact ages, so that a source which only delivers what it had seen before an outage has not yet
// been heard again. The zero value is ready.
type heard struct {
	last atomic.Pointer[map[string]time.Time] // never changed once it is here, so that a decision may keep it
	mu   sync.Mutex
}

// sources is the state at this moment.
func (h *heard) sources() map[string]time.Time {
	if last := h.last.Load(); last != nil {
		return *last
	}
	return nil
}

// note takes in the facts of a posture.
func (h *heard) note(posture *signals.Posture) {
	if !h.newer(posture) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	last := maps.Clone(h.sources())
	if last == nil {
		last = map[string]time.Time{}
	}
	for i := range posture.Facts {
		if f := &posture.Facts[i]; f.AgesFrom().After(last[f.Source]) {
			last[f.Source] = f.AgesFrom()
		}
	}
	h.last.Store(&last)
}

func (h *heard) newer(posture *signals.Posture) bool {
	last := h.sources()
	for i := range posture.Facts {
		if f := &posture.Facts[i]; f.AgesFrom().After(last[f.Source]) {
			return true
		}
	}
	return false
}
