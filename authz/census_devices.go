package authz

import (
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

const (
	// deviceUseEvery is to within how much it is known when an audience used a device last: groups of a person are looked at
	// once in so long, and a record is written once.
	deviceUseEvery = time.Hour
	// maxCensusDevices are noted at a time.
	maxCensusDevices = 100_000
)

// judged is what a decision was made with, as far as it takes to tell whom it concerns.
type judged struct {
	policy     *policy.Policy
	assessment *policy.Assessment // of the device; nil: there is none
}

// audiences are those that the subject of the decision belongs to, or may.
func (d *Decision) audiences() []string {
	return d.with.policy.AudiencesOf(&d.Subject, d.with.assessment)
}

type deviceShard struct {
	mu   sync.Mutex
	seen recent[attended] // by our id of the device
	_    [40]byte         // a cache line each
}

// attended is who was seen at one device. Instants are ns since 1970.
type attended struct {
	issuer, name string           // who used it last
	by           string           // the digest of the policy
	until        int64            // until when that is not looked at again
	last         map[string]int64 // by audience
	told         map[string]int64 // the same, as it was handed over to be written
}

// attend notes which audiences the user of a bound device belongs to. As long as the same person comes and the policy is the
// same, that is looked at once an hour.
func (c *Census) attend(d *Decision, at int64) {
	user := d.Subject.User
	if user == nil || d.with.policy == nil {
		return
	}
	shard := &c.devices[c.shardOf(d.Device)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	a := shard.seen.get(d.Device)
	if a != nil && at < a.until && a.by == d.with.policy.Digest() && a.name == user.Name && a.issuer == user.Issuer {
		return
	}
	if a == nil {
		if c.attended.Load() >= maxCensusDevices {
			c.beyond.Add(1)
			return
		}
		c.attended.Add(1)
		a = shard.seen.make(d.Device)
		a.last, a.told = map[string]int64{}, map[string]int64{}
	}
	a.note(d, user, at)
}

func (a *attended) note(d *Decision, user *identity.User, at int64) {
	if a.name != user.Name || a.issuer != user.Issuer {
		a.issuer, a.name = strings.Clone(user.Issuer), strings.Clone(user.Name)
	}
	a.by, a.until = d.with.policy.Digest(), at+int64(deviceUseEvery)
	for _, name := range d.audiences() {
		a.last[name] = max(a.last[name], at) // the name is the policy's
	}
}

// takeDevices is what is to be told of devices. One that nobody used for two hours is forgotten here; the store remembers.
func (c *Census) takeDevices() []*inventory.DeviceUse {
	over := c.opts.Now().Add(-deviceUseEvery).UnixNano() // until is an hour after the last look
	var all []*inventory.DeviceUse
	for i := range c.devices {
		shard := &c.devices[i]
		shard.mu.Lock()
		for device, known := range shard.seen.all {
			a := &known.is
			if use := a.take(device); use != nil {
				all = append(all, use)
			} else if a.until < over {
				shard.seen.forget(device)
				c.attended.Add(-1)
			}
		}
		shard.mu.Unlock()
	}
	return all
}

// take is what is new of a device by an hour; nil: nothing.
func (a *attended) take(device string) *inventory.DeviceUse {
	var use *inventory.DeviceUse
	for name, at := range a.last {
		if told, ok := a.told[name]; ok && at-told < int64(deviceUseEvery) {
			continue
		}
		if use == nil {
			use = &inventory.DeviceUse{Device: device, Audiences: map[string]time.Time{}}
		}
		use.Audiences[name] = instant(at)
		a.told[name] = at
	}
	return use
}

// mergedDevice is merged for a DeviceUse: there, where the store says as much already.
func (c *Census) mergedDevice(
	key censusKey, delta *inventory.DeviceUse, stored []byte, now time.Time, spoilt func(error),
) (value []byte, expires time.Time, there bool) {
	var use inventory.DeviceUse
	if stored != nil {
		var err error
		if use, err = inventory.ParseDeviceUse(key.key, stored); err != nil {
			spoilt(err)
		}
	}
	if use.Tells(delta, deviceUseEvery) {
		return nil, time.Time{}, true
	}
	use.Merge(delta)
	return use.JSON(), later(use.Last(), now).Add(inventory.Keep), false
}

// pendDevices adds what is to be told of devices. What could not be written before goes with it: the later of two counts.
func (c *Census) pendDevices(todo map[censusKey]censusDelta) {
	for _, use := range c.takeDevices() {
		key := censusKey{inventory.KindDeviceUse, use.Device}
		if before := todo[key].device; before != nil {
			use.Merge(before)
		}
		todo[key] = censusDelta{n: c.batch, device: use}
	}
}
