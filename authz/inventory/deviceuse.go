package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// KindDeviceUse is the kind of the records that tell which audiences used a device; the key is our id of the device. Sidecars
// write them, unsigned: findings are told to more people by them, and nothing is ever admitted.
const KindDeviceUse = "device-use"

// DeviceUse is which audiences the people belonged to whom decisions saw at a device. Who they were is not kept.
type DeviceUse struct {
	Device string `json:"device"` // our id
	// Audiences is by name when a member was seen last; at most MaxAudiences, the longest unseen go first.
	Audiences map[string]time.Time `json:"audiences"`
}

// MaxAudiences bounds a DeviceUse.
const MaxAudiences = 200

// Merge adds what was seen elsewhere of the same device: of each audience the later. What was seen last more than Recent
// before the newest is over, and goes. In whatever order, and however often, the same is merged the result is the same, as
// long as MaxAudiences is not exceeded.
func (u *DeviceUse) Merge(other *DeviceUse) {
	u.Device = other.Device
	if u.Audiences == nil {
		u.Audiences = make(map[string]time.Time, len(other.Audiences))
	}
	for name, at := range other.Audiences {
		u.Audiences[name] = later(u.Audiences[name], at)
	}
	over := u.Last().Add(-Recent)
	maps.DeleteFunc(u.Audiences, func(_ string, at time.Time) bool { return at.Before(over) })
	forget(u.Audiences, MaxAudiences, func(at time.Time) time.Time { return at })
}

// Last is when a member of any audience was seen last; zero: never.
func (u *DeviceUse) Last() (last time.Time) {
	for _, at := range u.Audiences {
		last = later(last, at)
	}
	return last
}

// Current are the audiences of those who use the device, sorted: seen at most Recent before whoever used it last. A device that
// nobody uses any more keeps those of its last users.
func (u *DeviceUse) Current() []string {
	over := u.Last().Add(-Recent)
	var names []string
	for name, at := range u.Audiences {
		if !at.Before(over) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Tells reports that a record says already, to within a span, what another does.
func (u *DeviceUse) Tells(other *DeviceUse, within time.Duration) bool {
	for name, at := range other.Audiences {
		if told, ok := u.Audiences[name]; !ok || at.Sub(told) >= within {
			return false
		}
	}
	return true
}

// JSON is the value of the record.
func (u *DeviceUse) JSON() []byte { return mustJSON(u) }

// ParseDeviceUse reads the value of a record of KindDeviceUse. The error says why it is none.
func ParseDeviceUse(key string, value []byte) (DeviceUse, error) {
	var u DeviceUse
	if err := json.Unmarshal(value, &u); err != nil {
		return DeviceUse{}, fmt.Errorf("use of device %q: %w", key, err)
	}
	switch {
	case u.Device == "" || u.Device != key:
		return DeviceUse{}, fmt.Errorf("use of device %q: it is that of %.200q", key, u.Device)
	case len(u.Audiences) == 0 || len(u.Audiences) > MaxAudiences:
		return DeviceUse{}, fmt.Errorf("use of device %q: it has %d audiences", key, len(u.Audiences))
	}
	return u, nil
}
