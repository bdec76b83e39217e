package authz

import (
	"errors"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

// proven judges the token of a call with all that came along: a token may be bound to the peer's certificate (RFC 8705,
// section 3) or to a key (RFC 9449). No token proves nothing; the error is why a token is not believed.
func (s *Server) proven(call *Call, holder identity.Thumbprint, at time.Time) (token.Proof, error) {
	scheme, raw, ok, err := token.FromHeader(call.Authorization)
	switch {
	case err != nil || !ok:
		return token.Proof{}, err
	case s.opts.Tokens == nil:
		return token.Proof{}, errors.New("an access token came, and the settings name nobody whose tokens count")
	}
	call.credential = token.Credential{
		Scheme: scheme, Token: raw, Certificate: holder, Proofs: call.Proofs, Vouched: call.Vouched, Slow: call.slow,
		Target: token.Target{Method: call.Method, Scheme: call.Scheme, Host: call.Host, Path: call.Path},
	}
	return s.opts.Tokens.Judge(&call.credential, at)
}

// usedBefore asks for a proof that counts once whether it was used, and notes that it is now. It is nil if it was not.
// Every proof that holds is noted, whatever else is in doubt: who saw it go by must not be the first to use it.
func (s *Server) usedBefore(call *Call, once token.Once) *identity.Doubt {
	if once == (token.Once{}) {
		return nil
	}
	if s.opts.Replays == nil {
		return &identity.Doubt{Code: identity.DoubtUnchecked, Detail: "the DPoP proof counts once, and nothing here remembers proofs"}
	}
	call.waits()
	switch err := s.opts.Replays.Once(once); {
	case err == nil:
		return nil
	case errors.Is(err, ErrReplayed):
		return &identity.Doubt{Code: identity.DoubtToken, Detail: "the DPoP proof was used before (jti, RFC 9449, section 11.1): " +
			"a client makes a new one for each request"}
	default:
		return &identity.Doubt{Code: identity.DoubtUnchecked,
			Detail: "whether the DPoP proof was used before cannot be found out: " + err.Error()}
	}
}

// sentByKey: the token was sent as one that is bound to a key, whether it counts or not.
func (c *Call) sentByKey() bool {
	scheme, _, _, _ := token.FromHeader(c.Authorization) // what is wrong with it is told elsewhere
	return scheme == token.SchemeDPoP
}
