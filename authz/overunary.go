package authz

import (
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/tiergate/tiergate/authz/unary"
)

// Envoy is the unary.Call.Peer of an Envoy that is authenticated: it asks over a Unix socket, whose directory admits this
// process's own user alone, or over TLS with a certificate that was judged (settings: authz.listen). Only such a one gets
// assertions: whoever could ask otherwise could have assertions of anybody made.
type Envoy struct{}

// Methods are the service for a unary.Server. Its limit on messages is ours (unary.Options.MaxMessage 0).
func (s *Server) Methods() map[string]unary.Method {
	return map[string]unary.Method{authv3.Authorization_Check_FullMethodName: s.check}
}

// check answers one Check. It never fails.
func (s *Server) check(call *unary.Call, reply []byte) ([]byte, unary.Status) {
	x, _ := exchanges.Get().(*exchange)
	defer x.release()
	x.message, x.fault, x.slow = call.Message, call.Fault, call.Slow
	if s.opts.Assertions != nil {
		_, x.known = call.Peer.(Envoy)
	}
	return s.answer(reply, x), unary.Status{}
}
