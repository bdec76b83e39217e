package prove_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/xds/prove"
)

// crowd is a policy with so many entries in an isolated audience and in another, of as many issuers, and one route of each.
func crowd(t *testing.T, entries, routes int) *policy.Policy {
	t.Helper()
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	s := policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "x", Contact: "x"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Tiers:     []policy.Tier{{Meta: meta("person"), Identify: policy.IdentifyUser}},
		Audiences: []policy.Audience{{Meta: meta("isolated"), Isolated: true}, {Meta: meta("others")}},
	}
	for i := range entries {
		s.Audiences[0].Members = append(s.Audiences[0].Members, policy.Member{Issuer: "corp", Group: fmt.Sprintf("i%d", i)})
		s.Audiences[1].Members = append(s.Audiences[1].Members, policy.Member{Issuer: "corp", Group: fmt.Sprintf("o%d", i)})
	}
	for i := range routes {
		name := fmt.Sprintf("r%d", i)
		of := "others"
		if i == 0 {
			of = "isolated"
		}
		s.Upstreams = append(s.Upstreams, policy.Upstream{Meta: meta(name), Endpoints: []string{fmt.Sprintf("10.0.%d.%d:80", i/250, i%250+1)}, Plaintext: true})
		s.Routes = append(s.Routes, policy.Route{Meta: meta(name), Hosts: []string{name + ".example"}, Path: "/**", Tier: "person",
			Audiences: []string{of}, Upstream: name})
	}
	p, faults := policy.New(s, policy.World{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

// TestTooLarge: a policy that is too large is not proved in part.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	report, err := prove.Check(prove.Input{Policy: crowd(t, 1500, 2), At: instant})
	if report != nil || !errors.Is(err, prove.ErrTooLarge) || !strings.Contains(err.Error(), "give isolated audiences fewer entries") {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestLarge: 1,000 routes and 10,000 pairs of entries are proved at once, and every pair was looked at.
func TestLarge(t *testing.T) {
	t.Parallel()
	compiled := crowd(t, 100, 1000)
	began := time.Now()
	report, err := prove.Check(prove.Input{Policy: compiled, At: instant})
	if err != nil || !report.Isolated || report.Looked.Classes != 100*100*2 {
		t.Fatalf("%+v, %v", report, err)
	}
	t.Logf("%v", time.Since(began).Round(time.Millisecond))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%v", took)
	}
}
