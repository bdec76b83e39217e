package ingest

import (
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
)

// Events are told what happens. Each may be nil; none may block.
type Events struct {
	// Refused: a request was answered with an error. reason is for operators only. source is what the request named, and
	// empty where no such source exists.
	Refused func(source string, status int, reason string)
	// Accepted: a delivery is durable and was answered 202.
	Accepted func(source, id string)
	// Repeated: a delivery that was seen before was answered 202 again.
	Repeated func(source, id string)
	// Applied: one observation of a delivery stands in the device's posture; changed is false if it said nothing new.
	// lag is the time since the delivery was received.
	Applied func(source, id string, device signals.DeviceID, changed bool, lag time.Duration)
	// Dropped: the source may not attest this attribute, so its fact was left out.
	Dropped func(source, id, attribute string)
	// DeadLettered: a delivery cannot be applied and lies among the dead letters.
	DeadLettered func(source, id, reason string)
	// Postponed: the store did not let a delivery be applied; it stays in the inbox and is tried again.
	Postponed func(source, id string, err error)
	// SweepFailed: the inbox could not be read; it is tried again.
	SweepFailed func(err error)
	// LeaseFailed: other receivers may soon take this one for dead, and go on with what it has taken.
	LeaseFailed func(err error)
	// Retried: somebody put a dead letter back into the inbox. Discarded: somebody threw it away.
	Retried, Discarded func(source, id string)
	// Distrusted: what the store showed is signed by nobody of ours or cannot be read, and was not built upon. what is the kind
	// of a record, or device for a posture or the claim of a name; key is the record's, or SOURCE/ID of the delivery that met it.
	Distrusted func(what, key string, err error)
	// Joined: a document made two devices one. into has all that device had.
	Joined func(device, into signals.DeviceID, document string)
	// Revoked: a delivery has voided logins, or said how much a user is to be feared, and that is new.
	Revoked func(source, id string, r revocation.Revocation)
	// Inventory is told of questions to vendors.
	Inventory InventoryEvents
}

// orSilent returns the events with every nil replaced by a function that does nothing.
func (e Events) orSilent() Events {
	if e.Refused == nil {
		e.Refused = func(string, int, string) {}
	}
	if e.Accepted == nil {
		e.Accepted = func(string, string) {}
	}
	if e.Repeated == nil {
		e.Repeated = func(string, string) {}
	}
	if e.Applied == nil {
		e.Applied = func(string, string, signals.DeviceID, bool, time.Duration) {}
	}
	if e.Dropped == nil {
		e.Dropped = func(string, string, string) {}
	}
	if e.DeadLettered == nil {
		e.DeadLettered = func(string, string, string) {}
	}
	if e.Postponed == nil {
		e.Postponed = func(string, string, error) {}
	}
	if e.SweepFailed == nil {
		e.SweepFailed = func(error) {}
	}
	if e.LeaseFailed == nil {
		e.LeaseFailed = func(error) {}
	}
	if e.Retried == nil {
		e.Retried = func(string, string) {}
	}
	if e.Discarded == nil {
		e.Discarded = func(string, string) {}
	}
	if e.Distrusted == nil {
		e.Distrusted = func(string, string, error) {}
	}
	if e.Joined == nil {
		e.Joined = func(signals.DeviceID, signals.DeviceID, string) {}
	}
	if e.Revoked == nil {
		e.Revoked = func(string, string, revocation.Revocation) {}
	}
	e.Inventory = e.Inventory.orSilent()
	return e
}
