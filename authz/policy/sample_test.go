package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// noon is the instant of all tables; facts are observed so and so long before it.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// sampleSpec is a policy that the tables vary: two audiences of people, one of them isolated, one of workloads.
func sampleSpec() Spec {
	return Spec{
		Governance: []Governance{{
			Meta: Meta{Name: "acme"}, Accountable: Contact{Name: "Head of Identity Posture", Contact: "posture@acme.example"},
			Teams: map[string]Team{
				"iam": {Contact: "iam@acme.example"}, "endpoint": {Contact: "endpoint@acme.example"},
			},
		}},
		Baselines: []Baseline{{
			Meta: Meta{Name: "laptops", Owner: "endpoint"}, Platforms: []string{"macos", "windows"},
			Signals: map[string]Signal{
				"disk-encrypted":  {Expr: "device.disk_encryption", MaxAge: 26 * time.Hour, Fix: Fix{Text: "Turn on FileVault."}},
				"edr-healthy":     {Expr: "device.edr_healthy", MaxAge: 2 * time.Hour, Fix: Fix{Text: "Start the agent."}},
				"not-compromised": {Expr: "!device.compromised", MaxAge: 26 * time.Hour, Fix: Fix{Text: "Hand it in."}},
				"firewall-on":     {Expr: "device.firewall", MaxAge: 26 * time.Hour, Fix: Fix{Text: "Turn it on."}},
			},
		}},
		Tiers: []Tier{
			{
				Meta: Meta{Name: "internal", Owner: "iam"}, Identify: IdentifyUserDevice,
				Require:    demandsOf("disk-encrypted", "edr-healthy"),
				DenyUnless: []DenyUnless{{Signal: "not-compromised", OnUnknown: OnUnknownNote}},
				Advise:     demandsOf("firewall-on"),
			},
			{Meta: Meta{Name: "person", Owner: "iam"}, Identify: IdentifyUser},
			{Meta: Meta{Name: "workload", Owner: "iam"}, Identify: IdentifyWorkload},
		},
		Audiences: []Audience{
			{Meta: Meta{Name: "employees", Owner: "iam"}, Members: []Member{{Issuer: "corp", Group: "staff"}}},
			{
				Meta: Meta{Name: "contractors", Owner: "iam"}, Isolated: true,
				Members: []Member{{Issuer: "corp", Group: "contractors"}, {Issuer: "partner"}},
			},
			{Meta: Meta{Name: "deployers", Owner: "iam"}, Workloads: []Member{{SPIFFE: "spiffe://acme.example/ns/ci/*"}}},
		},
		Upstreams: []Upstream{
			{Meta: Meta{Name: "app", Owner: "iam"}, Endpoints: []string{"127.0.0.1:9001"}, SPIFFEID: "spiffe://acme.example/app"},
			{Meta: Meta{Name: "outside", Owner: "iam"}, Endpoints: []string{"127.0.0.1:9002"}, Plaintext: true},
		},
		Routes: []Route{
			{
				Meta: Meta{Name: "app", Owner: "iam"}, Hosts: []string{"app.acme.example"}, Path: "/**", Tier: "internal",
				Audiences: []string{"employees"}, Upstream: "app",
			},
			{
				Meta: Meta{Name: "handbook", Owner: "iam"}, Hosts: []string{"app.acme.example"}, Path: "/handbook/{page}",
				Methods: []string{"GET"}, Tier: "person", Audiences: []string{"employees"}, Upstream: "app",
			},
			{
				Meta: Meta{Name: "admin", Owner: "iam"}, Hosts: []string{"app.acme.example"}, Path: "/admin/**",
				Methods: []string{"POST"}, Tier: "workload", Audiences: []string{"deployers"}, Upstream: "app",
			},
			{
				Meta: Meta{Name: "contractor", Owner: "iam"}, Hosts: []string{"contractor.acme.example", "*.partner.example"},
				Path: "/**", Tier: "person", Audiences: []string{"contractors"}, Upstream: "outside",
			},
		},
	}
}

func sampleWorld() World {
	return World{
		Sources: map[string]Source{
			"mdm": {Attests: []string{"platform", "disk_encryption", "compromised", "firewall", "ownership", "edr_healthy",
				"enrolled_user", "certificate_status"}, EnrolledUser: EnrolledAs{Issuer: "corp", Is: EnrolledIsName}},
			"edr": {Attests: []string{"edr_healthy", "compromised", "disk_encryption"}},
		},
		Issuers: []string{"corp", "partner"}, TrustDomains: []string{"acme.example"},
	}
}

func compileSample(t testing.TB, change func(*Spec)) *Policy {
	t.Helper()
	spec := sampleSpec()
	if change != nil {
		change(&spec)
	}
	p, faults := New(spec, sampleWorld())
	if faults != nil {
		t.Fatalf("the sample policy has faults: %+v", faults)
	}
	return p
}

// report is a fact of a source, so long before noon.
func report(source, attribute string, v signals.Value, age time.Duration) signals.Fact {
	at := noon.Add(-age)
	return signals.Fact{Attribute: attribute, Value: v, Source: source, Observed: at, Received: at}
}

func healthyFacts() []signals.Fact {
	return []signals.Fact{
		report("mdm", "platform", signals.Text("macos"), time.Hour),
		report("mdm", "disk_encryption", signals.Bool(true), time.Hour),
		report("mdm", "edr_healthy", signals.Bool(true), time.Hour),
		report("mdm", "compromised", signals.Bool(false), time.Hour),
		report("mdm", "firewall", signals.Bool(true), time.Hour),
		report("mdm", "enrolled_user", signals.Text("ana"), time.Hour),
	}
}

func postureOf(facts ...signals.Fact) *signals.Posture {
	p, _ := signals.Posture{Device: "d1"}.Merge(signals.Observation{Facts: facts})
	p.Revision = 1
	return &p
}

var laptop = signals.Alias{Kind: signals.AliasSerial, Value: "C02LAPTOP1"}

func window() identity.Validity {
	return identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
}

func person(issuer, name string, groups ...string) *identity.User {
	return &identity.User{Issuer: issuer, Name: name, Subject: name, Groups: groups, Token: window()}
}

// employee is an input that the sample policy allows.
func employee() Input {
	return Input{
		At:      noon,
		Request: Request{Method: "GET", Host: "app.acme.example", Path: "/reports?q=1"},
		Subject: identity.Subject{Device: laptop, Certificate: window(), User: person("corp", "ana", "staff")},
		Device:  Device{Posture: postureOf(healthyFacts()...)},
	}
}

func demandsOf(signals ...string) []Demand {
	var demands []Demand
	for _, s := range signals {
		demands = append(demands, Demand{Signal: s})
	}
	return demands
}
