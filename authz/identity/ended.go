package identity

import "time"

// Ended is the word of an identity provider that a login counts no longer: its user logged out or was disabled, its session or
// its device was given up (OpenID CAEP 1.0 and RISC 1.0, by Shared Signals). It is never modified.
type Ended struct {
	At     time.Time `json:"at"`               // what was issued, or logged in, up to then is void
	Reason string    `json:"reason,omitempty"` // the event, such as session-revoked, with what its initiator said
	Event  string    `json:"event,omitempty"`  // the jti of the Security Event Token
}
