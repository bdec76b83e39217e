package policytest_test

import (
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/signals"
)

// naming is the ingress example with settings in which acme-mdm names users of corp, and edr nobody.
func naming(t *testing.T, is policy.EnrolledClaim) *policy.Policy {
	t.Helper()
	files, err := policyfile.Read("../../examples/ingress/policy")
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, 0, 32)
	for _, a := range signals.Attributes() {
		all = append(all, a.Name)
	}
	p, problems := policyfile.Compile(files, policy.World{Sources: map[string]policy.Source{
		"acme-mdm": {Attests: all, EnrolledUser: policy.EnrolledAs{Issuer: "corp", Is: is}}, "edr": {Attests: all},
	}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// TestADeviceIsTheAskersOwn unless the case says whose it is: most cases are about something else.
func TestADeviceIsTheAskersOwn(t *testing.T) {
	t.Parallel()
	const refused = "deny, reason: enrolled-user"
	const head = `cases:
  - name: x
    request: GET app.acme.example/
    who: {user: {issuer: corp, name: ana, subject: 00u1, email: a@acme.example, groups: [staff]}, device: "serial:C02A"}
    facts:
`
	healthy := func(source, more string) string {
		return "      - {source: " + source + ", age: 1h, attributes: {platform: macos, disk_encryption: true, " +
			"edr_healthy: true, compromised: false, firewall: true" + more + "}}\n"
	}
	for name, c := range map[string]struct {
		is             policy.EnrolledClaim
		facts, outcome string
	}{
		"by name":                    {policy.EnrolledIsName, healthy("acme-mdm", ""), "allow"},
		"by subject":                 {policy.EnrolledIsSubject, healthy("acme-mdm", ""), "allow"},
		"by address":                 {policy.EnrolledIsEmail, healthy("acme-mdm", ""), "allow"},
		"a source that names nobody": {policy.EnrolledIsName, healthy("edr", ""), refused},
		"said":                       {policy.EnrolledIsName, healthy("acme-mdm", ", enrolled_user: ana"), "allow"},
		"said otherwise":             {policy.EnrolledIsName, healthy("acme-mdm", ", enrolled_user: ben"), refused},
		"said to be unknown":         {policy.EnrolledIsName, healthy("acme-mdm", ", enrolled_user: unknown"), refused},
		"said by the other source": {policy.EnrolledIsName, healthy("acme-mdm", "") +
			"      - {source: edr, attributes: {enrolled_user: ana}}\n", refused},
	} {
		if got := differences(t, naming(t, c.is), head+c.facts, "    expect: {outcome: "+c.outcome+"}\n"); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestWhoseDeviceItIsEndsNoSilence: the word that is added is as old as the oldest of its source.
func TestWhoseDeviceItIsEndsNoSilence(t *testing.T) {
	t.Parallel()
	cases, problems := policytest.Parse("x.yaml", []byte(`cases:
  - name: x
    request: GET app.acme.example/
    who: {user: {issuer: corp, name: ana}, device: "serial:C02A"}
    facts:
      - {source: acme-mdm, age: 9h, attributes: {platform: macos}}
      - {source: acme-mdm, age: 3h, attributes: {disk_encryption: true}}
      - {source: edr, age: 20h, attributes: {edr_healthy: true}}
    expect: {outcome: deny}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(naming(t, policy.EnrolledIsName), cases)
	if err != nil {
		t.Fatal(err)
	}
	posture := results[0].Input.Device.Posture
	fact, ok, _ := posture.Latest("enrolled_user", "acme-mdm")
	if age := policytest.DefaultAt.Sub(fact.AgesFrom()); !ok || age.Hours() != 9 || fact.Value != signals.Text("ana") {
		t.Errorf("%+v", fact)
	}
	if _, ok, _ := posture.Latest("enrolled_user", "edr"); ok || len(posture.Facts) != 4 {
		t.Errorf("%+v", posture.Facts)
	}
}
