package engine

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/replica"
)

// signedKinds are followed as the receiver believes them, observedKinds as sidecars wrote them.
var (
	signedKinds   = []string{findings.RecordKind, approvals.KindException, approvals.KindGrace, inventory.EntryKind}
	observedKinds = []string{inventory.RecordKind, inventory.UseKind, inventory.KindDeviceUse, KindEnvoy}
)

// world is all that is looked at, in memory.
type world struct {
	postures         *replica.Replica
	signed, observed *follow.Follower

	mu    sync.Mutex
	heard map[string]time.Time // by source: policy.Device.Heard

	// What follows is the looking goroutine's alone.
	breath breath
	// ahead is what decisions have computed (Shared.Assessment); nil: nobody else does, and it is kept in assessed.
	ahead      func(signals.DeviceID) *policy.Assessment
	assessed   map[signals.DeviceID]*policy.Assessment
	exceptions decoded[approvals.Exception]
	graces     decoded[approvals.Grace]
	imported   decoded[inventory.Entry]
	sightings  decoded[inventory.Sighting]
	use        decoded[inventory.Use]
	attended   decoded[inventory.DeviceUse]
	envoys     decoded[EnvoySeen]
}

func newWorld() *world {
	w := &world{heard: map[string]time.Time{}, assessed: map[signals.DeviceID]*policy.Assessment{}}
	w.exceptions.kind, w.exceptions.is = approvals.KindException, func(k string, e *approvals.Exception) bool { return e.Meta.Name == k }
	w.graces.kind, w.graces.is = approvals.KindGrace, func(k string, g *approvals.Grace) bool { return string(g.Device) == k }
	w.imported.kind, w.imported.is = inventory.EntryKind, func(_ string, e *inventory.Entry) bool { return e.System != "" && e.ID != "" }
	w.sightings.kind, w.sightings.is = inventory.RecordKind, func(k string, s *inventory.Sighting) bool { return s.ID == k }
	w.use.kind, w.use.is = inventory.UseKind, func(_ string, u *inventory.Use) bool { return u.Day != "" }
	w.attended.kind, w.attended.is = inventory.KindDeviceUse, func(k string, u *inventory.DeviceUse) bool { return u.Device == k }
	w.envoys.kind, w.envoys.is = KindEnvoy, func(k string, e *EnvoySeen) bool { return e.ID == k }
	return w
}

// share has the world look at what decisions look at.
func (w *world) share(s *Shared) {
	w.postures, w.ahead, w.breath.beside = s.Replica, s.Assessment, true
}

// assessment is computed once of a version of a posture and a policy.
func (w *world) assessment(p *policy.Policy, posture *signals.Posture) *policy.Assessment {
	if w.ahead != nil {
		return w.ahead(posture.Device)
	}
	a := w.assessed[posture.Device]
	if !a.Fits(p, posture.Device, posture.Revision) {
		a = p.Assess(posture)
		w.assessed[posture.Device] = a
	}
	return a
}

// posture notes when each source spoke last.
func (w *world) posture(p *signals.Posture) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range p.Facts {
		fact := &p.Facts[i]
		if at := fact.AgesFrom(); at.After(w.heard[fact.Source]) {
			w.heard[fact.Source] = at
		}
	}
}

func (w *world) heardNow() map[string]time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := make(map[string]time.Time, len(w.heard))
	for source, at := range w.heard {
		heard[source] = at
	}
	return heard
}

// Why a part of the view is not known.
const (
	whyPostures = "the postures cannot be followed in the store"
	whyApproved = "exceptions and grace cannot be followed in the store"
	whyCensus   = "no sidecar has written yet what its decisions saw"
	whyObserved = "what sidecars saw cannot be followed in the store"
	whyImported = "imported identities cannot be followed in the store"
)

// view is the world at an instant. What cannot be read now is not known: nothing is found or closed by it, and why is told.
func (w *world) view(p *policy.Policy, at time.Time, tally *tally) (*findings.View, map[string]string) {
	w.breath.begin()
	v, blind := &findings.View{At: at, Policy: p}, map[string]string{}
	if status := w.postures.Status(); status.Loaded && status.InSync {
		held := w.postures.All()
		v.Unread = unreadable(held)
		tally.unread = len(v.Unread)
		v.Devices, v.Heard, v.Contested = w.devices(p, at, held, w.audiences(p), tally), w.heardNow(), w.postures.Contested()
	} else {
		blind["devices"] = whyPostures
	}
	if follows(w.signed, approvals.KindException) && follows(w.signed, approvals.KindGrace) {
		v.Exceptions, v.Graces = w.exceptions.all(w.signed), w.graces.all(w.signed)
	} else {
		blind["exceptions and grace"] = whyApproved
	}
	if follows(w.signed, inventory.EntryKind) {
		v.Imported = w.imported.all(w.signed)
	} else {
		blind["imported identities"] = whyImported
	}
	switch sightings, use := w.sightings.all(w.observed), w.use.all(w.observed); {
	case !follows(w.observed, inventory.RecordKind) || !follows(w.observed, inventory.UseKind):
		blind["what decisions saw"] = whyObserved
	case len(sightings)+len(use) == 0: // nobody counts: that nobody was seen says nothing
		blind["what decisions saw"] = whyCensus
	default:
		v.Sightings, v.Use = sightings, use
	}
	if !follows(w.observed, inventory.KindDeviceUse) { // what is held of it goes on to count: nobody is told less
		blind["who uses which device"] = whyObserved
	}
	if follows(w.observed, KindEnvoy) {
		v.Envoys = []findings.EnvoyView{}
		for _, seen := range w.envoys.all(w.observed) {
			v.Envoys = append(v.Envoys, seen.view())
		}
	} else {
		blind["Envoys"] = whyObserved
	}
	return v, blind
}

func follows(f *follow.Follower, kind string) bool {
	s := f.Status(kind)
	return s.Loaded && s.InSync
}

// unreadable are the devices that are there and cannot be believed, or that the store showed once and shows no more, which
// nothing of ours does.
func unreadable(held []replica.Held) map[signals.DeviceID]bool {
	out := map[signals.DeviceID]bool{}
	for i := range held {
		if held[i].Corrupt != nil || held[i].Gone || held[i].Posture == nil {
			out[held[i].Device] = true
		}
	}
	return out
}

// devices yields how each device stands, and counts what it yields.
func (w *world) devices(
	p *policy.Policy, at time.Time, held []replica.Held, audiences map[string][]string, tally *tally,
) iter.Seq[findings.DeviceView] {
	return func(yield func(findings.DeviceView) bool) {
		var posture signals.Posture
		var standing policy.Standing
		for i := range held {
			w.breath.take()
			h := &held[i]
			if h.Corrupt != nil || h.Gone || h.Posture == nil {
				continue
			}
			h.Posture.Unpack(&posture)
			p.Troubles(&standing, w.assessment(p, &posture), &posture, at)
			d := findings.DeviceView{Posture: &posture, Standing: standing, Audiences: audiences[string(h.Device)]}
			tally.device(&d)
			if !yield(d) {
				return
			}
		}
		if len(w.assessed) > len(held) {
			w.forget(held)
		}
	}
}

// audiences are by device those of the people who use it, as decisions of all sidecars saw them.
func (w *world) audiences(p *policy.Policy) map[string][]string {
	return audiencesOf(p, w.attended.all(w.observed))
}

// audiencesOf leaves out audiences that the policy has no more.
func audiencesOf(p *policy.Policy, attended []inventory.DeviceUse) map[string][]string {
	named := map[string]bool{}
	for _, a := range p.Spec().Audiences {
		named[a.Meta.Name] = true
	}
	byDevice := make(map[string][]string, len(attended))
	for i := range attended {
		byDevice[attended[i].Device] = slices.DeleteFunc(attended[i].Current(), func(name string) bool { return !named[name] })
	}
	return byDevice
}

func (w *world) forget(held []replica.Held) {
	there := make(map[signals.DeviceID]bool, len(held))
	for i := range held {
		there[held[i].Device] = true
	}
	for device := range w.assessed {
		if !there[device] {
			delete(w.assessed, device)
		}
	}
}

// decoded are the values of the records of a kind. What was decoded once is not decoded again.
type decoded[T any] struct {
	kind string
	is   func(key string, value *T) bool // whether it is what its key says
	held map[string]decodedRecord[T]
	told func(kind, key string, err error)
}

type decodedRecord[T any] struct {
	from  signals.Record
	value T
	err   error
}

// all decodes what a follower holds; records that cannot be read are told once and left out.
func (d *decoded[T]) all(f *follow.Follower) []T {
	next, out := make(map[string]decodedRecord[T], len(d.held)), []T{}
	f.Each(d.kind, func(r signals.Record) bool {
		one, ok := d.held[r.Key]
		if !ok || !sameBytes(one.from, r) {
			one = decodedRecord[T]{from: r}
			switch err := json.Unmarshal(r.Value, &one.value); {
			case err != nil:
				one.err = err
			case !d.is(r.Key, &one.value):
				one.err = fmt.Errorf("its value is of another than its key")
			}
			if one.err != nil && d.told != nil {
				d.told(d.kind, r.Key, one.err)
			}
		}
		next[r.Key] = one
		if one.err == nil {
			out = append(out, one.value)
		}
		return true
	})
	d.held = next
	return out
}
