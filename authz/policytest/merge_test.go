package policytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/signals"
)

// shared is a file in which everything is said once.
const shared = `people:
  ana: {issuer: corp, name: ana@acme.example, groups: [staff], acr: pwd}
devices:
  laptop:
    name: serial:C02A
    aliases: ["serial:C02B"]
    facts:
      - {source: mdm, age: 1h, attributes: {platform: macos, firewall: true}}
      - {source: edr, age: 2h, attributes: {edr_healthy: true, platform: macos}}
defaults: {request: GET h/, heard: {mdm: 1m}, expect: deny}
cases:
`

// facts are the facts of the only case of a text, as words.
func factsOf(t *testing.T, text string) string {
	t.Helper()
	cases, problems := policytest.Parse("x.yaml", []byte(shared+text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(nil, cases)
	if err != nil || len(results) != 1 {
		t.Fatal(len(results), err)
	}
	in := results[0].Input
	words := []string{string(in.Device.Gap)}
	if in.Device.Posture != nil {
		for _, f := range in.Device.Posture.Facts {
			words = append(words, f.Source+" "+f.Attribute+" "+show(f.Value)+" "+in.At.Sub(f.Observed).String())
		}
	}
	return strings.Join(words, "; ")
}

func show(v signals.Value) string {
	if text, ok := v.AsText(); ok {
		return text
	}
	if yes, ok := v.AsBool(); ok {
		return map[bool]string{true: "true", false: "false"}[yes]
	}
	return "unknown"
}

// TestFactsAreChanged by age, attributes and without, in every layer.
func TestFactsAreChanged(t *testing.T) {
	t.Parallel()
	const is = "; mdm firewall "
	for _, c := range []struct{ text, want string }{
		{"  - {name: x, who: ana on laptop}", "; edr edr_healthy true 2h0m0s; mdm firewall true 1h0m0s; edr platform macos 2h0m0s; mdm platform macos 1h0m0s"},
		{"  - {name: x, who: ana on laptop, age: 3h}", "; edr edr_healthy true 3h0m0s; mdm firewall true 3h0m0s; edr platform macos 3h0m0s; mdm platform macos 3h0m0s"},
		{"  - {name: x, who: ana on laptop, age: 5m, without: [platform]}", "; edr edr_healthy true 5m0s; mdm firewall true 5m0s"},
		{"  - {name: x, who: ana on laptop, without: [platform, edr_healthy], attributes: {firewall: unknown}}", is + "unknown 1h0m0s"},
		{"  - {name: x, who: ana on laptop, without: [platform], attributes: {compromised: true}}",
			"; mdm compromised true 1h0m0s; edr edr_healthy true 2h0m0s; mdm firewall true 1h0m0s"},
		{"  - {name: x, who: ana on laptop, without: [firewall, edr_healthy], attributes: {platform: windows}}",
			"; edr platform windows 2h0m0s; mdm platform windows 1h0m0s"},
		{"  - {name: x, who: ana on laptop, attributes: {firewall: false}, each: [{name: y, without: [platform], attributes: {edr_healthy: false}}]}",
			"; edr edr_healthy false 2h0m0s; mdm firewall false 1h0m0s"},
		{"  - {name: x, who: ana on laptop, attributes: {firewall: false}, each: [{name: y, without: [platform], attributes: {firewall: true}}]}",
			"; edr edr_healthy true 2h0m0s; mdm firewall true 1h0m0s"},
		// Facts of one's own replace what was there, and what changed it.
		{"  - {name: x, who: ana on laptop, age: 5h, attributes: {firewall: false}, each: [{name: y, facts: [{source: mdm, age: 2m, attributes: {compromised: false}}]}]}",
			"; mdm compromised false 2m0s"},
		{"  - {name: x, who: ana on laptop, facts: [{source: mdm, attributes: {compromised: false}}], age: 5h}", "; mdm compromised false 5h0m0s"},
		// A gap and facts put each other away, and what belongs to the facts with them.
		{"  - {name: x, who: ana on laptop, age: 5h, attributes: {firewall: false}, each: [{name: y, gap: unknown}]}", "unknown"},
		{"  - {name: x, who: ana on laptop, gap: unknown, each: [{name: y, facts: [{source: mdm, age: 2m, attributes: {compromised: false}}]}]}",
			"; mdm compromised false 2m0s"},
		{"  - {name: x, who: ana on laptop, facts: [{source: m, attributes: {firewall: true}}], each: [{name: y, gap: unknown}]}", "unknown"},
		{"  - {name: x, who: ana on laptop, gap: unknown, each: [{name: y, age: 5m, without: [platform, edr_healthy]}]}", is + "true 5m0s"},
	} {
		if got := factsOf(t, c.text+"\n"); got != c.want {
			t.Errorf("%s\n is %s\nnot %s", c.text, got, c.want)
		}
	}
}

// TestPeopleAreCompleted by what a case says of them, and variants do not see each other.
func TestPeopleAreCompleted(t *testing.T) {
	t.Parallel()
	cases, problems := policytest.Parse("x.yaml", []byte(shared+`  - name: x
    who: {user: {person: ana, acr: phr, login: 5m}, device: laptop}
    asOf: 10s
    each:
      - {name: a, who: ana}
      - {name: b}
      - {name: c, who: {user: ana, expired: true}}
      - {name: d, who: "spiffe://acme.example/a", request: POST i/j}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, err := policytest.Run(nil, cases)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range results {
		names = append(names, r.Case.Name)
	}
	if diff := cmp.Diff([]string{"x / a", "x / b", "x / c", "x / d"}, names); diff != "" {
		t.Fatal(diff)
	}
	a, b, c, d := results[0].Input, results[1].Input, results[2].Input, results[3].Input
	if b.Device.AsOf != b.At.Add(-10*time.Second) || !a.Device.AsOf.IsZero() || len(b.Device.Posture.Aliases) != 2 {
		t.Errorf("as of %s and %s, aliases %v", a.Device.AsOf, b.Device.AsOf, b.Device.Posture.Aliases)
	}
	if a.Subject.User.ACR != "pwd" || a.Subject.Device != (signals.Alias{}) || a.Subject.User.Groups[0] != "staff" {
		t.Errorf("a: %+v", a.Subject)
	}
	if b.Subject.User.ACR != "phr" || !b.Subject.User.AuthTime.Equal(b.At.Add(-5*time.Minute)) || b.Subject.Device.Value != "C02A" {
		t.Errorf("b: %+v", b.Subject)
	}
	if c.Subject.User.Token.Covers(c.At) || !b.Subject.User.Token.Covers(b.At) {
		t.Errorf("c: %+v", c.Subject.User)
	}
	if d.Subject.User != nil || d.Subject.Workload != "spiffe://acme.example/a" || d.Request.Method+d.Request.Host+d.Request.Path != "POSTi/j" {
		t.Errorf("d: %+v %+v", d.Subject, d.Request)
	}
}
