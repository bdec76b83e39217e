package findings_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

const day = 24 * time.Hour

// noon is the instant of all tables.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func meta(name, owner string) policy.Meta { return policy.Meta{Name: name, Owner: owner} }

// everything is all that can be watched.
func everything() []string {
	var all []string
	for _, kind := range findings.Kinds() {
		all = append(all, string(kind))
	}
	return all
}

var mend = policy.Fix{Text: "Mend it."}

// spec is the policy of the tests: two platforms, a tier with grace and exceptions, executives, workloads.
func spec() policy.Spec {
	ana := policy.Approver{Issuer: "corp", User: "ana"}
	return policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"},
			Accountable: policy.Contact{Name: "Head", Contact: "head@acme.example"},
			Teams: map[string]policy.Team{
				"iam":      {Contact: "iam@acme.example", Approvers: []policy.Approver{ana}},
				"endpoint": {Contact: "endpoint@acme.example", Members: []string{"eve@acme.example"}, Approvers: []policy.Approver{{Issuer: "corp", Group: "leads"}}},
				"phones":   {Contact: "phones@acme.example", Escalation: "https://pager.acme.example/phones"},
				"secops":   {Contact: "secops@acme.example"},
				"head":     {Contact: "head@acme.example", Approvers: []policy.Approver{{Certificate: "head@acme.example"}}},
			}}},
		Baselines: []policy.Baseline{
			{Meta: meta("laptops", "endpoint"), Platforms: []string{"macos", "windows"}, Signals: map[string]policy.Signal{
				"disk":  {Expr: "device.disk_encryption", MaxAge: 26 * time.Hour, Fix: policy.Fix{Text: "Encrypt."}},
				"edr":   {Expr: "device.edr_healthy", MaxAge: 2 * time.Hour, Fix: mend},
				"clean": {Expr: "!device.compromised", MaxAge: 26 * time.Hour, Fix: mend},
			}},
			{Meta: meta("handhelds", "phones"), Platforms: []string{"ios"}, Signals: map[string]policy.Signal{
				"disk":  {Expr: "device.disk_encryption", MaxAge: 26 * time.Hour, Fix: mend},
				"clean": {Expr: "!device.compromised", MaxAge: 26 * time.Hour, Fix: mend},
			}},
		},
		Tiers: []policy.Tier{
			{Meta: meta("guarded", "iam"), Identify: policy.IdentifyUserDevice, Require: []policy.Demand{{Signal: "disk"}, {Signal: "edr"}},
				DenyUnless: []policy.DenyUnless{{Signal: "clean", OnUnknown: policy.OnUnknownNote}},
				Grace:      &policy.GraceBound{Offline: 8 * time.Hour, Renewals: 1},
				Exceptions: &policy.ExceptionBound{MaxDuration: 14 * day, MaxRenewals: 1}},
			{Meta: meta("machine", "iam"), Identify: policy.IdentifyWorkload},
		},
		Audiences: []policy.Audience{
			{Meta: meta("staff", "iam"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}}},
			{Meta: meta("executives", "iam"), Members: []policy.Member{{Issuer: "corp", User: "boss"}}},
			{Meta: meta("byod", "iam"), Members: []policy.Member{{DeviceOwnership: "byod"}}},
			{Meta: meta("robots", "iam"), Workloads: []policy.Member{{SPIFFE: "spiffe://acme.example/ns/robots/*"}}},
		},
		Upstreams: []policy.Upstream{{Meta: meta("app", "iam"), Endpoints: []string{"127.0.0.1:9001"}, Plaintext: true}},
		Routes: []policy.Route{
			{Meta: meta("app", "iam"), Hosts: []string{"app.acme.example"}, Path: "/**", Tier: "guarded",
				Audiences: []string{"staff", "executives", "byod"}, Upstream: "app"},
			{Meta: meta("read", "secops"), Hosts: []string{"api.acme.example"}, Path: "/read", Tier: "machine", Audiences: []string{"robots"}, Upstream: "app"},
			{Meta: meta("write", "iam"), Hosts: []string{"api.acme.example"}, Path: "/write", Tier: "machine", Audiences: []string{"robots"}, Upstream: "app"},
		},
		Identities: []policy.Identity{{Meta: meta("sorter", "secops"), Type: policy.IdentityOfWorkload, RecordedIn: "kubernetes",
			SPIFFEIDs: []string{"spiffe://acme.example/ns/robots/sorter"}, ReviewBy: policy.Date{Time: noon.Add(60 * day).Truncate(day)}}},
		Monitors: []policy.Monitor{
			{Meta: meta("all", "secops"), Watch: everything(), Severity: policy.SeverityMedium, CloseWithin: 7 * day},
			{Meta: meta("executives", "secops"), Watch: everything(), Severity: policy.SeverityHigh, CloseWithin: day, Assign: "secops",
				Audiences: []string{"executives"}},
		},
	}
}

func compile(t testing.TB, spec policy.Spec) *policy.Policy {
	t.Helper()
	attests := []string{"platform", "disk_encryption", "edr_healthy", "compromised", "enrolled_user", "ownership", "lifecycle"}
	world := policy.World{Issuers: []string{"corp"}, Sources: map[string]policy.Source{
		"mdm": {Attests: attests, EnrolledUser: policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsName}},
		"edr": {Attests: attests},
	}}
	p, faults := policy.New(spec, world)
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return p
}

// device is one device of the tests: what its sources say, and how long ago.
type device struct {
	id       string
	platform string
	user     string
	facts    map[string]signals.Value
	ages     map[string]time.Duration // by attribute; a minute otherwise
	edr      map[string]signals.Value // what the other source says
	serial   string
}

func healthy(id string) device {
	return device{id: id, platform: "macos", user: "ben", serial: "C" + id, facts: map[string]signals.Value{"disk_encryption": signals.Bool(true),
		"edr_healthy": signals.Bool(true), "compromised": signals.Bool(false)}, ages: map[string]time.Duration{}, edr: map[string]signals.Value{}}
}

// silent is a device of which all that is known is so old.
func (d device) silent(age time.Duration) device {
	d.ages = map[string]time.Duration{}
	for _, attribute := range []string{"platform", "enrolled_user", "disk_encryption", "edr_healthy", "compromised", "ownership"} {
		d.ages[attribute] = age
	}
	return d
}

func (d device) view(p *policy.Policy, at time.Time) findings.DeviceView {
	var facts []signals.Fact
	say := func(source, attribute string, value signals.Value) {
		age, ok := d.ages[attribute]
		if !ok {
			age = time.Minute
		}
		facts = append(facts, signals.Fact{Attribute: attribute, Value: value, Source: source, Observed: at.Add(-age), Received: at.Add(-age)})
	}
	say("mdm", "platform", signals.Text(d.platform))
	if d.user != "" {
		say("mdm", "enrolled_user", signals.Text(d.user))
	}
	for attribute, value := range d.facts {
		say("mdm", attribute, value)
	}
	for attribute, value := range d.edr {
		say("edr", attribute, value)
	}
	serial, _ := signals.NewAlias(signals.AliasSerial, d.serial)
	posture, _ := signals.Posture{Device: signals.DeviceID(d.id), Revision: 1}.Merge(signals.Observation{Aliases: []signals.Alias{serial}, Facts: facts})
	return findings.DeviceView{Posture: &posture, Standing: p.Standing(nil, &posture, at)}
}

// seq yields devices and overwrites each before the next: nothing of one may be kept.
func seq(all []findings.DeviceView) iter.Seq[findings.DeviceView] {
	return func(yield func(findings.DeviceView) bool) {
		for _, d := range all {
			posture := *d.Posture
			posture.Aliases, posture.Facts = slices.Clone(posture.Aliases), slices.Clone(posture.Facts)
			d.Posture = &posture
			d.Standing.Signals, d.Standing.Tiers = slices.Clone(d.Standing.Signals), slices.Clone(d.Standing.Tiers)
			for i := range d.Standing.Tiers {
				d.Standing.Tiers[i].Unmet = slices.Clone(d.Standing.Tiers[i].Unmet)
			}
			more := yield(d)
			for i := range d.Standing.Tiers {
				clear(d.Standing.Tiers[i].Unmet)
			}
			clear(posture.Aliases)
			clear(posture.Facts)
			clear(d.Standing.Signals)
			clear(d.Standing.Tiers)
			posture.Device = "overwritten"
			if !more {
				return
			}
		}
	}
}

// viewOf is a view in which everything is known.
func viewOf(p *policy.Policy, at time.Time, devices ...device) *findings.View {
	all := make([]findings.DeviceView, 0, len(devices))
	for i := range devices {
		all = append(all, devices[i].view(p, at))
	}
	return &findings.View{At: at, Policy: p, Devices: seq(all), Heard: map[string]time.Time{"mdm": at, "edr": at},
		Contested: map[signals.Alias][]signals.DeviceID{}, Exceptions: []approvals.Exception{}, Graces: []approvals.Grace{},
		Sightings: []inventory.Sighting{sorter(at)}, Imported: []inventory.Entry{}, Use: []inventory.Use{}, Envoys: []findings.EnvoyView{}}
}

// sorter is the documented workload as decisions see it when all is well.
func sorter(at time.Time) inventory.Sighting {
	used := inventory.RouteUse{First: at.Add(-200 * day), Last: at.Add(-time.Hour), Allowed: 9, LastAllowed: at.Add(-time.Hour)}
	return inventory.Sighting{ID: "spiffe://acme.example/ns/robots/sorter", TrustDomain: "acme.example", First: at.Add(-200 * day), Last: at.Add(-time.Hour),
		Routes: map[string]inventory.RouteUse{"read": used, "write": used}, Places: map[string]time.Time{"10.0.0.0/24": at},
		CredentialFrom: at.Add(-time.Hour), CredentialUntil: at.Add(time.Hour)}
}

func granted(name string, from, until time.Time) approvals.Exception {
	ben := approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "ben"}
	ana := approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "ana"}
	return approvals.Exception{Exception: policy.Exception{Meta: meta(name, "iam"), Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "boss"}},
		Devices: []string{"CX"}, Routes: []string{"app"}, Signals: []string{"disk"}, Reason: "loan", Approver: "ana", Ticket: "T-1", From: from, Until: until},
		History: []approvals.Event{{At: from.Add(-time.Hour), By: ben, Step: approvals.StepRequested}, {At: from, By: ana, Step: approvals.StepApproved}}}
}

// keys are the keys of findings that stand under no other, each with its owner.
func keys(found []findings.Finding) []string {
	all := []string{}
	for i := range found {
		if found[i].Under == "" {
			all = append(all, found[i].Key()+" @"+found[i].Owner)
		}
	}
	return all
}

func fleet(n int, of func(i int) device) []device {
	all := make([]device, 0, n)
	for i := range n {
		d := of(i)
		d.id, d.serial = fmt.Sprintf("d%05d", i), fmt.Sprintf("C%05d", i)
		all = append(all, d)
	}
	return all
}
