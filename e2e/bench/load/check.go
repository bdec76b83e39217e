package load

import (
	"errors"
	"sync"
	"time"
)

// Check drives an ext_authz server and returns what was measured. The first answer that is no OK, and every breach of
// the protocol, ends it with an error.
func Check(o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	w := newWatch()
	onDone := func(c *connection) {
		if o.Rate == 0 && w.phase.Load() != phaseOver {
			if err := c.begin(time.Now()); err != nil {
				w.fail(err)
			}
		}
	}
	connections := make([]*connection, 0, o.Connections)
	var readers sync.WaitGroup
	end := func() (err error) {
		w.phase.Store(phaseOver)
		for _, c := range connections {
			err = errors.Join(err, c.socket.Close())
		}
		readers.Wait()
		return err
	}
	for range o.Connections {
		c, err := dial(&o, w, onDone)
		if err != nil {
			return Result{}, errors.Join(err, end())
		}
		connections = append(connections, c)
		readers.Go(c.read)
	}
	stop, err := start(&o, w, connections)
	if err != nil {
		return Result{}, errors.Join(err, end())
	}
	result, err := w.run(&o)
	stop()
	if err := errors.Join(err, end()); err != nil {
		return Result{}, err
	}
	counted := make([]*histogram, 0, len(connections))
	for _, c := range connections {
		counted = append(counted, c.counted)
	}
	return result, result.finish(counted)
}

// start begins the calls: all that are to be in flight at once, or one after the other at the rate.
func start(o *Options, w *watch, connections []*connection) (stop func(), err error) {
	if o.Rate > 0 {
		return pace(o, w, connections)
	}
	for _, c := range connections {
		if err := c.beginMany(o.InFlight); err != nil {
			return nil, err
		}
	}
	return func() {}, nil
}

func (c *connection) beginMany(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		if err := c.begin(time.Now()); err != nil {
			return err
		}
	}
	return c.flush()
}
