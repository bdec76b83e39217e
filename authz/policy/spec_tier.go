package policy

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// Tier is written by IAM: what a protection level demands.
type Tier struct {
	Meta       Meta            `yaml:"-"`
	Identify   Identify        `yaml:"identify"`
	Require    []Demand        `yaml:"require,omitempty"`
	DenyUnless []DenyUnless    `yaml:"denyUnless,omitempty"`
	StepUp     *StepUpDemand   `yaml:"stepUp,omitempty"`
	Advise     []Demand        `yaml:"advise,omitempty"`
	Grace      *GraceBound     `yaml:"grace,omitempty"`      // without it there is none
	OnGap      OnGap           `yaml:"onGap,omitempty"`      // default deny
	Exceptions *ExceptionBound `yaml:"exceptions,omitempty"` // without it there is no exception from this tier
	// EnrolledUser, of a tier that identifies user+device: must the device be known to be enrolled for the user? Default
	// required. whenKnown lets a device pass of which no source tells the user.
	EnrolledUser EnrolledUser `yaml:"enrolledUser,omitempty"`
	// SharedDevices lets a user in on a device that is enrolled for somebody else.
	SharedDevices bool `yaml:"sharedDevices,omitempty"`
	// Stricter adds to what members of an audience must show, or shortens what they are given. It never loosens.
	Stricter []Stricter `yaml:"stricter,omitempty"`
	// RecheckEvery is the longest a stream may live without being asked again: Envoy cuts it then, a long download too.
	RecheckEvery time.Duration  `yaml:"recheckEvery,omitempty,positive"`
	Mode         Mode           `yaml:"mode,omitempty"`     // default enforce
	Evidence     EvidenceDemand `yaml:"evidence,omitempty"` // default: recorded if it can be
	// Tells is what who is refused may read of why. Default all. It hides nothing from the operator.
	Tells Tells `yaml:"tells,omitempty"`
	// Fallback is where somebody may go for a time whose device cannot comply; the refusal says so. Default: nowhere.
	Fallback *Fallback `yaml:"fallback,omitempty"`
}

// Identify is what a tier wants to know of the subject before it looks at anything else.
type Identify string

// The ways to identify.
const (
	IdentifyWorkload   Identify = "workload"
	IdentifyUser       Identify = "user"
	IdentifyUserDevice Identify = "user+device"
)

// EnrolledUser is what a tier does where nobody knows for whom a device is enrolled.
type EnrolledUser string

// The ways to take the user that a device is enrolled for.
const (
	EnrolledRequired  EnrolledUser = "required"
	EnrolledWhenKnown EnrolledUser = "whenKnown"
)

// Demand is an entry of require or advise: the signal's name alone, or a mapping with a tighter maxAge.
type Demand struct {
	Signal string        `yaml:"signal"`
	MaxAge time.Duration `yaml:"maxAge,omitempty,positive"` // 0: the baseline's
}

// DenyUnless is an entry of that list: the signal's name alone, or a mapping with onUnknown or a tighter maxAge.
type DenyUnless struct {
	Signal    string        `yaml:"signal"`
	OnUnknown OnUnknown     `yaml:"onUnknown,omitempty"`
	MaxAge    time.Duration `yaml:"maxAge,omitempty,positive"` // 0: the baseline's
}

// OnUnknown is what an unknown denyUnless signal does.
type OnUnknown string

// Deny is the default; note lets the request pass with a note.
const (
	OnUnknownDeny OnUnknown = "deny"
	OnUnknownNote OnUnknown = "note"
)

var errNoSignal = errors.New("the name of a signal is missing")

// UnmarshalText reads the short form, the signal's name alone.
func (d *Demand) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errNoSignal
	}
	*d = Demand{Signal: string(text)}
	return nil
}

// UnmarshalText reads the short form, the signal's name alone.
func (d *DenyUnless) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errNoSignal
	}
	*d = DenyUnless{Signal: string(text)}
	return nil
}

// StepUpDemand is the stronger or fresher login that a tier wants (RFC 9470): always, or when one of its signals is not
// passing. At least one of acr, amr and maxAge is set; all that are set must hold. Of a tier that identifies a workload svid
// stands there, and nothing else.
type StepUpDemand struct {
	When    StepUpWhen    `yaml:"when,omitempty"`            // default always
	ACR     []string      `yaml:"acr,omitempty"`             // the login's acr must be one of them
	AMR     []string      `yaml:"amr,omitempty"`             // the login's amr must hold one of them
	MaxAge  time.Duration `yaml:"maxAge,omitempty,positive"` // of the login, as the issuer's authTime says; whole seconds count
	Signals []Demand      `yaml:"signals,omitempty"`
	SVID    *SVIDDemand   `yaml:"svid,omitempty"` // of a workload
}

// SVIDDemand is the fresh JWT-SVID that a workload shows besides its certificate: a key that was stolen with its certificate
// does not get one from the Workload API.
type SVIDDemand struct {
	MaxAge   time.Duration `yaml:"maxAge,positive"` // from its iat; one without iat is too old
	Audience string        `yaml:"audience"`        // must stand in its aud
}

// StepUpWhen says when a login is looked at.
type StepUpWhen string

// The conditions.
const (
	StepUpAlways  StepUpWhen = "always"
	StepUpSignals StepUpWhen = "signals" // only when one of the signals is not passing
)

// GraceBound is how long a device that fell silent keeps its last good state.
type GraceBound struct {
	Offline  time.Duration `yaml:"offline"`
	Renewals int           `yaml:"renewals,omitempty"` // each adds offline once more
}

// OnGap is what a tier does while a source is silent for all its devices: deny, or last-known for a while.
type OnGap struct {
	LastKnown *LastKnown `yaml:"last-known,omitempty"` // nil: deny
}

// LastKnown bounds how long a signal keeps its last good state after it has aged out.
type LastKnown struct {
	For time.Duration `yaml:"for"`
}

// UnmarshalText reads the short form, deny.
func (g *OnGap) UnmarshalText(text []byte) error {
	if string(text) != "deny" {
		return wordFault{fmt.Sprintf("onGap is %q", text), "write deny, or a mapping: {last-known: {for: 10m}}"}
	}
	*g = OnGap{}
	return nil
}

// wordFault is an error that says what to do by itself.
type wordFault struct{ message, help string }

func (f wordFault) Error() string { return f.message }

// Help is what to do about it.
func (f wordFault) Help() string { return f.help }

// ExceptionBound is what an exception from a tier may be at most.
type ExceptionBound struct {
	MaxDuration time.Duration `yaml:"maxDuration"`
	MaxRenewals int           `yaml:"maxRenewals,omitempty"`
}

// Stricter is what a tier asks of the members of one audience besides: of executives, of devices people own themselves.
// Whoever may be a member is asked too.
type Stricter struct {
	Audience   string          `yaml:"audience"`
	Require    []Demand        `yaml:"require,omitempty"`
	DenyUnless []DenyUnless    `yaml:"denyUnless,omitempty"`
	StepUp     *StepUpDemand   `yaml:"stepUp,omitempty"`
	Grace      *GraceBound     `yaml:"grace,omitempty"`      // shorter than the tier's; offline: 0s is none
	Exceptions *ExceptionBound `yaml:"exceptions,omitempty"` // shorter than the tier's; maxDuration: 0s is none
}

// entries yields what stands in the lists of a tier. OnUnknown is set for denyUnless alone.
func (t *Tier) entries() iter.Seq2[List, DenyUnless] {
	return entries(t.Require, t.DenyUnless, t.StepUp, t.Advise)
}

// entries yields what stands in the lists of an entry for an audience.
func (s *Stricter) entries() iter.Seq2[List, DenyUnless] {
	return entries(s.Require, s.DenyUnless, s.StepUp, nil)
}

func entries(require []Demand, denyUnless []DenyUnless, stepUp *StepUpDemand, advise []Demand) iter.Seq2[List, DenyUnless] {
	return func(yield func(List, DenyUnless) bool) {
		each := func(list List, demands []Demand) bool {
			for _, d := range demands {
				if !yield(list, DenyUnless{Signal: d.Signal, MaxAge: d.MaxAge}) {
					return false
				}
			}
			return true
		}
		if !each(ListRequire, require) {
			return
		}
		for _, d := range denyUnless {
			if !yield(ListDenyUnless, d) {
				return
			}
		}
		if stepUp == nil || each(ListStepUp, stepUp.Signals) {
			each(ListAdvise, advise)
		}
	}
}

// Mode is whether a tier refuses or only says what it would have refused.
type Mode string

// The modes. Monitor waives require, step-up and advise; never identity, audience, denyUnless, path or method.
const (
	ModeEnforce Mode = "enforce"
	ModeMonitor Mode = "monitor"
)

// EvidenceDemand is whether a decision may be given that cannot be put on record.
type EvidenceDemand string

// EvidenceRequired refuses what cannot be recorded.
const EvidenceRequired EvidenceDemand = "required"
