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

// TestDifferencesAreSeen: a wrong expectation of every kind is reported, so that a passing case means something.
func TestDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	const question = `cases:
  - name: x
    request: GET app.acme.example/
    who: {user: {issuer: corp, name: ana, groups: [staff]}, device: "serial:C02A"}
    facts: [{source: m, attributes: {platform: macos, disk_encryption: false, edr_healthy: true, compromised: false, firewall: false}}]
    expect: `
	p := compile(t, "../../examples/ingress/policy")
	for _, c := range []struct{ expect, want string }{
		{"{outcome: deny, reason: posture, route: portal, tier: internal, unmet: [disk-encrypted], noted: [firewall-on]}", ""},
		{"{outcome: allow}", `outcome is "deny", expected "allow"`},
		{"{outcome: deny, reason: audience}", `reason is "posture"`},
		{"{outcome: deny, route: other}", `route is "portal"`},
		{"{outcome: deny, tier: other}", `tier is "internal"`},
		{"{outcome: deny, unmet: [edr-healthy]}", `unmet is [disk-encrypted]`},
		{"{outcome: deny, unmet: [disk-encrypted, edr-healthy]}", `unmet is [disk-encrypted]`},
		{"{outcome: deny, noted: [edr-healthy]}", `noted is [firewall-on]`},
	} {
		cases, problems := policytest.Parse("x.yaml", []byte(question+c.expect))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		results, err := policytest.Run(p, cases)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(results[0].Differences, "; "); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q", c.expect, got)
		}
	}
}

// TestBadCases: each fault has its place and says what to write.
func TestBadCases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"{name: x, request: GET, expect: {outcome: deny}}", "METHOD HOST/PATH"},
		{"{name: x, request: GET /a, expect: {outcome: deny}}", "METHOD HOST/PATH"},
		{"{name: x, request: GET h/, expect: {outcome: maybe}}", "write allow or deny"},
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
