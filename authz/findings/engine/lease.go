package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// The record by which one of several processes looks. It is signed where the store is: nobody else keeps everybody from
// looking.
const (
	KindLease = "finding-engine"
	leaseKey  = "lease"
)

const (
	leaseFor   = 15 * time.Second
	leaseEvery = 5 * time.Second
	leaseKept  = 7 * 24 * time.Hour // what it says of the newest look stays for so long
)

// Watch is who looks, and how the newest look went.
type Watch struct {
	Holder string    `json:"holder"` // the process
	Until  time.Time `json:"until"`  // it holds the lease; another takes over then
	At     time.Time `json:"at,omitzero"`
	Took   float64   `json:"tookSeconds,omitempty"`
	// Devices were looked at, Unread could not be.
	Devices int `json:"devices"`
	Unread  int `json:"unread,omitempty"`
	// Blind says of what could not be judged why.
	Blind map[string]string `json:"blind,omitempty"`
	// Unwatched are findings that no Monitor of the policy watches, by kind: they have no case.
	Unwatched map[string]int `json:"unwatched,omitempty"`
}

// lease is held by one process at a time.
type lease struct {
	name    string
	records signals.Records
	raw     signals.Records // the same, with what nobody of ours signed
	now     func() time.Time
	alone   bool // nobody else could hold it

	mu     sync.Mutex
	watch  Watch     // what is written at the next renewal
	told   time.Time // watch.At as it was written last
	until  time.Time
	failed func(error)
}

// held tells whether this process may look now.
func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.until)
}

// due tells whether it is to be taken or renewed now, or there is a look to tell of.
func (l *lease) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().After(l.until.Add(leaseEvery-leaseFor)) || !l.watch.At.Equal(l.told)
}

func (l *lease) say(w Watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch = w
}

// run takes the lease whenever it is free, keeps it, and gives it back when ctx ends.
func (l *lease) run(ctx context.Context) {
	for ctx.Err() == nil {
		if l.due() {
			if err := l.take(ctx); err != nil && ctx.Err() == nil && l.failed != nil {
				l.failed(err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaseEvery / 5):
		}
	}
	if l.held() {
		released, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = l.write(released, l.now()) // it ends by itself, only later
	}
}

// take takes or renews it. Somebody else's is no error.
func (l *lease) take(ctx context.Context) error { return l.write(ctx, l.now().Add(leaseFor)) }

func (l *lease) write(ctx context.Context, until time.Time) error {
	revision, found, err := l.read(ctx)
	if err != nil {
		return err
	}
	at := l.now()
	if found.Holder != l.name && at.Before(found.Until) && !l.alone {
		l.set(time.Time{})
		return nil
	}
	l.mu.Lock()
	mine, said := l.watch, l.watch.At
	l.mu.Unlock()
	if mine.At.Before(found.At) {
		mine = found
	}
	mine.Holder, mine.Until = l.name, until.UTC()
	raw, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	err = l.records.PutRecord(ctx, signals.Record{Kind: KindLease, Key: leaseKey, Revision: signals.NextRevision(revision, at),
		Expires: at.Add(leaseKept), Value: raw}, revision)
	switch {
	case errors.Is(err, signals.ErrConflict):
		return nil // somebody was faster; what was held is held until its end
	case err != nil:
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until, l.told = until, said
	return nil
}

// read returns the lease as it stands. One that cannot be believed is nobody's, and is written over.
func (l *lease) read(ctx context.Context) (revision signals.Revision, found Watch, err error) {
	r, err := l.records.Record(ctx, KindLease, leaseKey)
	if errors.Is(err, signals.ErrCorrupt) {
		if l.failed != nil {
			l.failed(fmt.Errorf("somebody else wrote to the lease of findings; it is written anew: %w", err))
		}
		r, err = l.raw.Record(ctx, KindLease, leaseKey)
		r.Value = nil
	}
	if errors.Is(err, signals.ErrNotFound) {
		return 0, found, nil
	}
	if err == nil && json.Unmarshal(r.Value, &found) != nil {
		found = Watch{}
	}
	return r.Revision, found, err
}

func (l *lease) set(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// ReadWatch tells who looks and how the newest look went; the zero Watch: nobody has looked yet.
func ReadWatch(ctx context.Context, records signals.Records) (w Watch, err error) {
	r, err := records.Record(ctx, KindLease, leaseKey)
	switch {
	case errors.Is(err, signals.ErrNotFound):
		return w, nil
	case err != nil:
		return w, err
	}
	return w, json.Unmarshal(r.Value, &w)
}
