package findings_test

import (
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

// look is what was known of one trouble at one instant.
type look struct {
	at       time.Time
	found    bool
	blind    bool
	accepted time.Time // somebody accepted it until then, after the look
}

// trouble is one of the state machine's, with all that was ever seen of it.
type trouble struct {
	finding     findings.Finding
	pause       time.Duration // that ends it while there is a case; while there is none, no shorter than its wait
	closeWithin time.Duration
	looks       []look
	told        []findings.What
}

func troubles() []*trouble {
	drift := findings.Finding{Kind: findings.Drift, Subject: "device X", Detail: "disk", Wait: time.Hour, Owner: "endpoint", Summary: "x"}
	boss := drift
	boss.Subject, boss.Audiences = "device B", []string{"executives"}
	settled := 15 * time.Minute
	return []*trouble{
		{finding: drift, pause: settled, closeWithin: 7 * day},
		{finding: boss, pause: settled, closeWithin: day},
		{finding: findings.Finding{Kind: findings.ContestedDevice, Subject: "name serial:C", Owner: "endpoint", Summary: "x"}, pause: settled, closeWithin: 7 * day},
		{finding: findings.Finding{Kind: findings.ExceptionAbuse, Subject: "exception e", Detail: "unused", Owner: "iam", Summary: "x"}, closeWithin: 7 * day},
		{finding: findings.Finding{Kind: findings.IdentityStale, Subject: "identity i", Owner: "iam", Wait: 5 * day, Summary: "x"}, closeWithin: 7 * day},
	}
}

// naive tells where the trouble's case must stand, and all that was to be told of it, from all that was ever seen. It goes
// through the whole history each time and remembers nothing.
func (tr *trouble) naive() (state findings.State, told []findings.What, deadline time.Time) {
	var began, gone, accepted time.Time
	stands, ever, escalated, ending := false, false, false, false
	var acceptedAt time.Time
	for _, l := range tr.looks {
		// What the facts say.
		if !l.blind && l.found {
			gone = time.Time{}
			if began.IsZero() {
				began = l.at
			}
			if !stands && l.at.Sub(began) >= tr.finding.Wait {
				stands, escalated, ending, deadline, accepted = true, false, false, l.at.Add(tr.closeWithin), time.Time{}
				if ever {
					told = append(told, findings.ToldReopened)
				} else {
					told = append(told, findings.ToldOpened)
				}
				ever = true
			}
		}
		if !l.blind && !l.found && !began.IsZero() {
			if gone.IsZero() {
				gone = l.at
			}
			pause := tr.pause
			if !stands {
				pause = max(pause, tr.finding.Wait)
			}
			if l.at.Sub(gone) >= pause {
				if stands {
					told = append(told, findings.ToldClosed)
				}
				began, gone, stands = time.Time{}, time.Time{}, false
			}
		}
		// What the instant says.
		switch {
		case !stands:
		case !accepted.IsZero() && !l.at.Before(accepted):
			accepted, escalated, ending, deadline = time.Time{}, false, false, l.at.Add(tr.closeWithin)
			told = append(told, findings.ToldReopened)
		case !accepted.IsZero():
			if third := accepted.Sub(acceptedAt) / 3; !ending && !l.at.Before(accepted.Add(-min(third, 7*day))) {
				ending = true
				told = append(told, findings.ToldAcceptanceEnding)
			}
		case !escalated && gone.IsZero() && l.at.After(deadline):
			escalated = true
			told = append(told, findings.ToldEscalated)
		}
		if !l.accepted.IsZero() && stands {
			accepted, acceptedAt, ending = l.accepted, l.at, false
			told = append(told, findings.ToldAccepted)
		}
	}
	switch {
	case stands && !accepted.IsZero():
		state = findings.Accepted
	case stands:
		state = findings.Open
	case ever:
		state = findings.Closed
	case !began.IsZero():
		state = findings.Pending
	}
	return state, told, deadline
}

// TestFollowAgreesWithTheNaiveModel plays histories over virtual time: 20 for each check of rapid.
func TestFollowAgreesWithTheNaiveModel(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			playHistory(t, p)
		}
	})
}

var lead = approvals.Caller{Person: approvals.Person{Way: approvals.WayMTLS, Name: "head@acme.example"}}

func playHistory(t *rapid.T, p *policy.Policy) {
	at := noon
	all := troubles()
	kept := map[string]findings.Case{}
	steps := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 20 * time.Minute, time.Hour, 6 * time.Hour, day, 6 * day}
	for range rapid.IntRange(1, 30).Draw(t, "looks") {
		at = at.Add(rapid.SampledFrom(steps).Draw(t, "step"))
		v := viewOf(p, at)
		v.Blind = map[findings.Kind]string{}
		var found []findings.Finding
		dice := rapid.Uint64().Draw(t, "dice")
		for _, tr := range all {
			l := look{at: at, found: dice&3 != 0, blind: dice&28 == 0}
			dice >>= 5
			tr.looks = append(tr.looks, l)
			if l.found {
				found = append(found, tr.finding)
			}
			if l.blind {
				v.Blind[tr.finding.Kind] = "the store cannot be read"
			}
		}
		for _, tr := range all { // a kind is blind as a whole
			_, blind := v.Blind[tr.finding.Kind]
			tr.looks[len(tr.looks)-1].blind = blind
		}
		followed(t, all, kept, found, v)
		if dice&7 == 0 {
			accept(t, all[int(dice>>3)%len(all)], kept, at, p)
		}
		for _, tr := range all {
			agree(t, tr, kept)
		}
	}
}

// followed plays one look, in several orders and twice.
func followed(t *rapid.T, all []*trouble, kept map[string]findings.Case, found []findings.Finding, v *findings.View) {
	cases := make([]findings.Case, 0, len(kept))
	for _, c := range kept {
		cases = append(cases, c)
	}
	changed, told := findings.Follow(cases, found, v)
	slices.Reverse(found)
	again, toldAgain := findings.Follow(shuffled(cases), append(found, found...), v)
	if diff := cmp.Diff(changed, again) + cmp.Diff(told, toldAgain); diff != "" {
		t.Fatal("the order matters: ", diff)
	}
	for _, c := range changed {
		kept[c.ID] = c
	}
	cases = cases[:0]
	for _, c := range kept {
		cases = append(cases, c)
	}
	if changed, told := findings.Follow(cases, found, v); len(changed)+len(told) > 0 {
		t.Fatalf("the same view changes it again: %+v %+v", changed, told)
	}
	for _, n := range told {
		for _, tr := range all {
			if findings.IDOf(tr.finding.Key()) == n.Case {
				tr.told = append(tr.told, n.What)
			}
		}
	}
}

func shuffled(cases []findings.Case) []findings.Case {
	cases = slices.Clone(cases)
	rand.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	return cases
}

func accept(t *rapid.T, tr *trouble, kept map[string]findings.Case, at time.Time, p *policy.Policy) {
	id := findings.IDOf(tr.finding.Key())
	c, ok := kept[id]
	if !ok || !c.State.Stands() {
		return
	}
	until := at.Add(rapid.SampledFrom([]time.Duration{time.Hour, 3 * day, 80 * day}).Draw(t, "until"))
	c, n, err := findings.Accept(c, until, "known", lead, at, p)
	if err != nil {
		t.Fatal(err)
	}
	kept[id] = c
	tr.told = append(tr.told, n.What)
	tr.looks[len(tr.looks)-1].accepted = until
}

func agree(t *rapid.T, tr *trouble, kept map[string]findings.Case) {
	state, told, deadline := tr.naive()
	c := kept[findings.IDOf(tr.finding.Key())]
	got := c.State
	if got == findings.Passed {
		got = ""
	}
	if got != state || !slices.Equal(tr.told, told) {
		t.Fatalf("%s: is %q, told %v; the model says %q, %v\n%+v", tr.finding.Key(), got, tr.told, state, told, tr.looks)
	}
	if state == findings.Open && !c.Deadline.Equal(deadline) {
		t.Fatalf("%s: the deadline is %s; the model says %s", tr.finding.Key(), c.Deadline, deadline)
	}
	if len(c.History) > findings.MaxHistory {
		t.Fatalf("%d steps", len(c.History))
	}
}
