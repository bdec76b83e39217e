package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/redisstore"
)

func sharedStore(t *testing.T) (raw, store signals.Store) {
	t.Helper()
	r, err := redisstore.New(redisstore.Options{Address: valkey(t), Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	sealer, checker := sealer(t)
	return r, signals.Sealed(r, sealer, checker)
}

// TestOneOfSeveralLooks: one looks; when it ends another does, at once, and where it died, once its lease is over.
func TestOneOfSeveralLooks(t *testing.T) {
	t.Parallel()
	raw, store := sharedStore(t)
	r := newRig(t, raw, store)
	soon := spec()
	soon.Monitors[0].After = time.Second
	r.policy = compile(t, soon)
	leads := make(chan string, 10)
	start := func(name string) (stop func()) {
		o := r.options(name)
		o.Events.Leads = func(is bool) {
			if is {
				leads <- name
			}
		}
		e := New(o)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	next := func(want string) {
		t.Helper()
		select {
		case got := <-leads:
			if got != want {
				t.Fatalf("%s looks, not %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s does not look", want)
		}
	}
	a := start("a")
	next("a")
	b := start("b")
	defer b()
	r.put("d1", false)
	eventually(t, "a change is looked at", func() bool {
		w, err := ReadWatch(t.Context(), store)
		return err == nil && w.Holder == "a" && w.Devices == 1
	})
	a()
	next("b")
	eventually(t, "the case is opened by b", func() bool { return slices.Equal(r.whats(), []findings.What{findings.ToldOpened}) })
}

// TestBesideDecisions: an Engine beside decisions looks at their copy, which it does not run, and keeps none of its own.
func TestBesideDecisions(t *testing.T) {
	t.Parallel()
	r := embedded(t)
	soon := spec()
	soon.Monitors[0].After = time.Second
	r.policy = compile(t, soon)
	o := r.options("a")
	var e *Engine
	o.Alone, o.Shared, o.Postures = true, r.shared(func() *Engine { return e }), nil
	e = New(o)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- o.Shared.Replica.Run(ctx) }()
	go func() { ended <- e.Run(ctx) }()
	r.put("d1", false)
	eventually(t, "the drifted device is told of", func() bool { return len(r.whats()) == 1 })
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(e.world.assessed) > 0 || e.world.postures != o.Shared.Replica || !e.world.breath.beside {
		t.Errorf("it keeps %d assessments of its own", len(e.world.assessed))
	}
}

// TestADeadHolderIsReplaced: nobody takes a lease that runs, and anybody one that is over.
func TestADeadHolderIsReplaced(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		of := func(name string) *lease { return New(r.options(name)).lease }
		a, b := of("a"), of("b")
		for _, l := range []*lease{a, b, a} {
			if err := l.take(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !a.held() || b.held() {
			t.Fatalf("a: %v, b: %v", a.held(), b.held())
		}
		if again := of("a"); again.take(t.Context()) != nil || !again.held() {
			t.Error("a restart of the same process waits for itself")
		}
		r.pass(leaseFor + time.Second)
		if err := b.take(t.Context()); err != nil || !b.held() || a.held() {
			t.Errorf("a: %v, b: %v, %v", a.held(), b.held(), err)
		}
	})
}

// TestEnvoyDrift: what a sidecar sees becomes a finding, keeps its beginning over a restart of the sidecar, stays while
// Envoy cannot be asked, and is over when Envoy is as it was meant.
func TestEnvoyDrift(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		e, _ := r.engine("a")
		sidecar := func() *Envoys { return &Envoys{Records: r.raw, Now: r.now} }
		seen := func(s *Envoys, known bool, differences ...string) EnvoySeen {
			t.Helper()
			if err := s.Seen(t.Context(), "edge-1", differences, known); err != nil {
				t.Fatal(err)
			}
			record, err := r.raw.Record(t.Context(), KindEnvoy, "edge-1")
			var got EnvoySeen
			if err != nil || json.Unmarshal(record.Value, &got) != nil {
				t.Fatalf("%v", err)
			}
			eventually(t, "the copy shows it", func() bool {
				held, ok := e.world.observed.Get(KindEnvoy, "edge-1")
				return ok && held.Revision == record.Revision
			})
			return got
		}
		first := seen(sidecar(), true, "route x is missing")
		r.pass(2 * time.Minute)
		again := sidecar()
		if got := seen(again, true, "route x is missing"); !got.Since.Equal(first.Since) || first.Since.IsZero() {
			t.Errorf("since %v, then %v", first.Since, got.Since)
		}
		if got := seen(again, false); len(got.Differences) != 1 {
			t.Errorf("%+v", got)
		}
		r.look(e)
		if c := r.only(); c.State != findings.Open || c.Finding.Subject != "envoy edge-1" {
			t.Fatalf("%+v", c)
		}
		if got := seen(again, true); len(got.Differences) != 0 || !got.Since.IsZero() {
			t.Errorf("%+v", got)
		}
		r.look(e)
		r.pass(16 * time.Minute)
		r.look(e)
		if c := r.only(); c.State != findings.Closed {
			t.Fatalf("%+v", c)
		}
	})
}

// TestComingEnds: the end of an exception is told once, by whoever looks.
func TestComingEnds(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		now, by := r.now(), approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "ben"}
		x := approvals.Exception{Exception: policy.Exception{Meta: policy.Meta{Name: "loan", Owner: "iam"}, From: now.Add(-2 * time.Hour),
			Until: now.Add(30 * time.Minute), Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ben"}}, Devices: []string{"C02d1"},
			Routes: []string{"app"}, Signals: []string{"disk"}, Reason: "loan", Ticket: "T-1", Approver: "ana"},
			History: []approvals.Event{{At: now.Add(-2 * time.Hour), By: by, Step: approvals.StepRequested},
				{At: now.Add(-2 * time.Hour), By: ana.Person, Step: approvals.StepApproved}}}
		raw, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		err = r.store.PutRecord(t.Context(), signals.Record{Kind: approvals.KindException, Key: "loan", Revision: 1, Value: raw}, 0)
		if err != nil {
			t.Fatal(err)
		}
		e, stop := r.engine("a")
		r.deaf = context.DeadlineExceeded
		r.look(e)
		r.deaf = nil
		r.look(e)
		r.look(e)
		stop()
		e, _ = r.engine("b")
		r.look(e)
		if got := r.whats(); !slices.Equal(got, []findings.What{findings.ToldExceptionEnding}) {
			t.Errorf("told %v; %v", got, r.fails)
		}
		if s := r.last.Exceptions[approvals.OriginRunTime]; s.Number != 1 || s.Oldest < 2*time.Hour {
			t.Errorf("%+v", r.last.Exceptions)
		}
	})
}

// TestComingEndsOfTheDirectory: the end of an exception of the directory is told once, by whoever looks and whatever fails
// meanwhile; another end of the same exception is told again.
func TestComingEndsOfTheDirectory(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		until := r.now().Add(30 * time.Minute).Truncate(time.Second)
		loan := func(until time.Time) {
			s := spec()
			s.Exceptions = []policy.Exception{{Meta: policy.Meta{Name: "loan", Owner: "iam"}, From: until.Add(-3 * time.Hour), Until: until,
				Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ben"}}, Devices: []string{"C02d1"}, Routes: []string{"app"},
				Signals: []string{"disk"}, Reason: "loan", Ticket: "T-1", Approver: "ana"}}
			r.policy = compile(t, s)
		}
		loan(until.Add(2 * time.Hour))
		e, stop := r.engine("a")
		r.look(e) // it is too early
		loan(until)
		r.deaf = context.DeadlineExceeded
		r.look(e)
		r.deaf = nil
		if got := r.whats(); len(got) > 0 {
			t.Fatalf("told %v", got)
		}
		r.look(e)
		r.look(e)
		stop()
		e, _ = r.engine("b")
		r.look(e)
		loan(until.Add(10 * time.Minute))
		r.look(e)
		r.look(e)
		if got := r.whats(); !slices.Equal(got, []findings.What{findings.ToldExceptionEnding, findings.ToldExceptionEnding}) {
			t.Fatalf("told %v; %v", got, r.fails)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := r.told[0]; n.Subject != "exception loan" || n.Person != "" || !n.Until.Equal(until) || n.Owner != "iam" || n.ID == r.told[1].ID {
			t.Errorf("%+v", n)
		}
	})
}

// TestReport: what is counted is what there is.
func TestReport(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		e, _ := r.engine("a")
		for i, disk := range []bool{true, true, false} {
			r.put("d"+string(rune('a'+i)), disk)
		}
		r.look(e)
		if r.last.Devices != 3 || r.last.Coverage["disk"] != (Share{3, 3}) || r.last.Identities != nil || r.last.Traffic != nil ||
			r.last.Blind["what decisions saw"] != whyCensus {
			t.Fatalf("%+v", r.last)
		}
		put := func(kind, key string, value any) {
			t.Helper()
			raw, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.raw.PutRecord(t.Context(), signals.Record{Kind: kind, Key: key, Revision: 1, Value: raw}, 0); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the copy shows it", func() bool { _, ok := e.world.observed.Get(kind, key); return ok })
		}
		id, at := "spiffe://acme.example/sorter", r.now()
		put(inventory.RecordKind, id, inventory.Sighting{ID: id, TrustDomain: "acme.example", First: at, Last: at})
		put(inventory.RecordKind, "spiffe://acme.example/other", inventory.Sighting{ID: id}) // under another's key
		today, old := at.UTC().Format(time.DateOnly), at.UTC().AddDate(0, 0, -8).Format(time.DateOnly)
		for _, day := range []string{today, old} {
			u := inventory.Use{Day: day, Sidecar: "edge-1", Tiers: map[string]inventory.TierUse{"guarded": {Allowed: 5, ByException: 2}, "gone": {Allowed: 1}}}
			put(inventory.UseKind, u.Key(), u)
		}
		r.pass(2 * time.Minute)
		r.look(e)
		if *r.last.Identities != (Share{1, 1}) || len(r.last.Traffic) != 1 ||
			r.last.Traffic["guarded"].Allowed != 5 || r.last.Traffic["guarded"].ByException != 2 || len(r.last.Blind) != 0 {
			t.Fatalf("%+v, %+v", r.last, r.last.Identities)
		}
		total := 0
		for labels, n := range r.last.Cases {
			if total += n; labels.Team != "endpoint" || labels.Overdue {
				t.Errorf("%+v", labels)
			}
		}
		cases := r.cases()
		all, err := cases.List(t.Context())
		if err != nil || total == 0 || total != len(slices.DeleteFunc(all, func(c findings.Case) bool { return !c.State.Stands() })) {
			t.Errorf("%d counted, %d there, %v", total, len(all), err)
		}
		r.pass(27 * time.Hour) // nothing of the devices is fresh
		r.look(e)
		if r.last.Coverage["disk"] != (Share{3, 0}) {
			t.Errorf("%+v", r.last.Coverage)
		}
	})
}

// TestStepsThatCannotBe: each says why.
func TestStepsThatCannotBe(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, r *rig) {
		cases := r.cases()
		if _, err := cases.Get(t.Context(), "F-000000000000"); err == nil || !strings.Contains(err.Error(), "finding list") {
			t.Error(err)
		}
		if _, err := cases.Get(t.Context(), ""); err == nil {
			t.Error("a finding without a name")
		}
		if _, err := cases.Assign(t.Context(), "F-000000000000", "iam", "", ana.Person); err == nil {
			t.Error("a finding that is not there was assigned")
		}
		cases.Policy = func() *policy.Policy { return nil }
		if _, err := cases.Assign(t.Context(), "x", "iam", "", ana.Person); err == nil || !strings.Contains(err.Error(), "no policy") {
			t.Error(err)
		}
	})
}
