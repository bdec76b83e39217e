package boltstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/signals"
)

// feedName names a change stream: that of the postures, or of one kind of records.
type feedName struct {
	postures bool
	kind     string
}

// change is one write that was committed.
type change struct {
	feed    feedName
	key     string
	posture *signals.Packed // the new version, for the memory; nil for a record
}

// feed remembers the newest changes. Change number n (from 1) is keys[n-1-dropped].
type feed struct {
	keys    []string
	dropped uint64
	more    chan struct{} // closed and replaced when a change is added
}

func (f *feed) last() uint64 { return f.dropped + uint64(len(f.keys)) }

// feedOf returns the feed; the caller holds s.mu for writing.
func (s *Store) feedOf(name feedName) *feed {
	f := s.feeds[name]
	if f == nil {
		f = &feed{more: make(chan struct{})}
		s.feeds[name] = f
	}
	return f
}

// announce makes committed changes visible: to readers of postures and, in the same step, to watchers.
func (s *Store) announce(made []change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range made {
		if c.posture != nil {
			s.postures[c.posture.Device] = held{posture: c.posture}
		}
		f := s.feedOf(c.feed)
		f.keys = append(f.keys, c.key)
		// Forgetting in large pieces keeps the cost of an append constant.
		if len(f.keys) >= 2*s.reach {
			f.dropped += uint64(len(f.keys) - s.reach)
			f.keys = append([]string(nil), f.keys[len(f.keys)-s.reach:]...)
		}
		close(f.more)
		f.more = make(chan struct{})
	}
}

func (s *Store) cursor(n uint64) signals.Cursor {
	return signals.Cursor(s.instance + "-" + strconv.FormatUint(n, 10))
}

// place is the number of the last change that a cursor has seen; false if it is not from this opening of the file.
func (s *Store) place(c signals.Cursor) (uint64, bool) {
	instance, number, ok := strings.Cut(string(c), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, ok && err == nil && instance == s.instance
}

// now is the cursor after the newest change; the caller holds s.mu for writing.
func (s *Store) now(name feedName) signals.Cursor { return s.cursor(s.feedOf(name).last()) }

// watch calls yield outside every lock, so that a slow watcher holds nobody up.
func (s *Store) watch(ctx context.Context, name feedName, from signals.Cursor, yield func(signals.Change) error) error {
	if ctx.Err() != nil {
		return nil
	}
	if from == "" {
		s.mu.Lock()
		from = s.now(name)
		s.mu.Unlock()
	}
	seen, ours := s.place(from)
	if err := s.usable(ctx); err != nil || !ours {
		return firstOf(err, signals.ErrGap)
	}
	for {
		keys, more, err := s.after(name, seen)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if ctx.Err() != nil {
				return nil
			}
			seen++
			if err := yield(signals.Change{Key: key, Cursor: s.cursor(seen)}); err != nil {
				return err
			}
		}
		if len(keys) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.closed:
			return errClosed
		case <-more:
		}
	}
}

// after copies some of the changes after seen, or returns what is closed when there are more.
func (s *Store) after(name feedName, seen uint64) ([]string, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feedOf(name)
	if seen < f.dropped || seen > f.last() {
		return nil, nil, signals.ErrGap
	}
	keys := f.keys[seen-f.dropped:]
	return append([]string(nil), keys[:min(len(keys), 256)]...), f.more, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
