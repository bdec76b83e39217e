package replica

import (
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// Held is one device of the copy. Posture is the last version that could be read, nil if there was none; Corrupt is why
// the stored one cannot be. Gone: the store no longer shows the device, and what is here is the last that it showed; lookups
// by its names find nothing.
type Held struct {
	Device  signals.DeviceID
	Posture *signals.Packed
	Corrupt error
	Gone    bool
}

// All returns every device as they were at one instant, in no order, those that cannot be read or are gone too. It takes the
// memory of six words for each; postures are unpacked by the caller, one by one. Changes wait for it, and lookups do not. Like
// Each and Contested it must not be called by OnChange, OnRemove or Events.
func (r *Replica) All() []Held {
	r.applying.Lock()
	defer r.applying.Unlock()
	all := make([]Held, 0, len(r.devices))
	for id, d := range r.devices {
		all = append(all, Held{Device: id, Posture: d.posture, Corrupt: d.corrupt, Gone: d.gone})
	}
	return all
}

// Device returns what is held of a device.
func (r *Replica) Device(id signals.DeviceID) (Held, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	d := r.devices[id]
	if d == nil {
		return Held{}, false
	}
	return Held{Device: id, Posture: d.posture, Corrupt: d.corrupt, Gone: d.gone}, true
}

// Holders are the devices whose postures carry a name, sorted, also one that is gone: more than one, and it is contested.
func (r *Replica) Holders(alias signals.Alias) []signals.DeviceID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, found := r.aliases[alias]
	if !found {
		return nil
	}
	return h.ids()
}

// Contested returns the names that several devices carry, with those.
func (r *Replica) Contested() map[signals.Alias][]signals.DeviceID {
	r.applying.Lock()
	defer r.applying.Unlock()
	contested := map[signals.Alias][]signals.DeviceID{}
	for alias, h := range r.aliases {
		if len(h.others) > 0 {
			contested[alias] = h.ids()
		}
	}
	return contested
}

func (h holders) ids() []signals.DeviceID {
	ids := make([]signals.DeviceID, 0, 1+len(h.others))
	for _, d := range append([]*device{h.first}, h.others...) {
		ids = append(ids, d.posture.Device)
	}
	slices.Sort(ids)
	return ids
}
