package authz

import (
	"errors"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/token"
)

// user verifies the bearer token of a call, which may be bound to the peer's certificate (RFC 8705, section 3). No token
// is nobody; the error is why a token is not believed.
func (s *Server) user(call *Call, holder identity.Thumbprint, at time.Time) (*identity.User, error) {
	raw, ok, err := token.Bearer(call.Authorization)
	switch {
	case err != nil || !ok:
		return nil, err
	case s.opts.Tokens == nil:
		return nil, errors.New("a bearer token came, and the settings name no issuer")
	}
	return s.opts.Tokens.Verify(raw, holder, at)
}
