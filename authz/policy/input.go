package policy

import (
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// Input is everything that a verdict depends on, besides the policy. It is data alone: its JSON, read again, gives the same
// verdict.
type Input struct {
	At      time.Time        `json:"at"`
	Request Request          `json:"request"`
	Subject identity.Subject `json:"subject"`
	Device  Device           `json:"device"`
	// Granted are exceptions that were granted at run time. The policy bounds them like those of its own directory: one that
	// it could not itself hold is not in force.
	Granted []Exception `json:"granted,omitempty"`
}

// Request is what was asked for, as Envoy reported it. Path may carry the query; it is cut off before matching.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	// Malformed is why the message cannot be judged; empty if it can.
	Malformed string `json:"malformed,omitempty"`
	// Chosen is Envoy's own choice of route, where our xDS configured it.
	Chosen *Chosen `json:"chosen,omitempty"`
}

// Keys of the context_extensions (envoy.service.auth.v3.AttributeContext) by which an Envoy that our xDS programmed tells
// its choice. Written by xds, read by authz.
const (
	ContextRoute    = "tiergate.route"    // the route's name; empty where Envoy proxies nothing
	ContextTable    = "tiergate.table"    // the digest of the table that Envoy chose from
	ContextUpstream = "tiergate.upstream" // the upstream that the route leads to at Envoy
)

// Chosen is what the context_extensions of our routes say.
type Chosen struct {
	Route string `json:"route"`
	// Upstream is where that route leads at Envoy; empty: it does not say. A process that was restarted together with another
	// policy no longer holds the table that Envoy chose from, and has only this to see where a request is on its way to.
	Upstream string `json:"upstream,omitempty"`
	// Older is what the table that Envoy chose from says of this request, if that is an older one that is still held. Nil:
	// the current table takes its place.
	Older *Match `json:"older,omitempty"`
	// OlderAllows says that the policy of that older table, replaced a moment ago, allows this request to where it leads.
	OlderAllows bool `json:"olderAllows,omitempty"`
}

// Match is a route that a table found. The zero Match is none.
type Match struct {
	Route    string `json:"route"`
	Upstream string `json:"upstream"`
}

// Device is what is known of the device that the subject is bound to: a Posture, or a Gap that says why there is none.
type Device struct {
	Posture *signals.Posture `json:"posture,omitempty"`
	// Packed is the same in the form in which a process holds it, where Posture is nil. It is unpacked only if there is no
	// assessment that fits.
	Packed *signals.Packed `json:"-"`
	AsOf   time.Time       `json:"asOf,omitzero"` // the copy was current at this instant
	Gap    Gap             `json:"gap,omitempty"`
	// Heard is the latest instant from which a fact of each source ages, on any device at all: what tells a silent device from
	// a silent source.
	Heard map[string]time.Time `json:"heard,omitempty"`
	// Renewals are the renewals of the device's grace. The tier bounds how many count.
	Renewals []Renewal `json:"renewals,omitempty"`
	// GraceEnded is when somebody ended the device's grace; zero: nobody. Until the device is heard of again it has none.
	GraceEnded time.Time `json:"graceEnded,omitzero"`
	// Assessment spares the work of Assess. One of another policy or posture is not used.
	Assessment *Assessment `json:"-"`
}

// Gap says why there is no posture. The zero Gap with no posture means that no device is bound.
type Gap string

// The gaps.
const (
	GapNone        Gap = ""            // there is a posture, or no device is bound
	GapUnknown     Gap = "unknown"     // nobody has reported this device
	GapContested   Gap = "contested"   // two devices carry this name
	GapUnreachable Gap = "unreachable" // the store cannot be reached, or its value cannot be read
)

// Version names the posture; known is false if there is none.
func (d *Device) Version() (device signals.DeviceID, revision signals.Revision, known bool) {
	switch {
	case d.Posture != nil:
		return d.Posture.Device, d.Posture.Revision, true
	case d.Packed != nil:
		return d.Packed.Device, d.Packed.Revision, true
	}
	return "", 0, false
}

// aliases are the names of the posture's device.
func (d *Device) aliases() []signals.Alias {
	switch {
	case d.Posture != nil:
		return d.Posture.Aliases
	case d.Packed != nil:
		return d.Packed.Aliases
	}
	return nil
}
