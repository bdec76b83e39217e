package identity

import "time"

// Risk is the word of an identity provider that a user is not to be let in at all for now, whatever login they come with: the risk of
// the user or of the session (OpenID CAEP 1.0 section 3.8, by Shared Signals) is at the level from which the settings refuse. It is
// never modified.
type Risk struct {
	At     time.Time `json:"at"` // when the provider found so
	Level  string    `json:"level"`
	Reason string    `json:"reason,omitempty"` // the event, with what its initiator said
	Event  string    `json:"event,omitempty"`  // the jti of the Security Event Token
}
