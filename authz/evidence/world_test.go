package evidence

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// world is a policy with every kind of thing that a verdict can depend on.
func world(t testing.TB) *policy.Policy {
	t.Helper()
	demands := func(names ...string) (list []policy.Demand) {
		for _, name := range names {
			list = append(list, policy.Demand{Signal: name})
		}
		return list
	}
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	signal := func(expr string, maxAge time.Duration) policy.Signal {
		return policy.Signal{Expr: expr, MaxAge: maxAge, Fix: policy.Fix{Text: "Mend it."}}
	}
	p, faults := policy.New(policy.Spec{
		Governance: []policy.Governance{{
			Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "Head", Contact: "head@acme.example"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}},
		}},
		Baselines: []policy.Baseline{{Meta: meta("laptops"), Platforms: []string{"macos"}, Signals: map[string]policy.Signal{
			"disk": signal("device.disk_encryption", 26*time.Hour), "edr": signal("device.edr_healthy", 2*time.Hour),
			"os": signal(`device.os_version == "15.6"`, 26*time.Hour), "clean": signal("!device.compromised", 26*time.Hour),
		}}},
		Tiers: []policy.Tier{{
			Meta: meta("guarded"), Identify: policy.IdentifyUserDevice, Evidence: policy.EvidenceRequired, Require: demands("disk", "edr"),
			DenyUnless: []policy.DenyUnless{{Signal: "clean", OnUnknown: policy.OnUnknownNote}},
			StepUp:     &policy.StepUpDemand{When: policy.StepUpSignals, ACR: []string{"phr"}, MaxAge: time.Hour, Signals: demands("os")},
			Grace:      &policy.GraceBound{Offline: 8 * time.Hour, Renewals: 1},
			Exceptions: &policy.ExceptionBound{MaxDuration: 14 * 24 * time.Hour}, RecheckEvery: 5 * time.Minute,
		}, {
			Meta: meta("watched"), Identify: policy.IdentifyUserDevice, Require: demands("edr"), Advise: demands("os"), Mode: policy.ModeMonitor,
			OnGap: policy.OnGap{LastKnown: &policy.LastKnown{For: 10 * time.Minute}},
		}, {Meta: meta("workload"), Identify: policy.IdentifyWorkload}},
		Audiences: []policy.Audience{
			{Meta: meta("staff"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}}},
			{Meta: meta("owned"), Members: []policy.Member{{DeviceOwnership: "contractor"}}, Isolated: true},
			{Meta: meta("ci"), Workloads: []policy.Member{{SPIFFE: "spiffe://acme.example/ci/*"}}},
		},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:9001"}, Plaintext: true},
			{Meta: meta("kit"), Endpoints: []string{"127.0.0.1:9002"}, Plaintext: true}},
		Routes: []policy.Route{
			{Meta: meta("app"), Hosts: []string{"app.example"}, Path: "/**", Tier: "guarded", Audiences: []string{"staff"}, Upstream: "app"},
			{Meta: meta("wiki"), Hosts: []string{"wiki.example"}, Path: "/**", Tier: "watched", Audiences: []string{"staff"}, Upstream: "app"},
			{Meta: meta("kit"), Hosts: []string{"kit.example"}, Path: "/**", Tier: "watched", Audiences: []string{"owned"}, Upstream: "kit"},
			{Meta: meta("ci"), Hosts: []string{"ci.example"}, Path: "/run", Methods: []string{"POST"}, Tier: "workload", Audiences: []string{"ci"}, Upstream: "app"},
		},
	}, policy.World{})
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return p
}

// anyInput draws an input that gets far enough into the policy to be interesting, and often not.
func anyInput() *rapid.Generator[policy.Input] {
	return rapid.Custom(func(t *rapid.T) policy.Input {
		plain := rapid.IntRange(0, 2).Draw(t, "plain") > 0 // who asks, for what, is in order: the device decides
		pick := func(what string, from ...string) string {
			if plain {
				return from[0]
			}
			return rapid.SampledFrom(from).Draw(t, what)
		}
		maybe := func(what string, one int) bool { return !plain && rapid.IntRange(1, one).Draw(t, what) == one }
		earlier := func(what string) time.Time {
			return noon.Add(-time.Duration(rapid.Int64Range(-int64(time.Hour), int64(30*time.Hour)).Draw(t, what)))
		}
		in := policy.Input{At: noon, Request: policy.Request{
			Method: pick("method", "GET", "POST", "POST", "P\xff"),
			Host: pick("host", rapid.SampledFrom([]string{"app.example", "wiki.example"}).Draw(t, "open"), "app.example", "app.example",
				"wiki.example", "wiki.example", "kit.example:443", "ci.example", "a\xff@x"),
			Path: pick("path", "/", "/", "/x", "/x", "/run", "/run", "/run?secret", "/run?secret", "/a/../b", "/\xff\xfe", "/%\uFFFD"),
		}}
		if maybe("malformed", 20) {
			in.Request.Malformed = anyText().Draw(t, "malformed")
		}
		if maybe("chosen", 6) {
			in.Request.Chosen = &policy.Chosen{Route: pick("chosen", "app", "wiki", "\xff")}
			if maybe("older", 2) {
				in.Request.Chosen.Older = &policy.Match{Route: pick("older", "app", "wiki"), Upstream: pick("upstream", "app", "old\xff")}
			}
		}
		window := identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour)}
		if maybe("expired", 5) {
			window.NotAfter = noon
		}
		s := &in.Subject
		if !maybe("nobody", 10) {
			s.User = &identity.User{Issuer: "corp", Name: pick("name", "ana@acme.example", "o\xff"), Groups: []string{pick("group", "staff", "staff", "staff", "staff", "else")},
				ACR: rapid.SampledFrom([]string{"phr", "pwd"}).Draw(t, "acr"), AuthTime: earlier("login"), Token: window}
		}
		if maybe("workload", 4) {
			s.Workload = "spiffe://acme.example/ci/deployer"
		}
		if maybe("doubt", 12) {
			s.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: anyText().Draw(t, "doubt")}}
		}
		if maybe("no device", 10) {
			return in
		}
		s.Device, s.Certificate = signals.Alias{Kind: signals.AliasSerial, Value: "C02"}, window
		in.Device = anyDevice(t, s.Device, earlier)
		if rapid.Bool().Draw(t, "granted") {
			in.Granted = []policy.Exception{{
				Meta: policy.Meta{Name: "loan", Owner: "iam"}, Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ana@acme.example"}}, Devices: []string{"C02"},
				Routes: []string{"app"}, Signals: []string{"disk", "os"}, Reason: "x\xff", Approver: "cho@acme.example", Ticket: "T", From: noon.Add(-time.Hour),
				Until: noon.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 0}).Draw(t, "until"))),
			}}
		}
		return in
	})
}

// reported is what the sources say, mostly good things.
var reported = map[string][]signals.Value{
	"platform":        append(slices.Repeat([]signals.Value{signals.Text("macos")}, 9), signals.Text("ios\xff")),
	"ownership":       append(slices.Repeat([]signals.Value{signals.Text("corporate")}, 9), signals.Text("contractor")),
	"disk_encryption": {signals.Bool(true), signals.Bool(true), signals.Bool(true), signals.Bool(false), signals.Unknown},
	"edr_healthy":     {signals.Bool(true), signals.Bool(true), signals.Unknown},
	"compromised":     {signals.Bool(false), signals.Bool(false), signals.Bool(false), signals.Bool(true), signals.Unknown},
	"os_version":      {signals.Text("15.6"), signals.Text("15.4"), signals.Text("?\xff")},
	"edr_risk_score":  {signals.Number(0.1), signals.Number(1e300), signals.Number(-1.0 / 3)},
}

func anyDevice(t *rapid.T, alias signals.Alias, earlier func(string) time.Time) policy.Device {
	device := policy.Device{AsOf: noon.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "behind")) * time.Minute), Heard: map[string]time.Time{}}
	if gap := rapid.SampledFrom([]policy.Gap{"", "", "", "", policy.GapUnknown, policy.GapContested, policy.GapUnreachable}).Draw(t, "gap"); gap != "" {
		device.Gap = gap
		return device
	}
	pattern := rapid.SampledFrom([]string{"any", "any", "silent device", "silent sources", "old system"}).Draw(t, "pattern")
	var o signals.Observation
	for _, source := range []string{"mdm", "edr\xff"} {
		device.Heard[source] = noon.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute, 3 * time.Hour}).Draw(t, "heard"))
		silent := rapid.SampledFrom([]time.Duration{time.Minute, 3 * time.Hour, 2*time.Hour + time.Minute, 30 * time.Hour}).Draw(t, "silent")
		switch pattern {
		case "silent device":
			device.Heard[source], silent = noon, 3*time.Hour
		case "silent sources":
			device.Heard[source], silent = noon.Add(-2*time.Hour-time.Minute), 2*time.Hour+time.Minute
		case "old system":
			silent = time.Minute
		}
		for _, attribute := range slices.Sorted(maps.Keys(reported)) {
			switch attribute {
			case "ownership":
				if source != "mdm" { // two that differ make it unknown, and then nothing else is looked at
					continue
				}
			case "platform":
			default:
				if pattern == "any" && rapid.IntRange(0, 3).Draw(t, attribute) == 3 {
					continue
				}
			}
			at := noon.Add(-silent)
			value := reported[attribute][0]
			switch {
			case pattern == "old system" && attribute == "os_version":
				value = signals.Text("15.4")
			case pattern == "any":
				value = rapid.SampledFrom(reported[attribute]).Draw(t, "value")
				if rapid.IntRange(0, 9).Draw(t, "by itself") == 9 {
					at = earlier("observed")
				}
			}
			o.Facts = append(o.Facts, signals.Fact{Attribute: attribute, Value: value, Source: source,
				Observed: at, Received: at.Add(1)})
		}
	}
	o.Aliases = []signals.Alias{alias}
	posture, _ := signals.Posture{Device: "d1", Revision: 3}.Merge(o)
	if device.Posture = &posture; rapid.Bool().Draw(t, "packed") {
		device.Posture, device.Packed = nil, signals.Pack(&posture)
	}
	if rapid.IntRange(0, 3).Draw(t, "renewed") == 0 {
		device.Renewals = []policy.Renewal{{At: noon.Add(-time.Hour), By: "cho\xff"}}
	}
	return device
}
