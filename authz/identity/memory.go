package identity

import (
	"crypto/sha256"
	"sync"
)

// maxRemembered bounds the certificates whose signatures are remembered, about 200 bytes each.
const maxRemembered = 4096

// memory remembers verified certificates by the SHA-256 of what Envoy sent. Only what verified is kept, so that
// strangers cannot push others out. It holds two generations: when the young one is full it becomes the old one, which
// is forgotten; what is asked for moves to the young one.
type memory struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]verified
	half       int
}

func newMemory(limit int) *memory {
	return &memory{young: map[[sha256.Size]byte]verified{}, half: limit / 2}
}

func (m *memory) get(key [sha256.Size]byte) (verified, bool) {
	m.mu.RLock()
	found, ok := m.young[key]
	aged := false
	if !ok {
		found, aged = m.old[key]
	}
	m.mu.RUnlock()
	if aged {
		m.put(key, found)
	}
	return found, ok || aged
}

func (m *memory) put(key [sha256.Size]byte, v verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.half {
		m.old, m.young = m.young, make(map[[sha256.Size]byte]verified, m.half)
	}
	m.young[key] = v
}

func (m *memory) size() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.young) + len(m.old)
}
