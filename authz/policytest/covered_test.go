package policytest_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
)

func coverage(t *testing.T, p *policy.Policy, cases []policytest.Case) policytest.Coverage {
	t.Helper()
	results, err := policytest.Run(p, cases)
	if err != nil {
		t.Fatal(err)
	}
	return policytest.Cover(p, results)
}

// TestExamplesAreCovered: every tier, route and signal of what we publish.
func TestExamplesAreCovered(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ingress", "contractor-gateway", "workload-admin"} {
		cases, err := policytest.Load(filepath.Join("../../examples", name, "cases"))
		if err != nil {
			t.Fatal(err)
		}
		c := coverage(t, compile(t, filepath.Join("../../examples", name, "policy")), cases)
		if misses := c.Misses(policytest.Bar{Groups: []string{"tiers", "routes", "signals", "exceptions", "grace", "challenges"}}); misses != nil {
			t.Errorf("%s: %v\n%+v", name, misses, c.Groups)
		}
	}
}

// TestCoverageFalls: each part of the ingress example is covered by some case, and without the cases that come to it the
// coverage says that it is not.
func TestCoverageFalls(t *testing.T) {
	t.Parallel()
	p := compile(t, "../../examples/ingress/policy")
	cases, err := policytest.Load("../../examples/ingress/cases")
	if err != nil {
		t.Fatal(err)
	}
	whole := coverage(t, p, cases)
	uncovered := map[string]bool{}
	for i := range cases {
		for _, g := range coverage(t, p, cases[i:i+1]).Groups {
			for _, key := range g.Uncovered {
				uncovered[g.Group+" "+key] = true
			}
		}
	}
	if len(uncovered) != whole.Of || whole.Of != 86 {
		t.Errorf("%d of %d parts are left out by some case alone", len(uncovered), whole.Of)
	}
	none := coverage(t, p, nil)
	if none.Covered != 0 || none.Of != whole.Of {
		t.Errorf("nothing covers %d of %d", none.Covered, none.Of)
	}
}

// TestCoverageOfOneCase to the letter: what it comes to, and nothing that it does not.
func TestCoverageOfOneCase(t *testing.T) {
	t.Parallel()
	p := compile(t, "../../examples/ingress/policy")
	const people = "people:\n  ana: {issuer: corp, name: ana@acme.example, groups: [staff]}\n" +
		"  eve: {issuer: corp, name: eve@acme.example, groups: [executives]}\n" +
		"devices: {laptop: {name: 'serial:C02A', facts: [{source: m, age: 1h, attributes: {platform: macos, disk_encryption: true, " +
		"edr_healthy: true, compromised: false, os_version: '15.6'}}]}, loaner: {name: 'serial:C02LOANER01', facts: " +
		"[{source: m, age: 1h, attributes: {platform: macos, disk_encryption: false, edr_healthy: true, compromised: false}}]}}\n" +
		"defaults: {request: GET app.acme.example/, expect: allow}\ncases:\n  - {name: x, "
	for _, c := range []struct {
		text string
		want string
	}{
		{"who: ana on laptop}", "tiers internal: allowed; routes portal: allowed; signals disk-encrypted: passing; signals edr-healthy: passing; " +
			"signals not-compromised: passing; signals firewall-on: unknown; audiences employees: inside; audiences executives: outside; " +
			"audiences contractors: outside"},
		{"who: eve on laptop}", "tiers internal: refused; routes portal: refused; audiences employees: outside; audiences executives: inside; " +
			"audiences contractors: outside; reasons audience"},
		{"who: ana}", "tiers internal: refused; routes portal: refused; reasons identity-missing"},
		{"who: {user: ana, device: laptop, expired: true}}", "tiers internal: refused; routes portal: refused; reasons identity-expired"},
		{"who: ana on laptop, request: GET nowhere.example/}", "reasons no-route"},
		{"who: ana on laptop, gap: unknown, request: GET app.acme.example/beta/x}", "tiers trial: refused; routes portal-beta: refused; " +
			"audiences employees: inside; audiences contractors: outside; reasons device-unknown"},
		{"who: ana on laptop, age: 3h, heard: {m: 0s}}", "tiers internal: allowed; routes portal: allowed; signals disk-encrypted: passing; " +
			"signals edr-healthy: unknown; signals not-compromised: passing; signals firewall-on: unknown; audiences employees: inside; " +
			"audiences executives: outside; audiences contractors: outside; grace internal: inside"},
		{"who: ana on loaner, at: 2026-11-21T00:00:00Z}", "tiers internal: allowed; routes portal: allowed; signals disk-encrypted: failing; " +
			"signals edr-healthy: passing; signals not-compromised: passing; signals firewall-on: unknown; audiences employees: inside; " +
			"audiences executives: outside; audiences contractors: outside; exceptions ana-loaner: after; exceptions ana-loaner-2: in force"},
		{"who: {user: ana, device: laptop}, request: GET payroll.acme.example/console/x}", "tiers privileged: refused; " +
			"routes payroll-console: refused; signals disk-encrypted: passing; signals edr-healthy: passing; signals not-compromised: passing; " +
			"signals os-current: passing; audiences employees: inside; audiences executives: outside; audiences contractors: outside; " +
			"challenges privileged: asked; reasons step-up"},
	} {
		cases, problems := policytest.Parse("x.yaml", []byte(people+c.text+"\n"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got, want := covered(t, p, cases), sorted(c.want); got != want {
			t.Errorf("%s\n covers   %s\nexpected %s", c.text, got, want)
		}
	}
}

func sorted(list string) string {
	words := strings.Split(list, "; ")
	slices.Sort(words)
	return strings.Join(words, "; ")
}

// covered are the parts that are wanted and no longer uncovered.
func covered(t *testing.T, p *policy.Policy, cases []policytest.Case) string {
	t.Helper()
	left := map[string]bool{}
	for _, g := range coverage(t, p, cases).Groups {
		for _, key := range g.Uncovered {
			left[g.Group+" "+key] = true
		}
	}
	var hit []string
	for _, g := range coverage(t, p, nil).Groups {
		for _, key := range g.Uncovered {
			if !left[g.Group+" "+key] {
				hit = append(hit, g.Group+" "+key)
			}
		}
	}
	slices.Sort(hit)
	return strings.Join(hit, "; ")
}

func TestBar(t *testing.T) {
	t.Parallel()
	c := policytest.Coverage{Covered: 9, Of: 12, Groups: []policytest.GroupCoverage{{Group: "tiers", Covered: 4, Of: 4}, {Group: "signals", Covered: 5, Of: 8}}}
	for text, want := range map[string]string{
		"tiers": "", "75%": "", "tiers,75%": "", "grace": "",
		"signals":      "signals: 5 of 8 are covered, all are wanted",
		"76%":          "9 of 12 are covered, which is 75 %; 76 % are wanted",
		"all":          "9 of 12 are covered, which is 75 %; 100 % are wanted",
		"signals, 80%": "signals: 5 of 8 are covered, all are wanted; 9 of 12 are covered, which is 75 %; 80 % are wanted",
	} {
		bar, err := policytest.ParseBar(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Misses(bar), "; "); got != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"": `"" is no coverage`, "signal": `did you mean "signals"?`, "0%": "say a percentage",
		"101%": "say a percentage", "tiers,": `"" is no coverage`, "9": "say a percentage"} {
		if _, err := policytest.ParseBar(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
