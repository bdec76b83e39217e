package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

func (c *company) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", c.at, err)
	}
}

func oidcPerson(name string) approvals.Caller {
	return approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: name}}
}

// request asks for an exception of a device's disk.
func (c *company) request(by, name string, m *machine, lasts time.Duration) {
	_, err := c.desk.Request(context.Background(), oidcPerson(by), policy.Exception{Meta: policy.Meta{Name: name},
		Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: m.user}}, Devices: []string{m.serial}, Routes: []string{"app"},
		Signals: []string{"disk"}, Reason: "a loan", Ticket: "T-1", Until: c.at.Add(lasts)})
	c.must(err)
}

// grant asks for one and approves it; used tells in which hours a decision rests on it.
func (c *company) grant(name string, m *machine, lasts time.Duration, used func(time.Time) bool) {
	c.request("for-"+name, name, m, lasts)
	c.approve(name)
	c.users[name] = used
}

func (c *company) approve(name string) {
	_, err := c.desk.Approve(context.Background(), ana, name, "")
	c.must(err)
}

func (c *company) revoke(name string) {
	_, err := c.desk.Revoke(context.Background(), ana, name, "over")
	c.must(err)
	delete(c.users, name)
}

// hoursFrom tells whether an instant is before an end that is known when it begins.
func (c *company) until(lasts time.Duration) func(time.Time) bool {
	end := c.at.Add(lasts)
	return func(at time.Time) bool { return at.Before(end) }
}

func never(time.Time) bool { return false }

// needless: its device is well.
func needless(c *company, n int) []*trouble {
	m, name := c.pick("macos", "windows"), fmt.Sprint("needless-", n)
	return one(&trouble{key: "exception-abuse|exception " + name + "|needless", team: "iam", lasts: 6 * day, opens: 3 * day, slack: 2 * time.Hour,
		do: func() { c.grant(name, m, 10*day, c.until(10*day)) }, heal: func() { c.revoke(name) }})
}

func unused(c *company, n int) []*trouble {
	m, name := c.pick("macos"), fmt.Sprint("unused-", n)
	return []*trouble{broken(c, m, 9*day), {key: "exception-abuse|exception " + name + "|unused", team: "iam", lasts: 9 * day, opens: 7 * day,
		slack: 2 * time.Hour, do: func() { c.grant(name, m, 10*day, never) }, heal: func() { c.revoke(name) }}}
}

// renewed: it is renewed as often as its tier allows, and ends by itself.
func renewed(c *company, n int) []*trouble {
	m, name := c.pick("macos"), fmt.Sprint("renewed-", n)
	return []*trouble{broken(c, m, 10*day), {key: "exception-abuse|exception " + name + "-r1|renewed-to-bound", team: "iam", lasts: 10 * day,
		opens: 4 * day, slack: 2 * time.Hour,
		do: func() { c.grant(name, m, 5*day, c.until(5*day-time.Hour)) }, heal: func() {},
		at: map[time.Duration]func(){4 * day: func() {
			_, err := c.desk.Renew(context.Background(), oidcPerson("for-"+name), name, time.Time{}, 5*day, "still on loan", "T-2")
			c.must(err)
			c.approve(name + "-r1")
			begins, ends := c.at.Add(day), c.at.Add(6*day-2*time.Hour)
			c.users[name+"-r1"] = func(at time.Time) bool { return !at.Before(begins) && at.Before(ends) }
		}}}}
}

// edges: it is used five minutes before its end, and nobody renews it.
func edges(c *company, n int) []*trouble {
	m, name := c.pick("windows"), fmt.Sprint("edge-", n)
	return []*trouble{broken(c, m, 5*day+time.Hour), {key: "exception-abuse|exception " + name + "|used-at-edge", team: "iam", lasts: 5 * day,
		opens: 5 * day, closes: 7*day - time.Hour, slack: 2 * time.Hour, do: func() {
			c.grant(name, m, 5*day+5*time.Minute, c.until(5*day+5*time.Minute))
		}, heal: func() {}}}
}

// late: a sidecar that has not heard of the end lets somebody in an hour after it.
func late(c *company, n int) []*trouble {
	m, name := c.pick("windows"), fmt.Sprint("late-", n)
	return []*trouble{broken(c, m, 5*day+time.Hour), {key: "exception-abuse|exception " + name + "|used-outside", team: "iam",
		lasts: 5*day + time.Hour, opens: 5*day + time.Hour, closes: 7*day - time.Hour, slack: 2 * time.Hour, do: func() {
			end := c.at.Add(5 * day)
			c.grant(name, m, 5*day, func(at time.Time) bool { return at.Before(end.Add(-time.Hour)) || at.Equal(end.Add(time.Hour)) })
		}, heal: func() {}}}
}

// asking: one person asks for five, of which nobody approves any.
func asking(c *company, n int) []*trouble {
	who, m := fmt.Sprint("eager-", n), c.pick("windows")
	x := &trouble{key: "exception-abuse|person " + oidcPerson(who).String() + "|many-by-one", team: "iam", lasts: 5 * time.Hour,
		opens: 4 * time.Hour, closes: 30*day - 5*time.Hour, slack: 2 * time.Hour, do: func() {}, heal: func() {}, at: map[time.Duration]func(){}}
	for i := range 5 {
		x.at[time.Duration(i)*time.Hour] = func() { c.request(who, fmt.Sprint("eager-", n, "-", i), m, 5*day) }
	}
	return one(x)
}

// Those of which there is one in four weeks: they concern many at once.

// badUpdate: two of five phones of a make lose their encryption on one day.
func badUpdate(c *company, begins time.Time) *trouble {
	var phones []*machine
	set := func(is bool) func() {
		return func() {
			if phones == nil {
				phones = c.of("android")
			}
			for i, m := range phones {
				if i%5 < 2 {
					c.says(m, "disk_encryption", signals.Bool(is))
				}
			}
		}
	}
	return &trouble{key: "drift|population android|disk", team: "phones", begins: begins, lasts: 3 * day, opens: time.Hour, slack: 2 * time.Hour,
		do: set(false), heal: set(true)}
}

// silentFeed: a feed tells of no device any more.
func silentFeed(c *company, begins time.Time) *trouble {
	return &trouble{key: "stale-device|source ws1|", team: "endpoint", begins: begins, lasts: 16 * day, opens: 14*day - 6*time.Hour,
		slack: 8 * time.Hour,
		do:    func() { c.mute("android", true) }, heal: func() { c.mute("android", false) }}
}

// leaning: too much of what a tier lets through rests on exceptions.
func leaning(c *company, begins time.Time) *trouble {
	return &trouble{key: "exception-abuse|tier payroll|standing-share", team: "payroll", begins: begins, lasts: 4 * day, opens: 12 * time.Hour, closes: 5 * day,
		slack: 3 * day, do: func() { c.share = true }, heal: func() { c.share = false }}
}

// stranger: callers of a trust domain that no document names, until one does.
func stranger(c *company, begins time.Time) *trouble {
	n := begins.Format(time.DateOnly)
	w := &caller{id: "spiffe://other-" + n + ".example/a", routes: []string{"read"}, lives: time.Hour}
	return &trouble{key: "identity-misconfigured|trust domain other-" + n + ".example|trust-domain", team: "iam", begins: begins, lasts: 5 * day,
		slack: 2 * time.Hour, do: func() { w.seen(c.at, 1); c.callers = append(c.callers, w) },
		heal: func() {
			c.changed = true
			c.spec.Identities = append(c.spec.Identities, policy.Identity{Meta: policy.Meta{Name: "other-" + n, Owner: "iam"},
				Type: policy.IdentityOfWorkload, SPIFFEIDs: []string{w.id}, RecordedIn: "spire", ReviewBy: policy.Date{Time: midnight.Add(300 * day)}})
		}}
}

func (c *company) of(platform string) (all []*machine) {
	for _, id := range c.order {
		if m := c.machines[id]; m != nil && m.platform == platform && !m.left {
			all = append(all, m)
		}
	}
	return all
}

func (c *company) mute(platform string, is bool) {
	c.muted[platform] = is
	for _, m := range c.of(platform) {
		for _, feed := range feeds(platform) {
			if m.mute[feed] = is; !is {
				c.reports(m, feed)
			}
		}
	}
}
