package policydiff_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/policydiff"
)

// TestNarrowedPatterns: to name those whom a pattern covered lets nobody in whom it did not, and the other way round it does;
// what a pattern did not cover is gained whatever else is said of it.
func TestNarrowedPatterns(t *testing.T) {
	t.Parallel()
	id := func(name string) policy.Member { return policy.Member{SPIFFE: "spiffe://acme.example/ci/" + name} }
	of := func(m ...policy.Member) []policy.Member { return m }
	bound := func(m policy.Member, ownership string) policy.Member {
		m.DeviceOwnership = ownership
		return m
	}
	for _, tt := range []struct {
		name    string
		was, is []policy.Member
		want    policydiff.Direction
		says    string
	}{
		{"narrowed", of(id("*")), of(id("a"), id("b")), policydiff.Tightens, "names workload spiffe://acme.example/ci/a, whom spiffe://acme.example/ci/* covered"},
		{"widened", of(id("a"), id("b")), of(id("*")), policydiff.Loosens, "no longer names workload spiffe://acme.example/ci/b, whom spiffe://acme.example/ci/* covers"},
		{"named besides", of(id("*")), of(id("*"), id("a")), policydiff.Neither, "names workload"},
		{"no longer named besides", of(id("*"), id("a")), of(id("*")), policydiff.Neither, "no longer names workload"},
		{"to one that it did not cover", of(id("*")), of(id("a/b")), policydiff.Loosens, "gained workload spiffe://acme.example/ci/a/b"},
		{"to a narrower pattern", of(id("**")), of(id("a/*")), policydiff.Loosens, "gained workload spiffe://acme.example/ci/a/*"},
		{"of any device", of(bound(id("*"), "corporate")), of(id("a")), policydiff.Loosens, "gained workload spiffe://acme.example/ci/a"},
		{"of another device", of(bound(id("*"), "corporate")), of(bound(id("a"), "byod")), policydiff.Loosens, "gained workload"},
		{"of the same devices", of(bound(id("*"), "corporate")), of(bound(id("a"), "corporate")), policydiff.Tightens, "whom spiffe://acme.example/ci/* with devices"},
	} {
		before, after := world(), world()
		before.Audiences[0].Workloads, after.Audiences[0].Workloads = tt.was, tt.is
		was, is := compile(t, before), compile(t, after)
		var said []string
		changes := policydiff.Compare(was, is, sources)
		for _, c := range changes {
			said = append(said, c.Text)
		}
		text := strings.Join(said, "\n")
		if got := policydiff.Fold(changes); got != tt.want || !strings.Contains(text, tt.says) {
			t.Errorf("%s: %s\n%s", tt.name, got, text)
		}
	}
	walled := world()
	walled.Audiences[2].Workloads = of(id("a"))
	if got := policydiff.Fold(policydiff.Compare(compile(t, world()), compile(t, walled), sources)); got != policydiff.Loosens {
		t.Errorf("who leaves a wall: %s", got)
	}
}
