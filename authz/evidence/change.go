package evidence

import (
	"errors"
	"fmt"
	"time"
)

// Change is a change of the policy in force, or of what was granted beside it: then Policy is the one that it was judged by.
// It stands among the decisions in the order in which it was told; a decision that overtook it, or that it overtook, says by
// its own digest which policy it was made with.
type Change struct {
	At     time.Time  `json:"at"`
	Kind   ChangeKind `json:"kind"`
	Policy string     `json:"policy"`           // digest of the policy that is in force from then on
	Before string     `json:"before,omitempty"` // digest of the one that was; empty: none, the process had just begun
	// By is what or who brought it about: "start" (of the process), "edit" (of the policy directory), or whoever asked over
	// the admin socket, as "ana (uid 1000)".
	By string `json:"by"`
	// Kept is the digest under which a rolled back policy was kept, where today's settings give it another.
	Kept   string `json:"kept,omitempty"`
	Reason string `json:"reason,omitempty"` // as it was given
	Ticket string `json:"ticket,omitempty"` // as it was given
	// Step is what was done about an exception, a grace or a clearance (authz/approvals), and Name which one.
	Step string `json:"step,omitempty"`
	Name string `json:"name,omitempty"`
}

// ChangeKind is what kind of change it was.
type ChangeKind string

// The kinds of changes.
const (
	ChangeInForce  ChangeKind = "policy-in-force" // the policy directory, or at a start the pinned policy, is in force
	ChangeRollback ChangeKind = "rollback"        // a kept policy is in force again, and pinned
	ChangeRelease  ChangeKind = "release"         // a pinned policy gave way to the policy directory

	ChangeException ChangeKind = "exception" // a step on an exception of run time
	ChangeGrace     ChangeKind = "grace"     // a step on the grace of a silent device
	ChangeClearance ChangeKind = "clearance" // a step on the clearance of an alarm
)

// check refuses a change that says nothing: who reads it must be able to rely on these.
func (c *Change) check() error {
	switch c.Kind {
	case ChangeInForce, ChangeRollback, ChangeRelease:
	case ChangeException, ChangeGrace, ChangeClearance:
		if c.Step == "" || c.Name == "" {
			return errors.New("a change of what was granted without step or name")
		}
	default:
		return fmt.Errorf("a change of kind %q is not known; if a later tiergate wrote it, use that one", c.Kind)
	}
	if c.Policy == "" || c.By == "" || c.At.IsZero() {
		return errors.New("a change without at, policy or by")
	}
	return nil
}

// maxChanges bounds the changes that wait. A file that fails for hours while somebody edits does not fill the memory.
const maxChanges = 1024

// RecordChange puts a change on record, behind the decisions that wait. It never blocks. The channel is closed when it is
// clear what became of it, and Kept then says whether it is on the disk; without a recorder, or without room, it is closed
// at once.
func (r *Recorder) RecordChange(c *Change) *ChangeReceipt {
	if r == nil {
		return &ChangeReceipt{done: closed}
	}
	own := *c
	e := &entry{change: &own, settled: make(chan struct{})}
	if !r.queue.pushChange(e) {
		return &ChangeReceipt{done: closed}
	}
	return &ChangeReceipt{done: e.settled, entry: e}
}

// ChangeReceipt tells what became of a change.
type ChangeReceipt struct {
	done  chan struct{}
	entry *entry // nil: it is in no record
}

// Done is closed when it is clear what became of the change.
func (c *ChangeReceipt) Done() <-chan struct{} { return c.done }

// Kept is whether the change is on the disk by now.
func (c *ChangeReceipt) Kept() bool { return c.entry != nil && c.entry.state.Load() == stateKept }

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// pushChange is false if there is no room; the loss is then counted. Decisions take no room from changes.
func (q *queue) pushChange(e *entry) bool {
	q.mu.Lock()
	if q.closed || q.changes >= maxChanges {
		q.stats.ChangesLost++
		q.mu.Unlock()
		return false
	}
	l := &q.lanes[1]
	l.entries = append(l.entries, e)
	q.changes++
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// changed lets go of a change whose fate is known; the caller holds the lock.
func (q *queue) changed(e *entry) {
	q.changes--
	if e.fate == fateWritten {
		q.stats.Changes++
	} else {
		q.stats.ChangesLost++
	}
}

// line is what the file says of an entry.
func (e *entry) line() line {
	if e.change != nil {
		return line{V: Version, Change: e.change}
	}
	return line{V: Version, Record: &e.record}
}

func (e *entry) String() string {
	if e.change != nil {
		return fmt.Sprintf("%s of policy %s", e.change.Kind, e.change.Policy)
	}
	return "decision " + e.record.ID
}
