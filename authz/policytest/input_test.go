package policytest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/signals"
)

const everything = `cases:
  - name: everything
    at: 2026-11-20T08:00:00Z
    request: POST app.acme.example/a/b?c=d
    who:
      user: {issuer: corp, name: ana@acme.example, groups: [staff], acr: phr, amr: [hwk, pin], login: 10m}
      workload: spiffe://acme.example/ns/ci/sa/deployer
      device: serial:c02laptop1
      doubt: forged
      revoked: 5m
      risk: high
    aliases: [directory:27B5B02B-65C9-4563-B78A-CBC26453F6FA]
    facts:
      - {source: mdm, age: 3h, attributes: {edr_healthy: true}}
      - {source: edr, age: 1h, attributes: {edr_healthy: unknown, edr_risk_score: 12.5}}
    heard: {mdm: 1m, siem: 2h}
    asOf: 5m
    renewals: [2h, 30m]
    graceEnded: 10m
    granted:
      - name: loaner
        owner: iam
        subjects: [{issuer: corp, group: staff}]
        devices: [C02LAPTOP1]
        routes: [portal]
        signals: [disk-encrypted]
        reason: loaner laptop
        approver: cho@acme.example
        ticket: IT-1
        from: 1d
        until: in 1h30m
        renews: other
      - name: fixed
        owner: iam
        subjects: [{issuer: corp, user: ana@acme.example}]
        devices: [C02LAPTOP1]
        routes: [portal]
        signals: [disk-encrypted]
        reason: loaner laptop
        approver: cho@acme.example
        ticket: IT-2
        from: 2026-11-19T00:00:00.5Z
        until: now
    expect: {outcome: deny}
`

// TestInput: all that a case may say reaches the policy, word for word and age for age.
func TestInput(t *testing.T) {
	t.Parallel()
	cases, problems := policytest.Parse("x.yaml", []byte(everything))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(nil, cases)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return at.Add(-d) }
	valid := identity.Validity{NotBefore: ago(time.Hour), NotAfter: ago(-time.Hour)}
	serial := signals.Alias{Kind: signals.AliasSerial, Value: "C02LAPTOP1"}
	fact := func(attribute, source string, value signals.Value, age time.Duration) signals.Fact {
		return signals.Fact{Attribute: attribute, Source: source, Value: value, Observed: ago(age), Received: ago(age)}
	}
	loaner := policy.Exception{Meta: policy.Meta{Name: "loaner", Owner: "iam"},
		Subjects: []policy.ExceptionSubject{{Issuer: "corp", Group: "staff"}}, Devices: []string{"C02LAPTOP1"}, Routes: []string{"portal"},
		Signals: []string{"disk-encrypted"}, Reason: "loaner laptop", Approver: "cho@acme.example", Ticket: "IT-1",
		From: ago(24 * time.Hour), Until: ago(-90 * time.Minute), Renews: "other"}
	fixed := loaner
	fixed.Meta.Name, fixed.Ticket, fixed.Renews, fixed.Until = "fixed", "IT-2", "", at
	fixed.Subjects = []policy.ExceptionSubject{{Issuer: "corp", User: "ana@acme.example"}}
	fixed.From = time.Date(2026, 11, 19, 0, 0, 0, 500_000_000, time.UTC)
	want := policy.Input{At: at, Request: policy.Request{Method: "POST", Host: "app.acme.example", Path: "/a/b?c=d"},
		Subject: identity.Subject{Workload: "spiffe://acme.example/ns/ci/sa/deployer", Device: serial, Certificate: valid,
			User: &identity.User{Issuer: "corp", Name: "ana@acme.example", Subject: "ana@acme.example", Groups: []string{"staff"},
				ACR: "phr", AMR: []string{"hwk", "pin"}, AuthTime: ago(10 * time.Minute), Token: valid},
			Ended:  &identity.Ended{At: ago(5 * time.Minute), Reason: "session-revoked", Event: "case"},
			Risk:   &identity.Risk{At: at, Level: "high", Reason: "risk-level-change", Event: "case"},
			Doubts: []identity.Doubt{{Code: identity.DoubtToken, Detail: "forged"}}},
		Device: policy.Device{
			Posture: &signals.Posture{Device: "case", Revision: 1,
				Aliases: []signals.Alias{{Kind: signals.AliasDirectory, Value: "27B5B02B-65C9-4563-B78A-CBC26453F6FA"}, serial},
				Facts: []signals.Fact{fact("edr_healthy", "edr", signals.Unknown, time.Hour), fact("edr_healthy", "mdm", signals.Bool(true), 3*time.Hour),
					fact("edr_risk_score", "edr", signals.Number(12.5), time.Hour)}},
			AsOf:       ago(5 * time.Minute),
			Heard:      map[string]time.Time{"mdm": ago(time.Minute), "edr": ago(time.Hour), "siem": ago(2 * time.Hour)},
			Renewals:   []policy.Renewal{{At: ago(2 * time.Hour), By: "case"}, {At: ago(30 * time.Minute), By: "case"}},
			GraceEnded: ago(10 * time.Minute)},
		Granted: []policy.Exception{loaner, fixed}}
	if diff := cmp.Diff(want, results[0].Input, cmp.AllowUnexported(signals.Value{})); diff != "" {
		t.Error(diff)
	}
}

// TestInputOfLittle: what a case leaves out is left out of the question, and the copy of the facts is current.
func TestInputOfLittle(t *testing.T) {
	t.Parallel()
	cases, problems := policytest.Parse("x.yaml", []byte(`cases:
  - {name: nobody, request: GET h/, expect: {outcome: deny}}
  - name: facts
    request: GET h/
    who: {user: {issuer: corp, name: ana}, device: "serial:C02A"}
    facts: [{source: mdm, age: 3h, attributes: {firewall: true}}, {source: mdm, age: 1h, attributes: {firewall: false}}]
    expect: {outcome: deny}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(nil, cases)
	if err != nil {
		t.Fatal(err)
	}
	nobody := policy.Input{At: policytest.DefaultAt, Request: policy.Request{Method: "GET", Host: "h", Path: "/"}}
	if diff := cmp.Diff(nobody, results[0].Input); diff != "" {
		t.Error(diff)
	}
	in := results[1].Input
	heard := map[string]time.Time{"mdm": policytest.DefaultAt.Add(-time.Hour)}
	if !in.Device.AsOf.Equal(policytest.DefaultAt) || cmp.Diff(heard, in.Device.Heard) != "" || !in.Subject.User.AuthTime.IsZero() {
		t.Errorf("as of %s, heard %v, login %s", in.Device.AsOf, in.Device.Heard, in.Subject.User.AuthTime)
	}
	if len(in.Device.Posture.Facts) != 1 || in.Device.Posture.Facts[0].Value != signals.Bool(false) {
		t.Errorf("the newest report does not count: %v", in.Device.Posture.Facts)
	}
}
