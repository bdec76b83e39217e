package policy

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// Explanation is the whole judgement of one input: its verdict, and everything that was looked at on the way. It has no
// grounds of its own: the verdict is Evaluate's, and all else is what the same steps found. Instants are UTC, durations
// ns. No token, certificate, query of a path or name of another user is in it.
type Explanation struct {
	At      time.Time        `json:"at"`
	Request ExplainedRequest `json:"request"`
	Verdict Verdict          `json:"verdict"`
	// Whole: the judgement came as far as the demands of the tier. Otherwise what is said of signals, login, grace and
	// exceptions did not count, since the request was refused before.
	Whole     bool                 `json:"whole"`
	Who       ExplainedWho         `json:"who"`
	Route     *ExplainedRoute      `json:"route,omitempty"` // nil: no table was looked into
	Tier      *ExplainedTier       `json:"tier,omitempty"`  // nil: no route was found, and so for all that follows
	Audiences []ExplainedAudience  `json:"audiences,omitempty"`
	Device    *ExplainedDevice     `json:"device,omitempty"` // nil: nothing is asked of a device
	Signals   []ExplainedSignal    `json:"signals,omitempty"`
	Logins    []ExplainedLogin     `json:"logins,omitempty"`
	Grace     *ExplainedGrace      `json:"grace,omitempty"` // nil: the tier gives none, or nothing is known of the device
	Excuses   []ExplainedException `json:"exceptions,omitempty"`
}

// ExplainedRequest is what was asked for. The path is without its query, the host without user information.
type ExplainedRequest struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
}

// ExplainedWho is what was proved of who asks.
type ExplainedWho struct {
	User        string            `json:"user,omitempty"` // ISSUER/NAME
	Groups      []string          `json:"groups,omitempty"`
	Workload    identity.SPIFFEID `json:"workload,omitempty"`
	Device      string            `json:"device,omitempty"` // KIND:VALUE
	Forwarder   identity.SPIFFEID `json:"forwarder,omitempty"`
	Certificate identity.Validity `json:"certificate,omitzero"`
	SVID        identity.Validity `json:"jwtSvid,omitzero"`
	Token       identity.Validity `json:"token,omitzero"`
	Doubts      []identity.Doubt  `json:"doubts,omitempty"`
	// Refused is the reason by which the proofs alone refuse: identity-…; empty: they suffice, or were not asked for.
	Refused Reason `json:"refused,omitempty"`
}

// ExplainedTier is the protection level of the route.
type ExplainedTier struct {
	Name      string        `json:"name"`
	Owner     string        `json:"owner"`
	Identify  Identify      `json:"identify"`
	Mode      Mode          `json:"mode"`
	LastKnown time.Duration `json:"lastKnown,omitempty"` // ns; 0: none
	// Stricter are the audiences for whose members the tier asks more, as far as it asked it of this subject.
	Stricter []string `json:"stricter,omitempty"`
}

// ExplainedDevice is what is known of the device as a whole.
type ExplainedDevice struct {
	Refused   Reason        `json:"refused,omitempty"` // device-…, store-unreachable: why nothing of it can be judged
	Detail    string        `json:"detail,omitempty"`
	Platform  string        `json:"platform,omitempty"`  // empty: nobody reports it
	Ownership string        `json:"ownership,omitempty"` // empty: nobody reports it
	AsOf      time.Time     `json:"asOf,omitzero"`       // our copy was current then
	LastWord  time.Time     `json:"lastWord,omitzero"`   // from when the newest fact of it ages
	Heard     []HeardSource `json:"heard,omitempty"`     // sorted by source
	// Revoked is what sources say against its certificate, whether or not this request was bound by that.
	Revoked  string            `json:"revoked,omitempty"`
	Enrolled ExplainedEnrolled `json:"enrolled"`
}

// HeardSource is when a source that reports the device last reported any device; the zero instant: never heard.
type HeardSource struct {
	Source string    `json:"source"`
	At     time.Time `json:"at,omitzero"`
}

// ExplainedEnrolled is whether the device is this user's own.
type ExplainedEnrolled struct {
	Demand  EnrolledUser `json:"demand,omitempty"` // the tier's; empty: it does not ask
	Refused bool         `json:"refused,omitempty"`
	Detail  string       `json:"detail,omitempty"` // what each source makes of it
}

// ExplainedLogin is a login that the tier speaks of.
type ExplainedLogin struct {
	Audience string        `json:"audience,omitempty"` // asked of its members only
	When     StepUpWhen    `json:"when"`
	Wanted   Challenge     `json:"wanted"`
	ACR      string        `json:"acr,omitempty"` // of the login that there is
	AMR      []string      `json:"amr,omitempty"`
	At       time.Time     `json:"at,omitzero"`   // zero: the token does not say
	Age      time.Duration `json:"age,omitempty"` // ns
	// Judged is when what is wanted was proven, where that is not At: by the memory of first-seen logins. Unknown: that memory
	// alone could tell, and did not.
	Judged   time.Time      `json:"judged,omitzero"`
	Unknown  bool           `json:"unknown,omitempty"`
	SVID     *identity.SVID `json:"svid,omitempty"` // what a workload showed beside its certificate
	Suffices bool           `json:"suffices"`
}

// Explain judges an input as Evaluate does and tells how that came about. It is pure, as that is.
func (p *Policy) Explain(in *Input) Explanation {
	e := Explanation{At: in.At.UTC(), Request: explainedRequest(&in.Request), Who: explainedWho(&in.Subject)}
	verdict, h := p.evaluate(in)
	e.Verdict = verdict
	if slices.Contains(refusingProofs, e.Verdict.Reason) {
		e.Who.Refused = e.Verdict.Reason
	}
	if p == nil || in.Request.Malformed != "" {
		return e
	}
	e.Route = p.explainRoute(in)
	if h.tier == nil {
		return e
	}
	e.Tier = h.explainTier()
	e.Audiences = h.explainAudiences()
	e.Logins = h.explainLogins()
	if !h.judgesDevice() {
		e.Whole = e.Verdict.came()
		return e
	}
	e.Device = h.explainDevice()
	e.Whole = e.Verdict.came() && e.Device.Refused == ReasonUndecided
	if h.assessment != nil {
		e.Signals = h.explainSignals(&e)
		e.Grace = h.explainGrace()
	}
	e.Excuses = h.explainExceptions(&e)
	return e
}

// refusingProofs are the reasons by which the proofs of who asks refuse.
var refusingProofs = []Reason{ReasonIdentityDoubted, ReasonIdentityUnchecked, ReasonIdentityMissing, ReasonIdentityExpired,
	ReasonSessionRevoked, ReasonUserRisk, ReasonIdentityRevoked}

// came tells whether the verdict is one that the demands of a tier came to.
func (v *Verdict) came() bool {
	return v.Reason == ReasonAllowed || v.Reason == ReasonPosture || v.Reason == ReasonStepUp
}

func explainedRequest(r *Request) ExplainedRequest {
	path, _, _ := strings.Cut(r.Path, "?")
	host := r.Host[strings.LastIndexByte(r.Host, '@')+1:]
	return ExplainedRequest{Method: r.Method, Host: host, Path: path}
}

func explainedWho(s *identity.Subject) ExplainedWho {
	who := ExplainedWho{Workload: s.Workload, Forwarder: s.Forwarder, Certificate: s.Certificate, SVID: s.WorkloadToken,
		Doubts: s.Doubts}
	if s.Device != (signals.Alias{}) {
		who.Device = s.Device.String()
	}
	if u := s.User; u != nil {
		who.User, who.Groups, who.Token = u.Issuer+"/"+u.Name, u.Groups, u.Token
	}
	return who
}

func (h *hearing) explainTier() *ExplainedTier {
	t := &ExplainedTier{Name: h.tier.name, Identify: h.tier.identify, Mode: ModeEnforce, LastKnown: h.tier.lastKnown}
	if h.tier.monitor {
		t.Mode = ModeMonitor
	}
	for i := range h.policy.spec.Tiers {
		if meta := h.policy.spec.Tiers[i].Meta; meta.Name == t.Name {
			t.Owner = meta.Owner
		}
	}
	for i := range h.tier.stricter {
		if h.stricter&(1<<i) != 0 {
			t.Stricter = append(t.Stricter, h.policy.audiences[h.tier.stricter[i].audience].name)
		}
	}
	return t
}

// audienceOf names the audience for whose members alone something is demanded; empty: it is demanded of everybody.
func (h *hearing) audienceOf(of *demanded) string {
	for i := range h.tier.stricter {
		if s := &h.tier.stricter[i]; &s.demanded == of {
			return h.policy.audiences[s.audience].name
		}
	}
	return ""
}

func (h *hearing) explainLogins() []ExplainedLogin {
	var all []ExplainedLogin
	user := h.in.Subject.User
	for of := range h.each {
		if of.stepUp == nil {
			continue
		}
		l := ExplainedLogin{Audience: h.audienceOf(of), When: StepUpAlways, Wanted: *harder(nil, of.stepUp),
			SVID: h.in.Subject.SVID, Suffices: judgeLogin(of.stepUp, h.in) == loginGood}
		if of.stepUp.When == StepUpSignals {
			l.When = StepUpSignals
		}
		if user != nil {
			l.ACR, l.AMR = user.ACR, user.AMR
			if !user.AuthTime.IsZero() {
				l.At, l.Age = user.AuthTime.UTC(), h.in.At.Sub(user.AuthTime)
			}
			if of.stepUp.MaxAge != 0 {
				at, known := loggedIn(of.stepUp, h.in)
				if l.Unknown = !known; known && !at.IsZero() && !at.Equal(user.AuthTime) {
					l.Judged, l.Age = at.UTC(), h.in.At.Sub(at)
				}
			}
		}
		all = append(all, l)
	}
	return all
}

// instant is the time of ns since 1970; the ends of what they reach are no instants and give the zero time.
func instant(ns int64) time.Time {
	if ns == math.MinInt64 || ns == math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
