package policy_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

// compiled is a drawn policy, by both readers.
type compiled struct {
	*reference
	policy *policy.Policy
}

// drawWorld draws a policy that has no faults: few names, so that things meet, and every kind of demand and excuse.
func drawWorld(t *rapid.T) compiled {
	d := dice{t}
	spec := policy.Spec{
		Governance: governance(), Baselines: d.baselines(), Upstreams: upstreams(), Audiences: d.audiences(),
		Routes: d.routes(),
	}
	for _, name := range []string{"main", "second"} {
		spec.Tiers = append(spec.Tiers, d.tier(name))
	}
	spec.Tiers = append(spec.Tiers, policy.Tier{Meta: meta("work"), Identify: policy.IdentifyWorkload,
		Mode: pick(d, "mode", policy.ModeEnforce, policy.ModeMonitor)})
	d.fallback(&spec)
	r := &reference{spec: spec, world: d.settings()}
	r.spec.Exceptions = d.exceptions(r)
	return r.compile(t)
}

// compile gives the same documents to policy.New, which must find no fault in them.
func (r *reference) compile(t rapid.TB) compiled {
	p, faults := policy.New(r.spec, r.world)
	if faults != nil {
		t.Fatalf("the drawn policy has faults: %+v\n%+v", faults, r.spec)
	}
	return compiled{r, p}
}

func meta(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }

func governance() []policy.Governance {
	return []policy.Governance{{
		Meta:        policy.Meta{Name: "acme"},
		Accountable: policy.Contact{Name: "Head of Identity Posture", Contact: "posture@acme.example"},
		Teams: map[string]policy.Team{
			"iam": {Contact: "iam@acme.example"}, "endpoint": {Contact: "endpoint@acme.example"},
		},
	}}
}

// settings: what each source may attest, or nothing known. A stranger may attest nothing.
func (d dice) settings() policy.World {
	if d.oneIn(4, "settings not known") {
		return policy.World{}
	}
	return policy.World{
		Sources: map[string]policy.Source{
			"mdm": {Attests: []string{"platform", "ownership", "disk_encryption", "secure_boot", "firewall", "screen_lock",
				"compromised", "edr_present", "enrolled_user", "certificate_status"},
				EnrolledUser: policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsName}},
			"edr": {Attests: []string{"platform", "edr_healthy", "edr_present", "edr_risk_score", "compromised",
				"disk_encryption", "screen_lock", "enrolled_user", "certificate_status"},
				EnrolledUser: pick(d, "edr names users", policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsEmail},
					policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsSubject}, policy.EnrolledAs{})},
		},
		Issuers: []string{"corp", "partner"}, TrustDomains: []string{"acme.example"},
	}
}

// signalNames are what tiers demand; each has its expression.
var signalNames = []string{"disk", "clean", "edr", "wall", "boot", "risk", "mac"}

func (d dice) baselines() []policy.Baseline {
	expressions := []string{"device.disk_encryption", "!device.compromised", "device.edr_healthy && device.edr_present",
		"device.firewall || device.screen_lock",
		`device.platform == "macos" ? device.disk_encryption : device.secure_boot`, "device.edr_risk_score < 50.0",
		`device.platform == "macos"`}
	laptops := policy.Baseline{Meta: meta("laptops"), Signals: map[string]policy.Signal{}}
	for i, name := range signalNames {
		laptops.Signals[name] = policy.Signal{
			Expr: expressions[i], MaxAge: step * time.Duration(pick(d, "maxAge", 2, 4, 3)), Fix: policy.Fix{Text: "Mend it."},
			Prefer: pick(d, "prefer", nil, nil, nil, []string{"mdm"}, []string{"edr", "mdm"}, []string{"edr"}),
		}
	}
	if d.oneIn(3, "one baseline for all platforms") {
		return []policy.Baseline{laptops}
	}
	laptops.Platforms = []string{"macos", "windows"}
	phones := policy.Baseline{Meta: meta("phones"), Platforms: []string{"ios"}, Signals: map[string]policy.Signal{
		"disk": {Expr: "device.screen_lock", MaxAge: 2 * step, Fix: policy.Fix{Text: "Set a code."}},
		"edr":  laptops.Signals["clean"],
	}}
	return []policy.Baseline{laptops, phones}
}

func upstreams() []policy.Upstream {
	return []policy.Upstream{
		{Meta: meta("app"), Endpoints: []string{"127.0.0.1:9001"}, SPIFFEID: "spiffe://acme.example/app"},
		{Meta: meta("outside"), Endpoints: []string{"127.0.0.1:9002"}, Plaintext: true},
		{Meta: meta("lobby"), Endpoints: []string{"127.0.0.1:9003"}, Plaintext: true},
	}
}

func (d dice) audiences() []policy.Audience {
	unknown := func() policy.OwnershipUnknown { return pick(d, "ownershipUnknown", "", policy.OwnershipOutside) }
	return []policy.Audience{
		{Meta: meta("staff"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}, {Issuer: "corp", User: "ana"}}},
		{Meta: meta("executives"), Members: []policy.Member{{Issuer: "corp", Group: "executives"}}},
		{Meta: meta("byod"), OwnershipUnknown: unknown(), Members: []policy.Member{{DeviceOwnership: "byod"}}},
		{Meta: meta("contractors"), Isolated: true, OwnershipUnknown: unknown(), Members: pick(d, "contractors",
			[]policy.Member{{Issuer: "partner"}, {Issuer: "corp", Group: "contractors"}},
			[]policy.Member{{Issuer: "partner"}, {DeviceOwnership: "contractor"}},
			[]policy.Member{{Issuer: "partner", DeviceOwnership: "contractor"}},
			[]policy.Member{{Issuer: "corp", Group: "contractors", DeviceOwnership: "contractor"}})},
		{Meta: meta("guests"), Isolated: true, Members: []policy.Member{{Issuer: "partner", Group: "guests"}}},
		{Meta: meta("deployers"), Workloads: []policy.Member{{SPIFFE: "spiffe://acme.example/ns/ci/*"}}},
	}
}

func (d dice) routes() []policy.Route {
	people := append([]string{"staff"}, some(d, "audience", "executives", "byod")...)
	route := func(name, host, path, tier, upstream string, audiences ...string) policy.Route {
		return policy.Route{Meta: meta(name), Hosts: []string{host}, Path: path, Tier: tier, Upstream: upstream,
			Audiences: audiences}
	}
	routes := []policy.Route{
		route("app", "app.example", "/**", "main", "app", people...),
		route("admin", "app.example", "/admin/**", pick(d, "tier", "second", "main"), "app", "staff"),
		route("page", "app.example", "/{page}", "second", "app", "staff", "executives", "byod"),
		route("jobs", "jobs.example", "/run/*", "work", "app", "deployers"),
		route("work", "*.partner.example", "/**", pick(d, "tier", "main", "second"), "outside", "contractors"),
		route("lobby", "lobby.partner.example", "/**", pick(d, "tier", "second", "main"), "lobby", "contractors", "guests"),
		route("guest", "guest.example", "/", "second", "lobby", "guests", "contractors"),
		route("gate", "gate.partner.example", "/only", "second", "outside", "contractors"),
	}
	routes[1].Methods = []string{"POST", "PUT"}
	routes[5].Shared, routes[5].Reason = true, "the lobby has a door for each"
	routes[6].Shared, routes[6].Reason = true, "the lobby has a door for each"
	return slices.Clip(routes)
}
