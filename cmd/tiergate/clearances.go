package main

import (
	"context"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

const (
	// clearEvery is how often a receiver looks for clearances that another approved, or that wait for the store.
	clearEvery = 10 * time.Second
	// clearWithin bounds one look.
	clearWithin = 5 * time.Second
)

// clearer applies approved clearances to the devices. The approval is durable before, in a record; so whoever dies in
// between, or whichever receiver approved, each receiver applies it, and all of them together once: what is applied already
// changes nothing.
type clearer struct {
	approved func(context.Context) ([]approvals.Clearance, error)
	clear    func(context.Context, signals.DeviceID, []signals.Clearance) (changed bool, err error)
	now      func() time.Time
	told     clearEvents

	mu     sync.Mutex
	done   map[string]bool   // by name; of this process
	failed map[string]string // by name: why not, as it was last told
	unread string
}

// clearEvents are told what became of them.
type clearEvents struct {
	applied func(name, device, signal string)
	failed  func(name, device string, err error) // told once for each reason
	unread  func(err error)                      // likewise
	waiting func(n int)
}

// newClearer has a desk's approvals applied at once, and what others approved by its run.
func newClearer(desk *approvals.Desk, receiver *ingest.Receiver, o *observer) *clearer {
	c := &clearer{approved: desk.ClearancesInForce, clear: receiver.Clear, now: desk.Now, told: o.clearances(),
		done: map[string]bool{}, failed: map[string]string{}}
	tell := desk.Done
	desk.Done = func(ctx context.Context, act approvals.Act) {
		tell(ctx, act)
		if act.Kind == approvals.KindClearance && act.Step == approvals.StepApproved {
			c.look(context.WithoutCancel(ctx)) // whoever approved may have gone; what was approved counts
		}
	}
	return c
}

func (c *clearer) run(ctx context.Context) error {
	tick := time.NewTicker(clearEvery)
	defer tick.Stop()
	for {
		c.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look applies what was approved and is not known to be applied.
func (c *clearer) look(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, clearWithin)
	defer cancel()
	all, err := c.approved(ctx)
	if err != nil {
		if text := err.Error(); ctx.Err() == nil && text != c.unread {
			c.unread = text
			c.told.unread(err)
		}
		return
	}
	c.unread = ""
	waiting := 0
	for i := range all {
		if !c.done[all[i].Name] && !c.apply(ctx, &all[i]) {
			waiting++
		}
	}
	c.told.waiting(waiting)
}

func (c *clearer) apply(ctx context.Context, a *approvals.Clearance) bool {
	changed, err := c.clear(ctx, a.Device, a.Cleared(c.now()))
	if err != nil {
		if text := err.Error(); c.failed[a.Name] != text {
			c.failed[a.Name] = text
			c.told.failed(a.Name, string(a.Device), err)
		}
		return false
	}
	delete(c.failed, a.Name)
	c.done[a.Name] = true
	if changed {
		c.told.applied(a.Name, string(a.Device), a.Signal)
	}
	return true
}
