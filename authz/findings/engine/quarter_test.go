package engine

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// TestSimulatedMonths runs a company for months of virtual time, and looks at it each hour: five weeks with 320 devices and
// 80 workloads, or with TIERGATE_PROVE a quarter with 5,000 and 800. Three managements and an agent tell of devices, which
// join, leave and rest at weekends. Every fault that is put in becomes one case, of the team that answers for it, in the
// time that its kind allows; it is closed when the fault is healed; nothing else becomes a case; and what is reported for
// metrics is what there is.
func TestSimulatedMonths(t *testing.T) {
	t.Parallel()
	devices, workloads, weeks, of := 320, 80, 5, 2
	if os.Getenv("TIERGATE_PROVE") != "" {
		devices, workloads, weeks, of = 5000, 800, 13, 20
	}
	c := newCompany(t, devices, workloads)
	ends := midnight.Add(time.Duration(weeks) * 7 * day)
	troubles := c.troubles(ends, of)
	c.compile()
	r := &months{c: c, troubles: troubles, cases: map[string]findings.Case{}, opened: map[string][]time.Time{}, closed: map[string][]time.Time{},
		steps: map[time.Time][]func(){}}
	for _, x := range troubles {
		r.plan(x)
	}
	for ; c.at.Before(ends) && r.wrong < 10; c.at = c.at.Add(time.Hour) {
		for _, step := range r.steps[c.at] {
			step()
		}
		c.hour()
		r.look()
	}
	r.judge(ends)
	t.Logf("%d devices, %d callers, %d looks, %d faults, %d cases, %d closed, %d looks with exact counts",
		len(c.machines), len(c.callers), r.looks, len(troubles), len(r.opened), len(r.closed), r.exact)
}

// troubles puts faults at times of which their cases still begin; those that concern many come each four weeks.
func (c *company) troubles(ends time.Time, of int) (all []*trouble) {
	for _, inject := range injections() {
		for n := range of {
			some := inject(c, n)
			longest := time.Duration(0)
			for _, x := range some {
				longest = max(longest, x.lasts+x.slack+2*time.Hour)
			}
			room := int((ends.Sub(midnight) - day - longest) / time.Hour)
			begins := midnight.Add(day + time.Duration(c.dice.Intn(room))*time.Hour)
			for _, x := range some {
				x.begins = begins
			}
			all = append(all, some...)
		}
	}
	for at := midnight.Add(2 * day); at.Add(28 * day).Before(ends); at = at.Add(28 * day) {
		all = append(all, badUpdate(c, at), silentFeed(c, at.Add(5*day)), leaning(c, at.Add(day)), stranger(c, at.Add(3*day)))
	}
	return all
}

// months is one run.
type months struct {
	c              *company
	troubles       []*trouble
	steps          map[time.Time][]func()
	cases          map[string]findings.Case
	opened, closed map[string][]time.Time // when, by key
	looks, exact   int
	wrong          int // looks that counted otherwise than there is
}

// plan puts what a trouble does at its times.
func (r *months) plan(x *trouble) {
	put := func(at time.Time, step func()) { r.steps[at] = append(r.steps[at], step) }
	put(x.begins, x.do)
	for _, after := range slices.Sorted(maps.Keys(x.at)) {
		put(x.begins.Add(after), x.at[after])
	}
	put(x.begins.Add(x.lasts), x.heal)
}

// may tells whether a trouble's case may stand at an instant, and must whether it has to.
func (x *trouble) may(at time.Time) bool {
	return !at.Before(x.begins.Add(x.opens)) && !at.After(x.begins.Add(x.lasts+x.closes+x.slack))
}

func (x *trouble) must(at time.Time) bool {
	return at.After(x.begins.Add(x.opens+x.slack)) && at.Before(x.begins.Add(x.lasts+x.closes))
}

// look is one look of the engine, but that nothing is stored.
func (r *months) look() {
	c, count := r.c, newTally(r.c.policy)
	v := c.view(count)
	found := findings.Find(v)
	changed, told := findings.Follow(slices.Collect(maps.Values(r.cases)), found, v)
	for _, one := range changed {
		r.cases[one.ID] = one
	}
	for _, n := range told {
		key := (&findings.Finding{Kind: n.Kind, Subject: n.Subject, Detail: n.Detail}).Key()
		switch n.What {
		case findings.ToldOpened, findings.ToldReopened:
			r.opened[key] = append(r.opened[key], c.at)
		case findings.ToldClosed:
			r.closed[key] = append(r.closed[key], c.at)
		}
	}
	held := make(map[string]heldCase, len(r.cases))
	for id, one := range r.cases {
		held[id] = heldCase{kept: Kept{Case: one}}
	}
	r.count((&Engine{}).report(v, count, held, found, nil))
	r.looks++
}

// count compares what is reported with what there is.
func (r *months) count(report *Report) {
	c := r.c
	least, most := map[string]int{}, map[string]int{}
	for _, x := range r.troubles {
		if x.may(c.at) {
			most[x.team]++
		}
		if x.must(c.at) {
			least[x.team]++
		}
	}
	counted := map[string]int{}
	for labels, n := range report.Cases {
		counted[labels.Team] += n
	}
	exact := true
	for _, team := range []string{"endpoint", "iam", "payroll", "phones", "platform", "secops"} {
		exact = exact && least[team] == most[team]
		if counted[team] < least[team] || counted[team] > most[team] {
			c.t.Errorf("%s: %d cases of team %s are reported, not %d to %d", c.at, counted[team], team, least[team], most[team])
			r.wrong++
		}
	}
	if exact {
		r.exact++
	}
	laptops, fresh := 0, 0
	for _, m := range c.machines {
		if len(feeds(m.platform)) > 1 {
			if laptops++; c.at.Sub(m.heard["edr"]) < 6*time.Hour {
				fresh++
			}
		}
	}
	if got := report.Coverage["edr"]; report.Devices != len(c.machines) || got != (Share{laptops, fresh}) {
		c.t.Fatalf("%s: %d devices, edr %+v; there are %d, edr %d of %d", c.at, report.Devices, got, len(c.machines), fresh, laptops)
	}
	if len(report.Unwatched) > 0 {
		c.t.Fatalf("%s: %v", c.at, report.Unwatched)
	}
	r.countOthers(report)
}

// countOthers compares identities, exceptions and traffic.
func (r *months) countOthers(report *Report) {
	c := r.c
	seen, active, owned := 0, map[string]int{}, map[string]int{}
	for _, d := range c.spec.Identities {
		owned[string(d.Type)]++
	}
	for _, w := range c.callers {
		if slices.ContainsFunc(c.spec.Identities, func(d policy.Identity) bool { return slices.Contains(d.SPIFFEIDs, w.id) }) &&
			c.at.Sub(w.sighting.Last) <= 30*day {
			seen++
			active[string(c.document(w).Type)]++
		}
	}
	for _, p := range report.Postures {
		if a, o := p.States[inventory.StateActive], p.States[inventory.StateOwned]; p.Type != inventory.UnknownType && a < active[p.Type] || o != owned[p.Type] {
			c.t.Fatalf("%s: %d of type %s are owned and %d active; there are %d and %d", c.at, o, p.Type, a, owned[p.Type], active[p.Type])
		}
		delete(owned, p.Type)
	}
	if len(owned) > 0 {
		c.t.Fatalf("%s: nothing is said of types %v", c.at, owned)
	}
	if *report.Identities != (Share{len(c.spec.Identities), seen}) {
		c.t.Fatalf("%s: identities %+v; there are %d, seen %d", c.at, report.Identities, len(c.spec.Identities), seen)
	}
	var payroll, excused uint64
	for i := range 7 {
		if u := c.use[c.at.AddDate(0, 0, -i).Format(time.DateOnly)]; u != nil {
			payroll, excused = payroll+u.Tiers["payroll"].Allowed, excused+u.Tiers["payroll"].ByException
		}
	}
	if got := report.Traffic["payroll"]; got.Allowed != payroll || got.ByException != excused {
		c.t.Fatalf("%s: tier payroll %+v; it let in %d, %d by exception", c.at, got, payroll, excused)
	}
	var standing int
	listed, err := c.desk.List(c.t.Context())
	c.must(err)
	for i := range listed {
		if listed[i].Stands == approvals.StateInForce {
			standing++
		}
	}
	if got := report.Exceptions[approvals.OriginRunTime].Number; got != standing {
		c.t.Fatalf("%s: %d exceptions are reported as in force, and %d are", c.at, got, standing)
	}
}

// judge tells whether every fault was one case, which a fault that comes again opens again, and nothing else was.
func (r *months) judge(ends time.Time) {
	t := r.c.t
	slices.SortFunc(r.troubles, func(a, b *trouble) int { return cmp.Or(a.begins.Compare(b.begins), cmp.Compare(a.key, b.key)) })
	within := func(x *trouble, what string, times []time.Time, n int, early time.Time) {
		if late := early.Add(x.slack); len(times) <= n || times[n].Before(early) || times[n].After(late) {
			t.Errorf("%s, %s for %s: %s at %s, not from %s to %s", x.key, x.begins, x.lasts, what, times, early, late)
		}
	}
	put, healed := map[string]int{}, map[string]int{}
	for _, x := range r.troubles {
		n := put[x.key]
		put[x.key]++
		within(x, "opened", r.opened[x.key], n, x.begins.Add(x.opens))
		if c := r.cases[findings.IDOf(x.key)]; c.Team != x.team || c.Reopened != len(r.opened[x.key])-1 {
			t.Errorf("%s: %+v, not of team %s", x.key, c, x.team)
		} else if within := cmp.Or(x.within, 7*day); c.Deadline.Sub(c.Counts) != within {
			t.Errorf("%s: to be closed within %s, not %s: %+v", x.key, c.Deadline.Sub(c.Counts), within, c)
		}
		if over := x.begins.Add(x.lasts + x.closes); over.Add(x.slack).Before(ends) {
			healed[x.key]++
			within(x, "closed", r.closed[x.key], n, over)
		}
	}
	for key, times := range r.opened {
		if len(times) != put[key] || len(r.closed[key]) < healed[key] || len(r.closed[key]) > put[key] {
			t.Errorf("%s was opened %d times and closed %d; it was put in %d times and healed %d", key, len(times), len(r.closed[key]),
				put[key], healed[key])
		}
	}
}
