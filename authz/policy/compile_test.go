package policy

import (
	"strings"
	"testing"
	"time"
)

// TestFaults breaks one thing of the sample policy at a time; each must be found, at its place, with something to do.
func TestFaults(t *testing.T) {
	t.Parallel()
	signal := func(s *Spec, change func(*Signal)) {
		x := s.Baselines[0].Signals["disk-encrypted"]
		change(&x)
		s.Baselines[0].Signals["disk-encrypted"] = x
	}
	for _, c := range []struct {
		field, message string
		change         func(*Spec)
	}{
		{"", "no Governance", func(s *Spec) { s.Governance = nil }},
		{"metadata.name", "more than one Governance", func(s *Spec) { s.Governance = append(s.Governance, s.Governance[0]) }},
		{"spec.accountable", "needs a name and a contact", func(s *Spec) { s.Governance[0].Accountable.Contact = "" }},
		{"spec.teams", "no team", func(s *Spec) { s.Governance[0].Teams = nil }},
		{"spec.teams.iam", "has no contact", func(s *Spec) { s.Governance[0].Teams["iam"] = Team{} }},
		{"metadata.owner", "no owner", func(s *Spec) { s.Tiers[0].Meta.Owner = "" }},
		{"metadata.owner", "is no team", func(s *Spec) { s.Routes[0].Meta.Owner = "iamm" }},
		{"spec.platforms[0]", "no platform", func(s *Spec) { s.Baselines[0].Platforms = []string{"mac"} }},
		{"spec.platforms[1]", "twice", func(s *Spec) { s.Baselines[0].Platforms = []string{"macos", "macos"} }},
		{"spec.signals", "defines no signal", func(s *Spec) { s.Baselines = append(s.Baselines, Baseline{Meta: Meta{Name: "x", Owner: "iam"}}) }},
		{"spec.signals.Bad", "no name for a signal", func(s *Spec) { s.Baselines[0].Signals["Bad"] = s.Baselines[0].Signals["firewall-on"] }},
		{"spec.signals.disk-encrypted.expr", "did you mean", func(s *Spec) { signal(s, func(x *Signal) { x.Expr = "device.disk_encryptio" }) }},
		{"spec.signals.disk-encrypted.expr", "has no expression", func(s *Spec) { signal(s, func(x *Signal) { x.Expr = "" }) }},
		{"spec.signals.disk-encrypted.expr", "limit is", func(s *Spec) { signal(s, func(x *Signal) { x.Expr = strings.Repeat("(", 5000) }) }},
		{"spec.signals.disk-encrypted.expr", "may attest os_version", func(s *Spec) { signal(s, func(x *Signal) { x.Expr = `device.os_version == "1"` }) }},
		{"spec.signals.disk-encrypted.maxAge", "how old", func(s *Spec) { signal(s, func(x *Signal) { x.MaxAge = 0 }) }},
		{"spec.signals.disk-encrypted.fix", "how to mend", func(s *Spec) { signal(s, func(x *Signal) { x.Fix = Fix{} }) }},
		{"spec.signals.disk-encrypted.prefer[0]", "no source", func(s *Spec) { signal(s, func(x *Signal) { x.Prefer = []string{"mdn"} }) }},
		{"spec.signals.disk-encrypted", "another baseline", func(s *Spec) {
			s.Baselines = append(s.Baselines, Baseline{Meta: Meta{Name: "zz", Owner: "iam"}, Signals: map[string]Signal{
				"disk-encrypted": {Expr: "device.disk_encryption", MaxAge: time.Hour, Fix: Fix{Text: "x"}},
			}})
		}},
		{"spec.identify", "identify is", func(s *Spec) { s.Tiers[1].Identify = "users" }},
		{"spec.require[1]", "no baseline defines", func(s *Spec) { s.Tiers[0].Require[1].Signal = "edr-healty" }},
		{"spec.advise[0]", "stands twice", func(s *Spec) { s.Tiers[0].Advise = demandsOf("disk-encrypted") }},
		{"spec.require[0]", "no device to look at", func(s *Spec) { s.Tiers[2].Require = demandsOf("disk-encrypted") }},
		{"spec.denyUnless[0].onUnknown", "onUnknown is", func(s *Spec) { s.Tiers[0].DenyUnless[0].OnUnknown = "allow" }},
		{"metadata.name", "no route uses tier", func(s *Spec) { s.Tiers = append(s.Tiers, Tier{Meta: Meta{Name: "zz", Owner: "iam"}, Identify: "user"}) }},
		{"metadata.name", "no route lists audience", func(s *Spec) {
			s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "zz", Owner: "iam"}, Members: []Member{{Issuer: "corp"}}})
		}},
		{"metadata.name", "no route leads to", func(s *Spec) {
			s.Upstreams = append(s.Upstreams, Upstream{Meta: Meta{Name: "zz", Owner: "iam"}, Endpoints: []string{"127.0.0.1:1"}, Plaintext: true})
		}},
		{"spec.members", "no members", func(s *Spec) { s.Audiences[0].Members = nil }},
		{"spec.members[0]", "admit everybody", func(s *Spec) { s.Audiences[0].Members = []Member{{}} }},
		{"spec.members[0]", "without its issuer", func(s *Spec) { s.Audiences[0].Members = []Member{{Group: "staff"}} }},
		{"spec.members[0].issuer", "no issuer", func(s *Spec) { s.Audiences[0].Members = []Member{{Issuer: "crop"}} }},
		{"spec.workloads[0].spiffe", "whole segment", func(s *Spec) { s.Audiences[2].Workloads = []Member{{SPIFFE: "spiffe://acme.example/a*"}} }},
		{"spec.workloads[0].spiffe", "trust no domain", func(s *Spec) { s.Audiences[2].Workloads = []Member{{SPIFFE: "spiffe://acne.example/a"}} }},
		{"spec.workloads[0]", "named by spiffe", func(s *Spec) { s.Audiences[2].Workloads = []Member{{Issuer: "corp"}} }},
		{"spec.members[0].deviceOwnership", "no ownership", func(s *Spec) { s.Audiences[0].Members = []Member{{DeviceOwnership: "mine"}} }},
		{"spec.ownershipUnknown", "ownershipUnknown is", func(s *Spec) { s.Audiences[0].OwnershipUnknown = "inside" }},
		{"spec.endpoints", "no endpoint", func(s *Spec) { s.Upstreams[0].Endpoints = nil }},
		{"spec.endpoints[0]", "no IP address", func(s *Spec) { s.Upstreams[1].Endpoints = []string{"payroll:80"} }},
		{"spec.endpoints[0]", "nor a DNS name", func(s *Spec) { s.Upstreams[0].Endpoints = []string{"127.1:80"} }},
		{"spec.endpoints[0]", "port 0", func(s *Spec) { s.Upstreams[0].Endpoints = []string{"[::1]:0"} }},
		{"spec.endpoints[1]", "twice", func(s *Spec) { s.Upstreams[0].Endpoints = []string{"a:1", "a:1"} }},
		{"spec.spiffeID", "anybody could answer", func(s *Spec) { s.Upstreams[0].SPIFFEID = "" }},
		{"spec.spiffeID", "", func(s *Spec) { s.Upstreams[0].SPIFFEID = "spiffe://acme.example/a/" }},
		{"spec.plaintext", "not plaintext", func(s *Spec) { s.Upstreams[0].Plaintext = true }},
		{"spec.plaintext", "not plaintext", func(s *Spec) { s.Upstreams[1].DNSName = "a.example" }},
		{"spec.dnsName", "a spiffeID", func(s *Spec) { s.Upstreams[0].DNSName = "a.example" }},
		{"spec.dnsName", "no DNS name", func(s *Spec) { s.Upstreams[0].SPIFFEID, s.Upstreams[0].DNSName = "", "*.example" }},
		{"spec.protocol", `protocol is "h2c"`, func(s *Spec) { s.Upstreams[0].Protocol = "h2c" }},
		{"spec.webSocket", "begins with GET", func(s *Spec) { s.Routes[1].WebSocket, s.Routes[1].Methods = true, []string{"PUT"} }},
		{"spec.webSocket", "speaks http2", func(s *Spec) {
			s.Routes[1].WebSocket, s.Routes[1].Methods = true, nil
			for i := range s.Upstreams {
				s.Upstreams[i].Protocol = ProtocolHTTP2
			}
		}},
		{"spec.hosts", "no host", func(s *Spec) { s.Routes[0].Hosts = nil }},
		{"spec.hosts[0]", "only for the first label", func(s *Spec) { s.Routes[0].Hosts = []string{"*"} }},
		{"spec.hosts[0]", "is compared as", func(s *Spec) { s.Routes[0].Hosts = []string{"App.acme.example"} }},
		{"spec.hosts[0]", "top-level", func(s *Spec) { s.Routes[0].Hosts = []string{"*.example"} }},
		{"spec.hosts[1]", "twice", func(s *Spec) { s.Routes[0].Hosts = []string{"a.example", "a.example"} }},
		{"spec.path", "begin with a slash", func(s *Spec) { s.Routes[0].Path = "admin" }},
		{"spec.path", "already matches", func(s *Spec) { s.Routes[2].Path = "/handbook/{x}"; s.Routes[2].Methods = nil }},
		{"spec.methods[0]", "no HTTP method", func(s *Spec) { s.Routes[1].Methods = []string{"get"} }},
		{"spec.methods[1]", "twice", func(s *Spec) { s.Routes[1].Methods = []string{"GET", "GET"} }},
		{"spec.tier", "no Tier", func(s *Spec) { s.Routes[1].Tier = "persn" }},
		{"spec.upstream", "no Upstream", func(s *Spec) { s.Routes[1].Upstream = "ap" }},
		{"spec.audiences", "nobody could use it", func(s *Spec) { s.Routes[1].Audiences = nil }},
		{"spec.audiences[0]", "no Audience", func(s *Spec) { s.Routes[1].Audiences = []string{"employes"} }},
		{"spec.audiences[1]", "twice", func(s *Spec) { s.Routes[1].Audiences = []string{"employees", "employees"} }},
		{"spec.audiences[0]", "only workloads", func(s *Spec) { s.Routes[2].Tier = "person" }},
		{"spec.audiences", "shares this route", func(s *Spec) { s.Routes[3].Audiences = []string{"contractors", "employees"} }},
		{"spec.upstream", "belongs to isolated", func(s *Spec) { s.Routes[1].Upstream = "outside" }},
	} {
		spec := sampleSpec()
		c.change(&spec)
		p, faults := New(spec, sampleWorld())
		found := false
		for _, f := range faults {
			found = found || f.Field == c.field && strings.Contains(f.Message+f.Help, c.message)
			if f.Message == "" || f.Help == "" {
				t.Errorf("%s %s: a fault without help: %+v", c.field, c.message, f)
			}
		}
		if !found || p != nil {
			t.Errorf("%s: no fault with %q: %+v", c.field, c.message, faults)
		}
	}
}

// TestUnknownWorldIsNotJudged: without the settings, `policy check` must not invent faults about them.
func TestUnknownWorldIsNotJudged(t *testing.T) {
	t.Parallel()
	spec := sampleSpec()
	spec.Audiences[0].Members = []Member{{Issuer: "elsewhere", Group: "staff"}}
	if _, faults := New(spec, World{}); faults != nil {
		t.Errorf("%+v", faults)
	}
}

func TestMethodsMaySplitAPlace(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/handbook/{other}": "",
		"/handbook/*":       "can never match", // {page} goes before it, and a method never falls through
		"/*/{page}":         "",
		"/handbook/*/**":    "",
	} {
		spec := sampleSpec()
		spec.Routes[2].Path, spec.Routes[2].Methods = path, []string{"POST"}
		_, faults := New(spec, sampleWorld())
		if (want == "") != (faults == nil) || want != "" && !strings.Contains(faults[0].Message, want) {
			t.Errorf("%s: %+v", path, faults)
		}
	}
}
