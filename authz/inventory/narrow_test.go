package inventory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// TestPruneNarrowsWildcards to those who used them, where all that is known under one is known for long, and of enough days.
func TestPruneNarrowsWildcards(t *testing.T) {
	t.Parallel()
	const tree = "spiffe://acme.example/tree/**"
	narrowed := func(to ...string) []string {
		return []string{"narrow " + tree + " in audience tree to " + strings.Join(to, ", ")}
	}
	uses := func(id string) inventory.Sighting {
		return sighted("tree/"+id, map[string]int{"orders": 1, "admin": 1, "lonely": 1})
	}
	id := func(name string) string { return "spiffe://acme.example/tree/" + name }
	young, many := uses("y"), []inventory.Sighting{}
	young.First = noon.AddDate(0, 0, -29)
	for i := range inventory.MaxNarrowTo + 1 {
		many = append(many, uses(fmt.Sprint(i)))
	}
	idle := []inventory.Sighting{uses("x")}
	for i := range 30 {
		idle = append(idle, sighted(fmt.Sprint("tree/idle-", i), nil))
	}
	made := func(ago int) []inventory.Entry {
		return []inventory.Entry{{System: "spire", ID: "1", Type: "workload", SPIFFEID: id("n"), Created: noon.AddDate(0, 0, -ago)}}
	}
	for _, tt := range []struct {
		name      string
		sightings []inventory.Sighting
		entries   []inventory.Entry
		named     []policy.Member
		days      int
		want      []string
		says      string // of the evidence, or in a note
	}{
		{"two of three", []inventory.Sighting{uses("x"), uses("a/b"), sighted("tree/z", map[string]int{"home": 1, "lonely": 31})}, nil, nil, 30,
			narrowed(id("a/b"), id("x")), "in 30 days without a gap 3 were known, and 2 used a route of tree"},
		{"who loses it stands there", []inventory.Sighting{uses("x"), sighted("tree/z", nil)}, nil, nil, 30, narrowed(id("x")),
			id("z") + " was seen first at 2026-"},
		{"and who was only imported", []inventory.Sighting{uses("x")}, made(40), nil, 30, narrowed(id("x")), id("n") + " was never seen, and used none"},
		{"but not all of many", idle, nil, nil, 30, narrowed(id("x")), "and 10 more used none of its routes"},
		{"names are made there", []inventory.Sighting{uses("x")}, made(3), nil, 30, nil, id("n") + " is known only since"},
		{"names come there", []inventory.Sighting{uses("x"), young}, nil, nil, 30, nil, id("y") + " is known only since"},
		{"too few days", []inventory.Sighting{uses("x")}, nil, nil, 29, nil, tree + " is narrowed on 30 observed days or more only, not on 29"},
		{"too many", many, nil, nil, 30, nil, "21 workloads use it by " + tree + "; a wildcard is narrowed to 20 at most"},
		{"named already", many, nil, []policy.Member{{SPIFFE: id("3")}}, 30,
			narrowed(id("0"), id("1"), id("10"), id("11"), id("12"), id("13"), id("14"), id("15"), id("16"), id("17"), id("18"), id("19"), id("2"), id("20"),
				id("4"), id("5"), id("6"), id("7"), id("8"), id("9")), ""},
	} {
		spec := company(t).Spec()
		spec.Audiences = slices.DeleteFunc(spec.Audiences, func(a policy.Audience) bool { return a.Meta.Name != "tree" })
		spec.Audiences[0].Workloads = append(tt.named, spec.Audiences[0].Workloads...)
		spec.Routes = slices.DeleteFunc(spec.Routes, func(r policy.Route) bool { return r.Meta.Name != "lonely" })
		p, faults := policy.New(spec, policy.World{})
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		cuts, notes, err := inventory.Prune(&inventory.World{At: noon, Policy: p, Sightings: tt.sightings, Entries: tt.entries, Days: days(40)}, tt.days, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		told := strings.Join(notes, "\n")
		for i := range cuts {
			got = append(got, cuts[i].String())
			told += "\n" + strings.Join(cuts[i].Evidence, "\n")
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || !strings.Contains(told, tt.says) {
			t.Errorf("%s: %s%s", tt.name, diff, told)
		}
	}
}
