package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// loginState is how a login, or what a workload shows in its place, meets a demand.
type loginState uint8

const (
	loginLacks loginState = iota
	loginGood
	loginUnknown // all that is missing is when it was made, which nobody can tell now
)

// loginUnremembered tells the operator why a login could not be judged.
const loginUnremembered = "how old the login is cannot be found out now: at this issuer (authTime) only the memory of " +
	"first-seen logins tells, and it did not answer"

// judgeLogin judges the login of a user, or the JWT-SVID of a workload, by what a tier wants of it.
func judgeLogin(d *StepUpDemand, in *Input) loginState {
	if d.SVID != nil {
		return goodIf(svidSuffices(d.SVID, in))
	}
	user := in.Subject.User
	switch {
	case user == nil, len(d.ACR) > 0 && !slices.Contains(d.ACR, user.ACR), len(d.AMR) > 0 && !common(d.AMR, user.AMR):
		return loginLacks
	case d.MaxAge == 0:
		return loginGood
	}
	at, known := loggedIn(d, in)
	if !known {
		return loginUnknown
	}
	return goodIf(!at.IsZero() && !at.After(in.At) && nanos(in.At) < staleFrom(at, d.MaxAge))
}

func goodIf(good bool) loginState {
	if good {
		return loginGood
	}
	return loginLacks
}

// loggedIn is when the user proved what a demand wants.
func loggedIn(d *StepUpDemand, in *Input) (at time.Time, known bool) {
	if len(d.AMR) == 0 {
		return in.Subject.LoggedIn(len(d.ACR) > 0, nil)
	}
	return in.Subject.LoggedIn(len(d.ACR) > 0, func(method string) bool { return slices.Contains(d.AMR, method) })
}

// staleFrom is the instant from which a login is older than maxAge. Both are counted in whole seconds, as auth_time is
// written (RFC 7519, section 2) and max_age is asked for (OpenID Connect Core 1.0, section 3.1.2.1): at the instant from
// which a login is refused here, a provider that is asked for max_age has the user log in, and not a moment later.
func staleFrom(at time.Time, maxAge time.Duration) int64 {
	return after(nanos(at.Truncate(time.Second)), maxAge.Truncate(time.Second)+time.Second)
}

// loginEnds is the instant from which what suffices is too old.
func loginEnds(d *StepUpDemand, in *Input) int64 {
	switch {
	case d.SVID != nil:
		return after(nanos(in.Subject.SVID.Issued), d.SVID.MaxAge)
	case d.MaxAge == 0:
		return never
	}
	at, _ := loggedIn(d, in)
	return staleFrom(at, d.MaxAge)
}

// svidSuffices judges the JWT-SVID that came beside a workload's certificate. Exactly maxAge old is fresh.
func svidSuffices(d *SVIDDemand, in *Input) bool {
	s := in.Subject.SVID
	return s != nil && slices.Contains(s.Audiences, d.Audience) && !s.Issued.IsZero() && !s.Issued.After(in.At) &&
		in.At.Sub(s.Issued) <= d.MaxAge
}

// harder joins two demands on a login: the shorter age, and the words that both accept; where they have none in common,
// those of the later demand, which is the one for the subject's audience.
func harder(c *Challenge, d *StepUpDemand) *Challenge {
	var svid *SVIDChallenge
	if d.SVID != nil {
		svid = &SVIDChallenge{Audiences: []string{d.SVID.Audience}, MaxAge: d.SVID.MaxAge}
	}
	if c == nil {
		return &Challenge{ACR: d.ACR, AMR: d.AMR, MaxAge: d.MaxAge, SVID: svid}
	}
	if c.SVID != nil && svid != nil {
		svid.MaxAge = min(svid.MaxAge, c.SVID.MaxAge)
		if !slices.Contains(c.SVID.Audiences, d.SVID.Audience) {
			svid.Audiences = append(slices.Clone(c.SVID.Audiences), d.SVID.Audience)
		}
	}
	return &Challenge{ACR: both(c.ACR, d.ACR), AMR: both(c.AMR, d.AMR),
		MaxAge: cmp.Or(min(c.MaxAge, d.MaxAge), c.MaxAge, d.MaxAge), SVID: cmp.Or(svid, c.SVID)}
}

func both(a, b []string) []string {
	switch shared := slices.DeleteFunc(slices.Clone(a), func(word string) bool { return !slices.Contains(b, word) }); {
	case len(b) == 0:
		return a
	case len(shared) == 0: // a is empty, or there is nothing in common
		return b
	default:
		return shared
	}
}

// describeLogin tells the operator what the login was and what is wanted.
func describeLogin(c *Challenge, in *Input) string {
	if c.SVID != nil {
		return describeSVID(c.SVID, in)
	}
	user := in.Subject.User
	text := "the login has acr " + cmp.Or(user.ACR, "(none)")
	at, _ := loggedIn(&StepUpDemand{ACR: c.ACR, AMR: c.AMR}, in)
	switch {
	case user.AuthTime.IsZero() && at.IsZero():
		text += " and no auth_time"
	case at.IsZero() || at.Equal(user.AuthTime):
		text += " and is " + roughly(in.At.Sub(user.AuthTime)) + " old"
	default:
		text += " and is " + roughly(in.At.Sub(at)) + " old by the memory of first-seen logins"
		if !user.AuthTime.IsZero() {
			text += ", " + roughly(in.At.Sub(user.AuthTime)) + " by its auth_time"
		}
	}
	if c.MaxAge != 0 {
		text += "; at most " + c.MaxAge.String() + " is wanted"
	}
	return text
}

func describeSVID(c *SVIDChallenge, in *Input) string {
	text := "the workload showed no JWT-SVID beside its certificate"
	switch s := in.Subject.SVID; {
	case s != nil && s.Issued.IsZero():
		text = fmt.Sprintf("the JWT-SVID is for %q and has no iat", s.Audiences)
	case s != nil:
		text = fmt.Sprintf("the JWT-SVID is for %q and is %s old", s.Audiences, roughly(in.At.Sub(s.Issued)))
	case in.Subject.WorkloadToken.Covers(in.At):
		text = "the workload showed a JWT-SVID and no certificate"
	}
	return fmt.Sprintf("%s; one for %q of at most %s is wanted beside the certificate", text, c.Audiences, c.MaxAge)
}

func roughly(age time.Duration) string { return age.Round(time.Second).String() }
