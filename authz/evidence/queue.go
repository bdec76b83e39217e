package evidence

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tiergate/tiergate/authz/policy"
)

// The states of an entry for which somebody waits. Whoever leaves stateWaiting first decides: the writer that has the
// line on disk, or the decision that cannot wait any longer.
const (
	stateWaiting int32 = iota
	stateKept
	stateWithdrawn
	stateFailed
)

// entry is a record on its way to the file.
type entry struct {
	record  Record
	change  *Change // set: this is no decision
	chosen  policy.Chosen
	settled chan struct{} // closed when the writer has decided; nil: nobody waits
	state   atomic.Int32
	fate    fate // set by the writer
}

// fate is what became of an entry.
type fate uint8

const (
	fateOpen fate = iota
	fateWritten
	fateWithdrawn
	fateFailed
)

// newEntry copies what of a record is a part of the message that was asked with, and leaves out what nobody may read.
// The rest is immutable, or the verdict's own.
func newEntry(r *Record, waits bool) *entry {
	e := &entry{record: *r}
	if waits {
		e.settled = make(chan struct{})
	}
	in := &e.record.Input
	in.Request.Path, _, _ = strings.Cut(in.Request.Path, "?")
	in.Request.Host = withoutUserinfo(in.Request.Host)
	in.Device.Assessment = nil // computed anew by who evaluates again
	route := ""
	if in.Request.Chosen != nil {
		e.chosen = *in.Request.Chosen
		in.Request.Chosen, route = &e.chosen, e.chosen.Route
	}
	var all strings.Builder
	all.Grow(len(in.Request.Method) + len(in.Request.Host) + len(in.Request.Path) + len(in.Request.Malformed) +
		len(route) + len(in.Subject.Workload) + len(e.record.Verdict.Detail))
	own(&all, &in.Request.Method)
	own(&all, &in.Request.Host)
	own(&all, &in.Request.Path)
	own(&all, &in.Request.Malformed)
	own(&all, &e.chosen.Route)
	own(&all, &in.Subject.Workload)
	own(&all, &e.record.Verdict.Detail)
	if len(in.Subject.Doubts) > 0 {
		in.Subject.Doubts = append(in.Subject.Doubts[:0:0], in.Subject.Doubts...)
		for i := range in.Subject.Doubts {
			in.Subject.Doubts[i].Detail = strings.Clone(in.Subject.Doubts[i].Detail)
		}
	}
	return e
}

// own moves a text into memory of ours.
func own[T ~string](into *strings.Builder, text *T) {
	start := into.Len()
	into.WriteString(string(*text))
	*text = T(into.String()[start:])
}

// withoutUserinfo blots out a user name and password before the '@' of an authority. No host has an '@', so that the
// request is refused, and in the same words: the length and the bytes that the refusal speaks of stay.
func withoutUserinfo(host string) string {
	at := strings.LastIndexByte(host, '@')
	if at < 0 {
		return host
	}
	blotted := []byte(host)
	for i, c := range blotted[:at] {
		if strings.IndexByte(":[]@", c) < 0 {
			blotted[i] = 'x'
		}
	}
	return string(blotted)
}

// entryBytes and demandBytes are about what an entry and a demand that was not met take, without their texts.
const (
	entryBytes  = 1 << 10
	demandBytes = 256
)

// cost is about the memory that an entry holds, in bytes. Postures are not counted: they are shared.
func (e *entry) cost() int64 {
	r, v := &e.record.Input.Request, &e.record.Verdict
	n := entryBytes + len(r.Path) + len(r.Host) + len(r.Method) + len(r.Malformed) + len(v.Detail)
	n += demandBytes * (len(v.Unmet) + len(v.Noted) + len(v.Waived))
	for _, d := range e.record.Input.Subject.Doubts {
		n += len(d.Detail)
	}
	return int64(n)
}

// lane is one of the two ways to the file. What is being written counts until it is settled.
type lane struct {
	entries []*entry
	held    int
	bytes   int64
	// full spares the work on a record that would find no room. It is set where one did, and cleared when there is some
	// again.
	full atomic.Bool
}

// queue is bounded in records and bytes, and never blocks. Records that are waited for have a lane of their own, which
// goes first: a flood of others cannot keep them out.
type queue struct {
	maxEntries int
	maxBytes   int64
	wake       chan struct{} // of capacity 1: there is something to take

	mu     sync.Mutex
	lanes  [2]lane
	closed bool
	stats  Stats
	lost   uint64 // decisions in no record, not yet told in the file

	changes int // that wait, in the second lane but beside its bounds
}

func newQueue(maxEntries int, maxBytes int64) *queue {
	return &queue{maxEntries: maxEntries, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// laneOf is the first one for what somebody waits for.
func (q *queue) laneOf(waits bool) *lane {
	if waits {
		return &q.lanes[0]
	}
	return &q.lanes[1]
}

// put takes over what has to be kept of a record. Without room it is nil, and the drop is counted.
func (q *queue) put(r *Record, waits bool) *entry {
	if q.laneOf(waits).full.Load() {
		q.mu.Lock()
		q.drop()
		q.mu.Unlock()
		return nil
	}
	e := newEntry(r, waits)
	if !q.push(e) {
		return nil
	}
	return e
}

// drop counts; the caller holds the lock.
func (q *queue) drop() {
	q.stats.Offered++
	q.stats.Dropped++
	q.lost++
}

// push is false if there is no room; the drop is then counted.
func (q *queue) push(e *entry) bool {
	cost := e.cost()
	q.mu.Lock()
	l := q.laneOf(e.settled != nil)
	if q.closed || l.held >= q.maxEntries || l.bytes+cost > q.maxBytes {
		q.drop()
		l.full.Store(q.closed || l.held > 0) // else nothing would ever clear it
		q.mu.Unlock()
		return false
	}
	q.stats.Offered++
	l.entries = append(l.entries, e)
	l.held++
	l.bytes += cost
	q.stats.Held++
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take appends up to limit entries in all, those that are waited for first.
func (q *queue) take(into []*entry, limit int) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		l := &q.lanes[i]
		n := min(limit-len(into), len(l.entries))
		into = append(into, l.entries[:n]...)
		rest := copy(l.entries, l.entries[n:])
		clear(l.entries[rest:])
		l.entries = l.entries[:rest]
	}
	return into
}

// done lets go of entries whose fate is known, and returns the others, in their order. Who waits for one is told when it is counted
// and its room is free.
func (q *queue) done(batch []*entry) (open []*entry) {
	q.mu.Lock()
	for _, e := range batch {
		if e.fate != fateOpen {
			q.leaves(e)
		}
	}
	q.mu.Unlock()
	open = batch[:0]
	for _, e := range batch {
		switch {
		case e.fate == fateOpen:
			open = append(open, e)
		case e.settled != nil && e.fate != fateWithdrawn:
			close(e.settled)
		}
	}
	clear(batch[len(open):])
	return open
}

// leaves counts an entry whose fate is known and frees its room. q.mu is held.
func (q *queue) leaves(e *entry) {
	if e.change != nil {
		q.changed(e)
		return
	}
	switch e.fate {
	case fateOpen:
	case fateWritten:
		q.stats.Written++
	case fateWithdrawn:
		q.stats.Withdrawn++
	case fateFailed:
		q.stats.Failed++
		q.lost++
	}
	l := q.laneOf(e.settled != nil)
	l.held--
	l.bytes -= e.cost()
	l.full.Store(q.closed)
	q.stats.Held--
}

// untold is the number of decisions in no record that the file does not know of.
func (q *queue) untold() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// told says that the file now has so many of the lost.
func (q *queue) told(lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost -= lost
}

// close lets nothing in any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) count(change func(*Stats)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(&q.stats)
}
