package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/replica"
)

const day = 24 * time.Hour

// midnight is when the simulated time begins: a Monday.
var midnight = time.Date(2026, 9, 7, 0, 0, 0, 0, time.UTC)

// machine is one device: what its feeds say of it, and when they last did.
type machine struct {
	id, serial, platform, user, ownership string
	says                                  map[string]map[string]signals.Value // by feed and attribute: what is true, or not
	mute                                  map[string]bool                     // feeds that say nothing of it
	heard                                 map[string]time.Time                // by feed: when it was last told of
	silent, left, weekends, awayBefore    bool
	phase                                 int
	held                                  replica.Held
	posture                               signals.Posture
}

// feeds are those that tell of a platform, the management first.
func feeds(platform string) []string {
	return map[string][]string{"macos": {"jamf", "edr"}, "ios": {"jamf"}, "windows": {"intune", "edr"}, "android": {"ws1"}}[platform]
}

// every is how often a feed tells of a device, in hours.
func every(feed string) int { return map[string]int{"jamf": 6, "intune": 6, "ws1": 6, "edr": 3}[feed] }

// caller is one workload as decisions see it.
type caller struct {
	id     string
	routes []string
	resting,
	roaming bool // it does not call; it calls from everywhere
	lives    time.Duration // of its credentials
	sighting inventory.Sighting
}

// company is all that is simulated. Nothing in it is random but what its seed says.
type company struct {
	t        *testing.T
	dice     *rand.Rand
	at       time.Time
	spec     policy.Spec
	changed  bool // the spec, since it was compiled
	policy   *policy.Policy
	world    *world
	machines map[string]*machine
	order    []string
	callers  []*caller
	envoys   map[string]time.Time
	imported map[string]inventory.Entry
	use      map[string]*inventory.Use
	attended map[string]*inventory.DeviceUse    // by device: who was seen to use it
	users    map[string]func(at time.Time) bool // exceptions, and whether one is used in an hour
	muted    map[string]bool                    // platforms whose feeds tell of no device
	share    bool                               // many decisions of the tier payroll rest on exceptions
	desk     approvals.Desk
	store    signals.Store
	joined   int
	spare    []*machine // devices that nothing is wrong with, to be picked for a trouble
	identity []*caller
	asked    int
}

func newCompany(t *testing.T, devices, workloads int) *company {
	raw, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	c := &company{t: t, dice: rand.New(rand.NewSource(11)), at: midnight, spec: companySpec(), world: newWorld(),
		machines: map[string]*machine{}, envoys: map[string]time.Time{}, imported: map[string]inventory.Entry{},
		attended: map[string]*inventory.DeviceUse{}, use: map[string]*inventory.Use{}, users: map[string]func(time.Time) bool{}, muted: map[string]bool{}, store: raw}
	c.desk = approvals.Desk{Records: raw, Postures: everyPosture{c: c}, Policy: func() *policy.Policy { return c.policy },
		Now: func() time.Time { return c.at }, Random: func() string { c.asked++; return fmt.Sprint("n", c.asked) }}
	for i := range workloads {
		c.workload(i)
	}
	for range devices {
		m := c.join(0)
		if !m.weekends {
			c.spare = append(c.spare, m)
		}
	}
	for _, m := range c.machines {
		c.reports(m, feeds(m.platform)...)
	}
	c.compile()
	return c
}

// workload adds one, with the document that owns it.
func (c *company) workload(i int) {
	kind, routes := policy.IdentityOfWorkload, []string{"read", "write"}
	name, lives := fmt.Sprintf("robot-%04d", i), time.Hour
	path := "robots/" + name
	if i%4 == 3 {
		kind, routes, name = policy.IdentityOfAgent, []string{"tools", "deploy"}, fmt.Sprintf("agent-%04d", i)
		path = "agents/" + name
	}
	id := "spiffe://acme.example/ns/" + path
	owner := []string{"payroll", "platform", "secops"}[i%3]
	c.spec.Identities = append(c.spec.Identities, policy.Identity{Meta: policy.Meta{Name: name, Owner: owner}, Type: kind,
		SPIFFEIDs: []string{id}, RecordedIn: "kubernetes", ReviewBy: policy.Date{Time: midnight.Add(300 * day)}})
	w := &caller{id: id, routes: routes, lives: lives}
	c.callers = append(c.callers, w)
	c.identity = append(c.identity, w)
	w.seen(midnight.Add(-200*day), 1)
	w.seen(midnight.Add(-time.Hour), 1)
}

// document is the one of a caller.
func (c *company) document(w *caller) *policy.Identity {
	i := slices.IndexFunc(c.spec.Identities, func(d policy.Identity) bool { return slices.Contains(d.SPIFFEIDs, w.id) })
	return &c.spec.Identities[i]
}

// join adds a device, phase hours off the hours of the others.
func (c *company) join(phase int) *machine {
	n := c.joined
	c.joined++
	m := &machine{id: fmt.Sprintf("d%05d", n), serial: fmt.Sprintf("C02%05d", n), platform: []string{"macos", "windows", "macos", "ios",
		"windows", "macos", "android", "windows"}[n%8], user: fmt.Sprintf("user-%05d", n), ownership: "corporate", phase: phase + n,
		mute: map[string]bool{}, heard: map[string]time.Time{}}
	if n < 16 && m.platform == "macos" {
		m.user = fmt.Sprintf("boss-%d", n%8)
	}
	m.weekends = len(feeds(m.platform)) > 1 && n%3 == 2
	if m.platform == "android" {
		m.ownership = "byod"
	}
	m.says = map[string]map[string]signals.Value{feeds(m.platform)[0]: {"platform": signals.Text(m.platform),
		"disk_encryption": signals.Bool(true), "compromised": signals.Bool(false), "ownership": signals.Text(m.ownership),
		"enrolled_user": signals.Text(m.user)}, "edr": {"edr_healthy": signals.Bool(true)}}
	c.machines[m.id] = m
	c.order = append(c.order, m.id)
	return m
}

// mdm is what the management of a device says of it.
func (m *machine) mdm() map[string]signals.Value { return m.says[feeds(m.platform)[0]] }

// reports has feeds tell of a device, a few minutes ago.
func (c *company) reports(m *machine, feeds ...string) {
	serial, _ := signals.NewAlias(signals.AliasSerial, m.serial)
	old := m.posture
	if old.Device == "" {
		old.Device = signals.DeviceID(m.id)
	}
	for _, feed := range feeds {
		if m.mute[feed] || m.silent {
			continue
		}
		seen := c.at.Add(-time.Duration(1+m.phase%9) * time.Minute)
		o := signals.Observation{Aliases: []signals.Alias{serial}}
		for _, attribute := range slices.Sorted(maps.Keys(m.says[feed])) {
			o.Facts = append(o.Facts, signals.Fact{Attribute: attribute, Value: m.says[feed][attribute], Source: feed, Observed: seen,
				Received: seen.Add(30 * time.Second)})
		}
		old, _ = old.Merge(o)
		m.heard[feed] = seen
	}
	old.Revision = signals.NextRevision(m.posture.Revision, c.at)
	m.posture = old
	m.held = replica.Held{Device: old.Device, Posture: signals.Pack(&old)}
	c.world.posture(&old)
}

// away tells whether a device is off for the weekend.
func (m *machine) away(at time.Time) bool {
	h := int(at.Sub(midnight).Hours()) % (7 * 24)
	return m.weekends && h >= 4*24+20 && h < 7*24-1
}

// hour has everybody do what an hour brings: feeds tell, callers call, sidecars count.
func (c *company) hour() {
	h := int(c.at.Sub(midnight).Hours())
	for _, id := range c.order {
		m := c.machines[id]
		if m == nil || m.left {
			continue
		}
		away := m.away(c.at)
		for _, feed := range feeds(m.platform) {
			if !away && (m.awayBefore || (h+m.phase)%every(feed) == 0) {
				c.reports(m, feed)
			}
		}
		m.awayBefore = away
		if !away && !m.silent && (h+m.phase)%12 == 0 {
			c.uses(m)
		}
	}
	for i, w := range c.callers {
		if !w.resting && (h+i)%6 == 0 {
			w.seen(c.at, 1)
		}
		for p := range 12 {
			if w.roaming {
				w.sighting.Merge(&inventory.Sighting{ID: w.id, TrustDomain: w.sighting.TrustDomain, First: c.at, Last: c.at,
					Places: map[string]time.Time{fmt.Sprint("10.9.", p, ".0/24"): c.at}})
			}
		}
	}
	c.decide()
	if h%24 == 5 {
		c.fluctuate()
	}
	if c.changed {
		c.compile()
	}
}

// fluctuate has somebody join and somebody leave, each day.
func (c *company) fluctuate() {
	if n := c.join(int(c.at.Sub(midnight) / time.Hour)); c.muted[n.platform] {
		delete(c.machines, n.id) // nobody tells of it, and so it does not join
	} else {
		c.reports(n, feeds(n.platform)...)
	}
	at := len(c.spare) - 1
	for c.muted[c.spare[at].platform] {
		at-- // nobody would tell that it leaves
	}
	m := c.spare[at]
	c.spare = slices.Delete(c.spare, at, at+1)
	m.mdm()["lifecycle"] = signals.Text("removed")
	c.reports(m, feeds(m.platform)[0])
	m.left = true
}

// seen is a sidecar's note of a caller.
func (w *caller) seen(at time.Time, times uint64) {
	s := inventory.Sighting{ID: w.id, TrustDomain: "acme.example", First: at, Last: at, Routes: map[string]inventory.RouteUse{},
		Places: map[string]time.Time{"edge-1": at}, CredentialFrom: at.Add(-time.Minute), CredentialUntil: at.Add(w.lives),
		CredentialSeen: at}
	for _, route := range w.routes {
		s.Routes[route] = inventory.RouteUse{First: at, Last: at, Allowed: times, LastAllowed: at}
	}
	w.sighting.Merge(&s)
}

// decide counts what the sidecar decided in this hour.
func (c *company) decide() {
	u := inventory.Use{Day: c.at.Format(time.DateOnly), Sidecar: "edge-1", Tiers: map[string]inventory.TierUse{
		"guarded": {Allowed: 20_000, Refused: 3}, "payroll": {Allowed: 10}, "machine": {Allowed: 700}},
		Exceptions: map[string]inventory.ExceptionUse{}}
	for name, used := range c.users {
		if used(c.at) {
			u.Exceptions[name] = inventory.ExceptionUse{Count: 1, Last: c.at}
		}
	}
	guarded := u.Tiers["guarded"]
	guarded.ByException = uint64(len(u.Exceptions))
	u.Tiers["guarded"] = guarded
	if c.share {
		u.Tiers["payroll"] = inventory.TierUse{Allowed: 10, ByException: 5}
	}
	if c.use[u.Day] == nil {
		c.use[u.Day] = &inventory.Use{}
	}
	c.use[u.Day].Merge(&u)
}

func (c *company) compile() {
	attests := []string{"platform", "disk_encryption", "edr_healthy", "compromised", "enrolled_user", "ownership", "lifecycle"}
	world := policy.World{Issuers: []string{"corp"}, Sources: map[string]policy.Source{}}
	for _, feed := range []string{"jamf", "intune", "ws1", "edr"} {
		world.Sources[feed] = policy.Source{Attests: attests, EnrolledUser: policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsName}}
	}
	p, faults := policy.New(c.spec, world)
	if len(faults) > 0 {
		c.t.Fatalf("%s: %+v", c.at, faults)
	}
	c.policy, c.changed = p, false
}

// view is what a look sees, put together as the engine does: the devices by its own function.
func (c *company) view(count *tally) *findings.View {
	held := make([]replica.Held, 0, len(c.order))
	carriers := map[signals.Alias][]signals.DeviceID{}
	for _, id := range c.order {
		if m := c.machines[id]; m != nil {
			held = append(held, m.held)
			for _, alias := range m.posture.Aliases {
				carriers[alias] = append(carriers[alias], m.posture.Device)
			}
		}
	}
	maps.DeleteFunc(carriers, func(_ signals.Alias, of []signals.DeviceID) bool { return len(of) < 2 })
	attended := make([]inventory.DeviceUse, 0, len(c.attended))
	for _, u := range c.attended {
		attended = append(attended, *u)
	}
	v := &findings.View{At: c.at, Policy: c.policy, Devices: c.world.devices(c.policy, c.at, held, audiencesOf(c.policy, attended), count), Heard: c.world.heardNow(),
		Contested: carriers, Exceptions: []approvals.Exception{}, Graces: []approvals.Grace{}, Imported: []inventory.Entry{},
		Envoys: []findings.EnvoyView{}}
	for _, w := range c.callers {
		v.Sightings = append(v.Sightings, w.sighting)
	}
	for _, u := range c.use {
		v.Use = append(v.Use, *u)
	}
	for _, e := range c.imported {
		v.Imported = append(v.Imported, e)
	}
	for id, since := range c.envoys {
		v.Envoys = append(v.Envoys, findings.EnvoyView{ID: id, Since: since, Differences: []string{"route app"}})
	}
	records(c, approvals.KindException, &v.Exceptions)
	records(c, approvals.KindGrace, &v.Graces)
	return v
}

func records[T any](c *company, kind string, into *[]T) {
	_, err := c.store.EachRecord(context.Background(), kind, func(r signals.Record) error {
		var one T
		err := json.Unmarshal(r.Value, &one)
		*into = append(*into, one)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// everyPosture shows the desk all postures.
type everyPosture struct {
	signals.Postures
	c *company
}

func (e everyPosture) EachPosture(
	_ context.Context, yield func(signals.Posture) error, _ func(signals.DeviceID, error),
) (signals.Cursor, error) {
	for _, id := range e.c.order {
		if m := e.c.machines[id]; m != nil {
			if err := yield(m.posture); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

// pick takes a device of a platform that nothing is wrong with.
func (c *company) pick(platforms ...string) *machine {
	for tries := range 10 * len(c.spare) {
		i := c.dice.Intn(len(c.spare))
		if m := c.spare[i]; slices.Contains(platforms, m.platform) && (tries > len(c.spare) || m.user[:4] != "boss") {
			c.spare = slices.Delete(c.spare, i, i+1)
			return m
		}
	}
	c.t.Fatalf("no device of %v is left", platforms)
	return nil
}

// pickCaller takes a caller of a type.
func (c *company) pickCaller(kind policy.IdentityType) *caller {
	all := slices.DeleteFunc(slices.Clone(c.identity), func(w *caller) bool { return c.document(w).Type != kind })
	w := all[c.dice.Intn(len(all))]
	c.identity = slices.DeleteFunc(c.identity, func(x *caller) bool { return x == w })
	return w
}

// ownerOf is the team that answers for a platform.
func ownerOf(platform string) string {
	return cmp.Or(map[string]string{"ios": "phones", "android": "phones"}[platform], "endpoint")
}
