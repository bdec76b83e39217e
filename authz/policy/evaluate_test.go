package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

func TestZeroVerdictDenies(t *testing.T) {
	t.Parallel()
	if (Verdict{}).Outcome != Deny {
		t.Fatal("the zero verdict does not deny")
	}
	if v := (*Policy)(nil).Evaluate(&Input{}); v.Outcome != Deny || v.Reason != ReasonNoPolicy {
		t.Fatalf("without a policy: %+v", v)
	}
	if v := compileSample(t, nil).Evaluate(&Input{}); v.Outcome != Deny {
		t.Fatalf("the zero input: %+v", v)
	}
}

// TestVerdicts varies one thing of an allowed input at a time.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	p := compileSample(t, nil)
	workload := func(in *Input) {
		in.Subject = identity.Subject{Workload: "spiffe://acme.example/ns/ci/deployer", Certificate: window()}
		in.Request = Request{Method: "POST", Host: "app.acme.example", Path: "/admin/users"}
		in.Device = Device{}
	}
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   Reason
	}{
		{"employee on a healthy laptop", func(*Input) {}, ReasonAllowed},
		{"host in capitals with port and dot", func(in *Input) { in.Request.Host = "APP.acme.example.:8443" }, ReasonAllowed},
		{"no method", func(in *Input) { in.Request.Method = "" }, ReasonMalformed},
		{"dot segment", func(in *Input) { in.Request.Path = "/x/../admin" }, ReasonPath},
		{"host with a space", func(in *Input) { in.Request.Host = "app acme" }, ReasonHost},
		{"unknown host", func(in *Input) { in.Request.Host = "other.acme.example" }, ReasonNoRoute},
		{"two labels under a wildcard", func(in *Input) { in.Request.Host = "a.b.partner.example" }, ReasonNoRoute},
		{"no token", func(in *Input) { in.Subject.User = nil }, ReasonIdentityMissing},
		{"no device", func(in *Input) { in.Subject.Device = signals.Alias{} }, ReasonIdentityMissing},
		{"a workload where a person is asked for", func(in *Input) {
			in.Subject = identity.Subject{Workload: "spiffe://acme.example/ns/ci/x", Certificate: window()}
		}, ReasonIdentityMissing},
		{"a doubt beside good proofs", func(in *Input) {
			in.Subject.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: "two tokens"}}
		}, ReasonIdentityDoubted},
		{"token at its last instant", func(in *Input) { in.Subject.User.Token.NotAfter = noon.Add(1) }, ReasonAllowed},
		{"token over", func(in *Input) { in.Subject.User.Token.NotAfter = noon }, ReasonIdentityExpired},
		{"token not begun", func(in *Input) { in.Subject.User.Token.NotBefore = noon.Add(1) }, ReasonIdentityExpired},
		{"certificate over", func(in *Input) { in.Subject.Certificate.NotAfter = noon }, ReasonIdentityExpired},
		{"no group", func(in *Input) { in.Subject.User.Groups = nil }, ReasonAudience},
		{"the group of another issuer", func(in *Input) { in.Subject.User.Issuer = "other" }, ReasonAudience},
		{"contractor", func(in *Input) { in.Subject.User.Groups = []string{"contractors"} }, ReasonIsolated},
		{"contractor who is also staff", func(in *Input) { in.Subject.User.Groups = []string{"staff", "contractors"} }, ReasonIsolated},
		{"partner", func(in *Input) { in.Subject.User.Issuer = "partner" }, ReasonIsolated},
		{"contractor at home", func(in *Input) {
			in.Subject.User.Groups = []string{"staff", "contractors"}
			in.Request.Host = "contractor.acme.example"
		}, ReasonAllowed},
		{"employee at the contractors'", func(in *Input) { in.Request.Host = "x.partner.example" }, ReasonAudience},
		{"device nobody reported", func(in *Input) { in.Device = Device{Gap: GapUnknown} }, ReasonDeviceUnknown},
		{"no posture and no gap", func(in *Input) { in.Device = Device{} }, ReasonDeviceUnknown},
		{"posture without facts", func(in *Input) { in.Device.Posture = postureOf() }, ReasonDeviceUnknown},
		{"contested device", func(in *Input) { in.Device = Device{Gap: GapContested} }, ReasonDeviceContested},
		{"store out of reach", func(in *Input) { in.Device = Device{Gap: GapUnreachable} }, ReasonStoreUnreachable},
		{"a gap that no tier asks about", func(in *Input) {
			in.Request.Path, in.Device = "/handbook/pets", Device{Gap: GapUnreachable}
		}, ReasonAllowed},
		{"method that the chosen route does not list", func(in *Input) {
			in.Request.Method, in.Request.Path = "POST", "/handbook/pets"
		}, ReasonMethod},
		{"workload", workload, ReasonAllowed},
		{"workload, trailing slash", func(in *Input) { workload(in); in.Request.Path = "/admin/" }, ReasonAllowed},
		{"workload at the bare prefix", func(in *Input) { workload(in); in.Request.Path = "/admin" }, ReasonAllowed},
		{"workload of another namespace", func(in *Input) {
			workload(in)
			in.Subject.Workload = "spiffe://acme.example/ns/web/x"
		}, ReasonAudience},
		{"GET never falls through to the wider route", func(in *Input) { in.Request.Path = "/admin/users" }, ReasonMethod},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := employee()
			c.change(&in)
			v := p.Evaluate(&in)
			if v.Reason != c.want || (v.Outcome == Allow) != (c.want == ReasonAllowed) {
				t.Errorf("%s (%s: %s), want %s", v.Outcome, v.Reason, v.Detail, c.want)
			}
		})
	}
}

// TestSignalCells walks the table of DESIGN section 3: every list × status.
func TestSignalCells(t *testing.T) {
	t.Parallel()
	values := map[Status]func(attribute string, healthy bool) []signals.Fact{
		StatusPassing: func(a string, healthy bool) []signals.Fact {
			return []signals.Fact{report("mdm", a, signals.Bool(healthy), time.Minute)}
		},
		StatusFailing: func(a string, healthy bool) []signals.Fact {
			return []signals.Fact{report("mdm", a, signals.Bool(!healthy), time.Minute)}
		},
		StatusUnknown: func(a string, _ bool) []signals.Fact {
			return []signals.Fact{report("mdm", a, signals.Unknown, time.Minute)}
		},
	}
	for _, c := range []struct {
		signal, attribute string
		healthy           bool
		list              List
		status            Status
		allow, noted      bool
	}{
		{"disk-encrypted", "disk_encryption", true, ListRequire, StatusPassing, true, false},
		{"disk-encrypted", "disk_encryption", true, ListRequire, StatusFailing, false, false},
		{"disk-encrypted", "disk_encryption", true, ListRequire, StatusUnknown, false, false},
		{"not-compromised", "compromised", false, ListDenyUnless, StatusPassing, true, false},
		{"not-compromised", "compromised", false, ListDenyUnless, StatusFailing, false, false},
		{"not-compromised", "compromised", false, ListDenyUnless, StatusUnknown, false, false},
		{"firewall-on", "firewall", true, ListAdvise, StatusPassing, true, false},
		{"firewall-on", "firewall", true, ListAdvise, StatusFailing, true, true},
		{"firewall-on", "firewall", true, ListAdvise, StatusUnknown, true, true},
	} {
		p := compileSample(t, func(s *Spec) { s.Tiers[0].DenyUnless[0].OnUnknown = "" })
		in := employee()
		facts := slices.DeleteFunc(healthyFacts(), func(f signals.Fact) bool { return f.Attribute == c.attribute })
		in.Device.Posture = postureOf(append(facts, values[c.status](c.attribute, c.healthy)...)...)
		v := p.Evaluate(&in)
		if (v.Outcome == Allow) != c.allow || len(v.Noted) == 1 != c.noted {
			t.Errorf("%s %s: %s, noted %v", c.signal, c.status, v.Outcome, v.Noted)
		}
		if !c.allow && (len(v.Unmet) != 1 || v.Unmet[0].Signal != c.signal || v.Unmet[0].Status != c.status ||
			v.Unmet[0].List != c.list || v.Unmet[0].Owner != "endpoint" || v.Unmet[0].Fix.Text == "") {
			t.Errorf("%s %s: unmet %+v", c.signal, c.status, v.Unmet)
		}
	}
}

func TestDenyUnlessOnUnknownNote(t *testing.T) {
	t.Parallel()
	in := employee()
	in.Device.Posture = postureOf(slices.DeleteFunc(healthyFacts(), func(f signals.Fact) bool { return f.Attribute == "compromised" })...)
	if v := compileSample(t, nil).Evaluate(&in); v.Outcome != Allow || len(v.Noted) != 1 || v.Noted[0].Signal != "not-compromised" {
		t.Errorf("onUnknown: note gave %+v", v)
	}
}

func TestAllUnmetAreNamed(t *testing.T) {
	t.Parallel()
	in := employee()
	in.Device.Posture = postureOf(
		report("mdm", "platform", signals.Text("macos"), time.Hour),
		report("mdm", "disk_encryption", signals.Bool(false), time.Hour),
		report("mdm", "enrolled_user", signals.Text("ana"), time.Hour),
		report("edr", "compromised", signals.Bool(true), 90*24*time.Hour),
	)
	v := compileSample(t, nil).Evaluate(&in)
	var named []string
	for _, u := range v.Unmet {
		named = append(named, u.Signal+" "+u.Status.String())
	}
	if got := strings.Join(named, ", "); got != "disk-encrypted failing, edr-healthy unknown, not-compromised failing" {
		t.Errorf("unmet: %s", got)
	}
}

func TestFactsAge(t *testing.T) {
	t.Parallel()
	p := compileSample(t, nil)
	const bound = 2 * time.Hour // edr-healthy
	for _, c := range []struct {
		name               string
		observed, received time.Duration // before noon
		want               Outcome
	}{
		{"exactly as old as it may be", bound, bound, Allow},
		{"1 ns older", bound + 1, bound + 1, Deny},
		{"received earlier than observed: the source's clock runs ahead", 0, bound + 1, Deny},
		{"observed long before it was received", bound + 1, 0, Deny},
		{"observed in the future", -time.Minute, 0, Allow},
	} {
		in := employee()
		facts := healthyFacts()
		for i := range facts {
			if facts[i].Attribute == "edr_healthy" {
				facts[i].Observed, facts[i].Received = noon.Add(-c.observed), noon.Add(-c.received)
			}
		}
		in.Device.Posture = postureOf(facts...)
		if v := p.Evaluate(&in); v.Outcome != c.want {
			t.Errorf("%s: %s %+v", c.name, v.Outcome, v.Unmet)
		}
	}
}

func TestAlarmOutlivesAgeAndUnknown(t *testing.T) {
	t.Parallel()
	p := compileSample(t, nil)
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name  string
		facts []signals.Fact
		want  Outcome
	}{
		{"a year old", []signals.Fact{report("edr", "compromised", signals.Bool(true), year)}, Deny},
		{"then unknown", []signals.Fact{
			report("edr", "compromised", signals.Bool(true), year), report("edr", "compromised", signals.Unknown, time.Minute),
		}, Deny},
		{"then healthy, from that source", []signals.Fact{
			report("edr", "compromised", signals.Bool(true), year), report("edr", "compromised", signals.Bool(false), time.Minute),
		}, Allow},
		{"healthy before, from that source", []signals.Fact{
			report("edr", "compromised", signals.Bool(false), year), report("edr", "compromised", signals.Bool(true), time.Minute),
		}, Deny},
		{"a source that may not attest it raises none", []signals.Fact{
			report("stranger", "compromised", signals.Bool(true), time.Minute),
		}, Allow},
	} {
		in := employee()
		in.Device.Posture = postureOf(append(healthyFacts(), c.facts...)...) // the MDM says healthy throughout
		if v := p.Evaluate(&in); v.Outcome != c.want {
			t.Errorf("%s: %s %+v", c.name, v.Outcome, v.Unmet)
		}
	}
}

func TestSourcesThatDisagree(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		prefer []string
		mdm    time.Duration // the MDM says encrypted, so long ago
		edr    time.Duration // the EDR says not
		want   Status
	}{
		{"fresh ones: the worse counts", nil, time.Hour, time.Hour, StatusFailing},
		{"a stale one has no say", nil, time.Hour, 2 * day, StatusPassing},
		{"both stale", nil, 2 * day, 2 * day, StatusUnknown},
		{"preferred", []string{"mdm"}, time.Hour, time.Hour, StatusPassing},
		{"a stale preferred one is unknown", []string{"mdm"}, 2 * day, time.Hour, StatusUnknown},
		{"preferred the other way", []string{"edr"}, time.Hour, time.Hour, StatusFailing},
	} {
		p := compileSample(t, func(s *Spec) {
			signal := s.Baselines[0].Signals["disk-encrypted"]
			signal.Prefer = c.prefer
			s.Baselines[0].Signals["disk-encrypted"] = signal
		})
		in := employee()
		facts := slices.DeleteFunc(healthyFacts(), func(f signals.Fact) bool { return f.Attribute == "disk_encryption" })
		in.Device.Posture = postureOf(append(facts,
			report("mdm", "disk_encryption", signals.Bool(true), c.mdm), report("edr", "disk_encryption", signals.Bool(false), c.edr))...)
		v := p.Evaluate(&in)
		status := StatusPassing
		if len(v.Unmet) > 0 {
			status = v.Unmet[0].Status
		}
		if status != c.want {
			t.Errorf("%s: %s, want %s (%+v)", c.name, status, c.want, v.Unmet)
		}
	}
}

func TestPlatformWithoutBaselineIsUnknown(t *testing.T) {
	t.Parallel()
	for _, platform := range []signals.Value{signals.Text("linux"), signals.Unknown} {
		in := employee()
		facts := healthyFacts()
		facts[0].Value = platform
		in.Device.Posture = postureOf(facts...)
		v := compileSample(t, nil).Evaluate(&in)
		if v.Reason != ReasonPosture || len(v.Unmet) != 2 || v.Unmet[0].Status != StatusUnknown {
			t.Errorf("platform %v: %+v", platform, v)
		}
	}
}

func TestDeviceOwnership(t *testing.T) {
	t.Parallel()
	withOwner := func(member Member, unknown OwnershipUnknown, isolated bool) *Policy {
		return compileSample(t, func(s *Spec) {
			s.Audiences[1].Members = []Member{member}
			s.Audiences[1].OwnershipUnknown, s.Audiences[1].Isolated = unknown, isolated
		})
	}
	byDevice := Member{DeviceOwnership: "contractor"}
	for _, c := range []struct {
		name  string
		p     *Policy
		owner signals.Value
		want  Reason
	}{
		{"a contractor's laptop is isolated", withOwner(byDevice, "", true), signals.Text("contractor"), ReasonIsolated},
		{"however old the word", withOwner(byDevice, "", true), signals.Text("contractor"), ReasonIsolated},
		{"a corporate one is not", withOwner(byDevice, "", true), signals.Text("corporate"), ReasonAllowed},
		{"unknown counts as isolated", withOwner(byDevice, "", true), signals.Unknown, ReasonIsolated},
		{"unless the audience says outside", withOwner(byDevice, OwnershipOutside, true), signals.Unknown, ReasonAllowed},
		{"keys of an entry are AND", withOwner(Member{Issuer: "partner", DeviceOwnership: "contractor"}, "", true),
			signals.Text("contractor"), ReasonAllowed},
	} {
		in := employee()
		in.Device.Posture = postureOf(append(healthyFacts(), report("mdm", "ownership", c.owner, 1000*time.Hour))...)
		if v := c.p.Evaluate(&in); v.Reason != c.want {
			t.Errorf("%s: %s (%s)", c.name, v.Reason, v.Detail)
		}
	}
}

func TestEnvoyAndPolicyMustAgreeOnTheRoute(t *testing.T) {
	t.Parallel()
	current := compileSample(t, nil)
	older := compileSample(t, func(s *Spec) { s.Routes[1].Meta.Name = "pages" })
	moved := compileSample(t, func(s *Spec) {
		s.Routes[1].Upstream = "outside"
		s.Routes[1].Audiences = []string{"contractors"}
		s.Routes[3].Hosts = []string{"o.example"}
	})
	chose := func(route string, older *Policy) *Chosen {
		chosen := &Chosen{Route: route}
		if older != nil {
			match := older.Table().Match("app.acme.example", "/handbook/pets", "GET")
			chosen.Older = &match
		}
		return chosen
	}
	for _, c := range []struct {
		name   string
		chosen *Chosen
		want   Reason
	}{
		{"an Envoy of somebody else says nothing", nil, ReasonAllowed},
		{"same", chose("handbook", nil), ReasonAllowed},
		{"another route of this table, or of one no longer held", chose("app", nil), ReasonRouteMismatch},
		{"a route of an older table, which matches nothing here", &Chosen{Older: &Match{}}, ReasonRouteMismatch},
		{"an older table's own choice, since renamed", chose("pages", older), ReasonAllowed},
		{"not that older table's choice", chose("app", older), ReasonRouteMismatch},
		{"an older table that leads elsewhere", chose("handbook", moved), ReasonRouteMismatch},
		{"the same, and its policy allowed it", &Chosen{Route: "handbook", Older: chose("handbook", moved).Older, OlderAllows: true},
			ReasonAllowed},
	} {
		in := employee()
		in.Request.Path, in.Request.Chosen = "/handbook/pets", c.chosen
		if v := current.Evaluate(&in); v.Reason != c.want {
			t.Errorf("%s: %s (%s)", c.name, v.Reason, v.Detail)
		}
	}
}

func TestAssessmentIsOnlyAShortcut(t *testing.T) {
	t.Parallel()
	p, other := compileSample(t, nil), compileSample(t, func(s *Spec) { s.Tiers[0].Advise = nil })
	healthy, sick := employee(), employee()
	sick.Device.Posture = postureOf(report("mdm", "platform", signals.Text("macos"), 0))
	sick.Device.Posture.Revision = 2
	for _, a := range []*Assessment{
		nil, p.Assess(sick.Device.Posture), p.Assess(healthy.Device.Posture), other.Assess(healthy.Device.Posture),
	} {
		healthy.Device.Assessment, sick.Device.Assessment = a, a
		if v := p.Evaluate(&healthy); v.Outcome != Allow {
			t.Errorf("a foreign assessment refused: %+v", v)
		}
		if v := p.Evaluate(&sick); v.Outcome != Deny {
			t.Error("a foreign assessment allowed")
		}
	}
}
