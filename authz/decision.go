package authz

import (
	"time"

	"github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// Decision is a verdict on record: what was answered, to whom, and on what grounds. It holds no token and no certificate.
// Its texts may be parts of the message that was asked with: it is valid while Decided runs. Who keeps it keeps an encoded
// one, or clones the texts.
type Decision struct {
	ID      string           `json:"id"` // UUIDv7
	At      time.Time        `json:"at"`
	Took    time.Duration    `json:"took"`
	Request policy.Request   `json:"request"`
	Subject identity.Subject `json:"subject"`
	Device  string           `json:"device,omitempty"` // our id of the device
	Verdict policy.Verdict   `json:"verdict"`
	// DPoP: a refused request sent its token by that scheme (RFC 9449, section 7.1), in which the challenge is made then.
	DPoP bool `json:"-"`

	peer      string // the address of whoever called; of a forwarded request the proxy's
	assertion string // for the upstream; empty: none
	with      judged // what it was made with
	// Of a refusal alone: who is to read it, and in which language. They end with the message.
	call     *Call
	language *answers.Language
	signIn   *signIn // nil: logging in would not help, or is not offered here
}

// Events is how the service is observed. Any of them may be nil; none may block, and none may keep a Decision.
type Events struct {
	Decided  func(*Decision)
	Panicked func(decision string, value any, stack []byte)
	Policy   func(digest string, devices int, took time.Duration) // a policy came into force
}

func (e *Events) decided(d *Decision) {
	if e.Decided != nil {
		e.Decided(d)
	}
}

func (e *Events) panicked(decision string, value any, stack []byte) {
	if e.Panicked != nil {
		e.Panicked(decision, value, stack)
	}
}

func (e *Events) policy(digest string, devices int, took time.Duration) {
	if e.Policy != nil {
		e.Policy(digest, devices, took)
	}
}
