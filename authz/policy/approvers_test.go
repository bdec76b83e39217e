package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// withApprovers lets a team of the sample approve.
func withApprovers(approvers ...Approver) func(*Spec) {
	return func(s *Spec) {
		team := s.Governance[0].Teams["iam"]
		team.Approvers = approvers
		s.Governance[0].Teams["iam"] = team
	}
}

func TestApproverFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		approvers []Approver
		want      string
	}{
		"twice":           {[]Approver{{Certificate: "a@b"}, {Certificate: "a@b"}}, "listed twice"},
		"both":            {[]Approver{{Certificate: "a@b", Issuer: "corp"}}, "by a certificate or by a token"},
		"no name":         {[]Approver{{Certificate: "ana"}}, "no SPIFFE ID and no e-mail address"},
		"two at":          {[]Approver{{Certificate: "a@b@c"}}, "no SPIFFE ID and no e-mail address"},
		"bad SPIFFE ID":   {[]Approver{{Certificate: "spiffe://ACME/x"}}, ""},
		"without issuer":  {[]Approver{{User: "ana"}}, "without its issuer"},
		"nothing":         {[]Approver{{}}, "without its issuer"},
		"everybody":       {[]Approver{{Issuer: "corp"}}, "everybody of issuer corp"},
		"user and group":  {[]Approver{{Issuer: "corp", User: "a", Group: "b"}}, "a user and a group"},
		"unknown issuer":  {[]Approver{{Issuer: "crop", User: "a"}}, `no issuer "crop"`},
		"the second only": {[]Approver{{Issuer: "corp", User: "a"}, {Issuer: "corp"}}, "everybody of issuer corp"},
	} {
		spec := sampleSpec()
		withApprovers(tt.approvers...)(&spec)
		_, faults := New(spec, sampleWorld())
		if len(faults) != 1 || !strings.Contains(faults[0].Message, tt.want) || faults[0].Help == "" ||
			!strings.HasPrefix(faults[0].Field, "spec.teams.iam.approvers[") {
			t.Errorf("%s: %+v", name, faults)
		}
	}
	p := compileSample(t, withApprovers(Approver{Issuer: "corp", User: "cho"}, Approver{Certificate: "spiffe://acme.example/cho"},
		Approver{Certificate: "cho@acme.example"}, Approver{Issuer: "partner", Group: "leads"}))
	if got, ok := p.Approvers("iam"); !ok || len(got) != 4 || got[0].String() != "cho of issuer corp" {
		t.Errorf("%v, %v", got, ok)
	}
	if got, ok := p.Approvers("endpoint"); !ok || got != nil {
		t.Errorf("a team that lists nobody: %v, %v", got, ok)
	}
	if _, ok := p.Approvers("nobody"); ok {
		t.Error("a team that there is not")
	}
}

// TestGrantFaultsAreThoseOfDecisions: what has no fault excuses, and what has one does not.
func TestGrantFaultsAreThoseOfDecisions(t *testing.T) {
	t.Parallel()
	p := compileSample(t, func(s *Spec) {
		s.Tiers[0].Exceptions = &ExceptionBound{MaxDuration: 14 * 24 * time.Hour, MaxRenewals: 1}
	})
	good := Exception{Meta: Meta{Name: "loaner", Owner: "iam"}, Subjects: []ExceptionSubject{{Issuer: "corp", User: "ana"}},
		Devices: []string{laptop.Value}, Routes: []string{"app"}, Signals: []string{"disk-encrypted"}, Reason: "r", Approver: "cho", Ticket: "t",
		From: noon.Add(-time.Hour), Until: noon.Add(time.Hour)}
	in := employee()
	in.Device.Posture = postureOf(append(healthyFacts(), report("mdm", "disk_encryption", signals.Bool(false), time.Minute))...)
	for name, change := range map[string]func(*Exception){
		"good": func(*Exception) {}, "no team": func(e *Exception) { e.Meta.Owner = "x" }, "no name": func(e *Exception) { e.Meta.Name = "X" },
		"too long":        func(e *Exception) { e.From = e.Until.Add(-14*24*time.Hour - 1) },
		"nobody's":        func(e *Exception) { e.Approver = " " },
		"for themselves":  func(e *Exception) { e.Approver = "ANA" },
		"of no route":     func(e *Exception) { e.Routes = append(e.Routes, "x") },
		"renews nothing":  func(e *Exception) { e.Renews = "x" },
		"never-excusable": func(e *Exception) { e.Signals = append(e.Signals, "not-compromised") },
	} {
		e := good
		change(&e)
		in.Granted = []Exception{e}
		faults := p.GrantFaults(in.Granted, 0)
		if allowed := p.Evaluate(&in).Outcome == Allow; allowed != (len(faults) == 0) || allowed != (name == "good") {
			t.Errorf("%s: allowed %t, faults %+v", name, allowed, faults)
		}
	}
}

func TestTiersConcerned(t *testing.T) {
	t.Parallel()
	p := compileSample(t, func(s *Spec) { s.Tiers[1].Meta.Owner = "endpoint" })
	got := p.ExceptionTiers(&Exception{Routes: []string{"contractor", "app", "handbook", "nowhere"}})
	if len(got) != 2 || got[0] != (OwnedTier{"internal", "iam"}) || got[1] != (OwnedTier{"person", "endpoint"}) {
		t.Errorf("%+v", got)
	}
	if got := p.AlarmTiers("not-compromised"); len(got) != 1 || got[0].Tier != "internal" {
		t.Errorf("%+v", got)
	}
	if got := p.AlarmTiers("disk-encrypted"); len(got) != 0 {
		t.Errorf("what is required is no alarm: %+v", got)
	}
}

// TestGracesAreThoseOfDecisions goes through a silence minute by minute: grace runs exactly while a decision is excused by it.
func TestGracesAreThoseOfDecisions(t *testing.T) {
	t.Parallel()
	p := compileSample(t, func(s *Spec) { s.Tiers[0].Grace = &GraceBound{Offline: 30 * time.Minute, Renewals: 1} })
	in := employee()
	in.Subject.Certificate.NotAfter = noon.Add(1000 * time.Hour)
	in.Subject.User.Token.NotAfter = noon.Add(1000 * time.Hour)
	runs := 0
	for _, renewals := range [][]Renewal{nil, {{At: noon.Add(70 * time.Minute), By: "x"}}, {{At: noon.Add(200 * time.Minute), By: "x"}}} {
		for after := time.Duration(0); after < 5*time.Hour; after += time.Minute {
			at := noon.Add(after)
			in.At, in.Device.Renewals, in.Device.Heard = at, renewals, map[string]time.Time{"mdm": at}
			g := p.Graces(nil, in.Device.Posture, in.Device.Heard, renewals, time.Time{}, at)[0]
			v := p.Evaluate(&in)
			byGrace := len(v.Waived) > 0 && v.Waived[0].By == WaivedByGrace
			if g.Running != byGrace || byGrace && !g.Ends.Equal(v.Waived[0].Until) || g.Running != (g.Why == "") {
				t.Fatalf("after %s, %v: %+v\nand the verdict %+v", after, renewals, g, v)
			}
			if g.Running {
				runs++
			}
		}
	}
	if runs < 100 {
		t.Errorf("grace ran at %d instants only", runs)
	}
	at := noon.Add(70 * time.Minute)
	heard := map[string]time.Time{"mdm": at}
	g := p.Graces(nil, in.Device.Posture, heard, nil, noon.Add(65*time.Minute), at)[0]
	if g.Running || !strings.HasPrefix(g.Why, "it was ended") || strings.Join(g.Teams, " ") != "endpoint iam" || g.Allowed != 1 {
		t.Errorf("%+v", g)
	}
	if g := p.Graces(nil, in.Device.Posture, heard, nil, noon.Add(-2*time.Hour), at)[0]; !g.Running {
		t.Errorf("the end of an earlier silence ends this one: %+v", g)
	}
	if g := p.Graces(nil, in.Device.Posture, map[string]time.Time{"mdm": noon}, nil, time.Time{}, at)[0]; !strings.Contains(g.Why,
		"not the device that is silent") {
		t.Errorf("%+v", g)
	}
	if g := compileSample(t, nil).Graces(nil, in.Device.Posture, heard, nil, time.Time{}, at); g != nil {
		t.Errorf("no tier gives grace: %+v", g)
	}
}
