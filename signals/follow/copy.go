package follow

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// kind is what is held of the records of one kind; guarded by Follower.mu but for what says otherwise.
type kind struct {
	name      string
	keep      bool
	applying  chan struct{} // holds one while somebody reads a record and puts it in place
	reading   uint64        // the number of the newest full read; guarded by applying
	held      map[string]*held
	complete  bool
	inSync    bool
	since     time.Time // of inSync
	lastError string
}

// held is what is known of one key.
type held struct {
	record  signals.Record // the newest that counted; revision 0: none did
	absent  bool           // the store does not show it
	refused bool           // what the store shows cannot be believed
	kept    bool           // one of the two, and it counts nevertheless
	read    uint64         // the number of the last full read that it was seen in, or since
	// until is how long the revision is remembered: the last end that any version had. Zero: for ever.
	until time.Time
}

// counts tells whether there is such a record at an instant.
func (h *held) counts(at time.Time) bool {
	return h.record.Revision > 0 && (!h.absent && !h.refused || h.kept) && !ended(h.record.Expires, at)
}

func ended(end, at time.Time) bool { return !end.IsZero() && !at.Before(end) }

// appendTo adds the records that count.
func (k *kind) appendTo(all []signals.Record, at time.Time) []signals.Record {
	for _, h := range k.held {
		if h.counts(at) {
			all = append(all, h.record)
		}
	}
	return all
}

// lock waits for its turn with a kind; the result gives it back. A channel, because the turn may last as long as the store.
func (k *kind) lock() (unlock func()) {
	k.applying <- struct{}{}
	return func() { <-k.applying }
}

// refresh reads one record from the store and puts in place what it finds. An error means that the store failed.
func (f *Follower) refresh(ctx context.Context, k *kind, key string) error {
	defer k.lock()()
	return f.refreshLocked(ctx, k, key)
}

func (f *Follower) refreshLocked(ctx context.Context, k *kind, key string) error {
	switch r, err := f.store.Record(ctx, k.name, key); {
	case err == nil:
		f.put(k, r)
	case errors.Is(err, signals.ErrNotFound):
		f.remove(k, key)
	case errors.Is(err, signals.ErrCorrupt):
		f.refuse(k, key, err)
	default:
		return err
	}
	return nil
}

// seen takes a record that a full read showed. What it shows may be older than what a notice told meanwhile: what would go
// back is read again before it is judged.
func (f *Follower) seen(ctx context.Context, k *kind, r signals.Record) error {
	defer k.lock()()
	h, known := f.peek(k, r.Key)
	if known && (h.absent || h.refused || r.Revision < h.record.Revision) || len(r.Value) == 0 {
		return f.refreshLocked(ctx, k, r.Key)
	}
	f.put(k, r)
	return nil
}

// peek returns what is held of a key.
func (f *Follower) peek(k *kind, key string) (held, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	h := k.held[key]
	if h == nil {
		return held{}, false
	}
	return *h, true
}

// change makes a change to what is held of a key, and tells the listener if that made a difference.
func (f *Follower) change(k *kind, key string, change func(h *held)) {
	f.mu.Lock()
	h := k.held[key]
	if h == nil {
		h = &held{}
		k.held[key] = h
	}
	at := time.Now()
	before, counted := h.record, h.counts(at)
	change(h)
	h.read = k.reading
	same := counted == h.counts(at) && before.Revision == h.record.Revision && bytes.Equal(before.Value, h.record.Value) &&
		before.Expires.Equal(h.record.Expires)
	f.mu.Unlock()
	if !same {
		f.touch()
	}
}

// put is called with the turn of the kind, as are remove and refuse.
func (f *Follower) put(k *kind, r signals.Record) {
	var newest signals.Revision
	f.change(k, r.Key, func(h *held) {
		if newest = h.record.Revision; r.Revision < newest {
			if h.absent || h.refused { // what there was comes back older: that is nothing to build upon
				h.absent, h.refused, h.kept = false, true, k.keep
			}
			return
		}
		if later := r.Expires; newest == 0 || later.IsZero() || !h.until.IsZero() && later.After(h.until) {
			h.until = later
		}
		h.record, h.absent, h.refused, h.kept = r, false, false, false
	})
	if r.Revision < newest && f.opts.Events.Regressed != nil {
		f.opts.Events.Regressed(k.name, r.Key, newest, r.Revision)
	}
}

func (f *Follower) remove(k *kind, key string) {
	if _, known := f.peek(k, key); !known {
		return
	}
	news := false
	f.change(k, key, func(h *held) {
		news = k.keep && !h.kept && h.counts(time.Now())
		h.absent, h.refused, h.kept = true, false, k.keep
	})
	if news && f.opts.Events.Kept != nil {
		f.opts.Events.Kept(k.name, key)
	}
}

func (f *Follower) refuse(k *kind, key string, err error) {
	news := false
	f.change(k, key, func(h *held) {
		news = !h.refused
		h.absent, h.refused, h.kept = false, true, k.keep
	})
	if news && f.opts.Events.Refused != nil {
		f.opts.Events.Refused(k.name, key, err)
	}
}

// sweep forgets what nothing can come of any more, and returns what counts and when the next of that ends (zero: never).
func (f *Follower) sweep(at time.Time) (all []signals.Record, next time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.kinds {
		for key, h := range k.held {
			if h.record.Revision > 0 && ended(h.record.Expires, at) && ended(h.until, at) {
				delete(k.held, key)
				continue
			}
			if end := h.record.Expires; h.counts(at) && !end.IsZero() && (next.IsZero() || end.Before(next)) {
				next = end
			}
		}
		all = k.appendTo(all, at)
	}
	return all, next
}
