package revocation

import (
	"strings"
	"time"
)

// Table answers whether a login still counts. It is never modified, so a decision may keep it; the zero value revokes
// nothing. A question costs a few look-ups in one map and allocates nothing.
type Table struct {
	ended map[place]Revocation
	risks map[place]Revocation

	devices bool // one of ended is of a device
}

// place is where a revocation is looked for: by its whole subject, or with anySession and anyDevice by the user alone.
type place struct {
	issuer, user, email, session, device string
}

// The wildcards stand where the one who asks does not know: they are no id, since ids have no control bytes there.
const (
	anySession = "\x00session"
	anyDevice  = "\x00device"
)

// Len is how many subjects are named.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return len(t.ended) + len(t.risks)
}

// NamesDevices tells whether any revocation is of a device: only then it matters which device one asks with.
func (t *Table) NamesDevices() bool { return t != nil && t.devices }

// Revoked tells whether something ended a login. issuer is the issuer's name in the settings, user the sub claim, session the
// sid claim, device an alias of the device as signals.Alias writes it; session and device are empty where they are not known.
// A device of several aliases is asked for by each. issuedAt is iat and authTime auth_time; the zero authTime: not known.
//
// A login is void if its token was issued, or its user logged in, at or before the instant of a revocation that fits: of the
// user, of the session, of the device, or of the user on that device. A revocation of one session or one device of a user
// fits every login of that user whose session or device is not known: what cannot be told apart is not spared.
func (t *Table) Revoked(issuer, user, session, device string, issuedAt, authTime time.Time) (Revocation, bool) {
	if t == nil || len(t.ended) == 0 {
		return Revocation{}, false
	}
	return t.find(place{issuer: issuer, user: user}, session, device, issuedAt, authTime)
}

// RevokedEmail is Revoked for the email claim of the token, in letters of any case: some transmitters name users by it. Ask
// both.
func (t *Table) RevokedEmail(issuer, email, session, device string, issuedAt, authTime time.Time) (Revocation, bool) {
	if t == nil || len(t.ended) == 0 || email == "" {
		return Revocation{}, false
	}
	return t.find(place{issuer: issuer, email: strings.ToLower(email)}, session, device, issuedAt, authTime)
}

func (t *Table) find(who place, session, device string, issuedAt, authTime time.Time) (Revocation, bool) {
	if who.user != "" || who.email != "" {
		sessions, devices := [2]string{"", session}, [2]string{"", device}
		if session == "" {
			sessions[1] = anySession
		}
		if device == "" {
			devices[1] = anyDevice
		}
		for _, s := range sessions {
			for _, d := range devices {
				who.session, who.device = s, d
				if r, found := t.ended[who]; found && voids(&r, issuedAt, authTime) {
					return r, true
				}
			}
		}
	}
	if session != "" { // a session is one whoever's it is said to be
		if r, found := t.ended[place{issuer: who.issuer, session: session}]; found && voids(&r, issuedAt, authTime) {
			return r, true
		}
	}
	if device == "" {
		return Revocation{}, false
	}
	for _, issuer := range [2]string{who.issuer, ""} {
		if r, found := t.ended[place{issuer: issuer, device: device}]; found && voids(&r, issuedAt, authTime) {
			return r, true
		}
	}
	return Revocation{}, false
}

func voids(r *Revocation, issuedAt, authTime time.Time) bool {
	return !issuedAt.After(r.NotBefore) || !authTime.IsZero() && !authTime.After(r.NotBefore)
}

// Risk is the last word on how much a user, by sub or email, or a session is to be feared: the worst of those that fit. Each
// may be empty. That of one session of a user fits the user's logins whose session is not known.
func (t *Table) Risk(issuer, user, email, session string) (Revocation, bool) {
	if t == nil || len(t.risks) == 0 {
		return Revocation{}, false
	}
	var worst Revocation
	found := false
	look := func(at place) {
		if r, there := t.risks[at]; there && (!found || worse(&r, &worst) > 0) {
			worst, found = r, true
		}
	}
	for _, who := range [2]place{{issuer: issuer, user: user}, {issuer: issuer, email: strings.ToLower(email)}} {
		if who.user == "" && who.email == "" {
			continue
		}
		look(who)
		if who.session = session; session == "" {
			who.session = anySession
		}
		look(who)
	}
	if session != "" {
		look(place{issuer: issuer, session: session})
	}
	return worst, found
}

// put enters a revocation at every place where somebody may ask for it.
func (t *Table) put(r Revocation) {
	at := place{issuer: r.Issuer, user: r.User, email: r.Email, session: r.Session, device: r.Device}
	if r.Sort == Risk {
		at.device = "" // it only says where the user was seen
		enter(t.risks, at, r)
		if r.Session != "" {
			enter(t.risks, place{issuer: r.Issuer, session: r.Session}, r)
			at.session = anySession
			if held, found := t.risks[at]; !found || worse(&held, &r) < 0 { // of other sessions: the newer says nothing of the older
				t.risks[at] = r
			}
		}
		return
	}
	t.devices = t.devices || r.Device != ""
	ofUser := r.User != "" || r.Email != ""
	if r.Session != "" {
		enter(t.ended, place{issuer: r.Issuer, session: r.Session}, r)
	}
	if !ofUser {
		if r.Session == "" {
			enter(t.ended, at, r)
		}
		return
	}
	for _, session := range wild(r.Session, anySession) {
		for _, device := range wild(r.Device, anyDevice) {
			at.session, at.device = session, device
			enter(t.ended, at, r)
		}
	}
}

// wild are the words under which an id is found.
func wild(id, wildcard string) []string {
	if id == "" {
		return []string{""}
	}
	return []string{id, wildcard}
}

// enter keeps the newer of two that stand at one place.
func enter(in map[place]Revocation, at place, r Revocation) {
	if held, found := in[at]; !found || order(held, r) < 0 {
		in[at] = r
	}
}
