package engine

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

// companySpec is the policy of the simulated company, but for its workloads.
func companySpec() policy.Spec {
	meta := func(name, owner string) policy.Meta { return policy.Meta{Name: name, Owner: owner} }
	mend := policy.Fix{Text: "Mend it."}
	disk := policy.Signal{Expr: "device.disk_encryption", MaxAge: 26 * time.Hour, Fix: mend}
	clean := policy.Signal{Expr: "!device.compromised", MaxAge: 26 * time.Hour, Fix: mend}
	var everything []string
	for _, kind := range findings.Kinds() {
		everything = append(everything, string(kind))
	}
	executives := policy.Audience{Meta: meta("executives", "iam")}
	for i := range 4 {
		executives.Members = append(executives.Members, policy.Member{Issuer: "corp", User: fmt.Sprint("boss-", i)})
	}
	executives.Members = append(executives.Members, policy.Member{Issuer: "corp", Group: "executives"}) // boss-4 to boss-7
	robots := []policy.Member{{SPIFFE: "spiffe://acme.example/ns/robots/*"}}
	agents := []policy.Member{{SPIFFE: "spiffe://acme.example/ns/agents/*"}}
	route := func(name, owner, tier string, audiences ...string) policy.Route {
		return policy.Route{Meta: meta(name, owner), Hosts: []string{name + ".acme.example"}, Path: "/**", Tier: tier, Audiences: audiences,
			Upstream: "app"}
	}
	tier := func(name, owner string, require ...policy.Demand) policy.Tier {
		return policy.Tier{Meta: meta(name, owner), Identify: policy.IdentifyUserDevice, Require: require,
			Exceptions: &policy.ExceptionBound{MaxDuration: 14 * day, MaxRenewals: 1}}
	}
	guarded := tier("guarded", "iam", policy.Demand{Signal: "disk"}, policy.Demand{Signal: "edr"})
	guarded.DenyUnless = []policy.DenyUnless{{Signal: "clean", OnUnknown: policy.OnUnknownNote}}
	guarded.Grace = &policy.GraceBound{Offline: 8 * time.Hour, Renewals: 1}
	return policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "Head", Contact: "head@acme.example"},
			Teams: map[string]policy.Team{
				"iam":      {Contact: "iam@acme.example", Approvers: []policy.Approver{{Issuer: "corp", User: "ana"}}},
				"endpoint": {Contact: "endpoint@acme.example"}, "phones": {Contact: "phones@acme.example"},
				"payroll": {Contact: "payroll@acme.example"}, "platform": {Contact: "platform@acme.example"},
				"secops": {Contact: "secops@acme.example"}}}},
		Baselines: []policy.Baseline{
			{Meta: meta("laptops", "endpoint"), Platforms: []string{"macos", "windows"}, Signals: map[string]policy.Signal{"disk": disk,
				"edr":   {Expr: "device.edr_healthy", MaxAge: 6 * time.Hour, Fix: mend, Prefer: []string{"edr"}},
				"clean": clean}},
			{Meta: meta("handhelds", "phones"), Platforms: []string{"ios", "android"}, Signals: map[string]policy.Signal{"disk": disk,
				"clean": clean}},
		},
		Tiers: []policy.Tier{guarded, tier("payroll", "payroll", policy.Demand{Signal: "disk"}),
			{Meta: meta("machine", "iam"), Identify: policy.IdentifyWorkload}},
		Audiences: []policy.Audience{
			{Meta: meta("staff", "iam"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}}}, executives,
			{Meta: meta("byod", "iam"), Members: []policy.Member{{DeviceOwnership: "byod"}}},
			{Meta: meta("robots", "iam"), Workloads: robots}, {Meta: meta("agents", "iam"), Workloads: agents},
		},
		Upstreams: []policy.Upstream{{Meta: meta("app", "iam"), Endpoints: []string{"127.0.0.1:9001"}, Plaintext: true}},
		Routes: []policy.Route{route("app", "iam", "guarded", "staff", "executives", "byod"), route("pay", "payroll", "payroll", "staff"),
			route("read", "secops", "machine", "robots"), route("write", "iam", "machine", "robots"),
			route("tools", "iam", "machine", "agents"), route("deploy", "platform", "machine", "agents")},
		Monitors: []policy.Monitor{
			{Meta: meta("all", "secops"), Watch: everything, Severity: policy.SeverityMedium, CloseWithin: 7 * day},
			{Meta: meta("executives", "secops"), Watch: everything, Severity: policy.SeverityHigh, CloseWithin: day, Assign: "secops",
				Audiences: []string{"executives"}},
		},
	}
}
