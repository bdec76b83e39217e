package load

import (
	"sync"
	"time"
)

// pace begins calls at a fixed rate, one connection after the other, until stop is called. Go's own timers are too
// coarse for this (an idle process sleeps in whole milliseconds), so that a timer of the kernel wakes us.
func pace(o *Options, w *watch, connections []*connection) (stop func(), err error) {
	timer, err := newTicker(time.Second / time.Duration(o.Rate))
	if err != nil {
		return nil, err
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		began, sent := time.Now(), int64(0)
		for w.phase.Load() != phaseOver {
			if err := timer.wait(); err != nil {
				w.fail(err)
				return
			}
			for now := time.Now(); ; sent++ {
				due := began.Add(time.Duration(sent * int64(time.Second) / int64(o.Rate)))
				if due.After(now) {
					break
				}
				if err := connections[sent%int64(len(connections))].beginOne(due); err != nil {
					w.fail(err)
					return
				}
			}
		}
	})
	return func() {
		sender.Wait() // it ends with the phase, at the timer's next beat
		timer.close()
	}, nil
}

func (c *connection) beginOne(due time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.begin(due); err != nil {
		return err
	}
	return c.flush()
}
