package policy

import (
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// forExecutives is privileged with an entry for executives; they are staff too.
func forExecutives(entry Stricter, change func(*Spec)) func(*Spec) {
	return func(s *Spec) {
		s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "executives", Owner: "iam"},
			Members: []Member{{Issuer: "corp", Group: "board"}}})
		entry.Audience = "executives"
		s.Tiers[0].Stricter = []Stricter{entry}
		if change != nil {
			change(s)
		}
	}
}

// "stricter demands and shorter remediation for audiences such as executives": each way of being stricter refuses an
// executive and leaves everybody else alone.
func TestStricterForExecutives(t *testing.T) {
	t.Parallel()
	noGrace := func(s *Spec) { s.Tiers[0].Grace = nil }
	withoutFirewall := func(s *Spec) { s.Tiers[0].StepUp = nil }
	for _, c := range []struct {
		name              string
		entry             Stricter
		policy            func(*Spec)
		change            func(*Input)
		anybody, theBoard string
	}{
		{"a signal more", Stricter{Require: demandsOf("firewall-on")}, withoutFirewall, func(in *Input) {
			set(&in.Device, "firewall", report("mdm", "firewall", signals.Bool(false), 0))
		}, "allowed", "posture -firewall-on:failing"},
		{"a tighter maxAge, at its bound", Stricter{Require: []Demand{{Signal: "disk-encrypted", MaxAge: 3 * time.Hour}}},
			nil, func(in *Input) {
				set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(true), 3*time.Hour))
			}, "allowed", "allowed"},
		{"a tighter maxAge, 1 ns after", Stricter{Require: []Demand{{Signal: "disk-encrypted", MaxAge: 3 * time.Hour}}},
			noGrace, func(in *Input) {
				set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(true), 3*time.Hour+tick))
			}, "allowed", "posture -disk-encrypted:unknown"},
		{"unknown denies where the tier notes", Stricter{DenyUnless: []DenyUnless{{Signal: "not-compromised"}}},
			func(s *Spec) {
				s.Tiers[0].DenyUnless[0].OnUnknown = OnUnknownNote
			}, func(in *Input) { set(&in.Device, "compromised") }, "allowed ~not-compromised:unknown",
			"posture -not-compromised:unknown ~not-compromised:unknown"},
		{"a login always", Stricter{StepUp: &StepUpDemand{ACR: []string{"phr"}}}, withoutFirewall, func(in *Input) {
			in.Subject.User.ACR = "pwd"
		}, "allowed", "step-up"},
		{"a fresher login, at its bound", Stricter{StepUp: &StepUpDemand{MaxAge: time.Minute}}, nil, func(in *Input) {
			in.Subject.User.AuthTime = noon.Add(-time.Minute)
		}, "allowed", "allowed"},
		{"a fresher login, 1 ns after", Stricter{StepUp: &StepUpDemand{MaxAge: time.Minute}}, nil, func(in *Input) {
			in.Subject.User.AuthTime = noon.Add(-time.Minute - tick)
		}, "allowed", "step-up"},
		{"a login by a signal that everybody else is only advised of", Stricter{StepUp: &StepUpDemand{When: StepUpSignals,
			ACR:     []string{"phr"},
			Signals: demandsOf("firewall-on")}}, func(s *Spec) {
			s.Tiers[0].StepUp, s.Tiers[0].Advise = nil,
				demandsOf("firewall-on")
		}, func(in *Input) {
			in.Subject.User.ACR = "pwd"
			set(&in.Device, "firewall", report("mdm", "firewall", signals.Bool(false), 0))
		}, "allowed ~firewall-on:failing", "step-up -firewall-on:failing ~firewall-on:failing"},
		{"a shorter grace, 1 ns before its end", Stricter{Grace: &GraceBound{Offline: time.Hour}}, required, func(in *Input) {
			in.Device = reported(3*time.Hour - tick)
		}, "allowed +edr-healthy:grace", "allowed +edr-healthy:grace"},
		{"a shorter grace, at its end", Stricter{Grace: &GraceBound{Offline: time.Hour}}, required, func(in *Input) {
			in.Device = reported(3 * time.Hour)
		}, "allowed +edr-healthy:grace", "posture -edr-healthy:unknown"},
		{"no grace", Stricter{Grace: &GraceBound{}}, required, func(in *Input) {
			in.Device = reported(2*time.Hour + tick)
		}, "allowed +edr-healthy:grace", "posture -edr-healthy:unknown"},
		{"fewer renewals", Stricter{Grace: &GraceBound{Offline: 8 * time.Hour}}, required, func(in *Input) {
			in.Device = reported(10 * time.Hour)
			in.Device.Renewals = []Renewal{{At: noon.Add(-time.Hour)}}
		}, "allowed +edr-healthy:grace", "posture -edr-healthy:unknown"},
		{"shorter exceptions, exactly as long as they may be",
			Stricter{Exceptions: &ExceptionBound{MaxDuration: 2 * time.Hour}}, func(s *Spec) {
				s.Exceptions = []Exception{loaner("disk-encrypted")}
			}, func(in *Input) { set(&in.Device, "disk_encryption") }, "allowed +disk-encrypted:exception",
			"allowed +disk-encrypted:exception"},
		{"shorter exceptions, 1 ns too long", Stricter{Exceptions: &ExceptionBound{MaxDuration: 2*time.Hour - tick}},
			func(s *Spec) {
				s.Exceptions = []Exception{loaner("disk-encrypted")}
			}, func(in *Input) { set(&in.Device, "disk_encryption") }, "allowed +disk-encrypted:exception",
			"posture -disk-encrypted:unknown"},
		{"no exceptions", Stricter{Exceptions: &ExceptionBound{}},
			func(s *Spec) { s.Exceptions = []Exception{loaner("disk-encrypted")} },
			func(in *Input) { set(&in.Device, "disk_encryption") }, "allowed +disk-encrypted:exception",
			"posture -disk-encrypted:unknown"},
	} {
		p := privileged(t, forExecutives(c.entry, c.policy))
		in := ana()
		c.change(&in)
		expect(t, c.name+", anybody", p.Evaluate(&in), c.anybody)
		in.Subject.User.Groups = []string{"board", "staff"}
		expect(t, c.name+", an executive", p.Evaluate(&in), c.theBoard)
	}
}

// "BYOD … as DESIGN section 3 says": an entry for devices by ownership is in force for a member and for one who may be,
// "unless the audience says ownershipUnknown: outside".
func TestStricterForDevicesPeopleOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		ownership signals.Value
		unknown   OwnershipUnknown
		want      string
	}{
		{"member", signals.Text("byod"), "", "posture -firewall-on:failing"},
		{"known to be none", signals.Text("corporate"), "", "allowed"},
		{"may be a member", signals.Unknown, "", "posture -firewall-on:failing"},
		{"may be one, ownershipUnknown: outside", signals.Unknown, OwnershipOutside, "allowed"},
		{"member, ownershipUnknown: outside", signals.Text("byod"), OwnershipOutside, "posture -firewall-on:failing"},
	} {
		p := privileged(t, func(s *Spec) {
			s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "own-devices", Owner: "iam"}, Members: byod,
				OwnershipUnknown: c.unknown})
			s.Tiers[0].StepUp, s.Tiers[0].Stricter = nil, []Stricter{{Audience: "own-devices",
				Require: demandsOf("firewall-on")}}
		})
		in := ana()
		set(&in.Device, "firewall", report("mdm", "firewall", signals.Bool(false), 0))
		set(&in.Device, "ownership", report("mdm", "ownership", c.ownership, 1000*day))
		expect(t, c.name, p.Evaluate(&in), c.want)
	}
}

// Who is in two audiences answers to both: all that either demands, the shorter grace field by field, the tightest
// login.
func TestTwoEntriesAddUp(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) {
		s.Audiences = append(s.Audiences, Audience{Meta: Meta{Name: "board", Owner: "iam"},
			Members: []Member{{Issuer: "corp", Group: "board"}}},
			Audience{Meta: Meta{Name: "abroad", Owner: "iam"}, Members: []Member{{Issuer: "corp", Group: "abroad"}}})
		s.Tiers[0].DenyUnless, s.Tiers[0].Require = nil, demandsOf("edr-healthy")
		s.Tiers[0].StepUp = &StepUpDemand{ACR: []string{"mfa", "phr"}, MaxAge: time.Hour}
		s.Tiers[0].Stricter = []Stricter{
			{Audience: "board", Require: demandsOf("disk-encrypted"), Grace: &GraceBound{Offline: time.Hour, Renewals: 1},
				StepUp: &StepUpDemand{ACR: []string{"phr"}}},
			{Audience: "abroad", Require: demandsOf("firewall-on"), Grace: &GraceBound{Offline: 2 * time.Hour},
				StepUp: &StepUpDemand{AMR: []string{"hwk"}, MaxAge: time.Minute}},
		}
	})
	unmet := map[string]string{
		"":       "allowed",
		"board":  "posture -disk-encrypted:failing",
		"abroad": "posture -firewall-on:failing",
		"both":   "posture -disk-encrypted:failing -firewall-on:failing",
	}
	for group, want := range unmet {
		in := ana()
		login(&in, "phr", []string{"hwk"}, 0)
		in.Subject.User.Groups = groupsOf(group)
		for _, a := range []string{"disk_encryption", "firewall"} {
			set(&in.Device, a, report("mdm", a, signals.Bool(false), 0))
		}
		expect(t, "demands, "+group, p.Evaluate(&in), want)

		login(&in, "pwd", nil, 0)
		in.Device = reported(0)
		challenge := map[string]Challenge{
			"":       {ACR: []string{"mfa", "phr"}, MaxAge: time.Hour},
			"board":  {ACR: []string{"phr"}, MaxAge: time.Hour},
			"abroad": {ACR: []string{"mfa", "phr"}, AMR: []string{"hwk"}, MaxAge: time.Minute},
			"both":   {ACR: []string{"phr"}, AMR: []string{"hwk"}, MaxAge: time.Minute},
		}[group]
		v := p.Evaluate(&in)
		if v.Challenge == nil || !slices.Equal(v.Challenge.ACR, challenge.ACR) || !slices.Equal(v.Challenge.AMR,
			challenge.AMR) ||
			v.Challenge.MaxAge != challenge.MaxAge {
			t.Errorf("%s: the challenge is %+v, not %+v", group, v.Challenge, challenge)
		}
	}
	grace := map[string]time.Duration{"": 16 * time.Hour, "board": 2 * time.Hour, "abroad": 2 * time.Hour,
		"both": time.Hour}
	for group, lasts := range grace { // each renewed once, at once, where that may be
		in := silentFrom(2 * time.Hour)
		login(&in, "phr", []string{"hwk"}, 0)
		in.Subject.User.Groups, in.Device.Heard["mdm"] = groupsOf(group), noon.Add(day)
		in.Device.Renewals = []Renewal{{At: noon}}
		for when, want := range map[time.Duration]string{lasts - tick: "grace", lasts: "deny"} {
			in.Subject.User.AuthTime = noon.Add(when)
			if v := at(p, in, noon.Add(when)); fateOf(v, "edr-healthy") != want {
				t.Errorf("grace, %s, after %s: %s", group, when, brief(v))
			}
		}
	}
}

func groupsOf(group string) []string {
	if group == "both" {
		return []string{"staff", "abroad", "board"}
	}
	return []string{"staff", group}
}
