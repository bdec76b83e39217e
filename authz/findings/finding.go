package findings

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Finding is one thing that is wrong at an instant. Two findings with the same Key are the same trouble.
type Finding struct {
	Kind Kind `json:"kind"`
	// Subject is what it is about, a word and a name: device ID, name KIND:VALUE, population PLATFORM, audience NAME, source
	// NAME, envoy ID, exception NAME, tier NAME, person NAME, identity NAME, import SYSTEM/ID (inventory.Entry.Place), trust
	// domain NAME, or a SPIFFE ID.
	Subject string `json:"subject"`
	Detail  string `json:"detail,omitempty"` // tells troubles of one kind and subject apart, such as the signal
	// Since is when the trouble began, as far as the facts say; zero: they do not, and whoever follows it counts from when it
	// was found first.
	Since time.Time `json:"since,omitzero"`
	// Wait is how long it must have lasted before it counts: a monitor's after, or the default of its kind.
	Wait time.Duration `json:"wait,omitempty"`
	// Summary and Evidence are for people: one sentence that stays the same while the trouble does, and the facts behind it,
	// which may not.
	Summary  string   `json:"summary"`
	Evidence []string `json:"evidence,omitempty"`
	// Owner is the team that answers for what was found; Audiences are those whose members it concerns (Monitor.Audiences),
	// sorted.
	Owner     string   `json:"owner"`
	Audiences []string `json:"audiences,omitempty"`
	// Fix is what closes it.
	Fix policy.Fix `json:"fix,omitzero"`
	// Under is the Key of a finding that this one is a part of: while that one is followed, this one is not by itself.
	Under string `json:"under,omitempty"`
}

// Key names the trouble.
func (f *Finding) Key() string { return string(f.Kind) + "|" + f.Subject + "|" + f.Detail }

// Kind is what kind of trouble it is: what a Monitor may watch.
type Kind string

// The kinds. README.md says what opens and closes each.
const (
	Drift                 Kind = "drift"    // a device, or a share of a population, left its baseline; Envoy differs from intent
	Conflict              Kind = "conflict" // sources disagree
	ContestedDevice       Kind = "contested-device"
	ExceptionAbuse        Kind = "exception-abuse"
	GraceOverrun          Kind = "grace-overrun"
	StaleDevice           Kind = "stale-device"
	AlarmUncleared        Kind = "alarm-uncleared"
	CredentialAge         Kind = "credential-age" //nolint:gosec // a kind, and no credential
	IdentityExcessive     Kind = "identity-excessive"
	IdentityMisconfigured Kind = "identity-misconfigured"
	IdentityStale         Kind = "identity-stale"
	IdentityUnowned       Kind = "identity-unowned"
	IdentityUnreviewed    Kind = "identity-unreviewed"
)

// Kinds are all kinds, sorted.
func Kinds() []Kind {
	return []Kind{AlarmUncleared, Conflict, ContestedDevice, CredentialAge, Drift, ExceptionAbuse, GraceOverrun, IdentityExcessive,
		IdentityMisconfigured, IdentityStale, IdentityUnowned, IdentityUnreviewed, StaleDevice}
}
