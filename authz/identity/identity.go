// Package identity says who is asking, as values: a workload by its SPIFFE ID, a user by a verified token, a device by its
// certificate. Everything here is pure: it parses and compares; verification of signatures against keys that the caller
// loaded is computation, not I/O. What was offered as proof and is not believed becomes a Doubt, never a guess.
package identity

import (
	"time"

	"github.com/tiergate/tiergate/signals"
)

// Subject is who asks. The zero Subject is nobody.
type Subject struct {
	// Workload is set when the peer showed an X.509-SVID of a trusted trust domain.
	Workload SPIFFEID `json:"workload,omitempty"`
	// Device is the name that binds the request to a device record: of the peer's device certificate, else of the token's
	// device claim. Zero: none.
	Device signals.Alias `json:"device,omitzero"`
	// Claimed is what the token calls the device, where the certificate calls it something else: both must turn out to be
	// names of one device.
	Claimed signals.Alias `json:"claimed,omitzero"`
	// Certificate is the window of validity of the peer certificate, zero if there was none.
	Certificate Validity `json:"certificate,omitzero"`
	// WorkloadToken is the window of the JWT-SVID that named Workload, zero if a certificate did.
	WorkloadToken Validity `json:"workloadToken,omitzero"`
	// Forwarder is the proxy that took the connection and told who is behind it, where Workload and Device are not its own.
	Forwarder SPIFFEID `json:"forwarder,omitempty"`
	// User is set when a token verified. Nil: nobody.
	User *User `json:"user,omitempty"`
	// FirstSeen is what is remembered of the session in which the user logged in. Nil: nothing, or it was not asked for.
	FirstSeen *FirstSeen `json:"firstSeen,omitempty"`
	// SVID is a JWT-SVID of the very workload that a certificate named. Nil: none came beside the certificate.
	SVID *SVID `json:"svid,omitempty"`
	// Ended is why the user's login counts no longer, although its token does. Nil: nobody has said so.
	Ended *Ended `json:"ended,omitempty"`
	// Risk is why the user is let in with no login for now. Nil: nobody has said so.
	Risk *Risk `json:"risk,omitempty"`
	// Doubts are the proofs that were offered and not believed. One doubt is enough to refuse.
	Doubts []Doubt `json:"doubts,omitempty"`
}

// User is a person as an issuer named them. Name and Groups mean nothing without Issuer.
type User struct {
	Issuer   string    `json:"issuer"` // the issuer's name in the settings, as policies write it
	Name     string    `json:"name"`   // the claim that the settings map
	Subject  string    `json:"subject"`
	Groups   []string  `json:"groups,omitempty"`
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	AuthTime time.Time `json:"authTime,omitzero"`
	// Moves says what AuthTime is worth at this issuer; empty: it is when the user logged in.
	Moves AuthTimeMoves `json:"authTimeMoves,omitempty"`
	// Session is the issuer's name of the session in which the user logged in; empty: the token does not say.
	Session string   `json:"session,omitempty"`
	Token   Validity `json:"token"`
	// Issued is when the token was issued; zero: it does not say.
	Issued time.Time `json:"issued,omitzero"`
	// Email is the claim that the settings map, verified as far as the issuer says; empty: none.
	Email string `json:"email,omitempty"`
	// Held is what the token is bound to; empty: nothing, whoever has it may send it.
	Held Holding `json:"held,omitempty"`
	// Device is what the token calls the device; zero: nothing. It binds the request only where DeviceBinds says so.
	Device signals.Alias `json:"device,omitzero"`
	// DeviceBinds: the token is bound to a key, or the settings accept what bearer tokens of the issuer say of a device.
	DeviceBinds bool `json:"deviceBinds,omitempty"`
	// SeenAs names the login to the memory of first-seen logins; zero where AuthTime is when the user logged in.
	SeenAs SeenAs `json:"-"`
}

// Holding is what a token is bound to. The zero Holding is that of a bearer token.
type Holding string

// The holdings.
const (
	HeldByCertificate Holding = "certificate" // RFC 8705, section 3
	HeldByKey         Holding = "dpop"        // RFC 9449
)

// Proven is what a token proved. The zero Proven is nobody.
type Proven struct {
	User     *User
	Workload SPIFFEID // of a JWT-SVID
	Window   Validity // of the JWT-SVID
	SVID     *SVID    // the JWT-SVID itself
}

// Validity is a window of time: at NotBefore it is open, at NotAfter it is over.
type Validity struct {
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
}

// Covers reports whether the instant lies in the window. The zero window covers nothing.
func (v Validity) Covers(at time.Time) bool { return !at.Before(v.NotBefore) && at.Before(v.NotAfter) }

// DoubtCode is a stable word for why a proof is not believed.
type DoubtCode string

// The doubts.
const (
	DoubtCertificate DoubtCode = "certificate" // cannot be read, not exactly one identity, wrong issuer, out of its window
	DoubtToken       DoubtCode = "token"       // does not verify, expired, wrong audience, or more than one
	DoubtPrincipal   DoubtCode = "principal"   // Envoy's word and the certificate differ
	DoubtForwarded   DoubtCode = "forwarded"   // a trusted proxy's word on who is behind it cannot be read
	DoubtDevice      DoubtCode = "device"      // certificate and token are not of one device
	DoubtWorkload    DoubtCode = "workload"    // certificate and JWT-SVID are not of one workload
	DoubtUnchecked   DoubtCode = "unchecked"   // whether the proof counts, or was used before, cannot be found out now
)

// Doubt is one proof that was offered and not believed.
type Doubt struct {
	Code   DoubtCode `json:"code"`
	Detail string    `json:"detail"` // for the operator; never holds the proof itself
}

// String names the subject for logs and headers: the user if there is one, else the workload, else the device, else
// "anonymous". A user is issuer/name.
func (s Subject) String() string {
	switch {
	case s.User != nil:
		return s.User.Issuer + "/" + s.User.Name
	case s.Workload != "":
		return string(s.Workload)
	case s.Device != signals.Alias{}:
		return s.Device.String()
	default:
		return "anonymous"
	}
}

// String writes the window for an operator.
func (v Validity) String() string {
	return v.NotBefore.UTC().Format(time.RFC3339) + " until " + v.NotAfter.UTC().Format(time.RFC3339)
}
