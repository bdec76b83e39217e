package policy

import (
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/identity"
)

// enrolledUser is the attribute by which a source names the user that a device is enrolled for.
const enrolledUser = "enrolled_user"

// naming is how one source names users. Where the settings are not known EnrolledAs is zero: any of a user's names
// will do.
type naming struct {
	source string
	EnrolledAs
}

// enrolment is one source's word on the user that a device is enrolled for. It does not age.
type enrolment struct {
	by   *naming
	user string // as the source writes it
}

// namings are the sources that may name users and of which it is known what their names mean. Nil: the settings are not
// known.
func (w *World) namings() map[string]*naming {
	if w.Sources == nil {
		return nil
	}
	all := map[string]*naming{}
	for name, said := range w.Sources {
		if said.namesUsers() {
			all[name] = &naming{source: name, EnrolledAs: said.EnrolledUser}
		}
	}
	return all
}

func (s *Source) namesUsers() bool {
	return s.EnrolledUser != (EnrolledAs{}) && slices.Contains(s.Attests, enrolledUser)
}

// enrolments are what the sources say now of the device's user: one that cannot tell, or cannot any more, has no say.
func (p *Policy) enrolments(view view) []enrolment {
	var all []enrolment
	for i := range view.posture.Facts {
		f := &view.posture.Facts[i]
		if f.Attribute != enrolledUser || !f.Value.Known() {
			continue
		}
		by := p.namings[f.Source]
		if p.namings == nil {
			by = &naming{source: f.Source}
		}
		if by == nil {
			continue
		}
		if _, _, unknownSince := view.own(enrolledUser, f.Source); unknownSince {
			continue
		}
		user, _ := f.Value.AsText() // what is no text names nobody
		all = append(all, enrolment{by: by, user: strings.Clone(user)})
	}
	return slices.Clip(all)
}

// names tells whether the source names this user.
func (e *enrolment) names(user *identity.User) bool {
	if user == nil || e.user == "" || user.Issuer != e.by.Issuer && e.by.Issuer != "" {
		return false
	}
	switch e.by.Is {
	case "":
		return e.user == user.Name || e.user == user.Subject || sameLetters(e.user, user.Email)
	case EnrolledIsName:
		return e.user == user.Name
	case EnrolledIsSubject:
		return e.user == user.Subject
	case EnrolledIsEmail:
		return sameLetters(e.user, user.Email)
	}
	return false
}

// sameLetters compares two texts, ASCII letters in any case. Others count byte for byte: K is not the Kelvin sign.
func sameLetters(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// enrolled judges whether the user is the one that the device is enrolled for: whoever says so must say this user. It
// is part of who asks, so nothing excuses it. That nobody says so is judged only where it is known who could.
func (h *hearing) enrolled() (Reason, string) {
	if h.tier.enrolled == "" {
		return ReasonUndecided, ""
	}
	said := h.assessment.enrolled
	for i := range said {
		if !said[i].names(h.in.Subject.User) {
			return ReasonEnrolledUser, describeEnrolled(said, h.in.Subject.User)
		}
	}
	if len(said) == 0 && h.tier.enrolled == EnrolledRequired && h.policy.namings != nil {
		return ReasonEnrolledUser, "no source says for whom this device is enrolled"
	}
	return ReasonUndecided, ""
}

// describeEnrolled tells an operator what each source makes of the user. Whom it names instead is that person's affair.
func describeEnrolled(said []enrolment, user *identity.User) string {
	texts := make([]string, 0, len(said))
	for i := range said {
		e := &said[i]
		text := e.by.source + " says that the device is enrolled for "
		switch {
		case e.names(user):
			text += "this user"
		case user != nil && e.by.Issuer != "" && user.Issuer != e.by.Issuer:
			text += "a user of issuer " + e.by.Issuer + ", not of " + user.Issuer
		case e.by.Is == EnrolledIsEmail && user != nil && user.Email == "":
			text += "an email address, and the token has none"
		default:
			text += "somebody else"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// WithoutEnrolledUser lists, sorted, the sources that say for no device which user it is enrolled for, if a tier wants
// to know that: settings sources[].enrolledUser and attests. Of a device that only they report a tier refuses every
// user, unless it says enrolledUser: whenKnown. Empty too where the settings are not known.
func (p *Policy) WithoutEnrolledUser() []string { return p.unenrolling }

// NamesUser tells what the users are that a source names; ok is false if it names none, or that is not known.
func (p *Policy) NamesUser(source string) (as EnrolledAs, ok bool) {
	if p == nil || p.namings[source] == nil {
		return EnrolledAs{}, false
	}
	return p.namings[source].EnrolledAs, true
}
