package policy

import (
	"slices"
	"testing"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// routed is a policy of routes alone, each written "HOST PATH METHODS…"; the route's name is what it was written as.
func routed(t *testing.T, reverse bool, lines ...[]string) *Policy {
	t.Helper()
	return compileSample(t, func(s *Spec) {
		s.Routes, s.Tiers, s.Audiences, s.Upstreams = nil, s.Tiers[1:2], s.Audiences[:1], s.Upstreams[:1]
		for i, line := range lines {
			s.Routes = append(s.Routes, Route{
				Meta: Meta{Name: string(rune('a' + i)), Owner: "iam"}, Hosts: line[:1], Path: line[1],
				Methods: append([]string(nil), line[2:]...),
				Tier:    "person", Audiences: []string{"employees"}, Upstream: "app",
			})
		}
		if reverse {
			slices.Reverse(s.Routes)
		}
	})
}

// "Host, then path choose the route: exact > segment variable > * > **; order of documents never matters; /admin/**
// includes /admin. Routes with equal host and path may split methods disjointly; /admin also covers /admin/; hosts are
// exact or *.suffix (one label), exact wins. A method that none of the chosen routes lists is denied and never falls
// through to a wider route. No route matches → deny."
func TestHostThenPathChooseTheRoute(t *testing.T) {
	t.Parallel()
	lines := [][]string{
		{"x.example.org", "/a/b"},                  // a
		{"x.example.org", "/a/{id}", "GET"},        // b
		{"x.example.org", "/a/**"},                 // c
		{"x.example.org", "/{any}/b"},              // d
		{"x.example.org", "/*/c"},                  // e
		{"x.example.org", "/**", "GET"},            // f
		{"*.example.org", "/a/b/only-wild"},        // g
		{"*.example.org", "/**"},                   // h
		{"y.example.org", "/admin", "GET"},         // i
		{"y.example.org", "/admin", "POST", "PUT"}, // j
		{"y.example.org", "/admin/**", "DELETE"},   // k
		{"x.example.org", "/a/{id}", "POST"},       // l
	}
	for _, c := range []struct {
		sentence, method, host, path, want string
	}{
		{"exact", "GET", "x.example.org", "/a/b", "a"},
		{"exact > segment variable", "GET", "x.example.org", "/a/x", "b"},
		{"a variable is one segment", "GET", "x.example.org", "/a/x/y", "c"},
		{"the first segment decides: exact > variable", "GET", "x.example.org", "/a/b/", "a"},
		{"segment variable > **", "GET", "x.example.org", "/z/b", "d"},
		{"* > **", "GET", "x.example.org", "/z/c", "e"},
		{"**", "GET", "x.example.org", "/z/z", "f"},
		{"/** includes /", "GET", "x.example.org", "/", "f"},
		{"/a/** includes /a", "PATCH", "x.example.org", "/a", "c"},
		{"/a/** is no prefix of bytes", "GET", "x.example.org", "/ab", "f"},
		{"paths keep their case", "GET", "x.example.org", "/A/b", "d"},
		{"hosts do not", "GET", "X.Example.ORG", "/a/b", "a"},
		{"/admin also covers /admin/", "GET", "y.example.org", "/admin/", "i"},
		{"equal host and path split methods", "POST", "y.example.org", "/admin", "j"},
		{"equal shape too: {id} and {id}", "POST", "x.example.org", "/a/x", "l"},
		{"*.suffix is one label", "GET", "z.example.org", "/", "h"},
		{"*.suffix is not two", "GET", "a.z.example.org", "/", string(ReasonNoRoute)},
		{"*.suffix is not none", "GET", "example.org", "/", string(ReasonNoRoute)},
		{"exact wins, whatever the paths are", "GET", "x.example.org", "/a/b/only-wild", "c"},
		{"a wildcard's route of another method is no way out", "POST", "x.example.org", "/z/z", string(ReasonMethod)},
		{"a method never falls through to **", "PUT", "x.example.org", "/a/x", string(ReasonMethod)},
		{"nor from /admin to /admin/**", "DELETE", "y.example.org", "/admin", string(ReasonMethod)},
		{"methods keep their case", "get", "y.example.org", "/admin", string(ReasonMethod)},
		{"no route matches", "GET", "y.example.org", "/other", string(ReasonNoRoute)},
		{"no host matches", "GET", "other.example", "/", string(ReasonNoRoute)},
	} {
		for _, reverse := range []bool{false, true} {
			in := Input{At: noon, Request: Request{Method: c.method, Host: c.host, Path: c.path},
				Subject: identity.Subject{User: person("corp", "ana", "staff")}}
			v := routed(t, reverse, lines...).Evaluate(&in)
			got := v.Route
			if v.Reason != ReasonAllowed {
				got = string(v.Reason)
			}
			if got != c.want || (v.Outcome == Allow) != (len(c.want) == 1) {
				t.Errorf("%s: %s %s%s went to %q, not %q", c.sentence, c.method, c.host, c.path, got, c.want)
			}
		}
	}
}

// "Nothing an Envoy that we did not configure says in context_extensions selects a tier; the match is ours." Whatever
// Envoy claims to have chosen, the verdict is that of our route or a refusal.
func TestEnvoyNeverSelectsATier(t *testing.T) {
	t.Parallel()
	p := privileged(t, nil)
	for _, chosen := range []*Chosen{
		{Route: "handbook"}, {Route: "handbook", Older: &Match{Route: "handbook", Upstream: "app"}}, {Route: ""},
		{Route: "app", Older: &Match{Route: "handbook", Upstream: "app"}}, {Route: "app"}, {Route: "app", Older: &Match{}},
		{Route: "app", Older: &Match{Route: "app", Upstream: "outside"}}, {Route: "app", Upstream: "outside"},
		{Route: "app", Older: &Match{Route: "app", Upstream: "outside"}, OlderAllows: true},
		{Route: "handbook", Older: &Match{Route: "handbook", Upstream: "outside"}, OlderAllows: true},
	} {
		in := ana()
		set(&in.Device, "disk_encryption", report("mdm", "disk_encryption", signals.Bool(false), 0))
		in.Request.Chosen = chosen // the handbook's tier would ask for no device
		if v := p.Evaluate(&in); v.Outcome != Deny || v.Reason == ReasonPosture && v.Tier != "internal" {
			t.Errorf("Envoy chose %+v: %s, tier %q", *chosen, brief(v), v.Tier)
		}
	}
}

// A process that was restarted with another policy holds no table from before, and Envoy still leads its route of the same
// name to the upstream before: nobody whom only the new policy lets in gets there.
func TestAnUpstreamFromBeforeARestart(t *testing.T) {
	t.Parallel()
	p := privileged(t, nil)
	for upstream, want := range map[string]Reason{"app": ReasonAllowed, "": ReasonAllowed, "outside": ReasonRouteMismatch} {
		in := ana()
		in.Request.Chosen = &Chosen{Route: "app", Upstream: upstream}
		if v := p.Evaluate(&in); v.Reason != want || (v.Outcome == Allow) != (want == ReasonAllowed) {
			t.Errorf("Envoy leads to %q: %s", upstream, brief(v))
		}
	}
	in := ana()
	in.Request.Chosen = &Chosen{Route: "app", Upstream: "app", Older: &Match{Route: "app", Upstream: "outside"}, OlderAllows: true}
	if v := p.Evaluate(&in); v.Reason != ReasonRouteMismatch {
		t.Errorf("Envoy says another upstream than its own table: %s", brief(v))
	}
}
