package authz

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// Judge tells how a device stands with one policy at an instant.
type Judge func(posture *signals.Posture, at time.Time) policy.Standing

// Assessment returns what is computed ahead of a device by the policy in force, for who asks the same of the same posture; nil:
// nothing is.
func (s *Server) Assessment(device signals.DeviceID) *policy.Assessment {
	if gen := s.current.Load(); gen != nil {
		return gen.assessment(device)
	}
	return nil
}

// Judge returns the policy in force as a Judge, with its digest; nil while there is none. The policy stays the same through
// all calls, also when another comes into force.
func (s *Server) Judge() (judge Judge, digest string) {
	gen := s.current.Load()
	if gen == nil {
		return nil, ""
	}
	return func(posture *signals.Posture, at time.Time) policy.Standing {
		return gen.policy.Standing(gen.assessment(posture.Device), posture, at)
	}, gen.digest()
}
