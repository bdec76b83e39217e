package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// login changes who asks: acr, amr separated by nothing else, the age of the login.
func login(in *Input, acr string, amr []string, age time.Duration) {
	in.Subject.User.ACR, in.Subject.User.AMR, in.Subject.User.AuthTime = acr, amr, in.At.Add(-age)
}

// "step-up unless the login is strong and fresh enough": every edge of acr, amr and maxAge; all that are set must hold.
func TestStrongAndFreshEnough(t *testing.T) {
	t.Parallel()
	const most = 15 * time.Minute
	all := StepUpDemand{ACR: []string{"phr", "phrh"}, AMR: []string{"hwk", "fpt"}, MaxAge: most}
	for _, c := range []struct {
		name   string
		demand StepUpDemand
		acr    string
		amr    []string
		age    time.Duration
		good   bool
	}{
		{"all hold", all, "phr", []string{"pwd", "hwk"}, 0, true},
		{"another acr of the list", all, "phrh", []string{"fpt"}, 0, true},
		{"an acr that is not of the list", all, "mfa", []string{"hwk"}, 0, false},
		{"no acr", all, "", []string{"hwk"}, 0, false},
		{"acr keeps its case", all, "PHR", []string{"hwk"}, 0, false},
		{"an amr that is not of the list", all, "phr", []string{"pwd", "otp"}, 0, false},
		{"no amr", all, "phr", nil, 0, false},
		{"1 ns before it is too old", all, "phr", []string{"hwk"}, most - tick, true},
		{"exactly maxAge old is fresh", all, "phr", []string{"hwk"}, most, true},
		{"1 ns too old", all, "phr", []string{"hwk"}, most + tick, false},
		{"logged in 1 ns from now", all, "phr", []string{"hwk"}, -tick, false},
		{"acr alone, an old login", StepUpDemand{ACR: []string{"phr"}}, "phr", nil, 99 * day, true},
		{"amr alone, an old login", StepUpDemand{AMR: []string{"hwk"}}, "", []string{"hwk"}, 99 * day, true},
		{"maxAge alone, a weak login", StepUpDemand{MaxAge: most}, "", nil, most, true},
		{"maxAge alone, a strong login that is too old", StepUpDemand{MaxAge: most}, "phr", []string{"hwk"}, most + tick,
			false},
	} {
		for _, when := range []StepUpWhen{"", StepUpAlways} {
			p := privileged(t, func(s *Spec) { demand := c.demand; demand.When, s.Tiers[0].StepUp = when, &demand })
			in := ana()
			login(&in, c.acr, c.amr, c.age)
			v, want := p.Evaluate(&in), "step-up"
			if c.good {
				want = "allowed"
			}
			expect(t, c.name, v, want)
			if !c.good && !reflect.DeepEqual(v.Challenge, &Challenge{ACR: c.demand.ACR, AMR: c.demand.AMR,
				MaxAge: c.demand.MaxAge}) {
				t.Errorf("%s: the challenge is %+v", c.name, v.Challenge)
			}
			if c.good && v.Challenge != nil {
				t.Errorf("%s: a challenge for a good login: %+v", c.name, v.Challenge)
			}
		}
	}
	for maxAge, want := range map[time.Duration]string{0: "allowed", most: "step-up"} {
		p := privileged(t, func(s *Spec) { s.Tiers[0].StepUp = &StepUpDemand{ACR: []string{"phr"}, MaxAge: maxAge} })
		in := ana()
		in.Subject.User.AuthTime = time.Time{}
		expect(t, "a token without auth_time, where "+maxAge.String()+" is wanted", p.Evaluate(&in), want)
	}
}

// "tier: signals it … steps up for": when always the login is looked at whatever the signals are; when signals only if
// one of them is not passing. "Outcomes … combine by the smaller", and the decision names all.
func TestWhenALoginIsLookedAt(t *testing.T) {
	t.Parallel()
	bad := func(attribute string) func(*Input) {
		return func(in *Input) {
			set(&in.Device, attribute, report("mdm", attribute, signals.Bool(attribute == "compromised"), 0))
		}
	}
	both := func(changes ...func(*Input)) func(*Input) {
		return func(in *Input) {
			for _, change := range changes {
				change(in)
			}
		}
	}
	weak := func(in *Input) { in.Subject.User.ACR = "pwd" }
	for _, c := range []struct {
		name      string
		when      StepUpWhen
		change    func(*Input)
		want      string
		challenge bool
	}{
		{"always, good login, passing", StepUpAlways, func(*Input) {}, "allowed", false},
		{"always, weak login, passing", StepUpAlways, weak, "step-up", true},
		{"always, good login, failing: noted", StepUpAlways, bad("firewall"), "allowed ~firewall-on:failing", false},
		{"always, weak login, failing", StepUpAlways, both(weak, bad("firewall")), "step-up -firewall-on:failing", true},
		{"signals, good login, passing", StepUpSignals, func(*Input) {}, "allowed", false},
		{"signals, weak login, passing: nobody looks", StepUpSignals, weak, "allowed", false},
		{"signals, good login, failing: noted", StepUpSignals, bad("firewall"), "allowed ~firewall-on:failing", false},
		{"signals, weak login, failing", StepUpSignals, both(weak, bad("firewall")), "step-up -firewall-on:failing", true},
		{"an unmet require denies, and both are named", StepUpAlways, both(weak, bad("firewall"), bad("disk_encryption")),
			"posture -disk-encrypted:failing -firewall-on:failing", true},
		{"an unmet require denies beside a login alone", StepUpAlways, both(weak, bad("disk_encryption")),
			"posture -disk-encrypted:failing", true},
		{"an alarm denies, and both are named", StepUpSignals, both(weak, bad("firewall"), bad("compromised")),
			"posture -not-compromised:failing -firewall-on:failing", true},
		{"a good login heals no require", StepUpAlways, bad("disk_encryption"), "posture -disk-encrypted:failing", false},
	} {
		p := privileged(t, func(s *Spec) { s.Tiers[0].StepUp.When = c.when })
		in := ana()
		c.change(&in)
		v := p.Evaluate(&in)
		expect(t, c.name, v, c.want)
		if (v.Challenge != nil) != c.challenge {
			t.Errorf("%s: the challenge is %+v", c.name, v.Challenge)
		}
	}
}

// "exception excuses: yes (never always, acr)": it answers for the signal, not for the login that is wanted anyhow.
func TestAnExceptionIsNoLogin(t *testing.T) {
	t.Parallel()
	for when, want := range map[StepUpWhen]string{
		StepUpSignals: "allowed +firewall-on:exception", StepUpAlways: "step-up +firewall-on:exception",
		"": "step-up +firewall-on:exception",
	} {
		p := privileged(t, func(s *Spec) {
			s.Tiers[0].StepUp.When, s.Exceptions = when, []Exception{loaner("firewall-on")}
		})
		in := ana()
		in.Subject.User.ACR = "pwd"
		set(&in.Device, "firewall", report("mdm", "firewall", signals.Bool(false), 0))
		expect(t, string(when), p.Evaluate(&in), want)
	}
}

// "A decision names all demands that were not met, not the first, each with its owner and its fix." Two baselines, two
// owners.
func TestEachUnmetDemandHasItsOwnerAndFix(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		s.Governance[0].Teams["detection"] = Team{Contact: "soc@acme.example"}
		edr := s.Baselines[0].Signals["edr-healthy"]
		delete(s.Baselines[0].Signals, "edr-healthy")
		s.Baselines = append(s.Baselines, Baseline{Meta: Meta{Name: "agents", Owner: "detection"},
			Platforms: []string{"macos"},
			Signals:   map[string]Signal{"edr-healthy": edr}})
		s.Tiers[0].Grace, s.Tiers[0].SharedDevices = nil, true
	})
	in := ana()
	in.Subject.User.ACR = "pwd"
	in.Device.Posture = postureOf(report("mdm", "platform", signals.Text("macos"), 0), report("mdm", "edr_healthy",
		signals.Bool(false), 0))
	v := p.Evaluate(&in)
	var got []string
	for _, u := range v.Unmet {
		got = append(got, u.Signal+" of "+u.Owner+" at "+u.Contact+": "+u.Fix.Text)
	}
	slices.Sort(got)
	want := []string{
		"disk-encrypted of endpoint at endpoint@acme.example: Turn on FileVault.",
		"edr-healthy of detection at soc@acme.example: Start the agent.",
		"firewall-on of endpoint at endpoint@acme.example: Turn it on.",
		"not-compromised of endpoint at endpoint@acme.example: Hand it in.",
	}
	if !slices.Equal(got, want) || v.Contact != "iam@acme.example" {
		t.Errorf("%q, and the tier's owner at %q", got, v.Contact)
	}
}
