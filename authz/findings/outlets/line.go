package outlets

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// line is what waits for one outlet, as the store has it, and how the outlet is.
type line struct {
	Named

	mu    sync.Mutex
	items []*item // by key
	known bool    // the store was read: nothing is sent before, since what is older may be there
	wake  chan struct{}
	gone  map[string]signals.Revision // what was deleted here since the store was read last
	dead  int                         // dead letters, as far as was counted
	busy  *item                       // is being sent
	trouble
	held     time.Time // until when the outlet is ours
	disabled string    // why nothing is sent; "": it is
	// disabling: the store does not know it yet.
	disabling bool
}

// trouble is how an outlet fares that does not take anything.
type trouble struct {
	failures int       // in a row, of the outlet
	since    time.Time // of the first of them
	notUntil time.Time
	lastErr  string
	lastSent time.Time
}

const (
	firstPause = time.Second
	lastPause  = 5 * time.Minute
	// outageFrom is how many failures in a row are an outage: what failed in it is tried again as soon as it is over.
	outageFrom = 3
)

// shortest and longest are how long an outlet in trouble is left alone.
var shortest, longest = firstPause, lastPause

func newLine(n Named) *line {
	return &line{Named: n, wake: make(chan struct{}, 1), gone: map[string]signals.Revision{}}
}

// nudge has whoever sends look again.
func (l *line) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *line) find(key string) (int, bool) {
	return slices.BinarySearchFunc(l.items, key, func(it *item, key string) int { return strings.Compare(it.key, key) })
}

// set takes over what the store has under a key; nil: nothing.
func (l *line) set(key string, it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, found := l.find(key)
	switch {
	case it == nil && found:
		l.items = slices.Delete(l.items, at, at+1)
	case it == nil:
	case l.gone[key] >= it.revision: // an echo of what was deleted since
	case found && l.items[at].revision < it.revision:
		l.items[at].revision, l.items[at].entry = it.revision, it.entry
	case !found:
		l.items = slices.Insert(l.items, at, it)
	}
	l.nudge()
}

// replace takes over everything that the store has.
func (l *line) replace(items []*item, dead int) {
	l.mu.Lock()
	known := map[string]*item{}
	for _, it := range l.items {
		known[it.key] = it
	}
	l.items = l.items[:0]
	for _, it := range items {
		if l.gone[it.key] >= it.revision {
			continue
		}
		if old := known[it.key]; old != nil && old.revision >= it.revision {
			it = old // with what is known of its last attempt
		}
		l.items = append(l.items, it)
	}
	slices.SortFunc(l.items, func(a, b *item) int { return strings.Compare(a.key, b.key) })
	l.dead, l.known = dead, true
	l.mu.Unlock()
	l.nudge()
}

// forgetDeletions is called before the store is read as a whole.
func (l *line) forgetDeletions() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.gone)
}

// removed notes that the record of an item is deleted.
func (l *line) removed(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[it.key] = it.revision
	if at, found := l.find(it.key); found {
		l.items = slices.Delete(l.items, at, at+1)
	}
}

// next is what is to be sent now, or else when to look again (zero: when something happens). The first event of each subject
// stands before its others: those of a subject whose first must wait wait too, and nobody else does.
func (l *line) next(now time.Time) (it *item, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = nil
	if !l.known || l.disabled != "" || len(l.items) == 0 {
		return nil, time.Time{}
	}
	if now.Before(l.notUntil) {
		return nil, l.notUntil
	}
	waits := map[string]bool{}
	for _, it := range l.items {
		if waits[it.Event.About] {
			continue
		}
		if !now.Before(it.After) {
			l.busy = it
			return it, time.Time{}
		}
		waits[it.Event.About] = true
		if again.IsZero() || it.After.Before(again) {
			again = it.After
		}
	}
	return nil, again
}

// taken notes that an event was taken: after an outage, what failed in it may go at once.
func (l *line) taken(it *item, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it.sent = true
	if l.failures >= outageFrom {
		for _, other := range l.items {
			if other.wholly {
				other.After, other.wholly = time.Time{}, false
			}
		}
	}
	l.trouble = trouble{lastSent: now}
}

// missed notes that an event was not taken, and tells whether it is dead.
func (l *line) missed(it *item, err error, now time.Time) (dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		f = &Failure{Err: err}
	}
	it.Error, it.wholly, l.lastErr = cut(f.Err.Error(), 300), !f.Refused, cut(f.Err.Error(), 300)
	down := l.failures > 0
	if f.Refused {
		l.failures, l.since = 0, time.Time{}
	} else {
		l.failures++
		if !down {
			l.since = now
		}
		pause := spread(min(shortest<<min(l.failures-1, 10), longest))
		if f.After > 0 {
			pause = f.After
		}
		l.notUntil = now.Add(pause)
	}
	if f.Refused || !down { // else it is not about this event
		it.Attempts++
		if it.Attempts > len(schedule) {
			return true
		}
		it.After = now.Add(spread(schedule[it.Attempts-1]))
	}
	return now.Sub(it.Queued) >= giveUpAfter
}

// overdue are the events that an outlet in trouble, or a disabled one, has not taken for so long that they are given up.
func (l *line) overdue(now time.Time) []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.disabled == "" && (l.failures < outageFrom || now.Sub(l.since) < time.Hour) {
		return nil
	}
	var out []*item
	for _, it := range l.items {
		if now.Sub(it.Queued) >= giveUpAfter && it != l.busy {
			out = append(out, it)
		}
	}
	return out
}

// victim is what gives way to an event that has no room: the oldest of the least severe; nil: the event itself.
func (l *line) victim(e *Event) *item {
	l.mu.Lock()
	defer l.mu.Unlock()
	var least *item
	for _, it := range l.items {
		if it != l.busy && !it.sent && (least == nil || severityRank(it.Event.Data.Severity) < severityRank(least.Event.Data.Severity)) {
			least = it
		}
	}
	if least == nil || severityRank(e.Data.Severity) < severityRank(least.Event.Data.Severity) {
		return nil
	}
	return least
}
