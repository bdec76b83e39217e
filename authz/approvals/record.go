package approvals

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// The kinds of records (signals.Record.Kind). The key of an exception is its name, of a grace the device id, of a clearance
// its own random name. A record lives on after its end for as long as findings and audits look back (Retention).
const (
	KindException = "exception"
	KindGrace     = "grace"
	KindClearance = "clearance"
)

// Retention is how long after its end a record is kept.
const Retention = 400 * 24 * time.Hour

// Step is what somebody did.
type Step string

// The steps.
const (
	StepRequested Step = "requested"
	// StepAgreed: an approver of one of several teams said yes; it takes the others too, of whom the last approves.
	StepAgreed   Step = "agreed"
	StepApproved Step = "approved"
	StepRefused  Step = "refused" // an approver said no
	StepRevoked  Step = "revoked" // ended before its time, by anybody who may approve or who asked
	StepNoticed  Step = "noticed" // its owner was told of the coming end
)

// Event is one step of a record's history, which only grows.
type Event struct {
	At     time.Time `json:"at"`
	By     Person    `json:"by"`
	Step   Step      `json:"step"`
	Reason string    `json:"reason,omitempty"`
	Ticket string    `json:"ticket,omitempty"`
	// For is, of agreed and approved, which teams the person spoke for.
	For []Mandate `json:"for,omitempty"`
}

// Mandate says for which team somebody may approve, and by which entry of its approvers.
type Mandate struct {
	Team string          `json:"team"`
	As   policy.Approver `json:"as"`
}

// Exception is an exception of run time: what it would waive, and who did what.
type Exception struct {
	policy.Exception `json:"exception"`
	History          []Event `json:"history"`
}

// State is where an exception of run time stands. The zero State counts for nothing.
type State string

// The states. Only InForce excuses anything.
const (
	StateRequested State = "requested" // nobody has approved it
	StateRefused   State = "refused"
	StatePending   State = "pending" // approved, and not yet begun
	StateInForce   State = "in force"
	StateEnded     State = "ended"
	StateRevoked   State = "revoked"
	// StateVoid: approved, but by today's policy it could not be granted, so that it excuses nothing. See Listed.
	StateVoid State = "void"
)

// State is the one answer to where the exception stands, for decisions, verbs, metrics and findings alike. It adds who did
// what to policy.Exception.State.
func (e *Exception) State(at time.Time) State {
	approved := false
	for i := range e.History {
		if e.History[i].At.After(at) {
			continue
		}
		switch e.History[i].Step {
		case StepApproved:
			approved = true
		case StepRefused:
			return StateRefused
		case StepRevoked:
			return StateRevoked
		case StepRequested, StepAgreed, StepNoticed:
		}
	}
	switch e.Exception.State(at) {
	case policy.ExceptionEnded:
		return StateEnded
	case policy.ExceptionInForce:
		if approved {
			return StateInForce
		}
	case policy.ExceptionPending:
		if approved {
			return StatePending
		}
	}
	return StateRequested
}

// Grace is what was said of a silent device's grace.
type Grace struct {
	Device   signals.DeviceID `json:"device"`
	Renewals []Event          `json:"renewals,omitempty"` // each StepApproved
	// Ended is when somebody ended it: renewals before that count no more, and none is left of the grace of that silence.
	Ended *Event `json:"ended,omitempty"`
}

// Clearance ends an alarm: by two people, for what was seen until it was asked for.
type Clearance struct {
	Name   string           `json:"name"`
	Device signals.DeviceID `json:"device"`
	Signal string           `json:"signal"`
	// Ends are the facts behind the alarm as they stood when it was asked for: what these sources said of these attributes
	// until then counts no more. What they say later does, an alarm too.
	Ends    []signals.Fact `json:"ends"`
	History []Event        `json:"history"`
}
