package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// enrolling is privileged where mdm names users of corp by name, edr by email and ldap by sub; siem may name users, and
// nobody knows what its names mean.
func enrolling(t testing.TB, change func(*Spec)) *Policy {
	t.Helper()
	spec, world := privileged(t, change).Spec(), sampleWorld()
	by := func(is EnrolledClaim) Source {
		return Source{Attests: []string{"edr_healthy", "enrolled_user"}, EnrolledUser: EnrolledAs{Issuer: "corp", Is: is}}
	}
	world.Sources["edr"], world.Sources["ldap"], world.Sources["siem"] = by(EnrolledIsEmail), by(EnrolledIsSubject), by("")
	world.Sources["siem"] = Source{Attests: world.Sources["siem"].Attests}
	world.Sources["mute"] = Source{Attests: []string{"firewall"},
		EnrolledUser: EnrolledAs{Issuer: "corp", Is: EnrolledIsName}}
	p, faults := New(spec, world)
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

// lent is ana's input with these words on the user of her device; none of the sample's.
func lent(words ...signals.Fact) Input {
	in := ana()
	in.Subject.User.Subject, in.Subject.User.Email = "00u1", "ana@acme.example"
	set(&in.Device, "enrolled_user", words...)
	return in
}

// says is a source's word of a minute ago on the user.
func says(source, user string) signals.Fact {
	return report(source, "enrolled_user", signals.Text(user), time.Minute)
}

// partners lets users of issuer partner in.
func partners(s *Spec) {
	s.Audiences[1].Members = []Member{{Issuer: "partner", Group: "nobody"}}
	s.Audiences[0].Members = append(s.Audiences[0].Members, Member{Issuer: "partner"})
}

func whenKnown(s *Spec) { s.Tiers[0].EnrolledUser = EnrolledWhenKnown }
func shared(s *Spec)    { s.Tiers[0].SharedDevices = true }

// "user+device demands that the user is the one the device is enrolled for (settings map the MDM's user to a claim;
// unknown is refused unless the tier says enrolledUser: whenKnown) unless the tier says sharedDevices: true." Each row
// is judged by the default, by whenKnown and where devices are shared.
func TestTheUserIsTheOneTheDeviceIsEnrolledFor(t *testing.T) {
	t.Parallel()
	const yes, no = "allowed", "enrolled-user"
	unknown := func(source string, age time.Duration) signals.Fact {
		return report(source, "enrolled_user", signals.Unknown, age)
	}
	for _, c := range []struct {
		sentence            string
		words               []signals.Fact
		required, whenKnown string
	}{
		{"nobody says", nil, no, yes},
		{"a source names the user", []signals.Fact{says("mdm", "ana")}, yes, yes},
		{"a source names somebody else", []signals.Fact{says("mdm", "ben")}, no, no},
		{"a name counts byte for byte", []signals.Fact{says("mdm", "Ana")}, no, no},
		{"a subject counts byte for byte", []signals.Fact{says("ldap", "00U1")}, no, no},
		{"a subject", []signals.Fact{says("ldap", "00u1")}, yes, yes},
		{"an address, ASCII letters in any case", []signals.Fact{says("edr", "ANA@Acme.example")}, yes, yes},
		{"an address with a letter that only Unicode folds", []signals.Fact{says("edr", "ana@acme.example\u212a")}, no, no},
		{"an address by name", []signals.Fact{says("mdm", "ana@acme.example")}, no, no},
		{"nothing is nobody", []signals.Fact{says("mdm", "")}, no, no},
		{"what is no text names nobody", []signals.Fact{report("mdm", "enrolled_user", signals.Bool(true), 0)}, no, no},
		{"two name the user", []signals.Fact{says("mdm", "ana"), says("edr", "ana@acme.example")}, yes, yes},
		{"one of two names somebody else", []signals.Fact{says("mdm", "ana"), says("edr", "ben@acme.example")}, no, no},
		{"the other of two does", []signals.Fact{says("mdm", "ben"), says("edr", "ana@acme.example")}, no, no},
		{"one that cannot tell has no say", []signals.Fact{unknown("mdm", 0), says("edr", "ana@acme.example")}, yes, yes},
		{"all that can tell cannot tell", []signals.Fact{unknown("mdm", 0)}, no, yes},
		{"one that cannot tell any more has no say", []signals.Fact{says("mdm", "ben"), unknown("mdm", 0)}, no, yes},
		{"one that could not tell before has", []signals.Fact{unknown("mdm", time.Hour), says("mdm", "ana")}, yes, yes},
		{"it does not age", []signals.Fact{report("mdm", "enrolled_user", signals.Text("ana"), 1000*day)}, yes, yes},
		{"nor does a word against", []signals.Fact{report("mdm", "enrolled_user", signals.Text("ben"), 1000*day)}, no, no},
		{"a source without a mapping has no say", []signals.Fact{says("siem", "ana")}, no, yes},
		{"nor against", []signals.Fact{says("siem", "ben"), says("mdm", "ana")}, yes, yes},
		{"a source that may not attest it has no say", []signals.Fact{says("mute", "ana")}, no, yes},
		{"nor has a stranger", []signals.Fact{says("stranger", "ana")}, no, yes},
	} {
		in := lent(c.words...)
		inWords := func(s *Spec) { s.Tiers[0].EnrolledUser = EnrolledRequired }
		expect(t, c.sentence, enrolling(t, nil).Evaluate(&in), c.required)
		expect(t, c.sentence+", in words", enrolling(t, inWords).Evaluate(&in), c.required)
		expect(t, c.sentence+", whenKnown", enrolling(t, whenKnown).Evaluate(&in), c.whenKnown)
		expect(t, c.sentence+", shared", enrolling(t, shared).Evaluate(&in), yes)
		in.Device.Assessment = enrolling(t, nil).Assess(in.Device.Posture) // of another policy: not used
		expect(t, c.sentence+", again", enrolling(t, nil).Evaluate(&in), c.required)
	}
}

// A name means nothing without its issuer: a user of another issuer is not who the source names, whatever they are
// called.
func TestAUserOfAnotherIssuerIsNotTheOneEnrolled(t *testing.T) {
	t.Parallel()
	for source, name := range map[string]string{"mdm": "ana", "edr": "ana@acme.example", "ldap": "00u1"} {
		in := lent(says(source, name))
		expect(t, source, enrolling(t, partners).Evaluate(&in), "allowed")
		in.Subject.User.Issuer = "partner"
		expect(t, source+", of partner", enrolling(t, partners).Evaluate(&in), "enrolled-user")
		lending := func(s *Spec) { partners(s); shared(s) }
		expect(t, source+", of partner, shared", enrolling(t, lending).Evaluate(&in), "allowed")
	}
	in := lent(says("edr", ""))
	in.Subject.User.Email = ""
	expect(t, "no address is not no address", enrolling(t, whenKnown).Evaluate(&in), "enrolled-user")
}

// It is identity: after the audience and the gap, before the posture; nothing excuses it, and monitor does not waive
// it.
func TestNothingExcusesABorrowedDevice(t *testing.T) {
	t.Parallel()
	exception := loaner("disk-encrypted")
	lenient := func(s *Spec) {
		tier := &s.Tiers[0]
		s.Exceptions = []Exception{exception}
		tier.Mode, tier.OnGap = ModeMonitor, OnGap{LastKnown: &LastKnown{For: time.Hour}}
		tier.Grace = &GraceBound{Offline: 8 * time.Hour}
	}
	borrowed := lent(says("mdm", "ben"))
	set(&borrowed.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(false), 0))
	for name, c := range map[string]struct {
		change func(*Input)
		want   string
	}{
		"as it is":         {func(*Input) {}, "enrolled-user"},
		"an alarm besides": {func(in *Input) { set(&in.Device, "compromised") }, "enrolled-user"},
		"fallen silent": {func(in *Input) {
			in.Device.Heard = map[string]time.Time{"mdm": noon, "edr": noon}
		}, "enrolled-user"},
		"of nobody's audience":    {func(in *Input) { in.Subject.User.Groups = nil }, "audience"},
		"of an isolated audience": {func(in *Input) { in.Subject.User.Groups = []string{"contractors"} }, "isolated"},
		"of which two have a name": {func(in *Input) { in.Device = Device{Gap: GapContested} },
			"device-contested"},
		"out of reach":       {func(in *Input) { in.Device = Device{Gap: GapUnreachable} }, "store-unreachable"},
		"never reported":     {func(in *Input) { in.Device = Device{Gap: GapUnknown} }, "device-unknown"},
		"whose token is old": {func(in *Input) { in.Subject.User.Token.NotAfter = noon }, "identity-expired"},
	} {
		in := borrowed
		user := *borrowed.Subject.User
		in.Subject.User = &user
		c.change(&in)
		expect(t, name, enrolling(t, lenient).Evaluate(&in), c.want)
	}
}

// What the operator reads names the sources and never the person that a device is enrolled for.
func TestARefusalDoesNotNameThePerson(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]Input{
		"no source says for whom this device is enrolled": lent(),
		"edr says that the device is enrolled for somebody else; mdm says that the device is enrolled for this user": lent(
			says("mdm", "ana"), says("edr", "secret@acme.example")),
		"mdm says that the device is enrolled for a user of issuer corp, not of partner": func() Input {
			in := lent(says("mdm", "secret"))
			in.Subject.User.Issuer = "partner"
			return in
		}(),
		"edr says that the device is enrolled for an email address, and the token has none": func() Input {
			in := lent(says("edr", "secret@acme.example"))
			in.Subject.User.Email = ""
			return in
		}(),
	} {
		v := enrolling(t, partners).Evaluate(&in)
		if v.Detail != want || v.Reason != ReasonEnrolledUser || v.Contact == "" || strings.Contains(brief(v), "secret") {
			t.Errorf("%s: %q, wanted %q", v.Reason, v.Detail, want)
		}
	}
}

// A tier that identifies a user alone, or a workload, compares nobody. Where the settings are not known (World), which
// `tiergate serve` always knows, a word counts by any of the user's names, and nobody has to say one.
func TestOnlyUserAndDeviceAreCompared(t *testing.T) {
	t.Parallel()
	in := lent(says("mdm", "ben"))
	in.Request = Request{Method: "GET", Host: "app.acme.example", Path: "/handbook/x"}
	expect(t, "a tier for users", enrolling(t, nil).Evaluate(&in), "allowed")
	unknown, faults := New(privileged(t, nil).Spec(), World{})
	if faults != nil {
		t.Fatal(faults)
	}
	for word, want := range map[string]string{"ana": "allowed", "00u1": "allowed", "Ana@acme.example": "allowed",
		"Ana": "enrolled-user", "": "enrolled-user", "ben": "enrolled-user"} {
		in = lent(says("anybody", word))
		expect(t, "settings not known, "+word, unknown.Evaluate(&in), want)
	}
	in = lent()
	expect(t, "settings not known, nobody says", unknown.Evaluate(&in), "allowed")
	if as, ok := unknown.NamesUser("mdm"); ok {
		t.Error(as)
	}
	if as, ok := enrolling(t, nil).NamesUser("edr"); !ok || as != (EnrolledAs{Issuer: "corp", Is: EnrolledIsEmail}) {
		t.Error(as, ok)
	}
}

// TestNobodyIsNoUser: Evaluate asks for a user first; whoever is none is nobody's.
func TestNobodyIsNoUser(t *testing.T) {
	t.Parallel()
	for _, is := range []EnrolledClaim{EnrolledIsName, EnrolledIsSubject, EnrolledIsEmail, "colour"} {
		e := enrolment{by: &naming{source: "mdm", EnrolledAs: EnrolledAs{Issuer: "corp", Is: is}}, user: "x"}
		for _, user := range []*identity.User{nil, {Issuer: "corp"}, {Issuer: "other", Name: "x", Subject: "x", Email: "x"}} {
			if e.names(user) {
				t.Errorf("%s of %+v is x", is, user)
			}
		}
		if e.names(&identity.User{Issuer: "corp", Name: "x", Subject: "x", Email: "x"}) != (is != "colour") {
			t.Errorf("%s", is)
		}
	}
}
