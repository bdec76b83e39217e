package policy

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// "Monitor mode of a tier waives only require, step-up and advise; never identity, audience, denyUnless, path or method
// refusals." What would have been said is on record; a verdict that monitor mode did not change says nothing of it.
func TestMonitorWaivesOnlyPostureAndLogin(t *testing.T) {
	t.Parallel()
	bad := func(in *Input, attributes ...string) {
		for _, a := range attributes {
			set(&in.Device, a, report("mdm", a, signals.Bool(a == "compromised"), 0))
		}
	}
	forUsers := func(s *Spec) { s.Tiers[0].DenyUnless = nil }
	orNote := func(s *Spec) { s.Tiers[0].DenyUnless[0].OnUnknown = OnUnknownNote }
	for _, c := range []struct {
		name      string
		policy    func(*Spec)
		change    func(*Input)
		want      string
		monitored Reason // "" : the answer stands as it is
	}{
		{"nothing to waive", nil, func(*Input) {}, "allowed", ""},
		{"require", nil, func(in *Input) { bad(in, "disk_encryption") }, "allowed -disk-encrypted:failing", ReasonPosture},
		{"step-up", nil, func(in *Input) { bad(in, "firewall"); in.Subject.User.ACR = "pwd" },
			"allowed -firewall-on:failing", ReasonStepUp},
		{"step-up, always", func(s *Spec) { s.Tiers[0].StepUp.When = StepUpAlways },
			func(in *Input) { in.Subject.User.ACR = "pwd" },
			"allowed", ReasonStepUp},
		{"denyUnless", nil, func(in *Input) { bad(in, "compromised") }, "posture -not-compromised:failing", ""},
		{"denyUnless unknown", nil, func(in *Input) { set(&in.Device, "compromised") }, "posture -not-compromised:unknown",
			""},
		{"denyUnless unknown, or note", orNote, func(in *Input) { set(&in.Device, "compromised") },
			"allowed ~not-compromised:unknown", ""},
		{"denyUnless beside require", nil, func(in *Input) { bad(in, "compromised", "disk_encryption") },
			"posture -disk-encrypted:failing -not-compromised:failing", ""},
		{"denyUnless beside step-up", nil, func(in *Input) {
			bad(in, "compromised",
				"firewall")
			in.Subject.User.ACR = "pwd"
		},
			"posture -not-compromised:failing -firewall-on:failing", ""},
		{"path", nil, func(in *Input) { in.Request.Path = "/a/../b" }, "path", ""},
		{"host", nil, func(in *Input) { in.Request.Host = "a b" }, "host", ""},
		{"method", nil, func(in *Input) { in.Request.Path, in.Request.Method = "/handbook/x", "PUT" }, "method", ""},
		{"no route", nil, func(in *Input) { in.Request.Host = "nowhere.example" }, "no-route", ""},
		{"malformed", nil, func(in *Input) { in.Request.Malformed = "no HTTP" }, "malformed", ""},
		{"Envoy's choice", nil, func(in *Input) { in.Request.Chosen = &Chosen{Route: "handbook"} }, "route-mismatch", ""},
		{"a doubt", nil, func(in *Input) { in.Subject.Doubts = []identity.Doubt{{Code: identity.DoubtToken}} },
			"identity-doubted", ""},
		{"no user", nil, func(in *Input) { in.Subject.User = nil }, "identity-missing", ""},
		{"no device", nil, func(in *Input) { in.Subject.Device = signals.Alias{} }, "identity-missing", ""},
		{"certificate", nil, func(in *Input) { in.Subject.Certificate.NotAfter = noon }, "identity-expired", ""},
		{"token", nil, func(in *Input) { in.Subject.User.Token.NotAfter = noon }, "identity-expired", ""},
		{"audience", nil, func(in *Input) { in.Subject.User.Groups = nil }, "audience", ""},
		{"isolation", nil, func(in *Input) { in.Subject.User.Groups = []string{"staff", "contractors"} }, "isolated", ""},
		{"two devices under one name", forUsers, func(in *Input) { in.Device = Device{Gap: GapContested} },
			"device-contested", ""},
		{"an unknown device, a denyUnless unmet", nil, func(in *Input) { in.Device = Device{Gap: GapUnknown} },
			"device-unknown", ""},
		{"a store out of reach, a denyUnless unmet", nil, func(in *Input) { in.Device = Device{Gap: GapUnreachable} },
			"store-unreachable", ""},
		{"an unknown device", forUsers, func(in *Input) { in.Device = Device{Gap: GapUnknown} }, "allowed",
			ReasonDeviceUnknown},
		{"a store out of reach", forUsers, func(in *Input) { in.Device = Device{Gap: GapUnreachable} }, "allowed",
			ReasonStoreUnreachable},
		{"a store out of reach, or note", orNote, func(in *Input) { in.Device = Device{Gap: GapUnreachable} }, "allowed",
			ReasonStoreUnreachable},
		{"a store out of reach, denyUnless of the audience", func(s *Spec) {
			s.Tiers[0].Stricter = []Stricter{{Audience: "employees", DenyUnless: s.Tiers[0].DenyUnless}}
			s.Tiers[0].DenyUnless = nil
		}, func(in *Input) { in.Device = Device{Gap: GapUnreachable} }, "store-unreachable", ""},
	} {
		in := ana()
		c.change(&in)
		var enforced, monitor Verdict
		for _, mode := range []Mode{"", ModeEnforce, ModeMonitor} {
			p := privileged(t, func(s *Spec) {
				if c.policy != nil {
					c.policy(s)
				}
				for i := range s.Tiers {
					s.Tiers[i].Mode = mode
				}
			})
			enforced, monitor = monitor, p.Evaluate(&in)
		}
		expect(t, c.name, monitor, c.want)
		switch {
		case enforced.Monitored != nil:
			t.Errorf("%s: an enforcing tier says %+v", c.name, enforced.Monitored)
		case c.monitored == "" && (monitor.Monitored != nil || brief(monitor) != brief(enforced)):
			t.Errorf("%s: monitor mode made %s of %s, %+v", c.name, brief(monitor), brief(enforced), monitor.Monitored)
		case c.monitored != "" && (monitor.Monitored == nil || *monitor.Monitored != Monitored{enforced.Outcome,
			enforced.Reason} ||
			enforced.Reason != c.monitored):
			t.Errorf("%s: on record is %+v, the answer was %s", c.name, monitor.Monitored, brief(enforced))
		}
	}
}

// A stream under a tier with recheckEvery lives no longer than the proofs of who asks, in monitor mode too.
func TestAStreamLivesNoLongerThanItsProofs(t *testing.T) {
	t.Parallel()
	p := privileged(t, func(s *Spec) { s.Tiers[0].RecheckEvery, s.Tiers[0].Mode = 5*time.Minute, ModeMonitor })
	for _, c := range []struct{ certificate, token, want time.Duration }{
		{time.Hour, time.Hour, 5 * time.Minute}, {time.Minute, time.Hour, time.Minute}, {time.Hour, time.Second, time.Second},
		{5*time.Minute - tick, 5 * time.Minute, 5*time.Minute - tick}, {5 * time.Minute, 5*time.Minute + tick,
			5 * time.Minute},
	} {
		in := ana()
		in.Subject.Certificate.NotAfter, in.Subject.User.Token.NotAfter = noon.Add(c.certificate), noon.Add(c.token)
		if v := p.Evaluate(&in); v.Outcome != Allow || v.Recheck != c.want {
			t.Errorf("certificate %s, token %s: %s, recheck in %s", c.certificate, c.token, v.Outcome, v.Recheck)
		}
	}
	in := ana()
	if v := privileged(t, nil).Evaluate(&in); v.Recheck != 0 {
		t.Errorf("a tier without recheckEvery bounds streams by %s", v.Recheck)
	}
}
