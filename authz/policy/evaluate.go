package policy

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// Input is everything that a verdict depends on, besides the policy.
type Input struct {
	At      time.Time        `json:"at"`
	Request Request          `json:"request"`
	Subject identity.Subject `json:"subject"`
	Device  Device           `json:"device"`
}

// Request is what was asked for, as Envoy reported it. Path may carry the query; it is cut off before matching.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	// Chosen is Envoy's own choice of route, where our xDS configured it.
	Chosen *Chosen `json:"chosen,omitempty"`
}

// Keys of the context_extensions (envoy.service.auth.v3.AttributeContext) by which an Envoy that our xDS programmed tells
// its choice. Written by xds, read by authz.
const (
	ContextRoute = "tiergate.route" // the route's name; empty where Envoy proxies nothing
	ContextTable = "tiergate.table" // the digest of the table that Envoy chose from
)

// Chosen is what the context_extensions of our routes say.
type Chosen struct {
	Route string `json:"route"`
	// Generation is the table that Envoy matched with, nil if it is no longer held: the current one then takes its place.
	Generation *Table `json:"-"`
}

// Device is what is known of the device that the subject is bound to: a Posture, or a Gap that says why there is none.
type Device struct {
	Posture *signals.Posture `json:"posture,omitempty"`
	// Packed is the same in the form in which a process holds it, where Posture is nil. It is unpacked only if there is no
	// assessment that fits.
	Packed *signals.Packed `json:"-"`
	AsOf   time.Time       `json:"asOf,omitzero"` // the copy was current at this instant
	Gap    Gap             `json:"gap,omitempty"`
	// Assessment spares the work of Assess. One of another policy or posture is not used.
	Assessment *Assessment `json:"-"`
}

// Gap says why there is no posture. The zero Gap with no posture means that no device is bound.
type Gap string

// The gaps.
const (
	GapNone        Gap = ""            // there is a posture, or no device is bound
	GapUnknown     Gap = "unknown"     // nobody has reported this device
	GapContested   Gap = "contested"   // two devices carry this name
	GapUnreachable Gap = "unreachable" // the store cannot be reached, or its value cannot be read
)

// Evaluate judges one input. It is pure: it takes the instant, has no context and returns no error.
func (p *Policy) Evaluate(in *Input) Verdict {
	if p == nil {
		return Verdict{Reason: ReasonNoPolicy}
	}
	route, refused := p.route(in)
	if route == nil {
		return refused
	}
	tier := &p.tiers[route.tier]
	v := Verdict{Route: route.name, Tier: tier.name, Policy: p.digest, Contact: tier.contact, Upstream: route.upstream}
	if v.Reason, v.Detail = identified(tier, in); v.Reason != ReasonUndecided {
		return v
	}
	assessment := p.assessment(&in.Device)
	if v.Reason, v.Detail = p.admitted(route, tier, in, assessment); v.Reason != ReasonUndecided {
		return v
	}
	if len(tier.demands) > 0 || tier.identify == IdentifyUserDevice {
		if v.Reason, v.Detail = gap(&in.Device, assessment); v.Reason != ReasonUndecided {
			return v
		}
		p.demands(&v, tier, in, assessment)
		if len(v.Unmet) > 0 {
			v.Reason = ReasonPosture
			return v
		}
	}
	v.Outcome, v.Reason = Allow, ReasonAllowed
	return v
}

// route finds the route, or the refusal. Doubts come first: who shows a false proof learns nothing about routes.
func (p *Policy) route(in *Input) (*route, Verdict) {
	refuse := func(reason Reason, detail string) (*route, Verdict) {
		return nil, Verdict{Reason: reason, Detail: detail, Policy: p.digest}
	}
	path, err := checkPath(in.Request.Path)
	if err != nil {
		return refuse(ReasonPath, err.Error())
	}
	host, err := NormalHost(in.Request.Host)
	if err != nil {
		return refuse(ReasonHost, err.Error())
	}
	if in.Request.Method == "" {
		return refuse(ReasonMalformed, "the request has no method")
	}
	if len(in.Subject.Doubts) > 0 {
		return refuse(ReasonIdentityDoubted, describeDoubts(in.Subject.Doubts))
	}
	r, how := p.table.lookup(host, path, in.Request.Method)
	switch how {
	case foundNothing:
		return refuse(ReasonNoRoute, "no route matches this host and path")
	case foundOtherMethods:
		return refuse(ReasonMethod, fmt.Sprintf("route %s does not list method %q", r.name, in.Request.Method))
	case foundRoute:
	}
	if detail := p.mismatch(&in.Request, r); detail != "" {
		return refuse(ReasonRouteMismatch, detail)
	}
	return r, Verdict{}
}

// mismatch compares Envoy's choice with ours. Envoy may still hold an older table: then its choice must be that table's, and
// what it will connect to must be what the current table says.
func (p *Policy) mismatch(request *Request, current *route) string {
	chosen := request.Chosen
	if chosen == nil || chosen.Route == current.name && (chosen.Generation == nil || chosen.Generation == p.table) {
		return ""
	}
	if chosen.Generation == nil || chosen.Generation == p.table {
		return fmt.Sprintf("Envoy chose route %q, the policy says %q", chosen.Route, current.name)
	}
	name, upstream, ok := chosen.Generation.Match(request.Host, request.Path, request.Method)
	switch {
	case !ok || name != chosen.Route:
		return fmt.Sprintf("Envoy chose route %q, its own table says %q", chosen.Route, name)
	case upstream != current.upstream:
		return fmt.Sprintf("Envoy would still connect to upstream %q, the policy says %q", upstream, current.upstream)
	}
	return ""
}

func describeDoubts(doubts []identity.Doubt) string {
	text := ""
	for i, d := range doubts {
		if i > 0 {
			text += "; "
		}
		text += string(d.Code) + ": " + d.Detail
	}
	return text
}

// identified checks that the tier knows as much of the subject as it wants, and that the proofs still hold.
func identified(t *tier, in *Input) (Reason, string) {
	s := &in.Subject
	switch {
	case s.Certificate != (identity.Validity{}) && !s.Certificate.Covers(in.At):
		return ReasonIdentityExpired, "the peer certificate is valid from " + s.Certificate.String()
	case s.User != nil && !s.User.Token.Covers(in.At):
		return ReasonIdentityExpired, "the token is valid from " + s.User.Token.String()
	case t.identify == IdentifyWorkload && s.Workload == "":
		return ReasonIdentityMissing, "the tier identifies a workload; the peer showed no X.509-SVID"
	case t.identify != IdentifyWorkload && s.User == nil:
		return ReasonIdentityMissing, "the tier identifies a user; the request has no bearer token"
	case (t.identify == IdentifyUserDevice || len(t.demands) > 0) && s.Device == signals.Alias{}:
		return ReasonIdentityMissing, "the tier looks at a device; the peer showed no device certificate"
	}
	return ReasonUndecided, ""
}

// Version names the posture; known is false if there is none.
func (d *Device) Version() (device signals.DeviceID, revision signals.Revision, known bool) {
	switch {
	case d.Posture != nil:
		return d.Posture.Device, d.Posture.Revision, true
	case d.Packed != nil:
		return d.Packed.Device, d.Packed.Revision, true
	}
	return "", 0, false
}

// assessment is the one that came with the device if it is of this policy and posture, else a new one.
func (p *Policy) assessment(d *Device) *Assessment {
	device, revision, known := d.Version()
	switch {
	case !known:
		return nil
	case d.Assessment.fits(p, device, revision):
		return d.Assessment
	case d.Posture == nil:
		return p.Assess(d.Packed.Posture())
	}
	return p.Assess(d.Posture)
}

// admitted judges audiences. Isolation first: a member of an isolated audience, or who may be one, reaches only routes
// that list it, whatever else they belong to.
func (p *Policy) admitted(r *route, t *tier, in *Input, a *Assessment) (Reason, string) {
	bound := in.Subject.Device != signals.Alias{}
	identified := t.identify == IdentifyUserDevice
	var owned ownership
	if a != nil {
		owned = a.owned
	}
	for _, i := range p.isolated {
		if !listed(r.audiences, i) && p.audiences[i].holds(&in.Subject, bound, identified, owned) != outside {
			return ReasonIsolated, fmt.Sprintf("the subject belongs to isolated audience %s, which route %s does not list",
				p.audiences[i].name, r.name)
		}
	}
	for _, i := range r.audiences {
		membership := p.audiences[i].holds(&in.Subject, bound, identified, owned)
		if membership == member || membership == maybe && p.audiences[i].isolated {
			return ReasonUndecided, ""
		}
	}
	return ReasonAudience, "the subject is in none of the audiences of route " + r.name
}

func listed(list []int, i int) bool {
	for _, x := range list {
		if x == i {
			return true
		}
	}
	return false
}

func gap(d *Device, a *Assessment) (Reason, string) {
	switch {
	case d.Gap == GapUnknown || d.Gap == GapNone && a == nil:
		return ReasonDeviceUnknown, "no source has reported this device"
	case d.Gap == GapContested:
		return ReasonDeviceContested, "two devices carry this name; a source reports one of them wrongly"
	case d.Gap != GapNone || a == nil:
		return ReasonStoreUnreachable, "the posture of this device cannot be read now"
	case a.empty:
		return ReasonDeviceUnknown, "no source has said anything about this device"
	}
	return ReasonUndecided, ""
}

// demands judges every signal of the tier and keeps all that are not met.
func (p *Policy) demands(v *Verdict, t *tier, in *Input, a *Assessment) {
	at := in.At.UnixNano()
	for i := range t.demands {
		d := &t.demands[i]
		status := a.status(d.signal, at)
		if d.list == ListDenyUnless {
			status = a.alarmStatus(d.signal, at)
		}
		if status == StatusPassing {
			continue
		}
		unmet := p.unmet(d, status, a, at)
		if d.list == ListAdvise || d.list == ListDenyUnless && status == StatusUnknown && d.noteIfUnknown {
			v.Noted = append(v.Noted, unmet)
		} else {
			v.Unmet = append(v.Unmet, unmet)
		}
	}
}

func (p *Policy) unmet(d *demand, status Status, a *Assessment, at int64) Unmet {
	s := &p.signals[d.signal]
	u := Unmet{Signal: s.name, List: d.list, Status: status, Detail: a.describe(d.signal, at)}
	_, variant := a.of(d.signal)
	by := &s.variants[max(int(variant), 0)] // who defines the signal elsewhere answers for its absence here
	u.Owner, u.Contact, u.Fix = by.owner, by.contact, by.fix
	return u
}
