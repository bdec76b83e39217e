package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// trouble is one fault that is put into the company, and what must come of it.
type trouble struct {
	key, team string
	within    time.Duration // the case is to be closed; 0: within the 7 days of everybody
	begins    time.Time
	lasts     time.Duration
	// The case opens so long after the fault begins, and is closed so long after it is healed, or up to slack later: feeds
	// tell of a device every few hours, and a trouble counts when it has been found for its wait.
	opens, closes, slack time.Duration
	do, heal             func()
	at                   map[time.Duration]func() // further steps, by the time since it began
}

// injection makes troubles of one sort; each takes what it needs when it is made, and changes it when it begins.
type injection func(c *company, n int) []*trouble

// injections are the sorts of which there are as many as the company's size asks for.
func injections() []injection {
	return []injection{drifts, unheard, alarms, ownerships, disputes, clones, lost, nameless, overruns, needless, unused, renewed, edges, late,
		asking, envoyDrift, ghosts, imports, resting, reviews, unusedRoutes, roaming, wildcards, longLived, endless, oldKeys}
}

// one is a trouble alone.
func one(x *trouble) []*trouble { return []*trouble{x} }

// says has the management of a device say something from now on, at once.
func (c *company) says(m *machine, attribute string, v signals.Value) {
	m.mdm()[attribute] = v
	c.reports(m, feeds(m.platform)[0])
}

// broken is a device whose disk is not encrypted for a while: drift, whatever excuses it.
func broken(c *company, m *machine, lasts time.Duration) *trouble {
	return &trouble{key: "drift|device " + m.id + "|disk", team: ownerOf(m.platform), lasts: lasts, opens: time.Hour, closes: 15 * time.Minute,
		slack: 2 * time.Hour, do: func() { c.says(m, "disk_encryption", signals.Bool(false)) },
		heal: func() { c.says(m, "disk_encryption", signals.Bool(true)) }}
}

func drifts(c *company, n int) []*trouble {
	m := c.pick("macos", "ios")
	x := broken(c, m, 3*day)
	if n < 2 { // an executive's: one whom the policy names, and one of a group that only tokens name
		m = c.machines[[]string{"d00000", "d00013"}[n]]
		for i := range c.spare {
			if c.spare[i] == m {
				c.spare = append(c.spare[:i:i], c.spare[i+1:]...)
				break
			}
		}
		x = broken(c, m, 3*day)
		x.team, x.within = "secops", day
	}
	return one(x)
}

func unheard(c *company, _ int) []*trouble {
	m := c.pick("macos")
	return one(&trouble{key: "drift|device " + m.id + "|edr", team: "endpoint", lasts: 5 * day, opens: 3 * time.Hour, slack: 12 * time.Hour,
		do: func() { m.mute["edr"] = true }, heal: func() { m.mute["edr"] = false }})
}

func alarms(c *company, _ int) []*trouble {
	m := c.pick("macos", "windows", "ios")
	return one(&trouble{key: "alarm-uncleared|device " + m.id + "|clean", team: ownerOf(m.platform), lasts: 4 * day, opens: day,
		slack: 9 * time.Hour, do: func() { m.mdm()["compromised"] = signals.Bool(true) },
		heal: func() { m.mdm()["compromised"] = signals.Bool(false) }})
}

func ownerships(c *company, _ int) []*trouble {
	m := c.pick("macos", "windows")
	return one(&trouble{key: "conflict|device " + m.id + "|ownership", team: "endpoint", lasts: 3 * day, opens: 4 * time.Hour, slack: 6 * time.Hour,
		do:   func() { m.says["edr"]["ownership"] = signals.Text("byod") },
		heal: func() { m.says["edr"]["ownership"] = signals.Text("corporate") }})
}

// disputes: the management says that the agent is dead, and the agent, whom the baseline prefers, that it is well.
func disputes(c *company, _ int) []*trouble {
	m := c.pick("macos")
	return one(&trouble{key: "conflict|device " + m.id + "|edr", team: "endpoint", lasts: 3 * day, opens: 4 * time.Hour, slack: 9 * time.Hour,
		do:   func() { m.mdm()["edr_healthy"] = signals.Bool(false) },
		heal: func() { m.mdm()["edr_healthy"] = signals.Bool(true) }})
}

// clones: another record of a device, with its serial number.
func clones(c *company, _ int) []*trouble {
	m := c.pick("macos", "windows")
	var twin *machine
	return one(&trouble{key: "contested-device|name serial:" + m.serial + "|", team: "endpoint", lasts: 2 * day, slack: 2 * time.Hour,
		do: func() {
			twin = c.join(0)
			twin.platform, twin.serial, twin.user, twin.weekends = m.platform, m.serial, m.user, false
			twin.says = map[string]map[string]signals.Value{feeds(m.platform)[0]: m.mdm(), "edr": m.says["edr"]}
			c.reports(twin, feeds(twin.platform)...)
		}, heal: func() { delete(c.machines, twin.id) }})
}

func lost(c *company, _ int) []*trouble {
	m := c.pick("macos", "windows", "ios")
	return one(&trouble{key: "stale-device|device " + m.id + "|", team: ownerOf(m.platform), lasts: 18 * day, opens: 14*day - 6*time.Hour,
		slack: 8 * time.Hour, do: func() { m.silent = true }, heal: func() { m.silent = false; c.reports(m, feeds(m.platform)...) }})
}

// nameless: a device that joins, and nobody says for whom.
func nameless(c *company, n int) []*trouble {
	x := &trouble{team: "endpoint", lasts: 17 * day, opens: 14 * day, slack: 3 * time.Hour}
	m := c.join(n)
	delete(c.machines, m.id) // it joins later
	m.platform, m.weekends = "macos", false
	m.says = map[string]map[string]signals.Value{"jamf": {"platform": signals.Text("macos"), "disk_encryption": signals.Bool(true),
		"compromised": signals.Bool(false)}, "edr": {"edr_healthy": signals.Bool(true)}}
	x.key = "stale-device|device " + m.id + "|enrolled-user"
	x.do = func() { c.machines[m.id] = m; c.reports(m, "jamf", "edr") }
	x.heal = func() { c.says(m, "enrolled_user", signals.Text(m.user)) }
	return one(x)
}

// overruns: somebody renews the grace of a silent device for the last time.
func overruns(c *company, _ int) []*trouble {
	m := c.pick("macos")
	return one(&trouble{key: "grace-overrun|device " + m.id + "|", team: "iam", lasts: 3 * day, opens: 10 * time.Hour, slack: 2 * time.Hour,
		do: func() { m.silent = true }, heal: func() { m.silent = false; c.reports(m, feeds(m.platform)...) },
		at: map[time.Duration]func(){10 * time.Hour: func() {
			_, err := c.desk.RenewGrace(context.Background(), ana, m.id, "she travels", "T-1")
			c.must(err)
		}}})
}

func envoyDrift(c *company, n int) []*trouble {
	id := fmt.Sprintf("edge-%03d", n)
	return one(&trouble{key: "drift|envoy " + id + "|", team: "iam", lasts: day, opens: time.Hour, slack: 2 * time.Hour,
		do: func() { c.envoys[id] = c.at }, heal: func() { delete(c.envoys, id) }})
}

// ghosts: a workload that nobody owns, until somebody writes a document.
func ghosts(c *company, n int) []*trouble {
	w := &caller{id: fmt.Sprintf("spiffe://acme.example/ns/robots/ghost-%d", n), routes: []string{"read"}, lives: time.Hour}
	return one(&trouble{key: "identity-unowned|" + w.id + "|", team: "secops", lasts: 4 * day, slack: 2 * time.Hour,
		do: func() { w.seen(c.at, 1); c.callers = append(c.callers, w) },
		heal: func() {
			c.changed = true
			c.spec.Identities = append(c.spec.Identities, policy.Identity{Meta: policy.Meta{Name: fmt.Sprint("ghost-", n), Owner: "secops"},
				Type: policy.IdentityOfWorkload, SPIFFEIDs: []string{w.id}, RecordedIn: "spire", ReviewBy: policy.Date{Time: midnight.Add(300 * day)}})
		}})
}

// imports: another system records an identity that no document names, until it does not any more.
func imports(c *company, n int) []*trouble {
	id := fmt.Sprint("job-", n)
	e := inventory.Entry{System: "ci-cd", ID: id, Type: "pipeline", Owner: "platform"}
	return one(&trouble{key: "identity-unowned|import ci-cd/" + id + "|", team: "platform", lasts: 5 * day, slack: 2 * time.Hour,
		do: func() { e.Created = c.at; c.imported[id] = e }, heal: func() { e.Gone = c.at; c.imported[id] = e }})
}

func resting(c *company, _ int) []*trouble {
	w := c.pickCaller(policy.IdentityOfAgent)
	d := c.document(w)
	return one(&trouble{key: "identity-stale|identity " + d.Meta.Name + "|", team: d.Meta.Owner, lasts: 17 * day, opens: 14*day - 6*time.Hour,
		slack: 8 * time.Hour, do: func() { w.resting = true }, heal: func() { w.resting = false }})
}

func reviews(c *company, _ int) []*trouble {
	w := c.pickCaller(policy.IdentityOfWorkload)
	d := *c.document(w)
	set := func(by time.Time) { c.document(w).ReviewBy, c.changed = policy.Date{Time: by.Truncate(day)}, true }
	return one(&trouble{key: "identity-unreviewed|identity " + d.Meta.Name + "|", team: d.Meta.Owner, lasts: 6 * day, slack: 2 * time.Hour,
		do: func() { set(c.at.Add(-day)) }, heal: func() { set(c.at.Add(180 * day)) }})
}

// unusedRoutes: an agent was not let in to one of its routes for 30 days, though it asks.
func unusedRoutes(c *company, _ int) []*trouble {
	w := c.pickCaller(policy.IdentityOfAgent)
	d := *c.document(w)
	last := w.sighting.Routes["deploy"]
	return one(&trouble{key: "identity-excessive|identity " + d.Meta.Name + "|", team: d.Meta.Owner, lasts: 4 * day, slack: 7 * time.Hour,
		do: func() {
			w.routes, last = []string{"tools"}, w.sighting.Routes["deploy"]
			last.LastAllowed = c.at.Add(-30 * day)
			w.sighting.Routes["deploy"] = last
		}, heal: func() { w.routes = []string{"tools", "deploy"} }})
}

func roaming(c *company, _ int) []*trouble {
	w := c.pickCaller(policy.IdentityOfAgent)
	return one(&trouble{key: "identity-misconfigured|" + w.id + "|many-places", team: c.document(w).Meta.Owner, lasts: 3 * day, closes: day - time.Hour,
		slack: 3 * time.Hour, do: func() { w.roaming = true }, heal: func() { w.roaming = false }})
}

func wildcards(c *company, _ int) []*trouble {
	w := c.pickCaller(policy.IdentityOfWorkload)
	d := *c.document(w)
	set := func(ids ...string) { c.document(w).SPIFFEIDs, c.changed = ids, true }
	return one(&trouble{key: "identity-misconfigured|identity " + d.Meta.Name + "|wildcard", team: d.Meta.Owner, lasts: 3 * day, slack: 2 * time.Hour,
		do: func() { set(w.id, w.id+"/*") }, heal: func() { set(w.id) }})
}

func longLived(c *company, _ int) []*trouble {
	w := c.pickCaller(policy.IdentityOfWorkload)
	return one(&trouble{key: "credential-age|" + w.id + "|", team: c.document(w).Meta.Owner, lasts: 3 * day, slack: 7 * time.Hour,
		do: func() { w.lives = 40 * day }, heal: func() { w.lives = time.Hour }})
}

func endless(c *company, n int) []*trouble {
	return key(c, fmt.Sprint("endless-", n), "never-expires", func(e *inventory.Entry, is bool) { e.NeverExpires = is })
}

func oldKeys(c *company, n int) []*trouble {
	return key(c, fmt.Sprint("old-", n), "", func(e *inventory.Entry, is bool) {
		if e.CredentialFrom = c.at; is {
			e.CredentialFrom = c.at.Add(-90 * day)
		}
	})
}

// key is a key with a document, whose credential is not what it should be.
func key(c *company, name, detail string, set func(e *inventory.Entry, is bool)) []*trouble {
	c.spec.Identities = append(c.spec.Identities, policy.Identity{Meta: policy.Meta{Name: name, Owner: "payroll"}, Type: policy.IdentityOfKey,
		RecordedIn: "secret-manager", ReviewBy: policy.Date{Time: midnight.Add(300 * day)}})
	c.changed = true
	e := inventory.Entry{System: "secret-manager", ID: name, Type: "key"}
	return one(&trouble{key: "credential-age|import secret-manager/" + name + "|" + detail, team: "payroll", lasts: 5 * day, slack: 2 * time.Hour,
		do: func() { set(&e, true); c.imported[name] = e }, heal: func() { set(&e, false); c.imported[name] = e }})
}
