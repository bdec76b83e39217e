package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// guests is the sample policy with the isolated audience and the plain one as given.
func guests(t *testing.T, plain, isolated []Member, change func(*Spec)) *Policy {
	t.Helper()
	return compileSample(t, func(s *Spec) {
		s.Audiences[0].Members, s.Audiences[1].Members = plain, isolated
		s.Tiers[0].SharedDevices = true // the subject varies, the device stays
		if change != nil {
			change(s)
		}
	})
}

// "Membership is three-valued and judged over workload, user and bound device: entries of members are OR, keys inside
// one are AND. … Groups and subjects are qualified by issuer."
func TestEntriesAreOrKeysAreAnd(t *testing.T) {
	t.Parallel()
	nobody := []Member{{Issuer: "partner", Group: "nobody"}}
	ofBoth := []Member{{Issuer: "corp", SPIFFE: "spiffe://acme.example/ns/*/sa"}, {Issuer: "corp", User: "dee"}}
	ofCorp := func(user string, groups ...string) func(*Input) {
		return func(in *Input) { in.Subject.User = person("corp", user, groups...) }
	}
	for _, c := range []struct {
		sentence string
		members  []Member
		who      func(*Input)
		want     Reason
	}{
		{"the first entry", []Member{{Issuer: "corp", Group: "staff"}, {Issuer: "corp", User: "bob"}}, ofCorp("ana",
			"staff"), ReasonAllowed},
		{"or the second", []Member{{Issuer: "corp", Group: "staff"}, {Issuer: "corp", User: "bob"}}, ofCorp("bob"),
			ReasonAllowed},
		{"or neither", []Member{{Issuer: "corp", Group: "staff"}, {Issuer: "corp", User: "bob"}}, ofCorp("cho"),
			ReasonAudience},
		{"group and user: both", []Member{{Issuer: "corp", Group: "staff", User: "ana"}}, ofCorp("ana", "staff"),
			ReasonAllowed},
		{"group and user: the user alone", []Member{{Issuer: "corp", Group: "staff", User: "ana"}}, ofCorp("ana"),
			ReasonAudience},
		{"group and user: the group alone", []Member{{Issuer: "corp", Group: "staff", User: "ana"}}, ofCorp("bob", "staff"),
			ReasonAudience},
		{"an issuer alone is all of its users", []Member{{Issuer: "corp"}}, ofCorp("cho"), ReasonAllowed},
		{"a group of another issuer", []Member{{Issuer: "corp", Group: "staff"}}, func(in *Input) {
			in.Subject.User = person("partner", "ana", "staff")
		}, ReasonAudience},
		{"a user of another issuer", []Member{{Issuer: "corp", User: "ana"}}, func(in *Input) {
			in.Subject.User = person("partner", "ana", "staff")
		}, ReasonAudience},
		{"groups keep their case", []Member{{Issuer: "corp", Group: "staff"}}, ofCorp("ana", "Staff"), ReasonAudience},
		{"user and workload: the user alone", ofBoth, ofCorp("ana"),
			ReasonAudience},
		{"user and workload: both", ofBoth, func(in *Input) {
			in.Subject.Workload = "spiffe://acme.example/ns/ci/sa"
		}, ReasonAllowed},
		{"* is one segment of a SPIFFE ID", ofBoth, func(in *Input) {
			in.Subject.Workload = "spiffe://acme.example/ns/ci/x/sa"
		}, ReasonAudience},
		{"another trust domain", ofBoth, func(in *Input) {
			in.Subject.Workload = "spiffe://acme.example.evil/ns/ci/sa"
		}, ReasonAudience},
	} {
		in := employee()
		c.who(&in)
		if v := guests(t, c.members, nobody, nil).Evaluate(&in); v.Reason != c.want {
			t.Errorf("%s: %s", c.sentence, brief(v))
		}
	}
}

var byod = []Member{{DeviceOwnership: "byod"}}

// owned is a device with a word on its ownership, so old.
func owned(by signals.Value, age time.Duration) Device {
	return Device{Posture: postureOf(append(healthyFacts(), report("mdm", "ownership", by, age))...)}
}

// "A subject without a bound device is no member by device; deviceOwnership … does not age and survives gaps; with none
// known the device is an unknown member where the tier identifies a device, unless the audience says ownershipUnknown:
// outside. An unknown membership of an isolated audience counts as member, of any other as not."
func TestMembershipByDevice(t *testing.T) {
	t.Parallel()
	staff := []Member{{Issuer: "corp", Group: "staff"}}
	outsideIfUnknown := func(s *Spec) {
		s.Audiences[0].OwnershipUnknown, s.Audiences[1].OwnershipUnknown = OwnershipOutside, OwnershipOutside
	}
	handbook := func(in *Input) { in.Request.Path = "/handbook/pets" } // its tier identifies a user alone
	plainDevice := func(in *Input) { in.Device = employee().Device }
	for _, c := range []struct {
		sentence        string
		plain, isolated []Member
		change          func(*Spec)
		who             func(*Input)
		want            Reason
	}{
		{"isolated, member", staff, byod, nil, func(in *Input) { in.Device = owned(signals.Text("byod"), 0) },
			ReasonIsolated},
		{"isolated, known to be none", staff, byod, nil, func(in *Input) { in.Device = owned(signals.Text("shared"), 0) },
			ReasonAllowed},
		{"isolated, unknown counts as member", staff, byod, nil, plainDevice, ReasonIsolated},
		{"isolated, unknown, ownershipUnknown: outside", staff, byod, outsideIfUnknown, plainDevice, ReasonAllowed},
		{"isolated, unknown, tier of users alone", staff, byod, nil, func(in *Input) { handbook(in); plainDevice(in) },
			ReasonAllowed},
		{"isolated, member, tier of users alone", staff, byod, nil, func(in *Input) {
			handbook(in)
			in.Device = owned(signals.Text("byod"), 0)
		}, ReasonIsolated},
		{"isolated, device not bound", staff, byod, nil, func(in *Input) {
			handbook(in)
			in.Device, in.Subject.Device = owned(signals.Text("byod"), 0), signals.Alias{}
		}, ReasonAllowed},
		{"plain, member", byod, []Member{{Issuer: "partner"}}, nil,
			func(in *Input) { in.Device = owned(signals.Text("byod"), 0) }, ReasonAllowed},
		{"plain, unknown counts as not", byod, []Member{{Issuer: "partner"}}, nil, plainDevice, ReasonAudience},
		{"plain, device not bound", byod, []Member{{Issuer: "partner"}}, nil, func(in *Input) {
			handbook(in)
			in.Device, in.Subject.Device = owned(signals.Text("byod"), 0), signals.Alias{}
		}, ReasonAudience},
		{"does not age", byod, []Member{{Issuer: "partner"}}, nil, func(in *Input) {
			in.Device = owned(signals.Text("byod"), 20*365*day)
		}, ReasonAllowed},
		{"an isolated one does not age", staff, byod, nil, func(in *Input) {
			in.Device = owned(signals.Text("byod"), 20*365*day)
		}, ReasonIsolated},
		{"survives that its source cannot tell any more", staff, byod, nil, func(in *Input) {
			in.Device = owned(signals.Text("byod"), time.Hour)
			in.Device.Posture = postureOf(append(in.Device.Posture.Facts, report("mdm", "ownership", signals.Unknown, 0))...)
		}, ReasonIsolated},
		{"survives the gap of its source", staff, byod, nil, func(in *Input) {
			in.Device = owned(signals.Text("byod"), time.Hour)
			in.Device.Heard = map[string]time.Time{"mdm": noon.Add(-30 * day)}
		}, ReasonIsolated},
		{"no posture: unknown, so member of an isolated one", staff, byod, nil, func(in *Input) {
			in.Device = Device{Gap: GapUnreachable}
		}, ReasonIsolated},
		{"the word of a source that may not say so is none", byod, []Member{{Issuer: "partner"}}, nil, func(in *Input) {
			in.Device = Device{Posture: postureOf(append(healthyFacts(), report("edr", "ownership", signals.Text("byod"),
				0))...)}
		}, ReasonAudience},
		{"keys inside one are AND: an unknown device of somebody else", staff, []Member{{Issuer: "partner",
			DeviceOwnership: "byod"}}, nil,
			plainDevice, ReasonAllowed},
		{"keys inside one are AND: an unknown device of one who fits", staff, []Member{{Issuer: "corp",
			DeviceOwnership: "byod"}}, nil,
			plainDevice, ReasonIsolated},
	} {
		in := employee()
		c.who(&in)
		if v := guests(t, c.plain, c.isolated, c.change).Evaluate(&in); v.Reason != c.want {
			t.Errorf("%s: %s (%s)", c.sentence, brief(v), v.Detail)
		}
	}
}

// "A subject in isolated audiences is admitted only to routes that list every one of them, whatever else it is in."
func TestIsolatedAudiencesAreWalls(t *testing.T) {
	t.Parallel()
	p := compileSample(t, func(s *Spec) {
		s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "auditors", Owner: "iam"}, Isolated: true,
			Members: []Member{{Issuer: "corp", Group: "auditors"}}})
		s.Upstreams = append(s.Upstreams, Upstream{Meta: Meta{Name: "books", Owner: "iam"},
			Endpoints: []string{"127.0.0.1:3"}, Plaintext: true})
		route := s.Routes[3]
		route.Hosts, route.Meta.Name, route.Audiences, route.Upstream = []string{"books.example"}, "books",
			[]string{"auditors"}, "books"
		both := route
		both.Hosts, both.Meta.Name, both.Audiences = []string{"both.example"}, "both", []string{"auditors", "contractors",
			"employees"}
		both.Shared, both.Reason, both.Upstream = true, "the yearly audit", "app"
		s.Routes = append(s.Routes, route, both)
	})
	const own, books, both, app = "contractor.acme.example", "books.example", "both.example", "app.acme.example"
	for _, c := range []struct {
		groups []string
		host   string
		want   Reason
	}{
		{[]string{"contractors"}, own, ReasonAllowed},
		{[]string{"contractors"}, books, ReasonIsolated},
		{[]string{"contractors"}, both, ReasonAllowed},
		{[]string{"auditors"}, books, ReasonAllowed},
		{[]string{"auditors"}, own, ReasonIsolated},
		{[]string{"auditors", "contractors"}, own, ReasonIsolated},
		{[]string{"auditors", "contractors"}, books, ReasonIsolated},
		{[]string{"auditors", "contractors"}, both, ReasonAllowed},
		{[]string{"auditors", "contractors", "staff"}, app, ReasonIsolated},
		{[]string{"contractors", "staff"}, both, ReasonAllowed},
		{[]string{"staff"}, both, ReasonAllowed},
		{[]string{"staff"}, books, ReasonAudience},
		{nil, both, ReasonAudience},
	} {
		in := Input{At: noon, Request: Request{Method: "GET", Host: c.host, Path: "/"},
			Subject: identity.Subject{User: person("corp", "ana", c.groups...)}}
		if c.host == app {
			in.Request.Path = "/handbook/pets"
		}
		if v := p.Evaluate(&in); v.Reason != c.want {
			t.Errorf("%v at %s: %s (%s)", c.groups, c.host, brief(v), v.Detail)
		}
	}
}
