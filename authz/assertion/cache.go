package assertion

import "sync"

// cache keeps at most twice most assertions: those that were used since the last time that most were there, and those
// before. What is in use stays, what is not goes.
type cache struct {
	most int

	mu           sync.RWMutex
	young, older map[about]*kept
}

func (c *cache) get(a *about) *kept {
	c.mu.RLock()
	k, old := c.young[*a], (*kept)(nil)
	if k == nil {
		old = c.older[*a]
	}
	c.mu.RUnlock()
	if old != nil {
		return c.again(a.clone(), old)
	}
	return k
}

// again takes over what is in use and returns what counts: meanwhile another one may be there.
func (c *cache) again(a about, k *kept) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	if newer := c.young[a]; newer != nil {
		return newer
	}
	c.add(a, k)
	return k
}

// put takes a key whose texts are copies.
func (c *cache) put(a about, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(a, k)
}

func (c *cache) add(a about, k *kept) {
	if len(c.young) >= c.most || c.young == nil {
		c.older, c.young = c.young, map[about]*kept{}
	}
	c.young[a] = k
}
