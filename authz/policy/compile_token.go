package policy

import "fmt"

// TokenHandling is what becomes of the credentials that a request came with.
type TokenHandling string

// The default is TokenForward: an access token names the application as its audience, which often reads claims of it that
// tiergate does not hand on. With TokenRemove the upstream never holds what it, or whoever takes it over, could use again
// elsewhere (RFC 9700, section 4.9); it knows the caller by x-tiergate-* and the assertion.
const (
	TokenForward TokenHandling = "forward"
	TokenRemove  TokenHandling = "remove"
)

// token is what the route says; a word that is none is a fault.
func (c *compiler) token(r *Route) TokenHandling {
	switch r.Token {
	case "", TokenForward:
		return "" // a verdict does not say what is always so
	case TokenRemove:
		return TokenRemove
	}
	c.fault(KindRoute, r.Meta.Name, "spec.token", fmt.Sprintf("token is %q", r.Token),
		"write forward (the default) or remove: the upstream then gets no authorization and dpop headers")
	return TokenRemove
}
