package authz

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
)

// inGroups believes every token, of a person of some groups.
type inGroups struct {
	name   string
	groups []string
}

func (g *inGroups) Judge(_ *token.Credential, at time.Time) (token.Proof, error) {
	if g.name == "" {
		return token.Proof{}, errors.New("the signature does not verify")
	}
	return token.Proof{Proven: identity.Proven{User: &identity.User{Issuer: "corp", Name: g.name, Groups: g.groups,
		Token: identity.Validity{NotBefore: at.Add(-1), NotAfter: at.Add(time.Hour)}}}}, nil
}

// attendedPolicy has audiences by issuer, by group, and by group and ownership.
func attendedPolicy(t testing.TB, executives string) *policy.Policy {
	t.Helper()
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	audience := func(name string, members ...policy.Member) policy.Audience {
		return policy.Audience{Meta: meta(name), Members: members}
	}
	p, faults := policy.New(policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "g"}, Accountable: policy.Contact{Name: "a", Contact: "b"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Baselines: []policy.Baseline{{Meta: meta("laptops"), Platforms: []string{"macos"}, Signals: map[string]policy.Signal{
			"disk-encrypted": {Expr: "device.disk_encryption", MaxAge: 100 * time.Hour, Fix: policy.Fix{Text: "Encrypt it."}}}}},
		Tiers: []policy.Tier{{Meta: meta("person"), Identify: policy.IdentifyUserDevice, SharedDevices: true,
			Require: []policy.Demand{{Signal: "disk-encrypted"}}}},
		Audiences: []policy.Audience{audience("all", policy.Member{Issuer: "corp"}), audience("executives", policy.Member{Issuer: "corp", Group: executives}),
			audience("contractors", policy.Member{Issuer: "corp", Group: "bosses", DeviceOwnership: "contractor"}),
			audience("owners", policy.Member{Issuer: "corp", Group: "bosses", DeviceOwnership: "corporate"})},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
		Routes: []policy.Route{{Meta: meta("app"), Hosts: []string{"app.example"}, Path: "/**", Tier: "person",
			Audiences: []string{"all", "executives", "contractors", "owners"}, Upstream: "app"}},
	}, policy.World{})
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

// attendedServer serves one device, which is corporate and in order, and counts.
func attendedServer(t testing.TB, tokens Tokens, census *Census, now func() time.Time) *Server {
	t.Helper()
	laptop := signals.Alias{Kind: signals.AliasSerial, Value: "C02LOANER01"}
	at := now()
	fact := func(attribute string, v signals.Value) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Observed: at, Received: at}
	}
	posture, _ := signals.Posture{Device: "d1", Revision: 1, Aliases: []signals.Alias{laptop}}.Merge(signals.Observation{Facts: []signals.Fact{
		fact("platform", signals.Text("macos")), fact("disk_encryption", signals.Bool(true)), fact("ownership", signals.Text("corporate"))}})
	s := New(Options{Devices: &shelf{byAlias: map[signals.Alias]*signals.Posture{laptop: &posture}}, Tokens: tokens, Peers: laptopOf{laptop},
		Now: now, Events: Events{Decided: census.Saw}})
	s.SetPolicy(attendedPolicy(t, "bosses"))
	return s
}

func deviceUseOf(t *testing.T, store signals.Records, device string) (inventory.DeviceUse, signals.Revision) {
	t.Helper()
	r, err := store.Record(t.Context(), inventory.KindDeviceUse, device)
	if err != nil {
		t.Fatal(err)
	}
	u, err := inventory.ParseDeviceUse(device, r.Value)
	if err != nil {
		t.Fatal(err)
	}
	return u, r.Revision
}

// TestCensusNotesWhoUsesADevice: by the groups of the token and the ownership of the device, as the decision had them; within
// the hour for another person or policy, and once an hour for the same; and nothing by tokens that are not believed.
func TestCensusNotesWhoUsesADevice(t *testing.T) {
	t.Parallel()
	store := censusStore(t)
	var ahead atomic.Int64
	now := func() time.Time { return censusDay.Add(time.Duration(ahead.Load())) }
	pass := func(d time.Duration) { ahead.Add(int64(d)) }
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Writer: "edge 1", Now: now})
	person := &inGroups{}
	s := attendedServer(t, person, c, now)
	message := marshal(t, request("x", nil))
	seen := func(name string, groups ...string) {
		t.Helper()
		person.name, person.groups = name, groups
		answerTo(t, s, message)
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := func(revisionBefore signals.Revision, want ...string) signals.Revision {
		t.Helper()
		u, revision := deviceUseOf(t, store, "d1")
		if got := u.Current(); !slices.Equal(got, want) || (revision == revisionBefore) != (len(want) == 0) && revisionBefore != 0 {
			t.Fatalf("%v, not %v; revision %d after %d", got, want, revision, revisionBefore)
		}
		return revision
	}
	seen("", "bosses")
	if _, err := store.Record(t.Context(), inventory.KindDeviceUse, "d1"); !errors.Is(err, signals.ErrNotFound) {
		t.Fatalf("somebody who is not believed used a device: %v", err)
	}
	seen("ana", "staff")
	revision := told(0, "all")
	pass(time.Minute)
	seen("cho", "bosses")
	revision = told(revision, "all", "executives", "owners")
	for range 5 { // nothing new within the hour
		pass(time.Minute)
		seen("cho", "bosses")
	}
	if _, same := deviceUseOf(t, store, "d1"); same != revision {
		t.Error("the same was written again")
	}
	s.SetPolicy(attendedPolicy(t, "nobody"))
	pass(time.Hour)
	seen("cho", "bosses")
	u, _ := deviceUseOf(t, store, "d1")
	if !u.Audiences["owners"].Equal(now()) || u.Audiences["executives"].After(censusDay.Add(time.Hour)) {
		t.Errorf("%+v", u)
	}
	pass(inventory.Recent + time.Hour)
	seen("cho", "bosses")
	told(0, "all", "owners")
	pass(3 * time.Hour)
	if err := c.Flush(t.Context()); err != nil || c.attended.Load() != 0 {
		t.Errorf("%d devices that nobody uses are held, %v", c.attended.Load(), err)
	}
}

// TestCensusOfDevicesIsBounded: what there is no room for is counted as such; what could not be written goes with the next.
func TestCensusOfDevicesIsBounded(t *testing.T) {
	store := &awayStore{Records: censusStore(t)}
	var beyond uint64
	c := NewCensus(store, CensusOptions{Sidecar: "edge", Writer: "edge 1", Now: func() time.Time { return censusDay },
		Events: CensusEvents{Flushed: func(_, _ int, n uint64, _ time.Duration, _ error) { beyond += n }}})
	p := attendedPolicy(t, "bosses")
	d := func(device string, at time.Time, groups ...string) *Decision {
		return &Decision{At: at, Device: device, with: judged{policy: p}, Subject: identity.Subject{
			User: &identity.User{Issuer: "corp", Name: "ana", Groups: groups}}}
	}
	c.Saw(d("d1", censusDay))
	if err := c.Flush(t.Context()); err == nil {
		t.Fatal("it was written to a store that is away")
	}
	c.Saw(d("d1", censusDay.Add(2*time.Hour), "bosses"))
	c.attended.Store(maxCensusDevices)
	c.Saw(d("d2", censusDay))
	c.records = store.Records
	if err := c.Flush(t.Context()); err != nil || beyond != 1 {
		t.Fatal(beyond, err)
	}
	if u, _ := deviceUseOf(t, store.Records, "d1"); !u.Audiences["all"].Equal(censusDay.Add(2*time.Hour)) || len(u.Audiences) != 2 {
		t.Errorf("%+v", u)
	}
	same := d("d1", censusDay.Add(2*time.Hour), "bosses")
	if n := testing.AllocsPerRun(100, func() { c.Saw(same) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
