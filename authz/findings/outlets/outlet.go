package outlets

import (
	"context"
	"fmt"
	"time"
)

// Outlet takes events. Its methods may be called at once.
type Outlet interface {
	// Send tells one event, and returns nil when it was taken for good. The error is a *Failure, or means that the outlet is in
	// trouble whatever is sent. It never holds a secret, nor what the other side answered.
	Send(ctx context.Context, e *Event) error
	// Where is shown to people: scheme and host, or the file.
	Where() string
	// Target is a digest of where exactly it goes: an outlet that was disabled is tried again when that changes.
	Target() string
}

// Failure is an event that was not taken.
type Failure struct {
	Status int // of HTTP; 0: there was no answer
	// Refused: this event was refused and others may do. Else the outlet is in trouble, whatever is sent.
	Refused bool
	Gone    bool          // 410: nothing is to be sent there any more
	After   time.Duration // the other side asks to be left alone for so long; 0: it does not say
	Err     error
}

// Error says what happened.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap is its cause.
func (f *Failure) Unwrap() error { return f.Err }

// Named is an outlet as the settings have it.
type Named struct {
	Name    string
	Type    string // webhook, slack, cloudevents, jsonlines
	Default bool   // it is told what no monitor says where to tell
	Details bool   // with evidence and the assigned person, which name people and addresses
	Outlet  Outlet
}

// send tells an event as this outlet may tell it.
func (n *Named) send(ctx context.Context, e *Event) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &Failure{Refused: true, Err: fmt.Errorf("a defect of tiergate: %v", fault)}
		}
	}()
	told := e.told(n.Details)
	return n.Outlet.Send(ctx, &told)
}
