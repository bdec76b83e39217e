package redisstore

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

func seenOnce(id, route string, at time.Time, outcome policy.Outcome) *authz.Decision {
	return &authz.Decision{At: at, Subject: identity.Subject{Workload: identity.SPIFFEID(id)},
		Verdict: policy.Verdict{Outcome: outcome, Route: route, Tier: "internal"}}
}

// TestSidecarsCountTogether: five sidecars, as the ACL user that the package comment describes, count the same identities at
// once and write while they count, through an outage of the server. In the end every decision is counted exactly once.
func TestSidecarsCountTogether(t *testing.T) {
	t.Parallel()
	const sidecars, identities, rounds = 5, 40, 30
	live := serve(t)
	live.do(t, sidecarACL(t)...)
	day := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var counts []*authz.Census
	for i := range sidecars {
		counts = append(counts, authz.NewCensus(openSidecar(t, live), authz.CensusOptions{Sidecar: fmt.Sprint("edge-", i),
			Writer: fmt.Sprint("edge-", i, " a"), Now: func() time.Time { return day }}))
	}
	var all sync.WaitGroup
	for i, c := range counts {
		all.Go(func() {
			for round := range rounds {
				for id := range identities {
					outcome := policy.Allow
					if (round+i)%3 == 0 {
						outcome = policy.Deny
					}
					c.Saw(seenOnce(fmt.Sprint("spiffe://acme.example/w/", id), "orders", day.Add(time.Duration(round)*time.Second), outcome))
				}
				if round%10 == 9 {
					_ = c.Flush(t.Context()) // a failure keeps what was counted
				}
			}
		})
	}
	all.Wait()
	live.kill()
	for _, c := range counts {
		c.Saw(seenOnce("spiffe://acme.example/w/0", "orders", day, policy.Allow))
		if err := c.Flush(t.Context()); err == nil {
			t.Fatal("what was counted was written to a server that is away")
		}
		c.Saw(seenOnce("spiffe://acme.example/w/0", "orders", day, policy.Allow))
	}
	live.start(t)
	live.do(t, sidecarACL(t)...) // kept in no file here
	for _, c := range counts {
		patiently(t, func() error { return errors.Join(c.Flush(t.Context()), c.Flush(t.Context())) })
	}
	store := live.open(t, nil)
	var uses [2]uint64
	if _, err := store.EachRecord(t.Context(), inventory.UseKind, func(r signals.Record) error {
		u, err := inventory.ParseUse(r.Key, r.Value)
		uses[0] += u.Tiers["internal"].Allowed
		uses[1] += u.Tiers["internal"].Refused
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const refused = identities * rounds / 3 * sidecars
	if want := [2]uint64{identities*rounds*sidecars - refused + 2*sidecars, refused}; uses != want {
		t.Errorf("by tier %d decisions are counted, there were %d", uses, want)
	}
	for id := range identities {
		key := fmt.Sprint("spiffe://acme.example/w/", id)
		r, err := store.Record(t.Context(), inventory.RecordKind, key)
		if err != nil {
			t.Fatal(err)
		}
		s, err := inventory.ParseSighting(key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(rounds*sidecars - refused/identities)
		if id == 0 {
			want += 2 * sidecars
		}
		if got := s.Routes["orders"]; got.Allowed != want || got.Refused != refused/identities || len(s.Places) != sidecars {
			t.Errorf("%s: %+v from %d places, want %d allowed and %d refused", key, got, len(s.Places), want, refused/identities)
		}
	}
	used := inventory.DeviceUse{Device: "d1", Audiences: map[string]time.Time{"executives": day}}
	if err := openSidecar(t, live).PutRecord(t.Context(), signals.Record{Kind: inventory.KindDeviceUse, Key: "d1", Revision: 1,
		Expires: time.Now().Add(time.Hour), Value: used.JSON()}, 0); err != nil {
		t.Error(err)
	}
	says(t, openSidecar(t, live).PutRecord(t.Context(), signals.Record{Kind: inventory.EntryKind, Key: "spire x", Revision: 1}, 0), "may not")
}
