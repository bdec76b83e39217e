package policydiff_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func meta(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }

func demands(names ...string) (list []policy.Demand) {
	for _, name := range names {
		list = append(list, policy.Demand{Signal: name})
	}
	return list
}

// world is a policy with every field of every document set.
func world() policy.Spec {
	signal := func(expr string, maxAge time.Duration) policy.Signal {
		return policy.Signal{Expr: expr, MaxAge: maxAge, Prefer: []string{"mdm", "edr"}, Fix: policy.Fix{Text: "Mend it.", URL: "https://it.example"}}
	}
	plain := func(expr string) policy.Signal {
		return policy.Signal{Expr: expr, MaxAge: 2 * time.Hour, Fix: policy.Fix{Text: "Mend it."}}
	}
	return policy.Spec{
		Governance: []policy.Governance{{
			Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "Head", Contact: "head@acme.example"},
			Teams: map[string]policy.Team{
				"iam": {Contact: "iam@acme.example", Escalation: "https://pager.example", Members: []string{"a@acme.example"}, CodeOwners: []string{"@acme/iam"},
					Approvers: []policy.Approver{{Issuer: "corp", User: "cho"}, {Issuer: "corp", Group: "leads"}, {Certificate: "d@acme.example"}}},
				"ops": {Contact: "ops@acme.example"}},
		}},
		Baselines: []policy.Baseline{{Meta: meta("laptops"), Platforms: []string{"macos", "windows"}, Signals: map[string]policy.Signal{
			"disk": signal("device.disk_encryption", 4*time.Hour), "edr": plain("device.edr_healthy"),
			"os": plain(`device.os_version == "15.6"`), "clean": plain("!device.compromised"), "lock": plain("device.screen_lock"),
			"wall": plain("device.firewall"),
		}}, {Meta: meta("phones"), Platforms: []string{"ios"}, Signals: map[string]policy.Signal{"disk": plain("device.screen_lock")}}},
		Tiers: []policy.Tier{{
			Meta: meta("guarded"), Identify: policy.IdentifyUserDevice, Evidence: policy.EvidenceRequired, Tells: policy.TellsReason,
			Require:    []policy.Demand{{Signal: "disk", MaxAge: time.Hour}, {Signal: "edr"}},
			DenyUnless: []policy.DenyUnless{{Signal: "clean", OnUnknown: policy.OnUnknownNote, MaxAge: time.Hour}}, Advise: demands("wall"),
			StepUp: &policy.StepUpDemand{When: policy.StepUpSignals, ACR: []string{"phr", "phrh"}, AMR: []string{"hwk"}, MaxAge: time.Hour, Signals: demands("os")},
			Grace:  &policy.GraceBound{Offline: 4 * time.Hour, Renewals: 1}, OnGap: policy.OnGap{LastKnown: &policy.LastKnown{For: time.Hour}},
			Exceptions: &policy.ExceptionBound{MaxDuration: 14 * 24 * time.Hour, MaxRenewals: 2}, EnrolledUser: policy.EnrolledWhenKnown,
			RecheckEvery: 5 * time.Minute, Mode: policy.ModeMonitor,
			Stricter: []policy.Stricter{{Audience: "boss", Require: demands("lock"), StepUp: &policy.StepUpDemand{ACR: []string{"phr"}},
				DenyUnless: []policy.DenyUnless{{Signal: "clean"}}, Grace: &policy.GraceBound{Offline: time.Hour},
				Exceptions: &policy.ExceptionBound{MaxDuration: 24 * time.Hour}}},
		}, {Meta: meta("plain"), Identify: policy.IdentifyUserDevice, Require: demands("edr"), SharedDevices: true},
			{Meta: meta("open"), Identify: policy.IdentifyUser}},
		Audiences: []policy.Audience{
			{Meta: meta("staff"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}, {Issuer: "corp", User: "ben"}}},
			{Meta: meta("boss"), Members: []policy.Member{{Issuer: "corp", Group: "boss"}, {DeviceOwnership: "byod"}}},
			{Meta: meta("owned"), Members: []policy.Member{{DeviceOwnership: "contractor"}}, Isolated: true, OwnershipUnknown: policy.OwnershipOutside,
				Workloads: []policy.Member{{SPIFFE: "spiffe://acme.example/ci/*"}}},
		},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:9001"}, SPIFFEID: "spiffe://acme.example/app"},
			{Meta: meta("kit"), Endpoints: []string{"127.0.0.1:9002"}, Plaintext: true, Protocol: policy.ProtocolHTTP2},
			{Meta: meta("lib"), Endpoints: []string{"lib.example:443"}, DNSName: "lib.example"}},
		Routes: []policy.Route{
			{Meta: meta("app"), Hosts: []string{"app.corp.example"}, Path: "/**", Methods: []string{"GET", "POST"}, Tier: "guarded",
				Audiences: []string{"staff", "boss"}, Upstream: "app", WebSocket: true,
				Login: &policy.Login{URL: "https://login.example/step-up"},
				CORS: &policy.CORS{Origins: []string{"https://web.example", "https://*.pages.example"}, Methods: []string{"GET"},
					Headers: []string{"authorization"}, ExposeHeaders: []string{"etag"}, MaxAge: time.Hour}},
			{Meta: meta("admin"), Hosts: []string{"app.corp.example"}, Path: "/admin/**", Tier: "plain", Audiences: []string{"staff"}, Upstream: "app"},
			{Meta: meta("wiki"), Hosts: []string{"*.corp.example"}, Path: "/{page}", Tier: "open", Audiences: []string{"staff"}, Upstream: "lib"},
			{Meta: meta("kit"), Hosts: []string{"kit.corp.example"}, Path: "/**", Tier: "plain", Audiences: []string{"owned", "staff"}, Upstream: "kit",
				Shared: true, Reason: "both build"},
		},
		Identities: []policy.Identity{{Meta: meta("ci"), Type: policy.IdentityOfPipeline, SPIFFEIDs: []string{"spiffe://acme.example/ci/a"},
			RecordedIn: "ci-cd", RecordedAs: []string{"ci-cd/acme/x#1"}, ReviewBy: policy.Date{Time: noon}, Credentials: &policy.CredentialBound{MaxAge: time.Hour}}},
		Exceptions: []policy.Exception{{Meta: meta("loan"), Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ana"}, {Issuer: "corp", Group: "boss"}},
			Devices: []string{"C02"}, Routes: []string{"app"}, Signals: []string{"disk", "os"}, Reason: "loaner", Approver: "cho", Ticket: "T-1",
			From: noon.Add(-2 * time.Hour), Until: noon.Add(2 * time.Hour)}},
		Monitors: []policy.Monitor{{Meta: meta("drift"), Watch: []string{"drift", "conflict"}, Severity: policy.SeverityHigh, Assign: "iam",
			CloseWithin: 24 * time.Hour, Audiences: []string{"staff"}, After: time.Hour, Share: 30, Tell: []string{"siem", "pager"}}, {Meta: meta("abuse"),
			Watch: []string{"exception-abuse"}, Severity: policy.SeverityLow, CloseWithin: time.Hour, Count: 4}},
	}
}

// sources are the settings: disk is told by two, edr and lock by one each.
var sources = map[string]policy.Source{
	"mdm": {Attests: []string{"platform", "ownership", "disk_encryption", "screen_lock", "os_version", "firewall", "compromised"}},
	"edr": {Attests: []string{"platform", "edr_healthy", "compromised", "disk_encryption"}},
}

func compile(t testing.TB, spec policy.Spec) *policy.Policy {
	t.Helper()
	p, faults := policy.New(spec, policy.World{Sources: sources})
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return p
}

// anyInput draws a request that gets far into the policy.
func anyInput() *rapid.Generator[policy.Input] {
	return rapid.Custom(func(t *rapid.T) policy.Input {
		in := policy.Input{At: noon, Request: policy.Request{
			Method: rapid.SampledFrom([]string{"GET", "GET", "POST", "PUT"}).Draw(t, "method"),
			Host:   rapid.SampledFrom([]string{"app.corp.example", "app.corp.example", "wiki.corp.example", "kit.corp.example"}).Draw(t, "host"),
			Path:   rapid.SampledFrom([]string{"/", "/x", "/admin/x", "/admin", "/x/y"}).Draw(t, "path")}}
		window := identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
		if rapid.IntRange(0, 9).Draw(t, "nobody") < 9 {
			user := &identity.User{Issuer: "corp", Name: rapid.SampledFrom([]string{"ana", "ben", "eve"}).Draw(t, "name"), Token: window,
				ACR: rapid.SampledFrom([]string{"phr", "pwd"}).Draw(t, "acr"), AMR: []string{"hwk"},
				AuthTime: noon.Add(-rapid.SampledFrom([]time.Duration{time.Minute, 2 * time.Hour}).Draw(t, "login"))}
			for _, group := range []string{"staff", "boss"} {
				if rapid.IntRange(0, 3).Draw(t, group) > 0 {
					user.Groups = append(user.Groups, group)
				}
			}
			in.Subject.User = user
		}
		if rapid.IntRange(0, 9).Draw(t, "no device") == 9 {
			return in
		}
		in.Subject.Device, in.Subject.Certificate = signals.Alias{Kind: signals.AliasSerial, Value: "C02"}, window
		in.Device = anyDevice(t, in.Subject.Device)
		return in
	})
}

var good = map[string]signals.Value{"platform": signals.Text("macos"), "disk_encryption": signals.Bool(true),
	"screen_lock": signals.Bool(true), "os_version": signals.Text("15.6"), "firewall": signals.Bool(true), "compromised": signals.Bool(false),
	"edr_healthy": signals.Bool(true), "ownership": signals.Text("corporate")}

var bad = map[string]signals.Value{"platform": signals.Text("ios"), "disk_encryption": signals.Bool(false),
	"screen_lock": signals.Bool(false), "os_version": signals.Text("15.4"), "firewall": signals.Bool(false), "compromised": signals.Bool(true),
	"edr_healthy": signals.Bool(false), "ownership": signals.Text("byod")}

// ages are around the ages that policies write.
var ages = []time.Duration{time.Minute, 30 * time.Minute, 59 * time.Minute, 90 * time.Minute, 2*time.Hour + time.Minute, 3*time.Hour + time.Minute, 5 * time.Hour}

func anyDevice(t *rapid.T, alias signals.Alias) policy.Device {
	if gap := rapid.SampledFrom([]policy.Gap{"", "", "", "", "", "", "", policy.GapUnknown, policy.GapUnreachable}).Draw(t, "gap"); gap != "" {
		return policy.Device{Gap: gap}
	}
	device := policy.Device{AsOf: noon, Heard: map[string]time.Time{}}
	o := signals.Observation{Aliases: []signals.Alias{alias}}
	trouble := rapid.IntRange(0, 3).Draw(t, "trouble")
	for _, source := range []string{"mdm", "edr"} {
		device.Heard[source] = noon.Add(-rapid.SampledFrom(append(slices.Clone(ages), 0, 0, 0)).Draw(t, "heard"))
		silent := rapid.SampledFrom(ages).Draw(t, "silent")
		for _, attribute := range sources[source].Attests {
			if rapid.IntRange(0, 11).Draw(t, "unsaid") == 11 || attribute == "ownership" && rapid.Bool().Draw(t, "no ownership") {
				continue
			}
			value, at := good[attribute], noon.Add(-silent)
			if trouble > 0 && rapid.IntRange(0, 3*trouble).Draw(t, attribute) == 1 {
				value = bad[attribute]
			}
			if rapid.IntRange(0, 5).Draw(t, "by itself") == 5 {
				at = noon.Add(-rapid.SampledFrom(ages).Draw(t, "age"))
			}
			o.Facts = append(o.Facts, signals.Fact{Attribute: attribute, Value: value, Source: source, Observed: at, Received: at})
		}
	}
	posture, _ := signals.Posture{Device: "d1", Revision: 3}.Merge(o)
	device.Posture = &posture
	if rapid.IntRange(0, 3).Draw(t, "renewed") == 3 {
		device.Renewals = []policy.Renewal{{At: noon.Add(-time.Hour), By: "cho"}}
	}
	return device
}
