package admin

import (
	"time"

	"github.com/tiergate/tiergate/authz/policydiff"
)

// PolicyPin says that a policy was rolled back to, and stays until the policy directory changes or it is released.
type PolicyPin struct {
	Digest string    `json:"digest"` // under which it was kept, and by which it was asked for
	At     time.Time `json:"at"`
	By     string    `json:"by"` // the user of the admin socket
	Reason string    `json:"reason"`
	Ticket string    `json:"ticket,omitempty"`
}

// KeptPolicy is one of GET /v1/policy/history, the newest first.
type KeptPolicy struct {
	Digest    string    `json:"digest"`         // when it came into force, of the documents and of the settings then
	Since     time.Time `json:"since,omitzero"` // when it last came into force; zero: not known, because the entry is damaged
	Until     time.Time `json:"until,omitzero"` // when the next one did; zero: none did
	Documents int       `json:"documents"`
	By        string    `json:"by,omitempty"` // start, edit, rollback or release
	InForce   bool      `json:"inForce"`
	Pinned    bool      `json:"pinned"`
	Dir       string    `json:"dir"`             // where its files are
	Fault     string    `json:"fault,omitempty"` // why it cannot be used
}

// PolicyOrder is the body of POST /v1/policy/rollback and, without a digest, of POST /v1/policy/release.
type PolicyOrder struct {
	Digest string `json:"digest,omitempty"` // or its beginning: 8 hex digits or more
	Reason string `json:"reason,omitempty"`
	Ticket string `json:"ticket,omitempty"`
}

// PolicyMove is the answer to a PolicyOrder that was carried out.
type PolicyMove struct {
	Digest    string     `json:"digest"` // now in force
	Before    string     `json:"before"` // in force until then
	Documents int        `json:"documents"`
	Pinned    *PolicyPin `json:"pinned,omitempty"`
	By        string     `json:"by"`
	// Record says what became of the evidence: on record, waits, lost, or that no decisions are recorded.
	Record string `json:"record"`
	// Direction is what all Changes from the policy before come to: a policy that is rolled back to may let more through.
	Direction policydiff.Direction `json:"direction"`
	Changes   []policydiff.Change  `json:"changes"` // the loosening first
	// Fault says what of the history failed meanwhile; the policy is in force nevertheless.
	Fault string `json:"fault,omitempty"`
}
