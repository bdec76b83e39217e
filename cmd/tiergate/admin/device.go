package admin

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// Device is GET /v1/devices/{name}: what each source said of one device, when, why these records are one device, and how
// it stands with the policy in force.
type Device struct {
	Device   signals.DeviceID `json:"device"`
	Revision signals.Revision `json:"revision"`
	AsOf     time.Time        `json:"asOf"` // when the copy was last in sync with the store; ages are up to now
	// Fault says why the stored record cannot be believed; every decision on the device is then refused, and what follows
	// is the last that could be read.
	Fault string `json:"fault,omitempty"`
	// Gone: the store no longer has the device, every decision on it is refused, and what follows is the last that it showed.
	Gone  bool         `json:"gone,omitempty"`
	Names []DeviceName `json:"names"`
	// WhyFault says why the reasons of names cannot be read from here.
	WhyFault string           `json:"whyFault,omitempty"`
	Contests []ingest.Contest `json:"contests,omitempty"` // that name this device
	Facts    []DeviceFact     `json:"facts"`
	// Clearances are what counts no more of what was said, by the word of two people.
	Clearances []DeviceClearance `json:"clearances,omitempty"`
	Policy     string            `json:"policy,omitempty"` // digest; empty: none is in force
	Standing   *policy.Standing  `json:"standing,omitempty"`
}

// DeviceName is one name, and who says that it is this device's.
type DeviceName struct {
	Name signals.Alias    `json:"name"`
	Said []ingest.Witness `json:"said,omitempty"`
	// Fault says what speaks against the name: other devices carry it, or its claim is another's.
	Fault string `json:"fault,omitempty"`
}

// DeviceClearance is a clearance of an alarm, and who is responsible for it.
type DeviceClearance struct {
	signals.Clearance
	Asked    string    `json:"asked,omitempty"`
	Approved string    `json:"approved,omitempty"`
	At       time.Time `json:"at,omitzero"` // when it was approved
	Reason   string    `json:"reason,omitempty"`
	Ticket   string    `json:"ticket,omitempty"`
	// Fault says why the record that says so cannot be read from here; the clearance itself is part of the posture.
	Fault string `json:"fault,omitempty"`
}

// DeviceFact is one source's word, with its age.
type DeviceFact struct {
	signals.Fact
	Age string `json:"age"` // from the earlier of observed and received to now
}

// DeviceLine is one line of GET /v1/devices: JSON, one device a line, sorted by id.
type DeviceLine struct {
	Device    signals.DeviceID `json:"device"`
	Names     []signals.Alias  `json:"names"`
	Platform  string           `json:"platform,omitempty"`
	Ownership string           `json:"ownership,omitempty"`
	User      string           `json:"user,omitempty"`  // enrolled_user
	Newest    time.Time        `json:"newest,omitzero"` // the latest instant from which a fact ages
	Failing   []string         `json:"failing,omitempty"`
	Unknown   []string         `json:"unknown,omitempty"`
	Refused   []string         `json:"refused,omitempty"` // the tiers that refuse it, whoever uses it
	Fault     string           `json:"fault,omitempty"`   // its record cannot be believed
	Gone      bool             `json:"gone,omitempty"`    // the store no longer has it; the rest is the last that it showed
}

// DeviceSummary is GET /v1/devices?summary=true: why devices fail, in numbers.
type DeviceSummary struct {
	Policy  string        `json:"policy"`
	Devices int           `json:"devices"` // that the filters leave
	Faulty  int           `json:"faulty"`  // of them, whose record cannot be believed: neither failing nor passing
	Gone    int           `json:"gone"`    // of them, that the store no longer has: likewise
	Signals []SignalCount `json:"signals"`
	Tiers   []TierCount   `json:"tiers"`
}

// SignalCount is on how many devices a signal fails or is unknown.
type SignalCount struct {
	Signal  string `json:"signal"`
	Failing int    `json:"failing"`
	Unknown int    `json:"unknown"`
}

// TierCount is how many devices a tier refuses, whoever uses them, and for which of its demands.
type TierCount struct {
	Tier    string        `json:"tier"`
	Refused int           `json:"refused"`
	Demands []SignalCount `json:"demands,omitempty"`
}

// ContestedNames is GET /v1/contested.
type ContestedNames struct {
	// Carried are names that several stored devices carry: lookups by them are refused.
	Carried []CarriedName `json:"carried"`
	// Said are deliveries that would have joined devices which we hold apart; each lies among the dead letters.
	Said []ingest.Contest `json:"said"`
	// Fault says why Said cannot be read from here.
	Fault string `json:"fault,omitempty"`
}

// CarriedName is a name and the devices that carry it.
type CarriedName struct {
	Name    signals.Alias      `json:"name"`
	Devices []signals.DeviceID `json:"devices"`
}
