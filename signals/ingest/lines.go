package ingest

import (
	"container/heap"
	"hash/maphash"
	"net/http"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Within a source the devices take turns. Which devices a delivery is about is read when it is queued, where its bytes are at
// hand anyway: reading is cheap and pure, and only hashes of the names are kept. Each device is a line in which its
// deliveries stand in the order in which they came, one at a time; a delivery about several stands in all their lines, and
// has used a turn of each. A device with 10,000 deliveries in its line so delays another by one delivery and not by 10,000.
// Nothing about this is stored: after a crash the sweep reads the inbox and queues anew.

// line is the hash of a device's name. Two devices that share one by chance only wait for each other.
type line uint64

var lineSeed = maphash.MakeSeed() // so that no sender can choose whom it shares a line with

func lineOf(name string) line { return line(maphash.String(lineSeed, name)) }

// maxLines bounds the memory of one delivery. One about more devices stands in the line of such deliveries as well, and
// for the rest in none: what is merged is the same in any order.
const maxLines = 32

// shallow is how many deliveries of one device count as work that other receivers could do: it is done one by one anyhow.
const shallow = 32

// Names of lines that no device has, since an alias is KIND:VALUE.
const (
	nameless = ""       // deliveries that name no device or cannot be read: they take turns as one device
	crowded  = "crowd " // deliveries about more than maxLines devices
)

// lines are the lines in which an entry stands, each once.
func (r *Receiver) lines(e *entry) []line {
	from, known := r.sources[e.Source]
	if !known {
		return []line{lineOf(nameless)}
	}
	d := source.Delivery{Source: e.Source, ID: e.ID, Header: http.Header{}, Body: e.Body, Received: e.Received}
	if e.ContentType != "" {
		d.Header.Set("Content-Type", e.ContentType)
	}
	var found []line
	links := r.links.Load()
	observations, _ := observe(from.Adapter, d) // what cannot be read is said when it is applied
	for _, o := range observations {
		names, _ := links.expand(o.Aliases)
		for _, name := range names {
			if found = addLine(found, name); len(found) > maxLines {
				return found
			}
		}
	}
	if p := r.pulls[e.Source]; p != nil {
		ids, _ := points(p.inventory, d)
		for _, id := range ids {
			if alias, err := p.inventory.Alias(id); err == nil {
				found = addLine(found, alias)
			}
			if len(found) > maxLines {
				return found
			}
		}
	}
	if len(found) == 0 {
		found = append(found, lineOf(nameless))
	}
	return found
}

// addLine adds the line of a name unless it is there; the one after maxLines is that of the crowd.
func addLine(to []line, name signals.Alias) []line {
	next := lineOf(name.String())
	if len(to) == maxLines {
		next = lineOf(crowded)
	}
	for _, have := range to {
		if have == next {
			return to
		}
	}
	return append(to, next)
}

// item is an inbox entry that waits or is worked on.
type item struct {
	key   string
	lines []line
	turn  uint64 // the round in which it has its turn
	came  uint64 // breaks ties
	first int    // in how many of its lines it stands first
	deep  bool   // behind so many of its device that it is not counted
}

// turns are the deliveries of one source in the order of turns (start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996).
// Whoever comes has its turn one round after the later of now and the last delivery before it in any of its lines.
type turns struct {
	now   uint64 // the latest round of which a delivery was given out
	came  uint64
	lines map[line][]*item // those that wait and then the one that is worked on is its first; never empty
	ready ready            // first in all of their lines and waiting
	open  int              // given out by nobody yet, ready or not
	count int              // the same without the deep ones
}

func newTurns() *turns { return &turns{lines: map[line][]*item{}} }

// add returns the delivery that it queues.
func (t *turns) add(key string, lines []line) *item {
	t.came++
	it := &item{key: key, lines: lines, turn: t.now, came: t.came}
	for _, l := range lines {
		before := t.lines[l]
		if len(before) == 0 {
			it.first++
		} else {
			it.turn = max(it.turn, before[len(before)-1].turn)
		}
		it.deep = it.deep || len(before) >= shallow
		t.lines[l] = append(before, it)
	}
	it.turn++
	t.open++
	if !it.deep {
		t.count++
	}
	if it.first == len(lines) {
		heap.Push(&t.ready, it)
	}
	return it
}

// take gives out the delivery whose turn it is, or nil if each that waits stands behind one that is worked on.
func (t *turns) take() *item {
	if len(t.ready) == 0 {
		return nil
	}
	it := heap.Pop(&t.ready).(*item) //nolint:forcetypeassert // nothing else is ever pushed
	t.now = max(t.now, it.turn)
	t.open--
	if !it.deep {
		t.count--
	}
	return it
}

// done lets those go on who stood behind a delivery that was given out, and returns how many.
func (t *turns) done(it *item) (freed int) {
	for _, l := range it.lines {
		all := t.lines[l]
		all[0] = nil // it is the first: nobody is given out who is not
		rest := all[1:]
		if len(rest) == 0 {
			delete(t.lines, l)
			continue
		}
		t.lines[l] = rest
		if rest[0].first++; rest[0].first == len(rest[0].lines) {
			heap.Push(&t.ready, rest[0])
			freed++
		}
	}
	return freed
}

// ready is a heap of those who could be given out, the next one first.
type ready []*item

func (r ready) Len() int { return len(r) }

func (r ready) Less(i, j int) bool {
	if r[i].turn != r[j].turn {
		return r[i].turn < r[j].turn
	}
	return r[i].came < r[j].came
}

func (r ready) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *ready) Push(x any) { *r = append(*r, x.(*item)) }

// Pop implements heap.Interface.
func (r *ready) Pop() any {
	old := *r
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	return last
}
