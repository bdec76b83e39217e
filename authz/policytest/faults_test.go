package policytest_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policytest"
)

// TestFaultsOfAFile: all of them in one run, each at its place and with what to do.
func TestFaultsOfAFile(t *testing.T) {
	t.Parallel()
	const text = `people:
  ana: {issuer: corp, name: ana, groups: staff}
  ben: {issuer: corp}
devices:
  "the laptop": {name: serial:C02A}
  phone: {name: C02B, facts: [{source: m, attributes: {disk: true}}]}
defaults: {name: all, each: [{name: x}], request: GET h/, attributes: {firewall: maybe}, without: [disk]}
cases:
  - name: x
    who: anna
    expect: allow
  - name: x
    who: ana on lapto
    expect: {reason: posture}
  - who: ben
    expect: deny
  - name: y
    who: the man on the moon
    expect: deny at once
    each:
      - {name: z, expect: {outcome: deny, reason: postur}}
      - {name: z, expect: {outcome: deny, unmet: [a b c], noted: [a sick]}}
      - {expect: deny}
      - {name: zz, each: [{name: q}], expect: {outcome: deny, unmet: [{signal: a, list: deny}], challenge: all}}
  - name: z
    request: h/
    who: spiffe://acme.example/a
    without: [firewall]
    expect: {outcome: deny, monitored: perhaps}
`
	_, problems := policytest.Parse("x.yaml", []byte(text))
	all := problems.Error()
	for _, want := range []string{
		`x.yaml:2:42: groups wants a list, this is the text "staff"`,
		`x.yaml:5:3: "the laptop" is no name of a device`,
		`x.yaml:6:17: `,
		`there is no attribute "disk"`,
		`x.yaml:7:18: name stands in a case, not in defaults`,
		`x.yaml:7:23: each stands in a case, not in defaults`,
		`x.yaml:7:82: firewall is true, false or unknown, not "maybe"`,
		`x.yaml:7:100: there is no attribute "disk"`,
		`x.yaml:9:5: there is no person "anna" under people (did you mean "ana"?)`,
		`x.yaml:12:11: another case is called that too, at line 9`,
		`there is no device "lapto" under devices`,
		`x.yaml:14:5: field "expect.outcome" is missing in cases[1]`,
		`x.yaml:15:5: field "name" is missing in cases[2]`,
		`"the man on the moon" names nobody; write PERSON, PERSON on DEVICE`,
		`"deny at once" is no answer; write allow, step-up, deny, deny REASON`,
		`reason "postur": there is no such reason (did you mean "posture"?)`,
		`"a b c" is no demand; write SIGNAL, SIGNAL failing, SIGNAL unknown`,
		`a is "sick": write failing or unknown`,
		`x.yaml:22:16: another case is called that too, at line 21`,
		`field "name" is missing in cases[3].each[2]`,
		`x.yaml:24:20: a variant has no variants`,
		`"all" is no login; write none, or a mapping`,
		`request: a request is METHOD HOST/PATH`,
		`monitored "perhaps": there is no such reason`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody says: %s", want)
		}
	}
	if t.Failed() {
		t.Log(all)
	}
	_, problems = policytest.Parse("x.yaml", []byte("people: {ben: {issuer: corp}, amy: {name: amy}}\ncases:\n"+
		"  - {name: a, who: ben, request: GET h/, expect: deny}\n  - {name: b, who: amy, request: GET h/, expect: deny}\n"+
		"  - {name: c, expect: deny}\n  - {name: d, request: GET h/}\n"+
		"  - {name: e, request: GET h/, who: {user: {issuer: c, name: n}, device: 'serial:C02A'}, without: [firewall], expect: deny,\n"+
		"     facts: [{source: m, attributes: {platform: macos}}]}\n"))
	for _, want := range []string{`x.yaml:3:5: field "name" is missing: the user's name`, `x.yaml:4:5: field "issuer" is missing`,
		`x.yaml:5:5: field "request" is missing in cases[2]`, `x.yaml:6:5: field "expect.outcome" is missing in cases[3]`,
		`x.yaml:7:5: without: no fact says firewall`} {
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("nobody says: %s\n%v", want, problems)
		}
	}
}
