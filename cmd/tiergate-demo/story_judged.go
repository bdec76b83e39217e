package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const (
	theDiff  = "tiergate policy diff"
	theProof = "tiergate policy prove"
	tiers    = "access/tiers.yaml"
	routes   = "access/routes.yaml"
)

// judgedChange lets a login for the console be two hours old, which some gain by, and takes POST from the portal, which some
// lose by. What the records tell of it is then asked of the running company.
func judgedChange() scene {
	old, post := console, portal
	old.as, post.method = "ana-key-old", "POST"
	oldLater, postLater := old, post
	oldLater.until, postLater.until = soon, soon
	return scene{"20. A policy change is judged by what was decided so far, before it is applied", []step{
		{iam, "drafts: a login may be 2 h old; the portal takes no POST", draft{
			{File: tiers, Old: "stepUp: {when: always, acr: [phr], maxAge: 15m,", New: "stepUp: {when: always, acr: [phr], maxAge: 2h,"},
			{File: routes, Old: "methods: [GET, POST]\n  tier: internal", New: "methods: [GET]\n  tier: internal"},
		}, want{}},
		{iam, theDiff + " judges it by the records", diff{gain: "step-up → allow", lose: "allow → deny", by: "method",
			who: "user ana@acme.example of issuer corp"}, want{}},
		{anaOnLaptop, "posts; only the draft says no", post, anaAllowed},
		{anaOnLaptop, "shows an hour-old login; only the draft says yes", old, stepUp},
		{iam, "applies the draft", apply{tiers, routes}, want{}},
		{anaOnLaptop, "shows the hour-old login", oldLater, onConsole},
		{anaOnLaptop, "posts", postLater, refused("method")},
	}}
}

// wrongPolicy leads the contractors' upstream to the portal's server too: each document is right by itself, and
// `policy check` finds no fault.
func wrongPolicy() scene {
	return scene{"21. A policy that is wrong is proved wrong, by a request that shows it", []step{
		{secops, theProof + " on the running Envoy", prove{}, want{}},
		{"workplace", "drafts: contractors' portal gets another server", share{}, want{}},
		{secops, theProof + " on the draft", prove{draft: true, kind: "shared", audience: "contractors"}, want{}},
	}}
}

// draft edits a copy of the policy.
type draft []stage.Edit

func (d draft) perform(_ context.Context, p *play, _ want) (g got) {
	p.draft, g.err = p.world.Draft(d...)
	for _, e := range d {
		g.lines = append(g.lines, "edited: "+e.File)
	}
	return g
}

// diff judges the draft by the records, and wants that some gain and some lose, in these ways and no other.
type diff struct{ gain, lose, by, who string }

func (d diff) perform(ctx context.Context, p *play, _ want) got {
	found, err := p.world.Diff(ctx, p.draft)
	if err != nil {
		return got{err: err}
	}
	var faults []error
	differ := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	g := got{note: fmt.Sprintf("%s: of %d recorded decisions %d would be better and %d worse", found.Direction, found.Decisions.Judged,
		found.Decisions.Loosened, found.Decisions.Tightened)}
	for _, c := range found.Changes {
		g.lines = append(g.lines, fmt.Sprintf("%s (%s; owner %s)", c.Text, c.Direction, c.Owner))
	}
	counted := map[string]int{}
	for _, c := range found.Decisions.Classes {
		counted[c.Step] += c.Count
		g.lines = append(g.lines, fmt.Sprintf("%d × %s, %s; such as decision %s", c.Count, c.Step, c.IsReason, c.Example))
		if c.Example == "" || c.Step == d.lose && c.IsReason != d.by {
			differ("%s is by %q (decision %q), want %s", c.Step, c.IsReason, c.Example, d.by)
		}
	}
	for _, r := range found.Decisions.Subjects.Rows {
		g.lines = append(g.lines, fmt.Sprintf("%s: %d better, %d worse", r.Name, r.Loosened, r.Tightened))
	}
	gains, loses := counted[d.gain], counted[d.lose]
	if gains == 0 || loses == 0 || len(counted) != 2 || found.Decisions.Loosened != gains || found.Decisions.Tightened != loses {
		differ("the records change by %v (better %d, worse %d), want %s and %s", counted, found.Decisions.Loosened,
			found.Decisions.Tightened, d.gain, d.lose)
	}
	if !slices.ContainsFunc(found.Decisions.Subjects.Rows, func(r stage.BlastRow) bool {
		return r.Name == d.who && r.Loosened == gains && r.Tightened == loses
	}) {
		differ("not all of that is told of %s", d.who)
	}
	if found.Direction != "loosens" || len(found.Changes) != 2 || found.Changes[0].Owner == "" || found.Changes[1].Owner == "" {
		differ("the documents change by %d things, together %q; want 2 with their owners, and loosens", len(found.Changes), found.Direction)
	}
	g.err = errors.Join(faults...)
	return g
}

// apply brings the draft into force.
type apply []string

func (a apply) perform(_ context.Context, p *play, _ want) got { return got{err: p.world.Apply(a...)} }

// share drafts that the contractors' upstream has the portal's server as well.
type share struct{}

func (share) perform(ctx context.Context, p *play, w want) got {
	portals, contractors := p.world.Upstreams()
	both := `["` + contractors + `", "` + portals + `"]`
	return draft{{File: "upstreams.yaml", Old: `["` + contractors + `"]`, New: both}}.perform(ctx, p, w)
}

// prove asks whether the isolated audiences are isolated: in the policy in force and the running Envoy, which they are, or in
// the draft, where there is a way around of one kind.
type prove struct {
	draft          bool
	kind, audience string
}

func (r prove) perform(ctx context.Context, p *play, _ want) got {
	dir := ""
	if r.draft {
		dir = p.draft
	}
	proof, err := p.world.Prove(ctx, dir)
	if err != nil {
		return got{err: err}
	}
	g := got{note: fmt.Sprintf("isolated: %t; %d isolated audience, %d routes, %d ways through Envoy, %d endpoints", proof.Isolated,
		proof.Looked.Audiences, proof.Looked.Routes, proof.Looked.Paths, proof.Looked.Endpoints)}
	seen := false
	for _, c := range proof.Counterexamples {
		g.lines = append(g.lines, c.What, fmt.Sprintf("%s: %s → %s; fix: %s", c.Who, c.Request, c.Endpoint, c.Fix))
		seen = seen || c.Kind == r.kind && c.Audience == r.audience && c.Who != "" && c.Request != "" && c.Endpoint != ""
	}
	switch {
	case proof.Looked.Audiences == 0 || proof.Looked.Paths == 0:
		g.err = errors.New("nothing was looked at")
	case proof.Isolated == r.draft:
		g.err = fmt.Errorf("isolated: %t, want %t", proof.Isolated, !r.draft)
	case r.draft && !seen:
		g.err = fmt.Errorf("no counterexample of kind %s says who of %s asks for what and comes where", r.kind, r.audience)
	case r.draft && !proof.CasesPass:
		g.err = errors.New("tiergate policy test does not agree with the counterexample")
	}
	return g
}
