package authz

import (
	"context"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/tiergate/tiergate/authz/assertion"
	"github.com/tiergate/tiergate/authz/policy"
)

// authenticated tells whether it is known which Envoy asks: over a Unix socket, whose directory admits this process's own
// user alone, or over TLS with a certificate, which the server's credentials have judged (authz.listen). Whoever could ask
// otherwise could have assertions of anybody made.
func authenticated(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return false
	}
	if p.Addr.Network() == "unix" {
		return true
	}
	shown, ok := p.AuthInfo.(credentials.TLSInfo)
	return ok && len(shown.State.PeerCertificates) > 0
}

// assert has the assertion of an allowed request made, or found.
func (s *Server) assert(d *Decision) {
	if d.Verdict.Outcome != policy.Allow {
		return
	}
	d.assertion = s.opts.Assertions.Assertion(&assertion.Grounds{
		Subject: &d.Subject, Device: d.Device, Tier: d.Verdict.Tier, Route: d.Verdict.Route, Upstream: d.Verdict.Upstream,
		At: d.At, Until: d.Verdict.Until,
	})
}
