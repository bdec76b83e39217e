package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

type replicaHeld = replica.Held

var ana = approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "ana"}}

// TestACaseFromDriftToClosure: a drifted device has a case, which is assigned, outlives the process, is closed by the facts
// alone, and is opened again when the trouble returns. Each step is told once.
func TestACaseFromDriftToClosure(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		e, stop := r.engine("a")
		r.put("d1", false)
		r.look(e)
		if c := r.only(); c.State != findings.Pending || len(r.whats()) != 0 {
			t.Fatalf("%+v, told %v", c, r.whats())
		}
		r.pass(2 * time.Minute)
		r.look(e)
		c := r.only()
		if c.State != findings.Open || c.Team != "endpoint" || c.Severity != policy.SeverityHigh {
			t.Fatalf("%+v", c)
		}
		cases := r.cases()
		if c, err := cases.Assign(t.Context(), c.ID, "", "eve", ana.Person); err != nil || c.State != findings.Assigned || c.Team != "endpoint" {
			t.Fatalf("%+v, %v", c, err)
		}
		stop()
		e, _ = r.engine("a") // a restart knows what there was
		r.look(e)
		if c := r.only(); c.State != findings.Assigned || c.Person != "eve" {
			t.Fatalf("%+v", c)
		}
		r.put("d1", true)
		r.look(e)
		if c := r.only(); c.State != findings.Assigned || c.Gone.IsZero() {
			t.Fatalf("%+v", c)
		}
		r.pass(16 * time.Minute)
		r.look(e)
		if c := r.only(); c.State != findings.Closed {
			t.Fatalf("%+v", c)
		}
		r.put("d1", false)
		r.look(e)
		r.pass(2 * time.Minute)
		r.look(e)
		if c := r.only(); c.State != findings.Open || c.Reopened != 1 {
			t.Fatalf("%+v", c)
		}
		want := []findings.What{findings.ToldOpened, findings.ToldAssigned, findings.ToldClosed, findings.ToldReopened}
		if got := r.whats(); !slices.Equal(got, want) {
			t.Fatalf("told %v, want %v", got, want)
		}
		if len(r.fails) > 0 {
			t.Error(r.fails)
		}
	})
}

// TestNothingIsUntold: what could not be told is kept with the case, and told by whoever looks next, with the same id.
func TestNothingIsUntold(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		e, stop := r.engine("a")
		r.put("d1", false)
		r.look(e)
		r.pass(2 * time.Minute)
		r.deaf = errors.New("the queue is full")
		r.look(e)
		if c := r.only(); c.State != findings.Open || len(r.told) != 0 {
			t.Fatalf("%+v, told %v", c, r.told)
		}
		if len(r.fails) == 0 || !strings.Contains(r.fails[0].Error(), "waits: the queue is full") || !e.dirty.Load() {
			t.Errorf("%v", r.fails)
		}
		cases := r.cases()
		if _, err := cases.Accept(t.Context(), r.only().ID, time.Time{}, time.Hour, "known", approvals.Caller{Person: ana.Person}); err == nil {
			t.Error("somebody who is no approver of the team accepted")
		}
		eve := approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "eve"}}
		if _, err := cases.Accept(t.Context(), r.only().ID, time.Time{}, time.Hour, "known", eve); err != nil {
			t.Fatal(err) // the step counts, also while nobody can be told
		}
		stop() // a crash
		r.deaf = nil
		e, _ = r.engine("b")
		r.look(e)
		r.look(e)
		want := []findings.What{findings.ToldOpened, findings.ToldAccepted}
		if got := r.whats(); !slices.Equal(got, want) {
			t.Fatalf("told %v, want %v", got, want)
		}
		kept, _, err := cases.read(t.Context(), r.only().ID)
		if err != nil || len(kept.Untold) != 0 {
			t.Errorf("%+v, %v", kept.Untold, err)
		}
	})
}

// TestTwoAtOnce: two that both believe that they hold the lease make one case of one trouble.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		a, _ := r.engine("a")
		b, _ := r.engine("b")
		for i := range 20 {
			r.put("d"+string(rune('a'+i)), i%2 == 0)
		}
		both := func() {
			r.synced(a)
			r.synced(b)
			var all sync.WaitGroup
			all.Go(func() { a.look(context.Background(), r.policy) })
			all.Go(func() { b.look(context.Background(), r.policy) })
			all.Wait()
		}
		for range 4 {
			both()
			r.pass(2 * time.Minute)
		}
		cases := r.cases()
		all, err := cases.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		opened := map[string]map[string]bool{} // by their ids: what one is about to tell the other may tell too
		for i := range r.told {
			n := &r.told[i]
			if opened[n.Case] == nil {
				opened[n.Case] = map[string]bool{}
			}
			opened[n.Case][n.ID] = true
		}
		for i := range all {
			steps := 0
			for _, h := range all[i].History {
				if h.To == findings.Open {
					steps++
				}
			}
			if all[i].State == findings.Open && (steps != 1 || len(opened[all[i].ID]) != 1) {
				t.Errorf("%s: %d steps, told of %d", all[i].Finding.Subject, steps, len(opened[all[i].ID]))
			}
		}
		if len(r.told) == 0 {
			t.Error("nothing was told")
		}
	})
}

// TestABlindLookClosesNothing: a device whose posture nobody signed keeps its case as it is, and so does every case while
// the store is away; when it can be read again its case is closed.
func TestABlindLookClosesNothing(t *testing.T) {
	t.Parallel()
	raw, store := sharedStore(t)
	r := newRig(t, raw, store)
	e, _ := r.engine("a")
	r.put("d1", false)
	r.look(e)
	r.pass(2 * time.Minute)
	r.look(e)
	p, err := raw.Posture(t.Context(), "d1")
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := signals.Posture{Device: "d1"}.Merge(signals.Observation{Facts: []signals.Fact{{Attribute: "disk_encryption",
		Value: signals.Bool(true), Source: "mdm", Observed: r.now(), Received: r.now()}}})
	forged.Revision = p.Revision + 1
	if err := raw.PutPosture(t.Context(), forged, p.Revision); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the forged posture is seen", func() bool {
		h, _ := e.world.postures.Device("d1")
		return h.Corrupt != nil
	})
	for range 3 {
		e.look(t.Context(), r.policy)
		r.pass(20 * time.Minute)
	}
	if c := r.only(); c.State != findings.Open || !c.Gone.IsZero() || r.last.Unread != 1 {
		t.Fatalf("%+v, %+v", c, r.last)
	}
	w := newWorld() // copies that never saw the store
	w.postures, w.signed, w.observed = replica.New(store, replica.Options{}), New(r.options("c")).world.signed, New(r.options("c")).world.observed
	v, blind := w.view(r.policy, r.now(), newTally(r.policy))
	if v.Devices != nil || v.Exceptions != nil || v.Imported != nil || v.Sightings != nil || v.Envoys != nil || len(blind) != 6 {
		t.Errorf("%+v, %v", v, blind)
	}
}

// TestForgedCasesHideNothing: what nobody of ours wrote stands in no case's way, and neither does a lease.
func TestForgedCasesHideNothing(t *testing.T) {
	t.Parallel()
	raw, store := sharedStore(t)
	r := newRig(t, raw, store)
	e, _ := r.engine("a")
	r.put("d1", false)
	id := findings.IDOf("drift|device d1|disk")
	value, err := json.Marshal(Kept{Case: findings.Case{ID: id, State: findings.Accepted, AcceptedUntil: r.now().AddDate(1, 0, 0),
		Finding: findings.Finding{Kind: findings.Drift, Subject: "device d1", Detail: "disk"}}})
	if err != nil {
		t.Fatal(err)
	}
	for kind, key := range map[string]string{findings.RecordKind: id, KindLease: leaseKey} {
		if kind == KindLease {
			value, _ = json.Marshal(Watch{Holder: "nobody", Until: r.now().AddDate(1, 0, 0)}) //nolint:errchkjson // texts and instants
		}
		if err := raw.PutRecord(t.Context(), signals.Record{Kind: kind, Key: key, Revision: 1, Value: value}, 0); err != nil {
			t.Fatal(err)
		}
	}
	e.lease.set(time.Time{})
	if err := e.lease.take(t.Context()); err != nil || !e.lease.held() {
		t.Fatalf("a forged lease keeps everybody from looking: %v", err)
	}
	r.look(e)
	r.pass(2 * time.Minute)
	e.lease.set(r.now().Add(time.Hour))
	r.look(e)
	if c := r.only(); c.State != findings.Open || c.Finding.Summary == "" {
		t.Fatalf("%+v", c)
	}
	if len(r.fails) < 2 {
		t.Errorf("nobody is told of it: %v", r.fails)
	}
}

// TestALostStoreIsWrittenAgain: cases that the store lost are found again.
func TestALostStoreIsWrittenAgain(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		soon := spec()
		soon.Monitors[0].After = time.Second
		r.policy = compile(t, soon)
		e, _ := r.engine("a")
		r.put("d1", false)
		r.look(e)
		record, err := r.raw.Record(t.Context(), findings.RecordKind, r.only().ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.raw.DeleteRecord(t.Context(), findings.RecordKind, record.Key, record.Revision); err != nil {
			t.Fatal(err)
		}
		r.pass(30 * time.Second) // less than a copy may be late
		e.look(t.Context(), r.policy)
		if c := r.only(); c.State != findings.Open {
			t.Errorf("%+v", c)
		}
	})
}
