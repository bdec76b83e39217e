package replica

import (
	"errors"
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// device is what is held of one device; guarded by Replica.mu.
type device struct {
	posture *signals.Packed // the last one that could be read; nil if there was none
	corrupt error           // why the stored one cannot be read
	read    uint64          // the number of the last full read that it was seen in, or since
	// emptied: the stored version has neither names nor facts, and the posture is what it had before, because no other device
	// has all of that (yet).
	emptied bool
	gone    bool // the store no longer shows it; kept, so that nothing older comes back and its names stay its own
}

func (d *device) revision() signals.Revision {
	if d.posture == nil {
		return 0
	}
	return d.posture.Revision
}

// holders are the devices that carry an alias: nearly always one.
type holders struct {
	first  *device
	others []*device
}

// refresh reads one device from the store and applies what it finds. An error means that the store failed.
func (r *Replica) refresh(id signals.DeviceID, read func() (signals.Posture, error)) error {
	switch p, err := read(); {
	case err == nil:
		r.apply(p)
	case errors.Is(err, signals.ErrNotFound):
		r.remove(id)
	case errors.Is(err, signals.ErrCorrupt):
		r.spoil(id, err)
	default:
		return err
	}
	return nil
}

// apply takes a posture that the store showed.
func (r *Replica) apply(p signals.Posture) {
	r.applying.Lock()
	defer r.applying.Unlock()
	emptied := false
	if held := r.seen(p.Device); held != nil {
		switch {
		case p.Revision < held.revision():
			call3(r.opts.Events.Regressed, p.Device, held.revision(), p.Revision)
			return
		case r.doubted(&p):
			return
		case p.Revision == held.revision() && held.corrupt == nil && !held.gone:
			return
		case held.posture != nil:
			emptied = len(p.Aliases)+len(p.Facts) == 0 && !r.joined(held)
			if emptied || len(p.Aliases)+len(p.Facts) > 0 {
				p = r.remind(held.posture, p)
			}
		}
	} else if r.doubted(&p) {
		return
	}
	contested := r.take(p, emptied)
	r.letGo(p.Aliases)
	for _, alias := range contested {
		if len(r.aliases[alias].others) > 0 {
			r.contested(alias)
		}
	}
}

// take puts a posture in place, and returns the names that it made contested.
func (r *Replica) take(p signals.Posture, emptied bool) (contested []signals.Alias) {
	if r.opts.OnChange != nil {
		r.opts.OnChange(&p)
	}
	contested = r.swap(p.Device, signals.Pack(&p), nil)
	r.devices[p.Device].emptied = emptied // guarded by applying
	return contested
}

// joined tells whether a device may give up all that it said, because it became part of another: one that has every one of
// its names, and would learn nothing from its facts. So nothing is forgotten, whoever says so.
func (r *Replica) joined(d *device) bool {
	before := d.posture.Posture()
	if len(before.Aliases) == 0 {
		return len(before.Facts) == 0
	}
	h := r.aliases[before.Aliases[0]]
	for _, other := range append([]*device{h.first}, h.others...) {
		if other == nil || other == d || other.corrupt != nil || other.gone {
			continue
		}
		if _, more := other.posture.Posture().Merge(signals.Observation{Aliases: before.Aliases, Facts: before.Facts}); !more {
			return true
		}
	}
	return false
}

// letGo takes the names from devices that the store shows without any, once another has all that they had: the notices of
// two devices come in any order.
func (r *Replica) letGo(aliases []signals.Alias) {
	for _, alias := range aliases {
		h := r.aliases[alias]
		if len(h.others) == 0 {
			continue
		}
		for _, d := range append([]*device{h.first}, h.others...) {
			if d.emptied && d.corrupt == nil && r.joined(d) {
				r.take(signals.Posture{Device: d.posture.Device, Revision: d.revision()}, false)
			}
		}
	}
}

// remind gives a newer version back what an earlier one said and it does not. A receiver that was shown an older version, and
// went on from that, signs what has forgotten an alarm without knowing. A version that keeps every fact may give up names.
func (r *Replica) remind(held *signals.Packed, p signals.Posture) signals.Posture {
	before := held.Posture()
	whole, forgetful := p.Merge(signals.Observation{Facts: before.Facts})
	if !forgetful {
		return p
	}
	if r.opts.Events.Forgetful != nil {
		missing := 0
		for _, fact := range whole.Facts {
			if !slices.Contains(p.Facts, fact) {
				missing++
			}
		}
		r.opts.Events.Forgetful(p.Device, missing)
	}
	whole, _ = whole.Merge(signals.Observation{Aliases: before.Aliases})
	return whole
}

// seen marks a device as shown by the store and returns what is held of it. Only the holder of applying changes
// devices, so that reading one needs no further lock.
func (r *Replica) seen(id signals.DeviceID) *device {
	d := r.devices[id]
	if d != nil {
		d.read = r.reading
	}
	return d
}

// swap puts a posture in the place of what is held, and returns the aliases that it made contested. doubt, if any, is what
// lookups answer with.
func (r *Replica) swap(id signals.DeviceID, p *signals.Packed, doubt error) (contested []signals.Alias) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.devices[id]
	if d == nil {
		d = &device{read: r.reading}
		r.devices[id] = d
	}
	if d.corrupt != nil {
		r.corrupt--
	}
	if d.corrupt = doubt; doubt != nil {
		r.corrupt++
	}
	if d.gone {
		d.gone = false
		r.gone--
	}
	var before []signals.Alias
	if d.posture != nil {
		before = d.posture.Aliases
	}
	for _, alias := range before {
		if !slices.Contains(p.Aliases, alias) {
			r.release(alias, d)
		}
	}
	d.posture = p
	for _, alias := range p.Aliases {
		if r.hold(alias, d) {
			contested = append(contested, alias)
		}
	}
	return contested
}

// hold notes that a device carries an alias, and says whether it is contested by that.
func (r *Replica) hold(alias signals.Alias, d *device) bool {
	h, taken := r.aliases[alias]
	switch {
	case !taken:
		r.aliases[alias] = holders{first: d}
		return false
	case h.first == d || slices.Contains(h.others, d):
		return false
	}
	h.others = append(slices.Clone(h.others), d)
	r.aliases[alias] = h
	return true
}

// release notes that a device no longer carries an alias.
func (r *Replica) release(alias signals.Alias, d *device) {
	h := r.aliases[alias]
	left := slices.DeleteFunc(append([]*device{h.first}, h.others...), func(other *device) bool { return other == d })
	if len(left) == 0 || h.first == nil {
		delete(r.aliases, alias)
		return
	}
	r.aliases[alias] = holders{first: left[0], others: left[1:]}
}

func (r *Replica) contested(alias signals.Alias) {
	if r.opts.Events.Contested == nil {
		return
	}
	h := r.aliases[alias]
	var ids []signals.DeviceID
	for _, d := range append([]*device{h.first}, h.others...) {
		ids = append(ids, d.posture.Device)
	}
	slices.Sort(ids)
	r.opts.Events.Contested(alias, ids)
}

// spoil notes that the stored value of a device cannot be read: its last known aliases answer with that from now on.
func (r *Replica) spoil(id signals.DeviceID, err error) {
	r.applying.Lock()
	defer r.applying.Unlock()
	held := r.seen(id)
	news := held == nil || held.corrupt == nil
	r.mu.Lock()
	if held == nil {
		held = &device{read: r.reading}
		r.devices[id] = held
	}
	if news {
		r.corrupt++
	}
	if held.gone {
		held.gone = false
		r.gone--
	}
	held.corrupt = err
	r.mu.Unlock()
	if news && r.opts.Events.Corrupt != nil {
		r.opts.Events.Corrupt(id, err)
	}
}

// remove notes that the store no longer has a device.
func (r *Replica) remove(id signals.DeviceID) {
	r.applying.Lock()
	defer r.applying.Unlock()
	r.drop(id)
}

// drop is remove with applying held. A device that was never read has nothing to be remembered by.
func (r *Replica) drop(id signals.DeviceID) {
	d := r.devices[id]
	if d == nil || d.gone {
		return
	}
	r.mu.Lock()
	if d.corrupt != nil {
		d.corrupt = nil
		r.corrupt--
	}
	if d.posture == nil {
		delete(r.devices, id)
	} else {
		d.gone = true
		r.gone++
	}
	r.mu.Unlock()
	if r.opts.OnRemove != nil {
		r.opts.OnRemove(id)
	}
	if r.opts.Events.Gone != nil {
		r.opts.Events.Gone(id)
	}
}

func call3[A, B, C any](f func(A, B, C), a A, b B, c C) {
	if f != nil {
		f(a, b, c)
	}
}
