package findings

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
)

// RecordKind is the kind of the records in which cases are kept (signals.Record.Kind); the key is Case.ID.
const RecordKind = "finding"

// State is where a case stands. The zero State is none.
type State string

// The states.
const (
	Pending       State = "pending" // found, and not yet for so long that it counts: nobody is told
	Passed        State = "passed"  // it went by before it counted
	Open          State = "open"
	Assigned      State = "assigned"
	InRemediation State = "in-remediation" // somebody has taken it on
	Accepted      State = "accepted"       // until a date, by a named person
	Closed        State = "closed"         // by the facts: the trouble is no longer found
)

// Stands tells whether somebody has to do something about a case, or has accepted not to for now.
func (s State) Stands() bool {
	return s == Open || s == Assigned || s == InRemediation || s == Accepted
}

// Case is one trouble, from the instant at which it was found until the facts say that it is over; if it returns, the
// case is opened again with its history.
type Case struct {
	ID       string          `json:"id"`      // "F-" and 12 hex digits of the SHA-256 of Finding.Key
	Finding  Finding         `json:"finding"` // as it was found last; Evidence and Since may be older
	State    State           `json:"state"`
	Severity policy.Severity `json:"severity"`
	Monitor  string          `json:"monitor"` // the Monitor document that watches it
	Team     string          `json:"team"`    // who looks after it
	Person   string          `json:"person,omitempty"`
	Opened   time.Time       `json:"opened,omitzero"` // this time
	// Counts is from when the deadline counts: Opened, or when an acceptance ended.
	Counts   time.Time `json:"counts,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Escalated is when the accountable owner was told that the deadline has passed; zero: not yet.
	Escalated     time.Time `json:"escalated,omitzero"`
	AcceptedUntil time.Time `json:"acceptedUntil,omitzero"`
	EndingTold    time.Time `json:"endingTold,omitzero"` // when it was told that the acceptance ends
	// First and Gone are of the trouble as it comes and goes: since when it is found without a pause that counts, and since when
	// it is found no more. Zero: it is not there; it is there.
	First    time.Time    `json:"first,omitzero"`
	Gone     time.Time    `json:"gone,omitzero"`
	Closed   time.Time    `json:"closed,omitzero"`    // or passed
	Reopened int          `json:"reopened,omitempty"` // how often it returned
	History  []Transition `json:"history,omitempty"`  // the first, and the newest of the others, MaxHistory in all
}

// Transition is one step of a case.
type Transition struct {
	At     time.Time        `json:"at"`
	To     State            `json:"to"`
	By     approvals.Person `json:"by,omitzero"` // zero: the facts
	Reason string           `json:"reason,omitempty"`
}

// MaxHistory is the most steps that a case keeps.
const MaxHistory = 100

// Retention is how long a case is kept after it was closed.
const Retention = 400 * 24 * time.Hour

// Expires is when the record of a case may go; zero: it may not.
func (c *Case) Expires() time.Time {
	if c.State == Closed {
		return c.Closed.Add(Retention)
	}
	if c.State == Passed {
		return c.Closed.Add(24 * time.Hour)
	}
	return time.Time{}
}

// IDOf is the Case.ID of a finding's key.
func IDOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "F-" + hex.EncodeToString(sum[:6])
}

// move puts a step into the history, which another Case may share.
func (c *Case) move(at time.Time, to State, by approvals.Person, reason string) {
	c.State = to
	history := append(slices.Clip(c.History), Transition{At: at, To: to, By: by, Reason: reason})
	if len(history) > MaxHistory {
		history = append(history[:1:1], history[len(history)-MaxHistory+1:]...)
	}
	c.History = history
}
