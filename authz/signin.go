package authz

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/returnto"
)

// signIn is a login that would help a refused person with a browser.
type signIn struct {
	location string            // the login page, with what is wanted and where to come back to
	wanted   *policy.Challenge // nil: nothing in particular
	returned bool              // the browser comes from there, and is not sent again
}

// signInOf is the login that would help, nil if none would or nobody could be sent there: only a person who goes somewhere
// with a browser (formOf), asking by a method that can be repeated, for a page of its own and not for a frame.
//
// Who comes back with a mark is not sent again; but one who was sent only to log in, and has come back with a login of which
// more is wanted, is asked for that once. So nobody is sent more than twice without having asked for it.
func (s *Server) signInOf(d *Decision, gen *generation, call *Call) *signIn {
	if gen == nil || call.Method != http.MethodGet && call.Method != http.MethodHead || !wantsLogin(d) {
		return nil
	}
	page, ok := gen.policy.LoginPage(d.Verdict.Route)
	if !ok || formOf(call) != formPage || call.Client.FetchDest != "" && call.Client.FetchDest != "document" {
		return nil
	}
	in := &signIn{wanted: page.Always}
	if d.Verdict.Reason == policy.ReasonStepUp {
		in.wanted = d.Verdict.Challenge
	}
	host, err := policy.NormalHost(call.Host)
	if err != nil {
		return nil
	}
	back := returnto.Return{Host: host, Route: d.Verdict.Route, Path: returnto.Unmarked(call.Path)}
	if in.wanted != nil {
		back.ACR, back.MaxAge = strings.Join(in.wanted.ACR, " "), maxAgeOf(in.wanted)
	}
	if err := s.opts.ReturnKey.Sign(&back, d.At); err != nil {
		return nil // there is no key, or the path is not one to come back to: then the refusal has to do
	}
	separator := "?"
	if strings.Contains(page.URL, "?") {
		separator = "&"
	}
	in.location = page.URL + separator + back.Query()
	switch returnto.Marked(call.Path, d.At) {
	case returnto.ReturnedFromAsked:
		in.returned = true
	case returnto.ReturnedFromAny:
		in.returned = back.ACR == "" && back.MaxAge == ""
	default:
	}
	return in
}

// wantsLogin: what is missing is a login, and not a certificate or a device, which none could mend.
func wantsLogin(d *Decision) bool {
	user := d.Subject.User
	switch d.Verdict.Reason {
	case policy.ReasonStepUp:
		return user != nil && d.Verdict.Challenge != nil && d.Verdict.Challenge.SVID == nil
	case policy.ReasonIdentityMissing:
		return user == nil
	case policy.ReasonIdentityExpired:
		return user != nil && !user.Token.Covers(d.At)
	case policy.ReasonSessionRevoked:
		return true
	default:
		return false
	}
}

// maxAgeOf is the max_age that asks for no older login than the challenge wants, in seconds; empty: any will do. Rounding up
// would promise too much.
func maxAgeOf(c *policy.Challenge) string {
	if c.MaxAge <= 0 {
		return ""
	}
	return strconv.FormatInt(int64(c.MaxAge/time.Second), 10)
}

func (in *signIn) redirects() bool { return in != nil && !in.returned }

// redirect sends a browser to log in. It is 302 and no other status: what comes back is a GET of another URL.
func (r *refusal) redirect(in *signIn, t *told) {
	r.status = http.StatusFound
	r.headers = append(r.headers, text{"location", in.location}, text{"cache-control", "no-store"}, text{"referrer-policy", "no-referrer"},
		text{"vary", varies},
		text{headerDecision, headerSafe(t.id)})
}

// page is what the page of a refusal says of logging in; nil: nothing.
func (in *signIn) page(d *Decision) *answers.SignIn {
	if in == nil {
		return nil
	}
	p := &answers.SignIn{URL: in.location}
	if in.wanted != nil {
		p.Asked = answers.Login{Kinds: in.wanted.ACR, Methods: in.wanted.AMR, MaxAge: in.wanted.MaxAge}
	}
	if user := d.Subject.User; user != nil {
		p.Came = &answers.Login{Methods: user.AMR, At: user.AuthTime}
		if user.ACR != "" {
			p.Came.Kinds = []string{user.ACR}
		}
	}
	return p
}
