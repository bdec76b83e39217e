package authz

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/tiergate/tiergate/authz/answers"
	"github.com/tiergate/tiergate/authz/policy"
)

// class is how reasons of one kind are told: the HTTP status and the gRPC code, which go together. 401: we do not know who asks; 403: we
// know and refuse; 503: we could not know; 400: the request cannot be read in one way. What is said with it stands in the
// catalogues of package answers.
type class struct {
	status int
	code   codes.Code
}

var (
	unreadable = class{http.StatusBadRequest, codes.InvalidArgument}
	unknown    = class{http.StatusUnauthorized, codes.Unauthenticated}
	refused    = class{http.StatusForbidden, codes.PermissionDenied}
	unable     = class{http.StatusServiceUnavailable, codes.Unavailable}
)

var replies = map[policy.Reason]class{
	policy.ReasonMalformed:         unreadable,
	policy.ReasonPath:              unreadable,
	policy.ReasonHost:              unreadable,
	policy.ReasonIdentityDoubted:   unknown,
	policy.ReasonIdentityUnchecked: unable,
	policy.ReasonIdentityMissing:   unknown,
	policy.ReasonIdentityExpired:   unknown,
	policy.ReasonSessionRevoked:    unknown,
	policy.ReasonUserRisk:          refused,
	policy.ReasonIdentityRevoked:   refused,
	policy.ReasonNoRoute:           refused,
	policy.ReasonMethod:            refused,
	policy.ReasonRouteMismatch:     refused,
	policy.ReasonIsolated:          refused,
	policy.ReasonAudience:          refused,
	policy.ReasonDeviceUnknown:     refused,
	policy.ReasonDeviceContested:   refused,
	policy.ReasonStoreUnreachable:  unable,
	policy.ReasonEnrolledUser:      refused,
	policy.ReasonPosture:           refused,
	policy.ReasonStepUp:            unknown,
	policy.ReasonEvidence:          unable,
	policy.ReasonNoPolicy:          unable,
	policy.ReasonInternal:          unable,
}

// retryAfter is for how long a client should wait that is told 503, in seconds (RFC 9110, section 10.2.3): shorter than
// people wait, longer than what passes by itself.
const retryAfter = 5

// told is what a client may read of a refusal, in its language. What the tier does not tell is not in it, so that no form of
// an answer can tell it.
type told struct {
	class
	language *answers.Language
	id       string
	reason   policy.Reason // "": it is not told
	title    string
	detail   string // the sentence of the reason
	tier     string
	contact  string
	unmet    []policy.Unmet        // fixes lead to web pages or nowhere
	fallback *policy.FallbackOffer // nil: none, or none with a link
}

// addressed notes who is to read a refusal.
func (s *Server) addressed(d *Decision, call *Call) {
	d.DPoP = call.sentByKey()
	d.call, d.language = call, s.opts.Answers.Choose(call.Client.AcceptLanguage)
}

// tell takes from a decision what its tier tells.
func tell(d *Decision) told {
	reason := d.Verdict.Reason
	as, known := replies[reason]
	if !known {
		reason, as = policy.ReasonInternal, replies[policy.ReasonInternal]
	}
	language := d.language
	if language == nil {
		language = answers.BuiltIn().Choose("")
	}
	if d.Verdict.Tells == policy.TellsNothing {
		return told{class: as, language: language, id: d.ID, title: language.Status(as.status)}
	}
	text := language.Reason(reason)
	t := told{class: as, language: language, id: d.ID, reason: reason, title: text.Title, detail: text.Detail}
	if d.Verdict.Tells == "" {
		t.tier, t.contact = d.Verdict.Tier, d.Verdict.Contact
		for _, u := range d.Verdict.Unmet {
			u.Fix.URL = answers.Link(u.Fix.URL)
			t.unmet = append(t.unmet, u)
		}
		if f := d.Verdict.Fallback; f != nil && f.URL != "" {
			t.fallback = f
		}
	}
	return t
}

// refusal is a written answer, ready to be put into a message.
type refusal struct {
	status  int
	headers []text
	body    string
}

// refuse writes what is told in the form that the client reads. HEAD is answered like GET: Envoy leaves the body out, and
// without one it would leave out Content-Type and Content-Length too (RFC 9110, section 9.3.2).
func refuse(d *Decision, t *told) refusal {
	r := refusal{status: t.status}
	if d.signIn.redirects() {
		r.redirect(d.signIn, t)
		return r
	}
	switch f := formOf(d.call); f {
	case formPage:
		r.page(d, t)
	case formGRPC, formGRPCWeb, formGRPCWebText:
		r.grpc(t, f)
	case formConnect:
		r.connect(t, connectStream(d.call))
	default:
		r.problem(t)
	}
	r.headers = append(r.headers, text{"cache-control", "no-store"}, text{"x-content-type-options", "nosniff"},
		text{headerDecision, headerSafe(t.id)})
	if t.status == http.StatusUnauthorized {
		r.headers = append(r.headers, text{"www-authenticate", challenge(d)})
	}
	if t.status == http.StatusServiceUnavailable {
		r.headers = append(r.headers, text{"retry-after", strconv.Itoa(retryAfter)})
	}
	return r
}

// negotiated marks an answer that another client would have got otherwise (RFC 9110, section 12.5.5).
func (r *refusal) negotiated(contentType string, t *told) {
	r.headers = append(r.headers, text{"content-type", contentType}, text{"content-language", t.language.Tag},
		text{"vary", varies})
}

// page is for a person.
func (r *refusal) page(d *Decision, t *told) {
	p := answers.Page{Title: t.title, Detail: t.detail, Reason: string(t.reason), Tier: t.tier, Contact: t.contact, Decision: t.id}
	for i := range t.unmet {
		u := &t.unmet[i]
		p.Unmet = append(p.Unmet, answers.Demand{Signal: u.Signal, Failing: u.Status == policy.StatusFailing, Fix: u.Fix.Text,
			URL: u.Fix.URL, Owner: u.Owner, Contact: u.Contact})
	}
	if f := t.fallback; f != nil {
		p.Fallback = &answers.Fallback{URL: f.URL, Until: f.Until.Format(time.DateOnly)}
	}
	p.SignIn = d.signIn.page(d)
	html, err := t.language.HTML(p)
	if err != nil { // the template cannot fail on texts
		r.problem(t)
		return
	}
	r.body = strings.ToValidUTF8(html, "\ufffd") // a CheckResponse takes nothing else
	r.negotiated("text/html; charset=utf-8", t)
	r.headers = append(r.headers, text{"content-security-policy", answers.ContentSecurityPolicy},
		text{"referrer-policy", "no-referrer"})
}

// codeWord is the reason as gRPC has it (google.rpc.ErrorInfo reason: UPPER_SNAKE_CASE); without one, that of the status.
func (t *told) codeWord() string {
	word := string(t.reason)
	if word == "" {
		word = map[codes.Code]string{codes.InvalidArgument: "invalid-argument", codes.Unauthenticated: "unauthenticated",
			codes.PermissionDenied: "permission-denied"}[t.code]
	}
	if word == "" {
		word = "unavailable"
	}
	return strings.ToUpper(strings.ReplaceAll(word, "-", "_"))
}
