package authz

import (
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/revocation"
)

// SetRevocations has the next request on judged by what has ended of somebody's logins.
func (s *Server) SetRevocations(table *revocation.Table) { s.revocations.Store(table) }

// ended is why the user's login counts no longer; nil: nobody said so. A server that is to know what has ended, and has not
// been told yet, doubts every login.
func (s *Server) ended(in *policy.Input) *identity.Ended {
	user := in.Subject.User
	if user == nil {
		return nil
	}
	table := s.revocations.Load()
	if table == nil {
		if s.opts.Revocations {
			in.Subject.Doubts = append(in.Subject.Doubts, identity.Doubt{Code: identity.DoubtUnchecked,
				Detail: "what the identity provider has ended is not known: the store has not been read, or not for too long"})
		}
		return nil
	}
	if table.Len() == 0 {
		return nil
	}
	if !table.NamesDevices() || in.Subject.Device == (signals.Alias{}) {
		return endedAs(table, &in.Subject, "")
	}
	if ended := endedAs(table, &in.Subject, in.Subject.Device.String()); ended != nil {
		return ended
	}
	if in.Device.Packed != nil {
		for _, alias := range in.Device.Packed.Aliases { // a transmitter may call the device by any of its names
			if ended := endedAs(table, &in.Subject, alias.String()); ended != nil {
				return ended
			}
		}
	}
	return nil
}

// risk is why the user is let in with no login for now; nil: nobody said so. Where that is not known, ended doubts the login.
func (s *Server) risk(in *policy.Input) *identity.Risk {
	user, table := in.Subject.User, s.revocations.Load()
	if user == nil || table.Len() == 0 {
		return nil
	}
	r, found := table.Risk(user.Issuer, user.Subject, user.Email, user.Session)
	if !found || !r.Refuses {
		return nil
	}
	return &identity.Risk{At: r.NotBefore, Level: r.Level, Reason: r.Reason, Event: r.Event}
}

// endedAs looks for the user by sub and by e-mail address, with the device under one of its names. A session that was seen
// before is no younger for a token that was issued in it since: whoever refreshes tokens has not logged in.
func endedAs(table *revocation.Table, subject *identity.Subject, device string) *identity.Ended {
	user, issued := subject.User, subject.User.Issued
	if seen := subject.FirstSeen; seen != nil && user.Session != "" && seen.Session.Before(issued) {
		issued = seen.Session
	}
	r, found := table.Revoked(user.Issuer, user.Subject, user.Session, device, issued, user.AuthTime)
	if !found {
		r, found = table.RevokedEmail(user.Issuer, user.Email, user.Session, device, issued, user.AuthTime)
	}
	if !found {
		return nil
	}
	return &identity.Ended{At: r.NotBefore, Reason: r.Reason, Event: r.Event}
}
