package inventory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

func meta(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }

// company has an audience of two workloads, one of a subtree, one walled in, and routes that list several.
func company(t *testing.T) *policy.Policy {
	t.Helper()
	route := func(name string, audiences ...string) policy.Route {
		return policy.Route{Meta: meta(name), Hosts: []string{"acme.example"}, Path: "/" + name, Tier: "machines", Audiences: audiences, Upstream: "up"}
	}
	of := func(ids ...string) (all []policy.Member) {
		for _, id := range ids {
			all = append(all, policy.Member{SPIFFE: "spiffe://acme.example/" + id})
		}
		return all
	}
	walled := route("walled", "walled", "pair")
	walled.Shared, walled.Reason = true, "x"
	p, faults := policy.New(policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "a", Contact: "a@acme.example"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Tiers: []policy.Tier{{Meta: meta("machines"), Identify: policy.IdentifyWorkload}},
		Audiences: []policy.Audience{{Meta: meta("pair"), Workloads: of("a", "b")}, {Meta: meta("tree"), Workloads: of("tree/**")},
			{Meta: meta("people"), Members: []policy.Member{{Issuer: "corp"}}},
			{Meta: meta("walled"), Workloads: of("walled"), Isolated: true}},
		Upstreams: []policy.Upstream{{Meta: meta("up"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
		Routes: []policy.Route{route("orders", "pair", "tree"), route("admin", "pair", "tree"), route("home", "people", "pair"), walled,
			route("lonely", "tree")},
		Identities: []policy.Identity{
			{Meta: meta("alpha"), Type: policy.IdentityOfWorkload, SPIFFEIDs: []string{"spiffe://acme.example/a"}, RecordedIn: "spire",
				ReviewBy: policy.Date{Time: noon.AddDate(0, 0, -1)}},
			{Meta: meta("forest"), Type: policy.IdentityOfAgent, SPIFFEIDs: []string{"spiffe://acme.example/tree/**"}, RecordedIn: "kubernetes",
				ReviewBy: policy.Date{Time: noon.Truncate(24 * time.Hour)}},
		},
	}, policy.World{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

func days(back int) (all []string) {
	for i := back; i >= 0; i-- {
		all = append(all, noon.AddDate(0, 0, -i).Format(time.DateOnly))
	}
	return all
}

// sighted is an identity that is about for 100 days, let in to each route so many days ago.
func sighted(id string, routes map[string]int) inventory.Sighting {
	s := inventory.Sighting{ID: "spiffe://acme.example/" + id, TrustDomain: "acme.example", First: noon.AddDate(0, 0, -100), Last: noon,
		Routes: map[string]inventory.RouteUse{}}
	for name, ago := range routes {
		at := noon.AddDate(0, 0, -ago)
		s.Routes[name] = inventory.RouteUse{First: s.First, Last: at, Allowed: 7, LastAllowed: at}
	}
	return s
}

func cutsOf(t *testing.T, w *inventory.World, ids ...string) (words []string, notes []string) {
	t.Helper()
	cuts, notes, err := inventory.Prune(w, 30, ids)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cuts {
		words = append(words, cuts[i].String())
		if len(cuts[i].Evidence) == 0 {
			t.Errorf("%s: no evidence", &cuts[i])
		}
	}
	return words, notes
}

func TestPrune(t *testing.T) {
	t.Parallel()
	p := company(t)
	const a, pair = "spiffe://acme.example/a", "take spiffe://acme.example/%s out of audience pair"
	const narrowed = "narrow spiffe://acme.example/tree/** in audience tree to spiffe://acme.example/tree/x"
	off := func(audience, route string) string { return "take audience " + audience + " off route " + route }
	refused := sighted("b", nil)
	refused.Routes["home"] = inventory.RouteUse{First: refused.First, Last: noon, Refused: 5}
	young := sighted("b", nil)
	young.First = noon.AddDate(0, 0, -29)
	for _, tt := range []struct {
		name      string
		sightings []inventory.Sighting
		entries   []inventory.Entry
		ids       []string
		want      []string
	}{
		{"nobody was ever seen", nil, nil, nil, []string{fmt.Sprintf(pair, "a"), fmt.Sprintf(pair, "b"), "take spiffe://acme.example/tree/** out of audience tree",
			"take spiffe://acme.example/walled out of audience walled",
			off("pair", "admin"), off("tree", "admin"), off("pair", "home"), off("pair", "orders"), off("tree", "orders"), off("walled", "walled"), off("pair", "walled")}},
		{"each route is used by somebody", []inventory.Sighting{sighted("a", map[string]int{"orders": 29, "admin": 29, "home": 0, "walled": 3}),
			sighted("b", map[string]int{"orders": 1}), sighted("tree/x", map[string]int{"orders": 1, "admin": 1}), sighted("walled", map[string]int{"walled": 1})},
			nil, nil, []string{narrowed}},
		{"one day too long ago", []inventory.Sighting{sighted("a", map[string]int{"orders": 1, "admin": 31, "home": 0, "walled": 3}), sighted("b", map[string]int{"orders": 1}),
			sighted("tree/x", map[string]int{"orders": 1, "admin": 1}), sighted("walled", map[string]int{"walled": 1})}, nil, nil,
			[]string{narrowed, off("pair", "admin")}},
		{"to be refused is no use", []inventory.Sighting{sighted("a", map[string]int{"orders": 1, "admin": 1, "walled": 1}), refused}, nil, []string{a},
			[]string{off("pair", "home")}},
		{"somebody is too young to tell", []inventory.Sighting{sighted("a", map[string]int{"orders": 1}), young}, nil, []string{a}, nil},
		{"or was made lately", []inventory.Sighting{sighted("a", map[string]int{"orders": 1})},
			[]inventory.Entry{{System: "spire", ID: "1", Type: "workload", SPIFFEID: "spiffe://acme.example/b", Created: noon.AddDate(0, 0, -3)}}, []string{a}, nil},
		{"somebody else's rights are not asked for", nil, nil, []string{"spiffe://acme.example/tree/x"}, nil},
	} {
		got, _ := cutsOf(t, &inventory.World{At: noon, Policy: p, Sightings: tt.sightings, Entries: tt.entries, Days: days(40)}, tt.ids...)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if _, notes := cutsOf(t, &inventory.World{At: noon, Policy: p, Days: days(40)}); !strings.Contains(strings.Join(notes, "\n"), "remove the route if nothing needs it") {
		t.Errorf("the only audience of a route: %v", notes)
	}
}

// TestPruneWantsToHaveObserved: of one day without a census nothing is told.
func TestPruneWantsToHaveObserved(t *testing.T) {
	t.Parallel()
	p := company(t)
	for name, have := range map[string][]string{"never": nil, "29 days": days(29), "a gap": append(days(10), days(40)[:29]...)} {
		_, _, err := inventory.Prune(&inventory.World{At: noon, Policy: p, Days: have}, 30, nil)
		if !errors.Is(err, inventory.ErrObserved) || name == "a gap" && !strings.Contains(err.Error(), "since 2026-11-12, and 30 days") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := inventory.Prune(&inventory.World{At: noon, Policy: p, Days: days(30)}, 30, nil); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 91} {
		if _, _, err := inventory.Prune(&inventory.World{At: noon, Policy: p}, n, nil); err == nil || errors.Is(err, inventory.ErrObserved) {
			t.Errorf("%d days: %v", n, err)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	gone := inventory.Entry{System: "spire", ID: "9", Type: "workload", SPIFFEID: "spiffe://acme.example/gone", Owner: "ops", Gone: noon}
	w := &inventory.World{At: noon, Policy: company(t), Entries: []inventory.Entry{gone,
		{System: "spire", ID: "alpha", Type: "key", Owner: "x", LastUsed: noon, Grants: []string{"admin"}, NeverExpires: true},
		{System: "ci-cd", ID: "k", Type: "key", Owner: "ana", CredentialFrom: noon.AddDate(-1, 0, 0)}},
		Sightings: []inventory.Sighting{sighted("a", map[string]int{"orders": 1, inventory.NoRoute: 1}), sighted("tree/x", map[string]int{"orders": 40}),
			sighted("stranger", nil), sighted("walled", nil)}}
	w.Sightings[0].Places = map[string]time.Time{"edge": noon}
	w.Sightings[1].Last = noon.AddDate(0, 0, -40)
	got := map[string]string{}
	for _, x := range inventory.Join(w) {
		routes := ""
		for _, r := range x.Routes {
			routes += fmt.Sprintf(" %s%v", r.Route, r.Audiences)
		}
		got[x.Name] = fmt.Sprintf("%s/%s %s %v%s", x.Owner, x.SaidOwner, x.Type, x.States, routes)
	}
	want := map[string]string{
		"alpha":                          "iam/ workload [owned active unreviewed excessive] (none)[] admin[pair] home[pair] orders[pair] walled[pair]",
		"forest":                         "iam/ agent [owned stale unrecorded excessive] admin[tree] lonely[tree] orders[tree]",
		"spiffe://acme.example/gone":     "/  [unowned never-seen gone]",
		"ci-cd/k":                        "/ana key [unowned never-seen]",
		"spiffe://acme.example/walled":   "/  [unowned active unrecorded excessive] walled[walled]",
		"spiffe://acme.example/stranger": "/  [unowned active unrecorded]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWallsHoldIn: who is in an isolated audience reaches only routes that list it, whatever else it is in.
func TestWallsHoldIn(t *testing.T) {
	t.Parallel()
	spec := company(t).Spec()
	spec.Audiences[0].Workloads = append(spec.Audiences[0].Workloads, policy.Member{SPIFFE: "spiffe://acme.example/walled"})
	p, faults := policy.New(spec, policy.World{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got := inventory.NewGrants(p).Of("spiffe://acme.example/walled")
	if diff := cmp.Diff([]inventory.Granted{{Route: "walled", Audiences: []string{"pair", "walled"}}}, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkJoin(b *testing.B) {
	p := company(&testing.T{})
	w := &inventory.World{At: noon, Policy: p}
	for i := range 20_000 {
		w.Sightings = append(w.Sightings, sighted(fmt.Sprint("tree/", i), map[string]int{"orders": 1}))
	}
	for b.Loop() {
		inventory.Join(w)
	}
}
