package prove_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/xds/prove"
)

var (
	everyWorkload = []string{"", "a", "b", "x", "a/b", "a/c", "x/b", "x/y", "a/b/c", "x/y/z", "x/y/b/z"}
	everyOwner    = []string{"", "contractor", "corporate", "byod"}
	everyGroups   = [][]string{nil, {"g1"}, {"g2"}, {"g1", "g2"}}
	smallWorld    = policy.World{Issuers: []string{"i1", "i2"}, TrustDomains: []string{"d.example"}, Sources: map[string]policy.Source{
		"mdm": {Attests: []string{"disk_encryption", "ownership", "platform"}}}}
)

// smallPolicy draws a policy of few names, so that everybody there can be is tried. Each route has a server of its own.
func smallPolicy(t *rapid.T) policy.Spec {
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	healthy := []policy.Demand{{Signal: "encrypted"}}
	tiers := []policy.Tier{
		{Meta: meta("machine"), Identify: policy.IdentifyWorkload}, {Meta: meta("person"), Identify: policy.IdentifyUser},
		{Meta: meta("device"), Identify: policy.IdentifyUserDevice, SharedDevices: true},
		{Meta: meta("healthy"), Identify: policy.IdentifyUserDevice, SharedDevices: true, Require: healthy},
		{Meta: meta("looks"), Identify: policy.IdentifyUser, Require: healthy},
		{Meta: meta("monitored"), Identify: policy.IdentifyUserDevice, SharedDevices: true, Require: healthy, Mode: policy.ModeMonitor},
		{Meta: meta("login"), Identify: policy.IdentifyUser, StepUp: &policy.StepUpDemand{ACR: []string{"phr"}}},
	}
	s := policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "x", Contact: "x"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Baselines: []policy.Baseline{{Meta: meta("laptops"), Platforms: []string{"macos"}, Signals: map[string]policy.Signal{
			"encrypted": {Expr: "device.disk_encryption", MaxAge: time.Hour, Fix: policy.Fix{Text: "x"}}}}},
	}
	var names []string
	for i := range rapid.IntRange(2, 4).Draw(t, "audiences") {
		a := policy.Audience{Meta: meta(fmt.Sprintf("a%d", i)), Isolated: rapid.Bool().Draw(t, "isolated"),
			Members: rapid.SliceOfN(rapid.Custom(anyMember), 1, 3).Draw(t, "members")}
		if rapid.IntRange(0, 3).Draw(t, "outside") == 0 {
			a.OwnershipUnknown = policy.OwnershipOutside
		}
		s.Audiences, names = append(s.Audiences, a), append(names, a.Meta.Name)
	}
	isolated := func(name string) bool {
		return slices.ContainsFunc(s.Audiences, func(a policy.Audience) bool { return a.Isolated && a.Meta.Name == name })
	}
	used := map[string]bool{}
	for i := range rapid.IntRange(2, 4).Draw(t, "routes") {
		r := policy.Route{Meta: meta(fmt.Sprintf("r%d", i)), Hosts: []string{fmt.Sprintf("h%d.example", i)}, Path: "/x/**", Upstream: fmt.Sprintf("u%d", i),
			Tier: rapid.SampledFrom(tiers).Draw(t, "tier").Meta.Name, Audiences: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 2, rapid.ID).Draw(t, "of")}
		if len(r.Audiences) > 1 && slices.ContainsFunc(r.Audiences, isolated) {
			r.Shared, r.Reason = true, "drawn"
		}
		s.Routes = append(s.Routes, r)
		s.Upstreams = append(s.Upstreams, policy.Upstream{Meta: meta(r.Upstream), Endpoints: []string{fmt.Sprintf("10.0.0.%d:80", i+1)}, Plaintext: true})
		used[r.Tier] = true
		for _, a := range r.Audiences {
			used[a] = true
		}
	}
	s.Tiers = slices.DeleteFunc(tiers, func(x policy.Tier) bool { return !used[x.Meta.Name] })
	s.Audiences = slices.DeleteFunc(s.Audiences, func(a policy.Audience) bool { return !used[a.Meta.Name] })
	if !used["healthy"] && !used["looks"] && !used["monitored"] {
		s.Baselines = nil
	}
	return s
}

func anyMember(t *rapid.T) policy.Member {
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	m := policy.Member{Issuer: pick("issuer", "", "i1", "i1", "i2"), DeviceOwnership: pick("ownership", "", "", "contractor", "corporate")}
	if m.Issuer != "" {
		m.Group, m.User = pick("group", "", "g1", "g2"), pick("user", "", "", "", "u1")
	}
	if path := pick("spiffe", "", "", "a/*", "a/b", "**", "a/**", "*/b", "*"); path != "" {
		m.SPIFFE = "spiffe://d.example/" + path
	}
	if m == (policy.Member{}) {
		m.Issuer = "i1"
	}
	return m
}

// TestBruteForceAgrees: what prove says of small policies is what trying everybody on every route with every device and login
// says, pair by pair of audience and route.
func TestBruteForceAgrees(t *testing.T) {
	t.Parallel()
	policies, leaking, tried := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		spec := smallPolicy(t)
		p, faults := policy.New(spec, smallWorld)
		if len(faults) > 0 {
			for _, f := range faults {
				if !strings.Contains(f.Message, "only workloads") {
					t.Fatal(f)
				}
			}
			return
		}
		report, err := prove.Check(prove.Input{Policy: p, World: smallWorld, At: instant})
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]bool{}
		for _, c := range report.Counterexamples {
			if c.Kind != prove.Admitted || !strings.Contains(c.Case, "outcome: allow") {
				t.Fatalf("%+v", c)
			}
			for _, route := range append(c.Also, c.Route) {
				said[c.Audience+" "+route] = true
			}
		}
		found, asked := bruteForce(p, spec)
		if !maps.Equal(said, found) || report.Isolated != (len(found) == 0) {
			t.Fatalf("prove says %v, brute force %v\n%+v", said, found, report.Counterexamples)
		}
		policies, tried = policies+1, tried+asked
		leaking += min(len(found), 1)
	})
	t.Logf("%d policies, %d of them leak, %d questions", policies, leaking, tried)
	if policies < 30 || leaking < 3 || leaking == policies {
		t.Errorf("%d policies, of which %d leak, show little", policies, leaking)
	}
}

// bruteForce asks Policy.Evaluate everything there is, and lists the audiences and routes that leak.
func bruteForce(p *policy.Policy, spec policy.Spec) (leaks map[string]bool, asked int) {
	leaks, states := map[string]bool{}, devices(p)
	for _, s := range everybody() {
		for _, owner := range everyOwner {
			bound := s.Device != signals.Alias{}
			if !bound && owner != "" {
				continue
			}
			for _, a := range spec.Audiences {
				if !a.Isolated || !slices.ContainsFunc(a.Members, func(m policy.Member) bool { return may(m, &s, bound, owner) }) {
					continue
				}
				for _, r := range spec.Routes {
					if !slices.Contains(r.Audiences, a.Meta.Name) {
						asked += 4
						if admittedSomehow(p, s, r.Hosts[0], states[owner]) {
							leaks[a.Meta.Name+" "+r.Meta.Name] = true
						}
					}
				}
			}
		}
	}
	return leaks, asked
}

// may says whether a member's keys may all hold, for all that is known.
func may(m policy.Member, s *identity.Subject, bound bool, owner string) bool {
	if m.SPIFFE != "" {
		pattern, err := identity.ParseSPIFFEPattern(m.SPIFFE)
		if err != nil || !pattern.Match(s.Workload) {
			return false
		}
	}
	u := s.User
	if m.Issuer != "" && (u == nil || u.Issuer != m.Issuer || m.User != "" && u.Name != m.User || m.Group != "" && !slices.Contains(u.Groups, m.Group)) {
		return false
	}
	return m.DeviceOwnership == "" || bound && (owner == "" || owner == m.DeviceOwnership)
}

func everybody() (all []identity.Subject) {
	valid := identity.Validity{NotBefore: instant.Add(-time.Hour), NotAfter: instant.Add(time.Hour)}
	users := []*identity.User{nil}
	for _, issuer := range smallWorld.Issuers {
		for _, name := range []string{"u1", "u9"} {
			for _, groups := range everyGroups {
				users = append(users, &identity.User{Issuer: issuer, Name: name, Subject: name, Groups: groups, Token: valid})
			}
		}
	}
	for _, user := range users {
		for _, path := range everyWorkload {
			for _, device := range []signals.Alias{{}, {Kind: signals.AliasSerial, Value: "C02"}} {
				s := identity.Subject{User: user, Device: device, Certificate: valid}
				if path != "" {
					s.Workload = identity.SPIFFEID("spiffe://d.example/" + path)
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// devices are one in order and one out of order for each owner, assessed.
func devices(p *policy.Policy) map[string][]policy.Device {
	all := map[string][]policy.Device{}
	for _, owner := range everyOwner {
		for _, encrypted := range []bool{true, false} {
			facts := []signals.Fact{
				{Attribute: "platform", Value: signals.Text("macos")}, {Attribute: "disk_encryption", Value: signals.Bool(encrypted)}}
			if owner != "" {
				facts = append(facts, signals.Fact{Attribute: "ownership", Value: signals.Text(owner)})
			}
			for i := range facts {
				facts[i].Source, facts[i].Observed, facts[i].Received = "mdm", instant, instant
			}
			posture, _ := signals.Posture{Device: "d", Revision: 1}.Merge(signals.Observation{Facts: facts})
			all[owner] = append(all[owner], policy.Device{Posture: &posture, AsOf: instant, Assessment: p.Assess(&posture)})
		}
	}
	return all
}

// admittedSomehow tries each of the devices, and a login that is strong and one that is not.
func admittedSomehow(p *policy.Policy, s identity.Subject, host string, of []policy.Device) bool {
	for _, device := range of {
		for _, acr := range []string{"phr", "pwd"} {
			in := policy.Input{At: instant, Request: policy.Request{Method: "GET", Host: host, Path: "/x/y"}, Subject: s}
			if s.Device != (signals.Alias{}) {
				in.Device = device
			}
			if s.User != nil {
				user := *s.User
				user.ACR, user.AuthTime = acr, instant
				in.Subject.User = &user
			}
			if p.Evaluate(&in).Outcome == policy.Allow {
				return true
			}
		}
	}
	return false
}
