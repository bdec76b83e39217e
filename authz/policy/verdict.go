package policy

import (
	"fmt"
	"time"
)

// Outcome is what a verdict comes to. The zero Outcome is Deny, and outcomes combine by the smaller.
type Outcome uint8

// The outcomes, ordered.
const (
	Deny Outcome = iota
	StepUp
	Allow
)

func (o Outcome) String() string { return [...]string{"deny", "step-up", "allow"}[o] }

// Reason is a stable word for why. The zero Reason belongs to a verdict that nobody reached, which denies.
type Reason string

// The reasons, in the order in which they are judged.
const (
	ReasonUndecided         Reason = ""
	ReasonMalformed         Reason = "malformed"          // no HTTP attributes, no method, a header bomb
	ReasonPath              Reason = "path"               // a path of two readings
	ReasonHost              Reason = "host"               // an authority that is no host
	ReasonIdentityDoubted   Reason = "identity-doubted"   // a proof was offered and is not believed
	ReasonIdentityUnchecked Reason = "identity-unchecked" // whether a proof counts cannot be found out now
	ReasonNoRoute           Reason = "no-route"           // nothing is served there, or not at this time
	ReasonMethod            Reason = "method"             // the route does not list this method
	ReasonRouteMismatch     Reason = "route-mismatch"     // Envoy and tiergate chose different routes
	ReasonIdentityMissing   Reason = "identity-missing"   // the tier wants to know more of who asks
	ReasonIdentityExpired   Reason = "identity-expired"   // certificate or token out of its window
	ReasonSessionRevoked    Reason = "session-revoked"    // the identity provider has ended the login
	ReasonUserRisk          Reason = "user-risk"          // the identity provider holds the user for too great a risk
	ReasonIdentityRevoked   Reason = "identity-revoked"   // the device's certificate is reported revoked or expired
	ReasonIsolated          Reason = "isolated"           // the subject belongs to an isolated audience, the route does not
	ReasonAudience          Reason = "audience"           // the subject is in none of the route's audiences
	ReasonDeviceUnknown     Reason = "device-unknown"     // nobody has reported this device
	ReasonDeviceContested   Reason = "device-contested"   // two devices carry this name
	ReasonStoreUnreachable  Reason = "store-unreachable"  // we could not know
	ReasonEnrolledUser      Reason = "enrolled-user"      // the device is not known to be enrolled for this user
	ReasonPosture           Reason = "posture"            // signals that the tier demands are not met
	ReasonStepUp            Reason = "step-up"            // a stronger or fresher login is wanted
	ReasonEvidence          Reason = "evidence"           // the tier wants a record, and none could be made
	ReasonInternal          Reason = "internal"           // a fault of ours, written as a denial
	ReasonNoPolicy          Reason = "no-policy"          // no policy has been loaded yet
	ReasonAllowed           Reason = "allowed"
)

// Verdict is the answer to one Input. It names all demands that were not met, not the first.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	Reason  Reason  `json:"reason"`
	Detail  string  `json:"detail,omitempty"` // for the operator
	Route   string  `json:"route,omitempty"`
	Tier    string  `json:"tier,omitempty"`
	Policy  string  `json:"policy,omitempty"` // digest of the policy that judged
	Contact string  `json:"contact,omitempty"`
	Unmet   []Unmet `json:"unmet,omitempty"`
	Noted   []Unmet `json:"noted,omitempty"`
	// Waived are demands that were not met and that something excused.
	Waived []Waived `json:"waived,omitempty"`
	// Challenge is the login that would do, set where the outcome is StepUp or would be.
	Challenge *Challenge `json:"challenge,omitempty"`
	// Monitored is what the answer would have been, had the tier not been in monitor mode.
	Monitored *Monitored `json:"monitored,omitempty"`
	// Disputed are the signals of the tier about which sources disagree at this instant.
	Disputed []string       `json:"disputed,omitempty"`
	Upstream string         `json:"upstream,omitempty"`
	Evidence EvidenceDemand `json:"evidence,omitempty"` // the tier's
	// Recheck is the longest that a stream may live by the tier's recheckEvery and the proofs of who asks, set where the tier
	// bounds it. Until bounds streams of every tier.
	Recheck time.Duration `json:"recheck,omitempty"`
	// Until is when the first ends of what an Allow rests on: a proof of who asks, a fact that a demand needs, an exception,
	// a grace, a login that is fresh enough. The same question is allowed at every instant before it. Zero: nothing of it
	// ends by itself.
	Until time.Time `json:"until,omitzero"`
	// Token is what becomes of the client's credentials, as the route says it; empty: they are forwarded.
	Token TokenHandling `json:"token,omitempty"`
	// Tells is what the client may read of a refusal, as the tier says it; empty: all.
	Tells Tells `json:"tells,omitempty"`
	// Fallback is where who is refused may go instead, as the tier says it; nil: nowhere.
	Fallback *FallbackOffer `json:"fallback,omitempty"`
}

// Waived is a demand that was not met, with what excused it and until when.
type Waived struct {
	Unmet
	By    Waiver    `json:"by"`
	Name  string    `json:"name,omitempty"` // of the exception
	Until time.Time `json:"until"`
}

// Waiver is what excused a demand.
type Waiver string

// The waivers, in the order in which they are tried.
const (
	WaivedByException Waiver = "exception"
	WaivedByGrace     Waiver = "grace"
	WaivedByLastKnown Waiver = "last-known"
)

// Challenge is a login, as RFC 9470 asks for it.
type Challenge struct {
	ACR    []string      `json:"acr,omitempty"` // any of them
	AMR    []string      `json:"amr,omitempty"` // any of them
	MaxAge time.Duration `json:"maxAge,omitempty"`
	// SVID is what a workload is to show instead of a login.
	SVID *SVIDChallenge `json:"svid,omitempty"`
}

// SVIDChallenge is a JWT-SVID that would do, beside the certificate of the same workload.
type SVIDChallenge struct {
	Audiences []string      `json:"audiences"` // all of them
	MaxAge    time.Duration `json:"maxAge"`    // from its iat
}

// Monitored is an answer that was not given.
type Monitored struct {
	Outcome Outcome `json:"outcome"`
	Reason  Reason  `json:"reason"`
}

// Unmet is one demand that was not met, with whom to ask and what to do.
type Unmet struct {
	Signal  string `json:"signal"`
	List    List   `json:"list"`
	Status  Status `json:"status"`
	Detail  string `json:"detail,omitempty"` // for the operator: what each source said, and how old it is
	Owner   string `json:"owner"`
	Contact string `json:"contact,omitempty"`
	Fix     Fix    `json:"fix,omitzero"`
}

// List is the list of a tier that a signal stands in.
type List string

// The lists.
const (
	ListRequire    List = "require"
	ListDenyUnless List = "denyUnless"
	ListStepUp     List = "stepUp"
	ListAdvise     List = "advise"
)

// Status is what is known of a signal. The zero Status is unknown.
type Status uint8

// The statuses.
const (
	StatusUnknown Status = iota
	StatusPassing
	StatusFailing
)

func (s Status) String() string { return [...]string{"unknown", "passing", "failing"}[s] }

// MarshalText writes the word, so that a status reads well in JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText writes the word, so that an outcome reads well in JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Status) UnmarshalText(text []byte) error {
	for _, status := range []Status{StatusUnknown, StatusPassing, StatusFailing} {
		if string(text) == status.String() {
			*s = status
			return nil
		}
	}
	return fmt.Errorf("%q is no status of a signal", text)
}

// UnmarshalText reads what MarshalText wrote.
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, outcome := range []Outcome{Deny, StepUp, Allow} {
		if string(text) == outcome.String() {
			*o = outcome
			return nil
		}
	}
	return fmt.Errorf("%q is no outcome", text)
}
