package identity

import "sync"

// Memory remembers what has verified, up to a limit. Only what verified is put into it, so that strangers cannot push
// others out. It holds two generations: when the young one is full it becomes the old one, and what was the old one is
// forgotten; what is asked for moves to the young one. It is safe for concurrent use.
type Memory[K comparable, V any] struct {
	keep       func(K) K
	mu         sync.RWMutex
	young, old map[K]V
	half       int
}

// NewMemory makes a memory of at most limit entries, which is at least 2. keep returns a key that may be kept: a caller's
// string may be a part of a message that ends with the call.
func NewMemory[K comparable, V any](limit int, keep func(K) K) *Memory[K, V] {
	return &Memory[K, V]{keep: keep, young: map[K]V{}, half: max(limit/2, 1)}
}

// Get returns what is remembered of a key.
func (m *Memory[K, V]) Get(key K) (V, bool) {
	m.mu.RLock()
	found, ok := m.young[key]
	aged := false
	if !ok {
		found, aged = m.old[key]
	}
	m.mu.RUnlock()
	if aged {
		m.Put(key, found)
	}
	return found, ok || aged
}

// Put remembers.
func (m *Memory[K, V]) Put(key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.half {
		m.old, m.young = m.young, make(map[K]V, m.half)
	}
	m.young[m.keep(key)] = v
}

// size counts entries; one that stands in both generations counts twice.
func (m *Memory[K, V]) size() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.young) + len(m.old)
}
