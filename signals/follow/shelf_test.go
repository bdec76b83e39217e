package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// shelf is a store of one kind in memory whose notices can be lost, and that can be slow or away. It never waits with its
// mutex held, so that it lives in a bubble of synctest.
type shelf struct {
	mu      sync.Mutex
	records map[string]signals.Record
	corrupt map[string]bool
	notices chan string
	mute    bool  // writes give no notice
	away    error // what every call answers
	slow    time.Duration
	reads   int // full ones
	yielded func(key string)
}

func newShelf() *shelf {
	return &shelf{records: map[string]signals.Record{}, corrupt: map[string]bool{}, notices: make(chan string, 1000)}
}

func (s *shelf) put(key string, revision signals.Revision, ends time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key] = signals.Record{Kind: "k", Key: key, Revision: revision, Expires: ends, Value: fmt.Append(nil, revision)}
	s.tell(key)
}

func (s *shelf) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	s.tell(key)
}

func (s *shelf) spoil(key string, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt[key] = is
	s.tell(key)
}

func (s *shelf) tell(key string) {
	if !s.mute {
		s.notices <- key
	}
}

func (s *shelf) set(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *shelf) wait(ctx context.Context) error {
	s.mu.Lock()
	slow, away := s.slow, s.away
	s.mu.Unlock()
	if slow > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(slow):
		}
	}
	return away
}

func (s *shelf) Record(ctx context.Context, _, key string) (signals.Record, error) {
	if err := s.wait(ctx); err != nil {
		return signals.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.records[key]
	switch {
	case s.corrupt[key]:
		return signals.Record{}, fmt.Errorf("nobody signed it: %w", signals.ErrCorrupt)
	case !found || ended(r.Expires, time.Now()):
		return signals.Record{}, signals.ErrNotFound
	}
	return r, nil
}

// EachRecord reads everything at once and shows it one by one, as a page that is old when it is shown.
func (s *shelf) EachRecord(ctx context.Context, _ string, yield func(signals.Record) error) (signals.Cursor, error) {
	if err := s.wait(ctx); err != nil {
		return "", err
	}
	s.mu.Lock()
	s.reads++
	page, yielded := maps.Clone(s.records), s.yielded
	corrupt := maps.Clone(s.corrupt)
	s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(page)) {
		r := page[key]
		if corrupt[key] {
			r.Value = nil // as signals.Sealed does
		}
		if ended(r.Expires, time.Now()) {
			continue
		}
		if yielded != nil {
			yielded(key)
		}
		if err := yield(r); err != nil {
			return "", err
		}
	}
	return "c", nil
}

func (s *shelf) WatchRecords(ctx context.Context, _ string, _ signals.Cursor, yield func(signals.Change) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case key := <-s.notices:
			if key == "" {
				return signals.ErrGap
			}
			if err := yield(signals.Change{Key: key, Cursor: "c"}); err != nil {
				return err
			}
		}
	}
}

func (*shelf) PutRecord(context.Context, signals.Record, signals.Revision) error {
	return errors.New("nobody writes here")
}

func (*shelf) DeleteRecord(context.Context, string, string, signals.Revision) error {
	return errors.New("nobody writes here")
}

// told is everything that a Follower said.
type told struct {
	mu     sync.Mutex
	sets   []map[string]signals.Revision
	at     []time.Time
	events []string
}

func (o *told) options(kinds ...string) Options {
	say := func(format string, args ...any) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events = append(o.events, fmt.Sprintf(format, args...))
	}
	return Options{Kinds: kinds, OnChange: func(all []signals.Record) {
		set := map[string]signals.Revision{}
		for _, r := range all {
			set[r.Key] = r.Revision
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sets, o.at = append(o.sets, set), append(o.at, time.Now())
	}, Events: Events{
		Offline:      func(_ string, err error, wait time.Duration) { say("offline %s: %v", wait, err) },
		InSync:       func(_ string, away time.Duration) { say("in sync after %s", away) },
		ResyncFailed: func(_ string, err error) { say("resync failed: %v", err) },
		Refused:      func(_, key string, err error) { say("refused %q: %v", key, err) },
		Regressed:    func(_, key string, held, stored signals.Revision) { say("regressed %q %d %d", key, held, stored) },
		Kept:         func(_, key string) { say("kept %q", key) },
	}}
}

// last is the set that OnChange was told last, and how often it was told.
func (o *told) last() (map[string]signals.Revision, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sets) == 0 {
		return nil, 0
	}
	return o.sets[len(o.sets)-1], len(o.sets)
}

func (o *told) said() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	said := o.events
	o.events = nil
	return said
}

// run runs a follower until the test or its bubble ends.
func run(t *testing.T, store signals.Records, opts Options) *Follower {
	t.Helper()
	f := New(store, opts)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}
