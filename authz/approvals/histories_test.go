package approvals

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
)

// histories is how many random histories are played: TIERGATE_HISTORIES, or 2,000.
func histories(t *testing.T) int {
	n := 2000
	if text := os.Getenv("TIERGATE_HISTORIES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// played is what a naive model knows of one exception: when what happened, as the rules are told to people.
type played struct {
	name             string
	asker            Caller
	device           string
	tiers            []string
	from, until      time.Time
	approvals        map[string]bool // by team
	granted, revoked time.Time
	refused          bool
}

func (m *played) inForce(at time.Time) bool {
	return !m.granted.IsZero() && !m.refused && !at.Before(m.granted) && !at.Before(m.from) && at.Before(m.until) &&
		(m.revoked.IsZero() || at.Before(m.revoked))
}

// teams are the owners of the sample's tiers, of which internal is iam's.
func (m *played) teams() (all []string) {
	for _, tier := range m.tiers {
		all = append(all, map[string]string{"internal": "iam", "payroll": "payroll"}[tier])
	}
	return all
}

// game is one history.
type game struct {
	*office
	t    *rapid.T
	all  map[string]*played
	made int
}

// speaksFor is whom the sample's teams name, as the model knows it.
var speaksFor = map[string]string{cho.Name: "iam", dee.Name: "iam", eve.Name: "iam", lead.Name: "payroll"}

var people = []Caller{local, ana, ben, cho, lead, dee, eve, fay}

func (g *game) person() Caller { return rapid.SampledFrom(people).Draw(g.t, "person") }

func (g *game) pick() *played {
	if len(g.all) == 0 {
		g.t.Skip("there is none")
	}
	return g.all[rapid.SampledFrom(sortedNames(g.all)).Draw(g.t, "which")]
}

func sortedNames(all map[string]*played) []string {
	names := make([]string, 0, len(all))
	for i := range len(all) {
		names = append(names, fmt.Sprintf("e%d", i))
	}
	return names
}

func (g *game) request(*rapid.T) {
	m := &played{name: fmt.Sprintf("e%d", g.made), asker: g.person(), device: fmt.Sprintf("C02DEVICE%02d", g.made),
		tiers: rapid.SampledFrom([][]string{{"internal"}, {"payroll"}, {"internal", "payroll"}}).Draw(g.t, "tiers"), approvals: map[string]bool{}}
	m.from = g.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(g.t, "in")) * time.Hour)
	m.until = m.from.Add(time.Duration(rapid.IntRange(1, 24*9).Draw(g.t, "hours")) * time.Hour)
	e := with(loaner(m.name), m.device)
	e.Routes, e.From, e.Until = m.tiers, m.from, m.until
	bound := 14 * day
	if m.tiers[len(m.tiers)-1] == "payroll" {
		bound = 7 * day
	}
	_, err := g.Request(g.t.Context(), m.asker, e)
	if want := m.until.Sub(m.from) <= bound; (err == nil) != want {
		g.t.Fatalf("%s of %s for %s: %v", m.name, m.tiers, m.until.Sub(m.from), err)
	}
	if err == nil {
		g.made++
		g.all[m.name] = m
	}
}

func (g *game) approve(*rapid.T) {
	m, who := g.pick(), g.person()
	_, err := g.Approve(g.t.Context(), who, m.name, "")
	team := speaksFor[who.Name]
	waits := m.granted.IsZero() && !m.refused && m.revoked.IsZero() && g.now.Before(m.until)
	named := false
	for _, t := range m.teams() {
		named = named || t == team && !m.approvals[t]
	}
	subject := who.Name == ana.Name
	want := waits && named && !subject && who.Way != WaySocket && who.Person != m.asker.Person
	if (err == nil) != want {
		g.t.Fatalf("%s approves %s of %s, asked for by %s: %v, want %t", who, m.name, m.tiers, m.asker, err, want)
	}
	if err != nil {
		return
	}
	m.approvals[team] = true
	if len(m.approvals) == len(m.tiers) {
		m.granted = g.now
	}
}

func (g *game) refuse(*rapid.T) {
	m, who := g.pick(), g.person()
	if _, err := g.Refuse(g.t.Context(), who, m.name, "no"); err == nil {
		if !m.granted.IsZero() || who.Person == m.asker.Person || who.Way == WaySocket || speaksFor[who.Name] == "" {
			g.t.Fatalf("%s refused %s", who, m.name)
		}
		m.refused = true
	}
}

func (g *game) revoke(*rapid.T) {
	m, who := g.pick(), g.person()
	_, err := g.Revoke(g.t.Context(), who, m.name, "end it")
	may := who.Way == WaySocket || who.Person == m.asker.Person
	for _, t := range m.teams() {
		may = may || speaksFor[who.Name] == t
	}
	if want := may && !m.refused && m.revoked.IsZero() && g.now.Before(m.until); (err == nil) != want {
		g.t.Fatalf("%s revokes %s: %v, want %t", who, m.name, err, want)
	}
	if err == nil {
		m.revoked = g.now
	}
}

func (g *game) pass(*rapid.T) {
	g.now = g.now.Add(time.Duration(rapid.IntRange(1, 60*48).Draw(g.t, "minutes")) * time.Minute)
}

func (g *game) boundary(*rapid.T) { // the instants at which something changes, and those beside them
	m := g.pick()
	at := rapid.SampledFrom([]time.Time{m.from, m.until, m.granted}).Draw(g.t, "instant").Add(
		time.Duration(rapid.IntRange(-1, 1).Draw(g.t, "ns")))
	if at.After(g.now) {
		g.now = at
	}
}

// readers compares every reader with the model.
func (g *game) readers(*rapid.T) {
	list, err := g.List(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	all, err := g.exceptions(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	granted, book, count := grantedOf(all, ""), g.book(), 0
	stands := map[string]Listed{}
	for _, l := range list {
		stands[l.Meta.Name] = l
	}
	for name, m := range g.all {
		l, want := stands[name], m.inForce(g.now)
		in := fails(m.tiers[0], g.now, granted...)
		in.Subject.Device.Value = m.device
		in.Device.Posture.Aliases[0].Value = m.device
		v := g.p.Evaluate(in)
		if want {
			count++
		}
		in.Granted = book.Granted(in.Subject.Device, in.Device.Posture.Aliases, g.now) // as a sidecar has it
		if there := g.p.Evaluate(in); there.Outcome != v.Outcome {
			g.t.Fatalf("%s at %s: %s by all that was granted, %s by what a sidecar is given", name, g.now, v.Outcome, there.Outcome)
		}
		if (l.Stands == StateInForce) != want || (l.State(g.now) == StateInForce) != want || (v.Outcome == policy.Allow) != want {
			g.t.Fatalf("%s at %s: in force %t, listed %s, state %s, decided %s (%+v)\n%+v", name, g.now, want, l.Stands,
				l.State(g.now), v.Outcome, l.Void, m)
		}
	}
	if n := book.InForce(g.p, g.now); n != count { // the metric
		g.t.Fatalf("%d exceptions are counted as in force at %s, and %d are", n, g.now, count)
	}
}

// book is what a sidecar makes of the records.
func (g *game) book() *Book {
	var records []signals.Record
	for _, kind := range []string{KindException, KindGrace} {
		if _, err := g.Records.EachRecord(g.t.Context(), kind, func(r signals.Record) error { records = append(records, r); return nil }); err != nil {
			g.t.Fatal(err)
		}
	}
	return NewBook(records, func(kind, key string, err error) { g.t.Fatalf("%s %s: %v", kind, key, err) })
}

// TestHistories plays random histories: no reader holds an exception in force that has ended, was revoked, or that nobody
// approved who may, and every reader holds those in force that are.
func TestHistories(t *testing.T) {
	t.Parallel()
	p := compiled(t, specOf())
	seen := 0
	for n := histories(t); seen < n; {
		before := seen
		rapid.Check(t, func(t *rapid.T) {
			seen++
			play(t, p, &shelf{}, 10)
		})
		if t.Failed() || seen == before {
			return
		}
	}
}

func play(t *rapid.T, p *policy.Policy, store signals.Store, steps int) {
	g := &game{t: t, all: map[string]*played{}, office: &office{now: noon, p: p}}
	g.Desk = &Desk{Records: store, Postures: store, Policy: func() *policy.Policy { return g.p }, Now: func() time.Time { return g.now }}
	actions := []func(*rapid.T){g.request, g.approve, g.approve, g.approve, g.refuse, g.revoke, g.pass, g.boundary, g.boundary}
	g.request(t)
	for range steps {
		i := rapid.IntRange(0, len(actions)-1).Draw(t, "step")
		if i == 0 || len(g.all) > 0 {
			actions[i](t)
		}
		g.readers(t)
	}
}

// TestHistoriesOverBolt plays some over the embedded store.
func TestHistoriesOverBolt(t *testing.T) {
	t.Parallel()
	p := compiled(t, specOf())
	n := 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		if n++; n > 10 {
			return
		}
		store, err := boltstore.Open(fmt.Sprintf("%s/%d.db", dir, n))
		if err != nil {
			t.Fatal(err)
		}
		play(t, p, store, 10)
		if err := store.Close(); err != nil && !errors.Is(err, signals.ErrNotFound) {
			t.Fatal(err)
		}
	})
}
