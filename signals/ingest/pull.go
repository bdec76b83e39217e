package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

const (
	// pullWorkers ask one source at once; how often is the client's to say.
	pullWorkers = 2
	// pullTimeout bounds one question, with the waiting for its turn.
	pullTimeout = 2 * time.Minute
	// After trouble a device is asked for again after firstPullRetry, then after twice the time, up to lastPullRetry.
	firstPullRetry = time.Second
	lastPullRetry  = 5 * time.Minute
	// pullFor is how long a delivery waits for a vendor that cannot be asked; then it is a dead letter, to be retried.
	pullFor = 24 * time.Hour
	// answerKept is how long an answer waits for the delivery that wanted it; longer means that another receiver took it.
	answerKept = 10 * time.Minute
)

// errAwaited: the vendor is being asked. The entry stays in the inbox and is offered again with the answer.
var errAwaited = errors.New("the vendor is being asked for the device")

// pulls are the questions to one source. Each device is asked for once, however many deliveries point at it; a delivery is
// answered by a question that was put after it came, because an older one may not have seen the change.
type pulls struct {
	from      Source
	inventory source.Inventory
	ready     chan struct{} // holds one: there may be something to ask

	mu      sync.Mutex
	devices map[string]*pull
	queue   []string  // devices to ask for, in the order in which they were wanted
	paused  time.Time // the vendor is left alone until then
}

// pull is one device of pulls. Deliveries are named by the keys of their inbox entries.
type pull struct {
	waiting  map[string]bool   // for the next question
	riding   map[string]bool   // on the one that is being asked
	answered map[string]string // why the answer could not be applied, or ""
	at       time.Time         // of the last answer
	running  bool
	queued   bool
	tries    int
	fault    error // why the last question has no answer
}

func newPulls(from Source, inventory source.Inventory) *pulls {
	return &pulls{from: from, inventory: inventory, ready: make(chan struct{}, 1), devices: map[string]*pull{}}
}

// need reports whether every device was asked for on behalf of the delivery, and what could not be applied.
func (p *pulls) need(key string, ids []string, received, now time.Time) (reasons []string, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done = true
	for _, id := range ids {
		device := p.devices[id]
		if device == nil {
			device = &pull{waiting: map[string]bool{}, answered: map[string]string{}}
			p.devices[id] = device
		}
		reason, answered := device.answered[key]
		switch {
		case answered:
		case device.fault != nil && now.Sub(received) > pullFor:
			reason = fmt.Sprintf("the vendor could not be asked for device %.80q within %s: %v", id, pullFor, device.fault)
		default:
			done = false
			if !device.riding[key] {
				device.waiting[key] = true
				p.enqueue(id, device)
			}
			continue
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	if done {
		for _, id := range ids {
			p.release(id, key)
		}
	}
	return reasons, done
}

// enqueue is called with mu held.
func (p *pulls) enqueue(id string, device *pull) {
	if device.queued || device.running {
		return // a running one looks for those who wait when it ends
	}
	device.queued = true
	p.queue = append(p.queue, id)
	p.wake()
}

func (p *pulls) wake() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// release forgets a delivery that was dealt with, and the device when it was the last. Called with mu held.
func (p *pulls) release(id, key string) {
	device := p.devices[id]
	if device == nil {
		return
	}
	delete(device.waiting, key)
	delete(device.answered, key)
	if len(device.waiting)+len(device.answered) == 0 && !device.running && !device.queued {
		delete(p.devices, id)
	}
}

// take returns the next device to ask for, or how long to wait for one (0: until something is wanted).
func (p *pulls) take(now time.Time) (id string, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return "", 0
	}
	if left := p.paused.Sub(now); left > 0 {
		return "", left
	}
	id, p.queue = p.queue[0], p.queue[1:]
	device := p.devices[id]
	device.queued, device.running = false, true
	device.riding, device.waiting = device.waiting, map[string]bool{}
	if len(p.queue) > 0 {
		p.wake() // another worker has something to do as well
	}
	return id, 0
}

// settled notes an answer, and returns the deliveries that have it.
func (p *pulls) settled(id, reason string, now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	device := p.devices[id]
	keys := slices.Collect(maps.Keys(device.riding))
	for _, key := range keys {
		device.answered[key] = reason
	}
	device.riding, device.running, device.tries, device.fault, device.at = nil, false, 0, nil, now
	if len(device.waiting) > 0 {
		p.enqueue(id, device)
	}
	for other, device := range p.devices { // answers that nobody came for
		if !device.running && !device.queued && now.Sub(device.at) > answerKept {
			delete(p.devices, other)
		}
	}
	return keys
}

// failed puts a question back, and returns when to put it again. pause: the whole source is to be left alone until then.
func (p *pulls) failed(id string, err error, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	device := p.devices[id]
	maps.Copy(device.waiting, device.riding)
	device.riding, device.running, device.fault, device.at = nil, false, err, now
	after := min(firstPullRetry<<min(device.tries, 16), lastPullRetry)
	device.tries++
	if busy, ok := errors.AsType[*source.Busy](err); ok {
		after = max(busy.After, 100*time.Millisecond)
		p.paused = now.Add(after)
		p.enqueue(id, device)
		return after
	}
	device.queued = true // by the timer of the caller
	return after
}

// again is called when the time of failed is over.
func (p *pulls) again(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if device := p.devices[id]; device != nil {
		device.queued = false
		p.enqueue(id, device)
	}
}

// awaited says whether the answers to a delivery that points at devices are stored; errAwaited: not yet. It is quick: the
// asking is done by workers of the source, so that a slow vendor holds up nobody else's deliveries.
func (r *Receiver) awaited(from Source, e entry, d source.Delivery) (reasons []string, err error) {
	p := r.pulls[from.Name]
	if p == nil {
		return nil, nil
	}
	ids, err := points(p.inventory, d)
	if err != nil {
		return []string{err.Error()}, nil
	}
	slices.Sort(ids)
	reasons, done := p.need(entryKey(e.Source, e.ID), slices.Compact(ids), e.Received, r.now())
	if !done {
		return nil, errAwaited
	}
	return reasons, nil
}

// askFor asks for devices until ctx ends.
func (r *Receiver) askFor(ctx context.Context, p *pulls) {
	for ctx.Err() == nil {
		id, wait := p.take(r.now())
		if id != "" {
			r.ask(ctx, p, id)
			continue
		}
		var due <-chan time.Time
		timer := (*time.Timer)(nil)
		if wait > 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-p.ready:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// ask puts one question and stores the answer.
func (r *Receiver) ask(ctx context.Context, p *pulls, id string) {
	asked, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	began := r.now()
	reason, gone, err := r.fetch(asked, p.from, p.inventory, id, began)
	if err == nil {
		r.events.Inventory.Pulled(p.from.Name, id, gone, r.now().Sub(began))
		for _, key := range p.settled(id, reason, r.now()) {
			r.bringBack(p, id, key, 20)
		}
		return
	}
	after := p.failed(id, err, r.now())
	if ctx.Err() != nil {
		return
	}
	r.events.Inventory.PullFailed(p.from.Name, id, after, err)
	if _, busy := errors.AsType[*source.Busy](err); !busy {
		time.AfterFunc(after, func() { p.again(id) })
	}
}

// bringBack offers an entry that has its answer. It may still be on its way to waiting; then it is offered a little later.
func (r *Receiver) bringBack(p *pulls, id, key string, tries int) {
	if r.queues.holds(key) && tries > 0 {
		time.AfterFunc(50*time.Millisecond, func() { r.bringBack(p, id, key, tries-1) })
		return
	}
	name := id
	if alias, err := p.inventory.Alias(id); err == nil {
		name = alias.String()
	}
	r.queues.add(key, []line{lineOf(name)})
}

// fetch asks for one device and merges what the vendor says. reason is what cannot be applied; an error means that nothing
// is known to be stored. A device that is gone is withdrawn as of the given instant, unless the vendor knows it by another
// of its ids: enrolling again gives a new one.
func (r *Receiver) fetch(
	ctx context.Context, from Source, inventory source.Inventory, id string, at time.Time,
) (reason string, gone bool, err error) {
	observations, err := device(ctx, inventory, id)
	if !errors.Is(err, source.ErrGone) {
		if err == nil {
			reason, err = r.merge(ctx, from, "pull-"+id, observations)
		}
		return reason, false, err
	}
	alias, err := inventory.Alias(id)
	if err != nil {
		return err.Error(), true, nil
	}
	posture, found, err := r.named(ctx, alias)
	if err != nil || !found {
		return "", true, err
	}
	for _, other := range posture.Aliases {
		value, ours := vendorName(from.Name, []signals.Alias{other})
		if !ours || other == alias {
			continue
		}
		observations, err := device(ctx, inventory, strings.TrimPrefix(value, from.Name+"/"))
		if errors.Is(err, source.ErrGone) {
			continue
		}
		if err == nil {
			reason, err = r.merge(ctx, from, "pull-"+id, observations)
		}
		return reason, false, err
	}
	reason, err = r.withdraw(ctx, from, alias, &posture, at)
	return reason, true, err
}

// merge applies what a source answered just now, see fetch.
func (r *Receiver) merge(
	ctx context.Context, from Source, id string, observations []signals.Observation,
) (reason string, err error) {
	e := entry{Source: from.Name, ID: id, Received: r.now().Round(0).UTC()}
	var reasons []string
	for _, o := range observations {
		why, err := r.applyOne(ctx, from, e, o)
		if err != nil {
			return "", err
		}
		if why != "" {
			reasons = append(reasons, why)
		}
	}
	return strings.Join(reasons, "; "), nil
}

// named returns the posture of the device that carries a name, if there is one.
func (r *Receiver) named(ctx context.Context, alias signals.Alias) (posture signals.Posture, found bool, err error) {
	claims, err := r.claims(ctx, []signals.Alias{alias})
	if err != nil || len(claims) == 0 || claims[0].owner == "" {
		return signals.Posture{}, false, err
	}
	posture, err = r.store.Posture(ctx, claims[0].owner)
	if errors.Is(err, signals.ErrNotFound) {
		return signals.Posture{}, false, nil
	}
	return posture, err == nil, err
}

// withdraw records that a source no longer has a device, seen at the given instant: its lifecycle is removed and the rest
// of what it said is no longer known. What it says with a later instant wins; an alarm stays, because an unknown never
// takes the place of a known value (signals.Posture).
func (r *Receiver) withdraw(
	ctx context.Context, from Source, alias signals.Alias, posture *signals.Posture, at time.Time,
) (reason string, err error) {
	facts := withdrawal(from, posture, at)
	if len(facts) == 0 {
		return "", nil
	}
	return r.merge(ctx, from, "withdrawn", []signals.Observation{{Aliases: []signals.Alias{alias}, Facts: facts}})
}

// pathAbsent is the path of facts that follow from a record's absence.
const pathAbsent = "(no longer in the vendor's list)"

// withdrawal are the facts of a source that has lost a device; none if that is already known.
func withdrawal(from Source, posture *signals.Posture, at time.Time) []signals.Fact {
	const lifecycle, removed = "lifecycle", "removed"
	var facts []signals.Fact
	for _, name := range from.Attests {
		known, ok, unknownSince := posture.Latest(name, from.Name)
		fact := signals.Fact{Attribute: name, Observed: at, Path: pathAbsent}
		switch {
		case name == lifecycle && known.Value != signals.Text(removed):
			fact.Value = signals.Text(removed)
		case name == lifecycle || !ok || unknownSince:
			continue
		}
		facts = append(facts, fact)
	}
	return facts
}
