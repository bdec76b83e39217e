package policytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/config/policyfile"
)

func compile(t *testing.T, dir string) *policy.Policy {
	t.Helper()
	files, err := policyfile.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, problems := policyfile.Compile(files, policy.World{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// TestExamples runs the cases of every example as its user would.
func TestExamples(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Glob("../../examples/*/policy")
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, dir := range examples {
		cases, err := policytest.Load(filepath.Join(filepath.Dir(dir), "cases"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := policytest.Run(compile(t, dir), cases)
		if err != nil || len(results) != len(cases) || len(cases) == 0 {
			t.Fatalf("%d of %d cases were run: %v", len(results), len(cases), err)
		}
		for _, r := range results {
			if len(r.Differences) > 0 {
				t.Errorf("%s: %s: %v", r.Place, r.Case.Name, r.Differences)
			}
		}
	}
}

// differences runs one case of one expectation.
func differences(t *testing.T, p *policy.Policy, question, expect string) string {
	t.Helper()
	cases, problems := policytest.Parse("x.yaml", []byte(question+expect))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(p, cases)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(results[0].Differences, "; ")
}

// TestDifferencesAreSeen: a wrong expectation of every kind is reported, so that a passing case means something.
func TestDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	const refused = `cases:
  - name: x
    request: GET app.acme.example/
    who: {user: {issuer: corp, name: ana, groups: [staff]}, device: "serial:C02A"}
    facts: [{source: m, attributes: {platform: macos, disk_encryption: false, edr_healthy: true, compromised: false, firewall: false}}]
    expect: `
	const stepUp = `cases:
  - name: x
    at: 2026-11-21T12:00:00Z
    request: GET payroll.acme.example/console
    who: {user: {issuer: corp, name: ana@acme.example, groups: [staff]}, device: "serial:C02LOANER01"}
    facts:
      - {source: m, age: 2h30m, attributes: {platform: macos, disk_encryption: true, edr_healthy: true, compromised: false}}
      - {source: n, age: 2h30m, attributes: {disk_encryption: false}}
    heard: {m: 1m, n: 1m}
    expect: `
	const monitored = `cases:
  - name: x
    request: GET app.acme.example/beta
    who: {user: {issuer: corp, name: ana, groups: [staff]}, device: "serial:C02A"}
    facts: [{source: m, attributes: {platform: macos, compromised: false}}]
    expect: `
	p := compile(t, "../../examples/ingress/policy")
	for _, c := range []struct{ question, expect, want string }{
		{refused, "{outcome: deny, reason: posture, route: portal, tier: internal, unmet: [disk-encrypted], noted: [firewall-on], " +
			"waived: [], disputed: [], monitored: none}", ""},
		{refused, "{outcome: allow}", `outcome is "deny", expected "allow"`},
		{refused, "{outcome: deny, reason: audience}", `reason is "posture"`},
		{refused, "{outcome: deny, route: other}", `route is "portal"`},
		{refused, "{outcome: deny, tier: other}", `tier is "internal"`},
		{refused, "{outcome: deny, unmet: []}", `unmet is [disk-encrypted], expected []`},
		{refused, "{outcome: deny, unmet: [edr-healthy]}", `unmet is [disk-encrypted]`},
		{refused, "{outcome: deny, unmet: [disk-encrypted, edr-healthy]}", `unmet is [disk-encrypted]`},
		{refused, "{outcome: deny, unmet: [{signal: disk-encrypted, fix: FileVault}]}", ""},
		{refused, "{outcome: deny, unmet: [{signal: disk-encrypted, fix: pray}]}", `expected [{signal: disk-encrypted, fix: pray}]`},
		{refused, "{outcome: deny, unmet: [disk-encrypted unknown]}", `unmet is [disk-encrypted failing]`},
		{refused, "{outcome: deny, noted: [edr-healthy]}", `noted is [firewall-on]`},
		{refused, "{outcome: deny, waived: [disk-encrypted]}", `waived is [], expected [disk-encrypted]`},
		{refused, "{outcome: deny, monitored: posture}", `monitored is "none"`},
		{refused, "{outcome: deny, challenge: {maxAge: 15m}}", `challenge is acr [], amr [], maxAge 0s`},
		{stepUp, "{outcome: step-up, waived: [disk-encrypted by exception ana-loaner-2, edr-healthy by grace], disputed: [disk-encrypted], " +
			"challenge: {acr: [phr], maxAge: 15m}}", ""},
		{stepUp, "{outcome: step-up, waived: [{signal: disk-encrypted}, {signal: edr-healthy, by: grace}]}", ""},
		{stepUp, "{outcome: deny}", `outcome is "step-up"`},
		{stepUp, "{outcome: step-up, waived: []}", `waived is [disk-encrypted by exception ana-loaner-2 edr-healthy by grace]`},
		{stepUp, "{outcome: step-up, waived: [disk-encrypted by exception ana-loaner, edr-healthy]}", `waived is`},
		{stepUp, "{outcome: step-up, waived: [disk-encrypted, edr-healthy by last-known]}", `waived is`},
		{stepUp, "{outcome: step-up, waived: [edr-healthy, disk-encrypted]}", `waived is`},
		{stepUp, "{outcome: step-up, disputed: []}", `disputed is [disk-encrypted], expected []`},
		{stepUp, "{outcome: step-up, challenge: {acr: [phr], maxAge: 14m}}", `challenge is acr [phr], amr [], maxAge 15m0s`},
		{stepUp, "{outcome: step-up, challenge: {acr: [pwd], maxAge: 15m}}", `challenge is acr [phr]`},
		{stepUp, "{outcome: step-up, challenge: {acr: [phr], amr: [hwk], maxAge: 15m}}", `challenge is acr [phr]`},
		{monitored, "{outcome: allow, monitored: posture}", ""},
		{monitored, "{outcome: allow, monitored: step-up}", `monitored is "posture", expected "step-up"`},
		{monitored, "{outcome: allow, monitored: none}", `monitored is "posture", expected "none"`},
	} {
		got := differences(t, p, c.question, c.expect)
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q", c.expect, got)
		}
	}
}

// TestBadCases: each fault has its place and says what to write.
func TestBadCases(t *testing.T) {
	t.Parallel()
	const device = "who: {device: 'serial:C02'}, facts: [{source: m, age: 1h, attributes: {firewall: true}}]"
	for _, c := range []struct{ text, want string }{
		{"{name: x, request: GET, expect: {outcome: deny}}", "METHOD HOST/PATH"},
		{"{name: x, request: GET /a, expect: {outcome: deny}}", "METHOD HOST/PATH"},
		{"{name: x, request: GET h/, expect: {outcome: maybe}}", "write allow, step-up or deny"},
		{"{name: x, request: GET h/, gap: odd, expect: {outcome: deny}}", "write unknown, contested or unreachable"},
		{"{name: x, request: GET h/, who: {device: C02}, expect: {outcome: deny}}", "KIND:VALUE"},
		{"{name: x, request: GET h/, who: {workload: acme}, expect: {outcome: deny}}", "spiffe"},
		{"{name: x, request: GET h/, facts: [{source: m, attributes: {platform: macos}}], expect: {outcome: deny}}", "named under who"},
		{"{name: x, request: GET h/, who: {device: 'serial:C02'}, facts: [{source: m, attributes: {disk: true}}], expect: {outcome: deny}}",
			`no attribute "disk"`},
		{"{name: x, request: GET h/, who: {device: 'serial:C02'}, facts: [{source: m, attributes: {firewall: yes}}], expect: {outcome: deny}}",
			"firewall is true, false or unknown"},
		{"{name: x, request: GET h/, who: {device: 'serial:C02'}, facts: [{source: m, attributes: {platform: mac}}], expect: {outcome: deny}}",
			"platform is one of macos"},
		{"{name: x, request: GET h/, who: {device: 'serial:C02'}, facts: [{source: m, attributes: {edr_risk_score: high}}], expect: {outcome: deny}}",
			"edr_risk_score is a number"},
		{"{name: x, request: GET h/, expects: {outcome: deny}}", `did you mean "expect"?`},
		{"{name: x, request: GET h/, heard: {m: 1h}, expect: {outcome: deny}}", "of a device that has facts"},
		{"{name: x, request: GET h/, gap: unknown, asOf: 1h, expect: {outcome: deny}}", "of a device that has facts"},
		{"{name: x, request: GET h/, renewals: [1h], expect: {outcome: deny}}", "of a device that has facts"},
		{"{name: x, request: GET h/, aliases: ['serial:C02'], expect: {outcome: deny}}", "of a device that has facts"},
		{"{name: x, request: GET h/, heard: {m: 2h}, " + device + ", expect: {outcome: deny}}", "m was heard 2h0m0s ago and yet reported this device"},
		{"{name: x, request: GET h/, aliases: [C02], " + device + ", expect: {outcome: deny}}", "KIND:VALUE"},
		{"{name: x, request: GET h/, gap: unknown, " + device + ", expect: {outcome: deny}}", "stand beside no gap"},
		{"{name: x, request: GET h/, granted: [{name: g}], expect: {outcome: deny}}", `field "until" is missing`},
		{"{name: x, request: GET h/, granted: [{until: tomorrow}], expect: {outcome: deny}}", `"tomorrow" is no moment; write 2h (ago), now, in 1h`},
		{"{name: x, request: GET h/, granted: [{until: in}], expect: {outcome: deny}}", `"in" is no moment`},
		{"{name: x, request: GET h/, expect: {outcome: deny, waived: [disk for ever]}}", "write SIGNAL, SIGNAL by grace"},
		{"{name: x, request: GET h/, expect: {outcome: deny, waived: [disk by luck]}}", `disk is waived by "luck": write exception, grace or last-known`},
		{"{name: x, request: GET h/, expect: {outcome: deny, waived: [disk by grace loaner]}}", "only an exception has a name"},
		{"{name: x, request: GET h/, expect: {outcome: deny, waived: [{signal: disk, name: loaner}]}}", "only an exception has a name"},
	} {
		_, problems := policytest.Parse("bad.yaml", []byte("cases:\n  - "+c.text+"\n"))
		if len(problems) == 0 || !strings.Contains(problems.Error(), c.want) || !strings.Contains(problems.Error(), "bad.yaml:2:") {
			t.Errorf("%s gave\n%v", c.text, problems)
		}
	}
	if _, err := policytest.Load(t.TempDir()); err == nil {
		t.Error("a directory without cases was read")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte("cases: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := policytest.Load(dir); err == nil {
		t.Error("cases that are a number were read")
	}
}
