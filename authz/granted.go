package authz

import (
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// SetBook brings what was granted at run time into force, from the next request on; nil: nothing was.
func (s *Server) SetBook(book *approvals.Book) { s.book.Store(book) }

// Book is what was granted at run time, as the next request is judged by it; nil: nothing was.
func (s *Server) Book() *approvals.Book { return s.book.Load() }

// ExceptionsInForce counts the exceptions that the policy in force lets excuse something at an instant: those of its
// directory, and those that were granted at run time.
func (s *Server) ExceptionsInForce(at time.Time) (written, granted int) {
	gen := s.current.Load()
	if gen == nil {
		return 0, 0
	}
	spec := gen.policy.Spec()
	for i := range spec.Exceptions {
		if spec.Exceptions[i].State(at) == policy.ExceptionInForce {
			written++
		}
	}
	return written, s.book.Load().InForce(gen.policy, at)
}

// granted gives a decision what was granted at run time that concerns its device. The policy judges what counts.
func (s *Server) granted(in *policy.Input) {
	book := s.book.Load()
	if book == nil || in.Subject.Device == (signals.Alias{}) {
		return
	}
	var known []signals.Alias
	if p := in.Device.Packed; p != nil {
		known = p.Aliases
		in.Device.Renewals, in.Device.GraceEnded = book.Grace(p.Device)
	}
	in.Granted = book.Granted(in.Subject.Device, known, in.At)
}
