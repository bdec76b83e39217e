package token

import (
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// Credential is a token as it came, with what came along. Its texts need not outlive the call.
type Credential struct {
	Scheme Scheme // how it was sent
	Token  string
	// Certificate is of the certificate that the peer showed and that was verified; zero: none.
	Certificate identity.Thumbprint
	// Proofs are the values of the DPoP header (RFC 9449, section 4.1), one for each time it was sent.
	Proofs []string
	Target Target
	// Vouched are the wire bytes of the google.protobuf.Struct that Envoy's jwt_authn filter, programmed by us, left for
	// this request; nil: none.
	Vouched []byte
	// Slow is called before anything is done that takes longer than some ten microseconds, such as judging a signature; nil:
	// nobody needs to know.
	Slow func()
}

// Scheme is how a token was sent. The zero Scheme is SchemeBearer.
type Scheme string

// The schemes of the Authorization header that carry an access token.
const (
	SchemeBearer Scheme = "bearer" // RFC 6750, section 2.1
	SchemeDPoP   Scheme = "dpop"   // RFC 9449, section 7.1
)

// Target is what the request is for: what a DPoP proof must name (htm and htu of RFC 9449, section 4.2).
type Target struct {
	Method, Scheme, Host string
	Path                 string // may carry the query
}

// Proof is what a credential proved.
type Proof struct {
	identity.Proven
	// Once must not have been seen before: who relies on the proof has to remember it. Zero: nothing to remember.
	Once Once
}

// Once is a name that counts one time.
type Once struct {
	Key   string    // of the key and the proof's jti, not of the spelling of anything
	Until time.Time // when the proof has aged out by itself and may be forgotten
}

// Option is what a Verifier believes besides the tokens of issuers.
type Option func(*Verifier) error
