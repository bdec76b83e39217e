package ingest

import (
	"context"
	"sync"
)

// queues hold the keys of inbox entries that wait for a worker, one queue per source. Sources take turns, one entry
// each, so that however many entries one of them has, each of n busy sources gets an nth of the work; within a source its
// devices do (lines.go). The inbox bounds the queues (Options.MaxInbox).
type queues struct {
	most int // entries of one source that are worked on at once

	mu      sync.Mutex
	changed *sync.Cond
	ring    []*queue // in the order of turns
	byName  map[string]*queue
	turn    int
	claimed map[string]*item // what waits or is worked on
	ending  bool             // some worker waits for the last entry
	more    bool             // the inbox has entries that nobody has claimed
	hungry  chan struct{}    // holds one: there is more, and little left here
}

type queue struct {
	source string
	busy   int
	*turns
}

// newQueues leaves some of the workers to the other sources, if there are others.
func newQueues(workers, sources int) *queues {
	q := &queues{most: workers, byName: map[string]*queue{}, claimed: map[string]*item{},
		hungry: make(chan struct{}, 1)}
	if sources > 1 {
		q.most = max(1, workers*3/4)
	}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// add queues a key in these lines, unless it is queued or worked on already.
func (q *queues) add(key string, lines []line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.claimed[key] != nil {
		return
	}
	from, _ := splitKey(key)
	of := q.byName[from]
	if of == nil {
		of = &queue{source: from, turns: newTurns()}
		q.byName[from] = of
		q.ring = append(q.ring, of)
	}
	q.claimed[key] = of.add(key, lines)
	q.changed.Signal()
}

// holds reports whether a key waits or is worked on.
func (q *queues) holds(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.claimed[key] != nil
}

// leftSome notes that a sweep has left entries to whoever is hungry first.
func (q *queues) leftSome() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.more = true
}

// length is the number of entries of a source that wait, without those that stand deep in the line of their device.
func (q *queues) length(source string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if of := q.byName[source]; of != nil {
		return of.count
	}
	return 0
}

// take waits for the next key. After ctx has ended it gives out what still waits, and then ok is false.
func (q *queues) take(ctx context.Context) (key string, ok bool) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock() // else a worker that is about to wait would not hear it
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		waiting := false
		for range q.ring {
			of := q.ring[q.turn%len(q.ring)]
			q.turn = (q.turn + 1) % len(q.ring)
			if of.open == 0 {
				continue
			}
			waiting = true
			if of.busy >= q.most {
				continue
			}
			next := of.take()
			if next == nil {
				continue
			}
			of.busy++
			if q.more && of.count < claimBelow {
				q.more = false
				select {
				case q.hungry <- struct{}{}:
				default:
				}
			}
			return next.key, true
		}
		if ctx.Err() != nil {
			if q.ending = true; !waiting {
				return "", false
			}
		}
		q.changed.Wait()
	}
}

// done gives a key of take back: it may be queued again.
func (q *queues) done(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ended := q.claimed[key]
	delete(q.claimed, key)
	from, _ := splitKey(key)
	of := q.byName[from]
	of.busy--
	freed := of.done(ended)
	if of.open == 0 && of.busy == 0 { // sources come and go with what somebody wrote into the inbox
		delete(q.byName, from)
		for i, other := range q.ring {
			if other == of {
				q.ring = append(q.ring[:i], q.ring[i+1:]...)
				if i < q.turn {
					q.turn--
				}
				break
			}
		}
	}
	if q.ending {
		q.changed.Broadcast()
		return
	}
	for range freed + 1 { // one for the source's place that is free now
		q.changed.Signal()
	}
}
