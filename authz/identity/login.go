package identity

import "time"

// AuthTimeMoves is what makes an issuer write a later auth_time.
type AuthTimeMoves string

// The ways.
const (
	MovesWithLogin AuthTimeMoves = ""          // a login with a factor, and nothing else
	MovesOnRefresh AuthTimeMoves = "refreshed" // also what takes no factor: a refreshed token, single sign-on
	MovesNever     AuthTimeMoves = "never"     // nothing: it stays that of the session's first login, or is not written
)

// FirstSeen is when what a token says of a login was first seen in its session, by any process that shares the memory. It is
// never modified.
type FirstSeen struct {
	Session time.Time   `json:"session"`       // the session itself
	ACR     time.Time   `json:"acr,omitzero"`  // the user's acr in it; zero: the token has none
	AMR     []time.Time `json:"amr,omitempty"` // each of the user's amr, in their order
}

// SeenAs names a login. It holds no personal data: both names are digests.
type SeenAs struct {
	Session string // one session of one user at one issuer
	Login   string // the session and how strong its login is: tokens of one Login have the same acr and amr
}

// LoggedIn is when the user proved what a demand wants: an acr, one of some amr, or no particular strength (acr false, amr
// nil). Zero: the token does not say. known is false where only the memory of first-seen logins could tell and it was not
// asked, or has nothing.
//
// Where auth_time also moves without a factor, a login is as old as the memory of it, or older. Where it never moves, what
// was there when the session was first seen is as old as auth_time says; what the session showed only later was proven
// since, and is as old as the memory of it.
func (s *Subject) LoggedIn(acr bool, amr func(string) bool) (at time.Time, known bool) {
	user, seen := s.User, s.FirstSeen
	switch {
	case user == nil:
		return time.Time{}, true
	case user.Moves == MovesWithLogin, user.Moves == MovesOnRefresh && user.AuthTime.IsZero():
		return user.AuthTime, true
	case seen == nil || seen.Session.IsZero() || acr && seen.ACR.IsZero() || amr != nil && len(seen.AMR) != len(user.AMR):
		return time.Time{}, false
	case !acr && amr == nil:
		return user.proved(seen.Session, seen), true
	}
	if acr {
		at = user.proved(seen.ACR, seen)
	}
	if amr != nil {
		at = earlier(at, user.latest(amr, seen))
	}
	return at, true
}

// latest is when the newest of some methods was proven.
func (u *User) latest(wanted func(string) bool, seen *FirstSeen) (at time.Time) {
	for i, method := range u.AMR {
		if !wanted(method) {
			continue
		}
		if t := u.proved(seen.AMR[i], seen); t.After(at) {
			at = t
		}
	}
	return at
}

func (u *User) proved(first time.Time, seen *FirstSeen) time.Time {
	if u.Moves == MovesOnRefresh || !first.After(seen.Session) {
		return earlier(u.AuthTime, first)
	}
	return first
}

// earlier of two instants; one that is zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SVID is what a JWT-SVID says besides whom it names. It is never modified.
type SVID struct {
	Audiences []string  `json:"audiences"`
	Issued    time.Time `json:"issued,omitzero"` // its iat; zero: it does not say
	Window    Validity  `json:"window"`
}
