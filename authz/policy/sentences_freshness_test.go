package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// A login is judged by what moves its issuer's auth_time: see identity.Subject.LoggedIn. Ages are before the request, in
// minutes; -1 is no instant. Wanted is at most 15 minutes.
func TestFreshnessByWhatAuthTimeIsWorth(t *testing.T) {
	t.Parallel()
	const acr, amr, both, none = 1, 2, 3, 0
	const refreshed, never = identity.MovesOnRefresh, identity.MovesNever
	for _, c := range []struct {
		name                        string
		moves                       identity.AuthTimeMoves
		authTime, session, phr, hwk int
		otp                         int // another method of the login, which nobody wants
		demand                      int
		want                        string
		remembered                  bool
	}{
		{"moves with a login: the memory is not asked", "", 5, 99, 99, 99, 99, both, "allowed", true},
		{"moves with a login, and is old", "", 16, 1, 1, 1, 1, both, "step-up", true},

		{"refreshed, new in every way", refreshed, 5, 14, 3, 3, 3, both, "allowed", true},
		{"refreshed, but first seen with that acr long ago", refreshed, 0, 99, 16, 3, 3, acr, "step-up", true},
		{"refreshed, but first seen with that amr long ago", refreshed, 0, 99, 3, 16, 3, amr, "step-up", true},
		{"refreshed, another amr is new", refreshed, 0, 99, 3, 16, 3, amr, "step-up", true},
		{"refreshed, one of both is old", refreshed, 0, 99, 16, 3, 3, both, "step-up", true},
		{"refreshed, the other of both is old", refreshed, 0, 99, 3, 16, 3, both, "step-up", true},
		{"refreshed, a weaker login makes no session younger", refreshed, 0, 16, 3, 3, 3, none, "step-up", true},
		{"refreshed, an old session with a new acr", refreshed, 5, 99, 3, 16, 16, acr, "allowed", true},
		{"refreshed, the memory makes nothing younger", refreshed, 16, 1, 1, 1, 1, both, "step-up", true},
		{"refreshed, without auth_time", refreshed, -1, 1, 1, 1, 1, both, "step-up", true},
		{"refreshed, and nobody remembers", refreshed, 5, 1, 1, 1, 1, both, "identity-unchecked", false},
		{"refreshed without auth_time, and nobody remembers", refreshed, -1, 1, 1, 1, 1, both, "step-up", false},

		{"never, all from the session's beginning", never, 99, 3, 3, 3, 3, both, "step-up", true},
		{"never, a login of just now", never, 5, 3, 3, 3, 3, both, "allowed", true},
		{"never, the acr came later", never, 99, 60, 3, 60, 60, acr, "allowed", true},
		{"never, the acr came later, and is old", never, 99, 60, 16, 60, 60, acr, "step-up", true},
		{"never, the acr came later, the amr did not", never, 99, 60, 3, 60, 60, both, "step-up", true},
		{"never, the session as such", never, 99, 3, 3, 3, 3, none, "step-up", true},
		{"never, without auth_time", never, -1, 3, 3, 3, 3, both, "allowed", true},
		{"never, without auth_time, an old session", never, -1, 16, 16, 16, 16, none, "step-up", true},
		{"never, and nobody remembers", never, 5, 3, 3, 3, 3, none, "identity-unchecked", false},
	} {
		demand := StepUpDemand{MaxAge: 15 * time.Minute}
		if c.demand&acr != 0 {
			demand.ACR = []string{"phr"}
		}
		if c.demand&amr != 0 {
			demand.AMR = []string{"hwk", "fpt"}
		}
		p := privileged(t, func(s *Spec) { s.Tiers[0].StepUp = &demand })
		in := ana()
		ago := func(minutes int) time.Time {
			if minutes < 0 {
				return time.Time{}
			}
			return in.At.Add(-time.Duration(minutes) * time.Minute)
		}
		user := in.Subject.User
		user.ACR, user.AMR, user.AuthTime, user.Moves = "phr", []string{"otp", "hwk"}, ago(c.authTime), c.moves
		if c.remembered {
			in.Subject.FirstSeen = &identity.FirstSeen{Session: ago(c.session), ACR: ago(c.phr), AMR: []time.Time{ago(c.otp), ago(c.hwk)}}
		}
		v := p.Evaluate(&in)
		if string(v.Reason) != c.want || (v.Outcome == Allow) != (c.want == "allowed") || (v.Challenge != nil) != (c.want == "step-up") {
			t.Errorf("%s: %s %s %s %+v", c.name, v.Outcome, v.Reason, v.Detail, v.Challenge)
		}
		// Until is the instant from which the very same is refused, and not a moment earlier.
		if c.want != "allowed" {
			continue
		}
		later := in
		later.At = v.Until.Add(-1)
		if again := p.Evaluate(&later); again.Outcome != Allow {
			t.Errorf("%s: %s before %s: %s", c.name, again.Reason, v.Until, again.Detail)
		}
		if later.At = v.Until; p.Evaluate(&later).Outcome == Allow {
			t.Errorf("%s: allowed at %s", c.name, v.Until)
		}
	}
}

// TestTheSecondOfMaxAge: a provider counts whole seconds, and renews a login in the one after max_age; in no instant does
// tiergate refuse a login that the provider would not renew, nor the other way about.
func TestTheSecondOfMaxAge(t *testing.T) {
	t.Parallel()
	for _, maxAge := range []time.Duration{time.Second, 1500 * time.Millisecond, 15 * time.Minute} {
		p := privileged(t, func(s *Spec) { s.Tiers[0].StepUp = &StepUpDemand{MaxAge: maxAge} })
		for _, fraction := range []time.Duration{0, 1, time.Second / 2, time.Second - 1} {
			for _, edge := range []time.Duration{maxAge.Truncate(time.Second), maxAge, maxAge.Truncate(time.Second) + time.Second} {
				for _, by := range []time.Duration{-1, 0, 1} {
					in := ana()
					in.Subject.User.AuthTime = in.At.Truncate(time.Second)
					in.At = in.Subject.User.AuthTime.Add(edge + fraction + by)
					in.Subject.User.Token.NotAfter, in.Subject.Certificate.NotAfter = in.At.Add(time.Hour), in.At.Add(time.Hour)
					renews := in.At.Unix()-in.Subject.User.AuthTime.Unix() > int64(maxAge/time.Second) // oidc-provider's session.past
					if refused := p.Evaluate(&in).Reason == ReasonStepUp; refused != renews {
						t.Errorf("at most %s, %s old: refused %t, renewed %t", maxAge, in.At.Sub(in.Subject.User.AuthTime), refused, renews)
					}
				}
			}
		}
	}
}

// What is not known refuses as what could not be known, unless something else refuses: then that is the answer.
func TestAnUnknownLogin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Tier, *Input)
		want   string
	}{
		{"alone", func(*Tier, *Input) {}, "deny identity-unchecked"},
		{"of another acr", func(_ *Tier, in *Input) { in.Subject.User.ACR = "pwd" }, "step-up step-up"},
		{"nobody asks", func(tier *Tier, _ *Input) { tier.StepUp.When = StepUpSignals }, "allow allowed"},
		{"without maxAge", func(tier *Tier, _ *Input) { tier.StepUp.MaxAge = 0 }, "allow allowed"},
		{"beside an unmet signal", func(_ *Tier, in *Input) { in.Device.Posture = postureOf() }, "deny device-unknown"},
		{"monitored", func(tier *Tier, _ *Input) { tier.Mode = ModeMonitor }, "allow allowed"},
	} {
		in := ana()
		in.Subject.User.Moves = identity.MovesOnRefresh
		p := privileged(t, func(s *Spec) {
			s.Tiers[0].StepUp = &StepUpDemand{ACR: []string{"phr"}, MaxAge: time.Hour, Signals: s.Tiers[0].StepUp.Signals}
			login(&in, "phr", nil, time.Minute)
			c.change(&s.Tiers[0], &in)
		})
		v := p.Evaluate(&in)
		if got := v.Outcome.String() + " " + string(v.Reason); got != c.want {
			t.Errorf("%s: %s %s", c.name, got, v.Detail)
		}
		if monitored := v.Monitored; (c.name == "monitored") != (monitored != nil) || monitored != nil && monitored.Reason != ReasonIdentityUnchecked {
			t.Errorf("%s: monitored %+v", c.name, monitored)
		}
		explained := p.Explain(&in)
		if text := explained.Text(); c.want == "deny identity-unchecked" && !strings.Contains(text, "could not be found out") {
			t.Errorf("the explanation does not say so:\n%s", text)
		}
	}
}

// A workload steps up with a JWT-SVID of its own: for the audience, young enough, beside a certificate.
func TestWorkloadsStepUp(t *testing.T) {
	t.Parallel()
	const most = 5 * time.Minute
	demand := &SVIDDemand{MaxAge: most, Audience: "deploy"}
	p := deploying(t, demand)
	shown := func(age time.Duration, audiences ...string) func(*Input) {
		return func(in *Input) {
			in.Subject.SVID = &identity.SVID{Audiences: audiences, Issued: in.At.Add(-age),
				Window: identity.Validity{NotBefore: in.At.Add(-time.Hour), NotAfter: in.At.Add(time.Hour)}}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   Reason
	}{
		{"none", func(*Input) {}, ReasonStepUp},
		{"a fresh one", shown(time.Minute, "tiergate", "deploy"), ReasonAllowed},
		{"1 ns before it is too old", shown(most-tick, "deploy"), ReasonAllowed},
		{"exactly maxAge old", shown(most, "deploy"), ReasonAllowed},
		{"1 ns too old", shown(most+tick, "deploy"), ReasonStepUp},
		{"issued 1 ns from now", shown(-tick, "deploy"), ReasonStepUp},
		{"for another audience", shown(time.Minute, "tiergate", "deploy/other"), ReasonStepUp},
		{"for nobody", shown(time.Minute), ReasonStepUp},
		{"without iat", func(in *Input) { shown(0, "deploy")(in); in.Subject.SVID.Issued = time.Time{} }, ReasonStepUp},
		{"that has ended", func(in *Input) { shown(0, "deploy")(in); in.Subject.SVID.Window.NotAfter = in.At }, ReasonIdentityExpired},
		{"instead of a certificate", func(in *Input) {
			in.Subject.WorkloadToken, in.Subject.Certificate = in.Subject.Certificate, identity.Validity{}
		}, ReasonStepUp},
	} {
		in := workloadAsks()
		c.change(&in)
		v := p.Evaluate(&in)
		if v.Reason != c.want {
			t.Errorf("%s: %s %s", c.name, v.Reason, v.Detail)
		}
		explained := p.Explain(&in)
		text := explained.Text()
		if v.Reason == ReasonStepUp {
			if want := (&Challenge{SVID: &SVIDChallenge{[]string{"deploy"}, most}}); !reflect.DeepEqual(v.Challenge, want) || v.Outcome != StepUp {
				t.Errorf("%s: the challenge is %+v", c.name, v.Challenge)
			}
			if !strings.Contains(text, "JWT-SVID") || strings.Contains(text, "log in") {
				t.Errorf("%s: explained as\n%s", c.name, text)
			}
		}
		if v.Outcome == Allow && !v.Until.Equal(in.Subject.SVID.Issued.Add(most)) {
			t.Errorf("%s: until %s", c.name, v.Until)
		}
	}
	joined := harder(harder(nil, &StepUpDemand{SVID: demand}), &StepUpDemand{SVID: &SVIDDemand{time.Minute, "other"}})
	if !slices.Equal(joined.SVID.Audiences, []string{"deploy", "other"}) || joined.SVID.MaxAge != time.Minute || demand.MaxAge != most {
		t.Errorf("two demands together: %+v", joined.SVID)
	}
}

const ci = identity.SPIFFEID("spiffe://acme.example/ns/ci/sa/deployer")

// deploying is a policy of one route for one workload.
func deploying(t *testing.T, demand *SVIDDemand) *Policy {
	t.Helper()
	spec := wholeSpec()
	meta := func(name string) Meta { return Meta{Name: name, Owner: spec.Tiers[0].Meta.Owner} }
	p, faults := New(Spec{Governance: spec.Governance,
		Tiers:     []Tier{{Meta: meta("deploy"), Identify: IdentifyWorkload, StepUp: &StepUpDemand{SVID: demand}}},
		Audiences: []Audience{{Meta: meta("ci"), Members: []Member{{SPIFFE: string(ci)}}}},
		Upstreams: []Upstream{{Meta: meta("cluster"), Endpoints: []string{"127.0.0.1:1"}, SPIFFEID: "spiffe://acme.example/cluster"}},
		Routes: []Route{{Meta: meta("deploys"), Hosts: []string{"deploy.acme.example"}, Path: "/**", Tier: "deploy",
			Audiences: []string{"ci"}, Upstream: "cluster"}},
	}, World{})
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

func workloadAsks() Input {
	return Input{At: noon, Request: Request{Method: "POST", Host: "deploy.acme.example", Path: "/v1/rollouts"},
		Subject: identity.Subject{Workload: ci, Certificate: identity.Validity{NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(day)}}}
}
