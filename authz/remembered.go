package authz

import (
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// recalled is what is known of a user's login without waiting; nil where auth_time alone tells, and where nothing is.
func (s *Server) recalled(user *identity.User, at time.Time) *identity.FirstSeen {
	if s.opts.Logins == nil || user == nil || user.Moves == identity.MovesWithLogin {
		return nil
	}
	return s.opts.Logins.Recall(user, at)
}

// remembers has a login remembered that nothing was known of, whatever is asked for: it begins to age with its first
// request. Only where the verdict depends on its age is the answer waited for; true: it came, and the verdict is to be
// made again.
func (s *Server) remembers(call *Call, in *policy.Input, verdict *policy.Verdict) bool {
	user := in.Subject.User
	if s.opts.Logins == nil || user == nil || user.Moves == identity.MovesWithLogin || in.Subject.FirstSeen != nil {
		return false
	}
	if !dependsOnLogin(verdict) {
		s.opts.Logins.Note(user, in.At)
		return false
	}
	call.waits()
	seen, err := s.opts.Logins.Look(user, in.At)
	if err != nil {
		return false
	}
	in.Subject.FirstSeen = seen
	return seen != nil
}

// dependsOnLogin: all that is missing is how old the login is. No doubt in who asks is left then.
func dependsOnLogin(v *policy.Verdict) bool {
	return v.Tier != "" && (v.Reason == policy.ReasonIdentityUnchecked ||
		v.Monitored != nil && v.Monitored.Reason == policy.ReasonIdentityUnchecked)
}
