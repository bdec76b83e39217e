package policy

import (
	"testing"
	"time"
)

func signalOf(name string, change func(*Signal)) func(*Spec) {
	return func(s *Spec) {
		signal := s.Baselines[0].Signals[name]
		change(&signal)
		s.Baselines[0].Signals[name] = signal
	}
}

// baseline adds a second baseline that defines one signal for platforms.
func baseline(signal string, platforms ...string) func(*Spec) {
	return func(s *Spec) {
		s.Baselines = append(s.Baselines, Baseline{Meta: Meta{Name: "phones", Owner: "endpoint"}, Platforms: platforms,
			Signals: map[string]Signal{signal: {Expr: "device.disk_encryption", MaxAge: 26 * time.Hour,
				Fix: Fix{Text: "Set a passcode."}}}})
	}
}

func TestFaultsOfBaselines(t *testing.T) {
	t.Parallel()
	const disk = "Baseline/laptops spec.signals.disk-encrypted"
	refuse(t, []broken{
		{"Baseline/phones spec.signals.disk-encrypted", "another baseline defines", baseline("disk-encrypted", "ios",
			"macos")},
		{"Baseline/phones spec.signals.disk-encrypted", "another baseline defines", baseline("disk-encrypted")},
		{disk + ".expr", "may attest screen_lock", signalOf("disk-encrypted",
			func(s *Signal) { s.Expr = "device.disk_encryption && device.screen_lock" })},
		{disk + ".expr", "true or false", signalOf("disk-encrypted", func(s *Signal) { s.Expr = "device.platform" })},
		{disk + ".expr", "reads no attribute", signalOf("disk-encrypted", func(s *Signal) { s.Expr = "true" })},
		{"Baseline/laptops spec.signals.firewall-on.maxAge", "firewall as often as every 23h", signalOf("firewall-on",
			func(s *Signal) {
				s.MaxAge = 23 * time.Hour
			})},
		{"Baseline/laptops spec.signals.edr-healthy.maxAge", "edr does so every 1h", signalOf("edr-healthy",
			func(s *Signal) { s.MaxAge = time.Hour - tick })},
		{"Baseline/laptops spec.signals.edr-healthy.maxAge", "how old", signalOf("edr-healthy",
			func(s *Signal) { s.MaxAge = -1 })},
		{"Baseline/laptops spec.signals.edr-healthy.prefer[1]", `no source "edrs"`, signalOf("edr-healthy", func(s *Signal) {
			s.Prefer = []string{"edr", "edrs"}
		})},
		{"Baseline/laptops spec.signals.edr-healthy.fix", "how to mend", signalOf("edr-healthy",
			func(s *Signal) { s.Fix.Text = "" })},
	})
	for _, platforms := range [][]string{{"ios"}, {"linux", "android"}} { // the same signal, for other platforms
		spec := wholeSpec()
		baseline("disk-encrypted", platforms...)(&spec)
		if _, faults := New(spec, wholeWorld()); faults != nil {
			t.Errorf("%v: %+v", platforms, faults)
		}
	}
}

func TestFaultsOfAudiences(t *testing.T) {
	t.Parallel()
	members := func(m ...Member) func(*Spec) { return func(s *Spec) { s.Audiences[0].Members = m } }
	workloads := func(id string) func(*Spec) {
		return func(s *Spec) { s.Audiences[2].Workloads = []Member{{SPIFFE: id}} }
	}
	const first, spiffe = "Audience/employees spec.members[0]", "Audience/deployers spec.workloads[0].spiffe"
	refuse(t, []broken{
		{"Audience/employees metadata.owner", "is no team", func(s *Spec) { s.Audiences[0].Meta.Owner = "hr" }},
		{first, "without its issuer", members(Member{User: "ana"})},
		{first, "without its issuer", members(Member{Group: "staff", DeviceOwnership: "byod"})},
		{"Audience/employees spec.members[1]", "admit everybody", members(Member{Issuer: "corp", Group: "staff"}, Member{})},
		{first + ".issuer", `no issuer "Corp"`, members(Member{Issuer: "Corp", Group: "staff"})},
		{first + ".deviceOwnership", `"private" is no ownership`, members(Member{DeviceOwnership: "private"})},
		{spiffe, "whole segment", workloads("spiffe://acme.example/ns/ci*")},
		{spiffe, "at the end", workloads("spiffe://acme.example/ns/**/sa")},
		{spiffe, "trust domain", workloads("spiffe://*/ns")},
		{spiffe, "lower case", workloads("https://acme.example/ns")},
		{spiffe, "empty segment", workloads("spiffe://acme.example/ns//sa")},
		{spiffe, "dot segment", workloads("spiffe://acme.example/ns/../sa")},
		{spiffe, `trust no domain "acne.example"`, workloads("spiffe://acne.example/ns/**")},
		{"Audience/zz metadata.name", "no route lists", func(s *Spec) {
			s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "zz", Owner: "iam"},
				Members: []Member{{Issuer: "corp"}}})
		}},
	})
	for _, id := range []string{"spiffe://acme.example/**", "spiffe://acme.example/*/ci/*",
		"spiffe://acme.example/ns/ci"} {
		spec := wholeSpec()
		workloads(id)(&spec)
		if _, faults := New(spec, wholeWorld()); faults != nil {
			t.Errorf("%s: %+v", id, faults)
		}
	}
}

// A person who comes through a workload is both: an entry that names an issuer and a SPIFFE ID has people.
func TestAnEntryOfPersonAndWorkloadHasPeople(t *testing.T) {
	t.Parallel()
	spec := wholeSpec()
	spec.Audiences[0].Members = []Member{{Issuer: "corp", Group: "staff", SPIFFE: "spiffe://acme.example/ns/gateway/**"}}
	if _, faults := New(spec, wholeWorld()); faults != nil {
		t.Errorf("%+v", faults)
	}
}

func TestFaultsOfRoutes(t *testing.T) {
	t.Parallel()
	route := func(name string, change func(*Route)) func(*Spec) {
		return func(s *Spec) {
			r := s.Routes[1] // GET app.acme.example/handbook/{page}
			r.Meta.Name = name
			change(&r)
			s.Routes = append(s.Routes, r)
		}
	}
	isolated := func(audiences ...string) func(*Spec) { return func(s *Spec) { s.Routes[3].Audiences = audiences } }
	const all = "contractors"
	refuse(t, []broken{
		{"Route/zz spec.path", `route "handbook" already matches`, route("zz", func(*Route) {})},
		{"Route/zz spec.path", `route "handbook" already matches`, route("zz",
			func(r *Route) { r.Path = "/handbook/{other}" })},
		{"Route/zz spec.path", `route "handbook" already matches`, route("zz", func(r *Route) { r.Methods = nil })},
		{"Route/zz spec.path", `route "handbook" already matches`, route("zz", func(r *Route) {
			r.Methods = []string{"POST",
				"GET"}
		})},
		{"Route/zz spec.path", `route "handbook" already matches`, route("zz",
			func(r *Route) { r.Hosts = append([]string{"a.example"}, r.Hosts...) })},
		{"Route/handbook spec.path", `route "aa" already matches`, route("aa", func(*Route) {})},
		{"Route/zz spec.path", `can never match on app.acme.example: route "handbook"`, route("zz",
			func(r *Route) { r.Path = "/handbook/*" })},
		{"Route/zz spec.path", "can never match", route("zz", func(r *Route) {
			r.Path, r.Methods = "/handbook/*",
				[]string{"PUT"}
		})},
		{"Route/zz spec.audiences[0]", `has only workloads, but tier "person" identifies a user`, route("zz", func(r *Route) {
			r.Path, r.Audiences = "/zz", []string{"deployers"}
		})},
		{"Route/zz spec.audiences[0]", `has only workloads, but tier "internal" identifies a user+device`, route("zz",
			func(r *Route) {
				r.Path, r.Tier, r.Audiences = "/zz", "internal", []string{"deployers"}
			})},
		{"Route/contractor spec.audiences", `isolated audience "contractors" shares`, isolated(all, "employees")},
		{"Route/contractor spec.shared", "needs a reason", func(s *Spec) {
			isolated(all,
				"employees")(s)
			s.Routes[3].Shared = true
		}},
		{"Route/contractor spec.shared", "needs a reason", func(s *Spec) {
			isolated(all, "employees")(s)
			s.Routes[3].Shared, s.Routes[3].Reason = true, " "
		}},
		{"Route/contractor spec.shared", "no isolated audience shares", func(s *Spec) {
			s.Routes[3].Shared, s.Routes[3].Reason = true, "why not"
		}},
		{"Route/app spec.shared", "no isolated audience shares", func(s *Spec) {
			s.Routes[0].Shared, s.Routes[0].Reason, s.Routes[0].Audiences = true, "why not", []string{"employees", "executives"}
		}},
		{"Route/app spec.reason", "reason stands beside shared", func(s *Spec) { s.Routes[0].Reason = "why not" }},
		{"Route/app spec.upstream", `belongs to isolated audience "contractors"`,
			func(s *Spec) { s.Routes[0].Upstream = "outside" }},
		{"Tier/zz metadata.name", "no route uses tier", func(s *Spec) {
			s.Tiers = append(s.Tiers, Tier{Meta: Meta{Name: "zz", Owner: "iam"}, Identify: IdentifyUser})
		}},
		{"Route/app metadata.owner", "has no owner", func(s *Spec) { s.Routes[0].Meta.Owner = "" }},
	})
	for name, change := range map[string]func(*Spec){
		"methods apart":       route("zz", func(r *Route) { r.Methods = []string{"POST"} }),
		"hosts apart":         route("zz", func(r *Route) { r.Hosts = []string{"zz.example"} }),
		"* beside, and wider": route("zz", func(r *Route) { r.Path = "/handbook/*/**" }),
		"shared, with reason": func(s *Spec) {
			isolated(all, "employees")(s)
			s.Routes[3].Shared, s.Routes[3].Reason = true, "one form for both"
		},
	} {
		spec := wholeSpec()
		change(&spec)
		if _, faults := New(spec, wholeWorld()); faults != nil {
			t.Errorf("%s: %+v", name, faults)
		}
	}
}

// A list of no methods is a list that is not written: it covers every method, for whoever asks as for whoever compiles.
func TestNoMethodsAreEveryMethod(t *testing.T) {
	t.Parallel()
	for _, none := range [][]string{nil, {}} {
		in := ana()
		p := privileged(t, func(s *Spec) { s.Routes[0].Methods = none })
		expect(t, "no methods", p.Evaluate(&in), "allowed")
	}
}
