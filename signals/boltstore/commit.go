package boltstore

import (
	"errors"
	"fmt"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// errNotCommitted marks a transaction that did not reach the disk: none of its steps happened.
var errNotCommitted = errors.New("the write was not committed")

// committer lets concurrent writers share a transaction and its sync. There is no timer and no goroutine of its
// own: the first writer commits for all that wait, then hands over to the next one, so that a single writer never
// waits.
type committer struct {
	db    *bolt.DB
	file  string
	after func([]change) // called after each commit, in order, before its writers return

	mu      sync.Mutex
	waiting []*step
	leading bool
}

type step struct {
	run  func(*bolt.Tx) (change, error)
	made change
	err  error
	done chan struct{}
	lead chan struct{}
}

// maxSteps bounds a transaction, so that the first of many writers does not wait for all of them.
const maxSteps = 256

// do runs one step in a transaction and returns after it is on disk. An error of the step itself must leave nothing
// behind, and does not fail the steps that share the transaction.
func (c *committer) do(run func(*bolt.Tx) (change, error)) error {
	s := &step{run: run, done: make(chan struct{}), lead: make(chan struct{}, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, s)
	leads := !c.leading
	c.leading = true
	c.mu.Unlock()
	if !leads {
		select {
		case <-s.done:
			return s.err
		case <-s.lead:
		}
	}
	c.commit()
	return s.err
}

// commit takes what waits, with the caller's step in front, and passes the lead on.
func (c *committer) commit() {
	c.mu.Lock()
	n := min(len(c.waiting), maxSteps)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.leading = len(c.waiting) > 0; c.leading {
			c.waiting[0].lead <- struct{}{}
		}
	}()
	err := guard(c.file, func() error {
		return c.db.Update(func(tx *bolt.Tx) error {
			for _, s := range batch {
				s.made, s.err = s.run(tx)
			}
			return sweep(tx)
		})
	})
	var made []change
	for _, s := range batch {
		switch {
		case err != nil:
			s.err = fmt.Errorf("%w: %w", errNotCommitted, err)
		case s.err == nil && s.made.feed != (feedName{}):
			made = append(made, s.made)
		}
	}
	c.after(made)
	for _, s := range batch {
		close(s.done)
	}
}
