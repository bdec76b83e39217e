package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/replica"
)

// Options are what an Engine works with. All but Alone, Shared, Noticed and Events must be set; with Shared, Postures and Replica
// are not looked at.
type Options struct {
	Name     string // of this process among those that share the store; the same after a restart, if that can be
	Alone    bool   // nobody shares the store, so that the lease of a process that died is taken at once
	Shared   *Shared
	Postures signals.Postures
	Replica  replica.Options // how the copy of the postures is kept; OnChange and OnRemove are the Engine's
	Observed signals.Records // the store itself: what sidecars wrote, and what nobody signed
	Cases    Cases           // where cases are kept; its Records hold the approvals too
	// Noticed notes that the coming end of an exception was told (approvals.Desk.Noticed); nil: none is told.
	Noticed func(ctx context.Context, exception string) error
	Events  Events
}

// Shared is what a process that decides has in memory anyway: its Engine keeps no second copy of it, and a look takes five times
// as long, so that decisions do not wait for it. Whoever runs the Replica calls PostureChanged and PostureRemoved.
type Shared struct {
	Replica *replica.Replica
	// Assessment is what was computed ahead of a device, by whichever policy and of whichever version; nil: nothing.
	Assessment func(signals.DeviceID) *policy.Assessment
}

// Events are called for what an operator may want to see; each may be nil, and must not block.
type Events struct {
	Looked func(*Report)          // a look was complete, and what it changed is stored
	Failed func(err error)        // something could not be stored or told; it is tried again
	Leads  func(bool)             // this process looks, or stands by, from now on
	Closed func(c *findings.Case) // a case was closed by the facts
	Follow follow.Events          // of the copies of the records
	Wrong  func(string, error)    // a record of a kind is none
}

// How often it looks: a second after a change at the earliest, at most a tenth of the time, and once a minute anyway, for
// what the mere passing of time does.
const (
	tick     = time.Second
	restFor  = 9 // times what the last look took
	restMost = 30 * time.Second
	lookEach = time.Minute
)

// Engine looks again and again. New makes one.
type Engine struct {
	options Options
	world   *world
	lease   *lease
	dirty   atomic.Bool
	own     map[string]heldCase // by id: what this process wrote and its copy may not show yet
	endings map[string]bool     // of exceptions of the directory, that this process has told: see KindEnding
}

// New makes an Engine that starts nothing.
func New(o Options) *Engine {
	e := &Engine{options: o, world: newWorld(), own: map[string]heldCase{}, endings: map[string]bool{}}
	e.lease = &lease{name: o.Name, alone: o.Alone, records: o.Cases.Records, raw: o.Observed, now: o.Cases.Now, failed: e.failed}
	touched := func([]signals.Record) { e.dirty.Store(true) }
	if o.Shared != nil {
		e.world.share(o.Shared)
	} else {
		copied := o.Replica
		copied.OnChange, copied.OnRemove = e.PostureChanged, e.PostureRemoved
		e.world.postures = replica.New(o.Postures, copied)
	}
	// A revocation that vanished counts: to be found needless or abused takes nothing away from anybody.
	e.world.signed = follow.New(o.Cases.Records, follow.Options{Kinds: signedKinds, OnChange: touched, Events: o.Events.Follow})
	e.world.observed = follow.New(o.Observed, follow.Options{Kinds: observedKinds, OnChange: touched, Events: o.Events.Follow})
	wrong := func(kind, key string, err error) {
		if o.Events.Wrong != nil {
			o.Events.Wrong(kind+" "+key, err)
		}
	}
	w := e.world
	w.exceptions.told, w.graces.told, w.imported.told = wrong, wrong, wrong
	w.sightings.told, w.use.told, w.attended.told, w.envoys.told = wrong, wrong, wrong, wrong
	return e
}

// PostureChanged notes a new or changed posture, before the copy of the postures shows it.
func (e *Engine) PostureChanged(p *signals.Posture) {
	e.world.posture(p)
	e.dirty.Store(true)
}

// PostureRemoved notes that a device is gone.
func (e *Engine) PostureRemoved(signals.DeviceID) { e.dirty.Store(true) }

func (e *Engine) failed(err error) {
	if e.options.Events.Failed != nil {
		e.options.Events.Failed(err)
	}
}

// Run keeps the copies, and looks while it holds the lease, until ctx ends, which is no error. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	var all sync.WaitGroup
	faults := make([]error, 3)
	following, stop := context.WithCancel(ctx)
	if e.options.Shared == nil {
		all.Go(func() { faults[0] = e.world.postures.Run(following) })
	}
	all.Go(func() { faults[1] = e.world.signed.Run(following) })
	all.Go(func() { faults[2] = e.world.observed.Run(following) })
	all.Go(func() { e.lease.run(following) })
	e.loop(ctx)
	stop()
	all.Wait()
	return errors.Join(faults...)
}

// loop looks when something has changed or is due.
func (e *Engine) loop(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var by *policy.Policy
	var rest, next time.Time
	led := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		p, leads := e.options.Cases.Policy(), e.lease.held()
		if leads != led {
			led, by = leads, nil
			if e.options.Events.Leads != nil {
				e.options.Events.Leads(leads)
			}
		}
		now := e.options.Cases.Now()
		if !leads || p == nil || !follows(e.world.signed, findings.RecordKind) || now.Before(rest) {
			continue
		}
		if changed := e.dirty.Swap(false); !changed && p == by && now.Before(next) {
			continue
		}
		by = p
		began := time.Now()
		due := e.look(ctx, p)
		took := time.Since(began) - e.world.breath.slept
		rest, next = e.options.Cases.Now().Add(min(restFor*took, restMost)), e.options.Cases.Now().Add(lookEach)
		if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
}
