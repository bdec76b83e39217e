package policy_test

import (
	"slices"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

var (
	serial = signals.Alias{Kind: signals.AliasSerial, Value: "C02LAPTOP1"}
	uuid   = signals.Alias{Kind: signals.AliasUUID, Value: "11111111-2222-3333-4444-555555555555"}
)

// input draws what is asked of a world: most often something that comes as far as the posture.
func (d dice) input(r *reference) policy.Input {
	in := policy.Input{At: d.edge(-1, 3, "at"), Request: d.request(), Subject: d.subject(), Granted: d.granted(r)}
	d.fullyNamed(in.Subject.User)
	in.Device = d.device(r, in.Subject.User, in.At)
	return in
}

// request is that of one of the places of the worlds; few cannot be read.
func (d dice) request() policy.Request {
	app := policy.Request{Method: "GET", Host: "app.example", Path: "/reports/q?x=1"}
	if !d.oneIn(2, "elsewhere") {
		return app
	}
	r := pick(d, "request", app,
		policy.Request{Method: "GET", Host: "App.Example:443", Path: "/page"},
		policy.Request{Method: "POST", Host: "app.example.", Path: "/admin/"},
		policy.Request{Method: "GET", Host: "site.partner.example", Path: "/x"},
		policy.Request{Method: "GET", Host: "lobby.partner.example", Path: "/"},
		policy.Request{Method: "GET", Host: "jobs.example", Path: "/run/1"},
		policy.Request{Method: "GET", Host: "guest.example", Path: "/"},
		policy.Request{Method: "GET", Host: "gate.partner.example", Path: "/only/here"})
	switch d.below(32, "request is odd") {
	case 10:
		r.Malformed = "no HTTP attributes"
	case 11:
		r.Path = "/a/../b"
	case 12:
		r.Host = "a b"
	case 13:
		r.Method = ""
	case 14:
		r.Path += "/nowhere/else"
	case 15:
		r.Host = "x.y.partner.example"
	case 18, 19, 20:
		r.Method, r.Path = "GET", "/admin/x"
	case 16, 21, 22:
		r.Chosen = &policy.Chosen{Route: pick(d, "chosen", "app", "page", "work"), Upstream: pick(d, "leads to", "", "app", "outside")}
	case 17, 23, 24, 25:
		r.Chosen = &policy.Chosen{Route: pick(d, "chosen", "app", "old"), Upstream: pick(d, "leads to", "", "app", "outside"),
			Older:       &policy.Match{Route: pick(d, "older", "app", "old"), Upstream: pick(d, "led to", "app", "outside")},
			OlderAllows: pick(d, "and allowed it", true, false)}
	}
	return r
}

func (d dice) window(what string) identity.Validity {
	if d.oneIn(48, what+" is near its end") {
		return identity.Validity{NotBefore: d.edge(-1, 4, what), NotAfter: d.edge(0, 5, what)}
	}
	return identity.Validity{NotBefore: base.Add(-100 * step), NotAfter: base.Add(100 * step)}
}

func (d dice) subject() identity.Subject {
	s := identity.Subject{Device: serial, Certificate: d.window("certificate"), User: &identity.User{
		Issuer: pick(d, "issuer", "corp", "corp", "corp", "corp", "corp", "corp", "corp", "partner", "corp", "corp", "corp",
			"corp", "corp", "corp", "partner", "other"),
		Name: pick(d, "user", "ana", "ben"), Token: d.window("token"),
		ACR: pick(d, "acr", "phr", "pwd", "phrh", ""), AMR: some(d, "amr", "pwd", "hwk"),
		AuthTime: pick(d, "authTime", base, base.Add(-step), base.Add(-2*step), base.Add(step), time.Time{}),
	}}
	if s.User.Groups = some(d, "group", "executives", "guests"); !d.oneIn(8, "no staff") {
		s.User.Groups = append(s.User.Groups, "staff")
	}
	if d.oneIn(16, "contractor") {
		s.User.Groups = append(s.User.Groups, "contractors")
	}
	switch d.below(48, "subject is odd") {
	case 18:
		s.Doubts = []identity.Doubt{{Code: identity.DoubtToken}}
	case 19:
		s.User = nil
	case 17:
		s.Ended = &identity.Ended{At: base, Reason: "session-revoked", Event: "e1"}
	case 16:
		s.Risk = &identity.Risk{At: base, Level: "high", Event: "e2"}
		if d.oneIn(2, "ended too") {
			s.Ended = &identity.Ended{At: base, Event: "e3"}
		}
	case 20, 21:
		s.Device = signals.Alias{}
	case 22:
		s.Device, s.Certificate = signals.Alias{}, identity.Validity{}
	case 23, 24, 25:
		s = identity.Subject{Workload: pick(d, "workload", identity.SPIFFEID("spiffe://acme.example/ns/ci/deploy"),
			"spiffe://acme.example/ns/web/x"), Certificate: s.Certificate}
	case 26, 27:
		s.Device = uuid
	case 28:
		s.Certificate = identity.Validity{}
	default:
		d.tokens(&s)
	}
	return s
}

// tokens makes a subject one of whom a token says more than who the user is, now and then.
func (d dice) tokens(s *identity.Subject) {
	unchecked := identity.Doubt{Code: identity.DoubtUnchecked}
	switch d.below(32, "tokens are odd") {
	case 16:
		s.Doubts = []identity.Doubt{unchecked}
	case 17:
		s.Doubts = pick(d, "doubts", []identity.Doubt{unchecked, unchecked}, []identity.Doubt{unchecked, {Code: identity.DoubtDevice}},
			[]identity.Doubt{{Code: identity.DoubtWorkload}, unchecked})
	case 18, 19, 20:
		s.Certificate, s.User.Device = identity.Validity{}, pick(d, "claim", s.Device, uuid, signals.Alias{})
		s.User.DeviceBinds = !d.oneIn(4, "the claim does not bind")
	case 21, 22, 23:
		s.Workload, s.WorkloadToken = "spiffe://acme.example/ns/ci/deploy", d.window("JWT-SVID")
		if d.oneIn(2, "JWT-SVID at its edge") {
			s.WorkloadToken = identity.Validity{NotBefore: d.edge(-1, 4, "JWT-SVID"), NotAfter: d.edge(0, 5, "JWT-SVID")}
		}
		if d.oneIn(2, "nobody behind the JWT-SVID") {
			s.User, s.Device, s.Certificate = nil, signals.Alias{}, identity.Validity{}
		}
	}
}

// device draws a device whose sources reported it up to some instant, and what is known of the sources.
func (d dice) device(r *reference, user *identity.User, at time.Time) policy.Device {
	switch d.below(40, "gap") {
	case 19:
		return policy.Device{Gap: policy.GapUnknown}
	case 18:
		return policy.Device{Gap: policy.GapContested}
	case 17:
		return policy.Device{Gap: policy.GapUnreachable}
	case 16:
		return policy.Device{}
	}
	posture := signals.Posture{Device: "d1", Revision: 1, Aliases: pick(d, "aliases", []signals.Alias{serial, uuid},
		[]signals.Alias{uuid}, []signals.Alias{serial}, nil)}
	posture, _ = posture.Merge(signals.Observation{Facts: d.facts(r, user)})
	device := policy.Device{Posture: &posture, AsOf: pick(d, "asOf", at, base, base.Add(-2*step), base.Add(-1)),
		Heard: map[string]time.Time{}}
	recent := !d.oneIn(3, "sources were heard long ago")
	for _, source := range sources {
		switch {
		case recent && !d.oneIn(6, source+" is silent"):
			device.Heard[source] = at
		case !d.oneIn(4, source+" was never heard"):
			device.Heard[source] = d.edge(-6, 2, source+" heard")
		}
	}
	for range d.below(5, "renewals") {
		device.Renewals = append(device.Renewals, policy.Renewal{At: d.edge(-1, 3, "renewal"), By: "cho"})
	}
	if d.oneIn(6, "grace ended") {
		device.GraceEnded = d.edge(-6, 3, "ended")
	}
	return device
}

var sources = []string{"mdm", "edr", "stranger"}

// facts draws what the sources say, most of it healthy, all of it not long after one last contact.
func (d dice) facts(r *reference, user *identity.User) []signals.Fact {
	contact := base.Add(-step * time.Duration(d.below(4, "last contact")))
	ns := pick(d, "last contact ns", time.Duration(0), 0, 1, -1)
	healthy := !d.oneIn(2, "something is unhealthy")
	var facts []signals.Fact
	for i, a := range telling {
		for _, source := range sources {
			said := d.below(8, source+" "+a.name)
			if said == 0 && i > 0 || source == "edr" && i < 3 && said < 5 || source == "stranger" && said < 7 {
				continue
			}
			earlier := step * time.Duration(pick(d, "earlier", 0, 0, 0, 0, 0, 1, 2, 4))
			fact := signals.Fact{Attribute: a.name, Source: source, Observed: contact.Add(ns - earlier), Value: a.good}
			fact.Received = fact.Observed.Add(pick(d, "received", 0, 0, 0, 0, 0, time.Minute, -step, step))
			if !healthy && d.oneIn(4, "unhealthy "+a.name) {
				fact.Value = a.bad
			}
			facts = append(facts, fact)
			if d.oneIn(24, "cannot tell "+a.name) {
				fact.Value, fact.Observed = signals.Unknown, fact.Observed.Add(pick(d, "since", step, time.Minute))
				facts = append(facts, fact)
			}
		}
	}
	facts = slices.Concat(facts, d.enrolments(r, user, contact.Add(ns)), d.certificates(contact.Add(ns)))
	if d.oneIn(20, "no facts") {
		facts = slices.DeleteFunc(facts, func(f signals.Fact) bool { return f.Source != "stranger" })
	}
	return facts
}

type attribute struct {
	name      string
	good, bad signals.Value
}

// telling are the attributes that expressions read, each with a good value and a bad one.
var telling = []attribute{
	{"platform", signals.Text("macos"), signals.Text("ios")},
	{"disk_encryption", signals.Bool(true), signals.Bool(false)},
	{"compromised", signals.Bool(false), signals.Bool(true)},
	{"edr_healthy", signals.Bool(true), signals.Bool(false)},
	{"edr_present", signals.Bool(true), signals.Bool(false)},
	{"firewall", signals.Bool(true), signals.Bool(false)},
	{"screen_lock", signals.Bool(true), signals.Bool(false)},
	{"secure_boot", signals.Bool(true), signals.Bool(false)},
	{"edr_risk_score", signals.Number(10), signals.Number(50)},
	{"ownership", signals.Text("corporate"), signals.Text("byod")},
}
