package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// rollout is a receiver and some sidecars over one sealed store, each as its process wires it, on a real Valkey.
type rollout struct {
	t        *testing.T
	raw      signals.Store // as whoever has the store's password writes it
	ours     signals.Store // as the receiver does
	desk     *approvals.Desk
	sidecars []*sidecar
	other    *signals.Sealer // a key that nobody trusts
}

func newRollout(t *testing.T, n int) *rollout {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sealFiles(t, dir, "seal")
	other, _ := sealFiles(t, dir, "other")
	if err := os.CopyFS(filepath.Join(dir, "policy"), os.DirFS("../../examples/ingress/policy")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "settings.yaml")
	text := "policy: {dir: policy}\nstore: {redis: {address: " + valkey(t, dir) + ", seal: {keyFile: seal.key, trustFiles: [seal.pub]}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := loadSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObserver(config.Log{Level: "fatal", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	followed := followPolicy(settings, o)
	followed.world, followed.taken = policy.World{}, ""
	followed.look(true)
	p := followed.policy()
	if p == nil {
		t.Fatal(followed.missing())
	}
	f := &rollout{t: t}
	if f.raw, err = openStore(settings); err != nil {
		t.Fatal(err)
	}
	if f.ours, err = sealedStore(settings, f.raw); err != nil {
		t.Fatal(err)
	}
	if f.desk, err = receiverDesk(settings, f.raw, ground{policy: followed.policy}, o); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if f.other, err = signals.NewSealer(key); err != nil {
		t.Fatal(err)
	}
	f.start(settings, p, n)
	return f
}

func (f *rollout) start(settings *config.Settings, p *policy.Policy, n int) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	f.t.Cleanup(func() { stop(); running.Wait(); _ = f.raw.Close() })
	for range n {
		o, err := newObserver(config.Log{Level: "fatal", Format: "json"})
		if err != nil {
			f.t.Fatal(err)
		}
		sc := &sidecar{settings: settings, observer: o, store: f.raw, authz: authz.New(authz.Options{})}
		if sc.granted, err = sc.followGranted(); err != nil {
			f.t.Fatal(err)
		}
		sc.authz.SetPolicy(p)
		running.Go(func() { _ = sc.granted.Run(ctx) })
		<-sc.granted.Loaded()
		f.sidecars = append(f.sidecars, sc)
	}
}

// approve has somebody ask and another approve.
func (f *rollout) approve(name string) {
	f.t.Helper()
	local := approvals.Caller{Person: approvals.Person{Way: approvals.WaySocket, Name: "root (uid 0)"}}
	cho := approvals.Caller{Person: approvals.Person{Way: approvals.WayOIDC, Issuer: "corp", Name: "cho@acme.example"}}
	if _, err := f.desk.Request(f.t.Context(), local, policy.Exception{Meta: policy.Meta{Name: name},
		Subjects: []policy.ExceptionSubject{{Issuer: "corp", User: "ben@acme.example"}}, Devices: []string{"serial:" + name}, Routes: []string{"portal"},
		Signals: []string{"disk-encrypted"}, Reason: "r", Ticket: "t", Until: time.Now().Add(time.Hour)}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.desk.Approve(f.t.Context(), cho, name, "seen it"); err != nil {
		f.t.Fatal(err)
	}
}

// inForce waits until a sidecar has so many exceptions in force, and tells how long that took. Any goroutine may call it.
func inForce(t *testing.T, sc *sidecar, want int) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Microsecond) {
		if _, n := sc.authz.ExceptionsInForce(time.Now()); n == want {
			return time.Since(start)
		} else if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%d exceptions are in force, want %d", n, want)
			return took
		}
	}
}

// TestFromApprovalToDecision measures how long five sidecars take to decide by what somebody approved, and by what somebody
// revoked.
func TestFromApprovalToDecision(t *testing.T) {
	f := newRollout(t, 5)
	var approved, revoked []time.Duration
	for i := range 20 {
		name := "ben" + string(rune('a'+i))
		all := make(chan time.Duration, len(f.sidecars))
		await := func(want int) (took []time.Duration) {
			for _, sc := range f.sidecars {
				go func() { all <- inForce(t, sc, want) }()
			}
			for range f.sidecars {
				took = append(took, <-all)
			}
			return took
		}
		f.approve(name)
		approved = append(approved, await(1)...)
		if _, err := f.desk.Revoke(t.Context(), approvals.Caller{Person: approvals.Person{Way: approvals.WaySocket, Name: "root (uid 0)"}},
			name, "found"); err != nil {
			t.Fatal(err)
		}
		revoked = append(revoked, await(0)...)
	}
	for what, took := range map[string][]time.Duration{"approval": approved, "revocation": revoked} {
		slices.Sort(took)
		t.Logf("from %s to the next decision, %d measured: p50 %s, p99 %s, max %s", what, len(took), took[len(took)/2],
			took[len(took)*99/100], took[len(took)-1])
	}
}

// TestForgedApprovals: whoever can write to the store, and has no key of a receiver, cannot approve: nothing of it is in
// force, and it is told.
func TestForgedApprovals(t *testing.T) {
	f := newRollout(t, 1)
	sc := f.sidecars[0]
	f.approve("c02real0001")
	inForce(t, sc, 1)
	signed, err := f.raw.Record(t.Context(), approvals.KindException, "c02real0001")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := f.ours.Record(t.Context(), approvals.KindException, "c02real0001")
	if err != nil {
		t.Fatal(err)
	}
	forged := signed
	forged.Key, forged.Revision, forged.Value = "forged", 1, renamed(t, opened.Value, "forged")
	stranger := signals.Sealed(f.raw, f.other, f.other.Checker())
	moved := signed
	moved.Key = "moved"
	asGrace := signed
	asGrace.Kind = approvals.KindGrace
	changed := signed
	changed.Key, changed.Revision = "changed", signed.Revision+1
	for what, write := range map[string]func() error{
		"unsigned":                     func() error { return f.raw.PutRecord(t.Context(), forged, 0) },
		"signed by another key":        func() error { r := forged; r.Key = "other"; return stranger.PutRecord(t.Context(), r, 0) },
		"a signed one under a new key": func() error { return f.raw.PutRecord(t.Context(), moved, 0) },
		"a signed one of another kind": func() error { return f.raw.PutRecord(t.Context(), asGrace, 0) },
		"a signed one, later":          func() error { return f.raw.PutRecord(t.Context(), changed, 0) },
	} {
		if err := write(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused := func(want int) func() bool {
		return func() bool { return sc.granted.Status(approvals.KindException).Refused == want }
	}
	soon(t, "four forged exceptions are refused", refused(4))
	inForce(t, sc, 1) // the real one
	// The real one is revoked, and then somebody puts the version back that was in force: over it, and in its place.
	if _, err := f.desk.Revoke(t.Context(), approvals.Caller{Person: approvals.Person{Way: approvals.WaySocket, Name: "x"}}, "c02real0001", "found"); err != nil {
		t.Fatal(err)
	}
	inForce(t, sc, 0)
	revoked, err := f.raw.Record(t.Context(), approvals.KindException, "c02real0001")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.raw.DeleteRecord(t.Context(), approvals.KindException, "c02real0001", revoked.Revision); err != nil {
		t.Fatal(err)
	}
	if err := f.raw.PutRecord(t.Context(), signed, 0); err != nil {
		t.Fatal(err)
	}
	// Whoever looks between the two steps finds it gone and then back; whoever does not holds on to the newer one. Both tell it.
	soon(t, "the version put back is told", func() bool { return total(t, sc.observer, "tiergate_store_distrusted_total") >= 6 })
	time.Sleep(50 * time.Millisecond)
	if _, n := sc.authz.ExceptionsInForce(time.Now()); n != 0 {
		t.Errorf("%d forged exceptions are in force", n)
	}
	f.approve("c02real0002") // and what is approved still counts
	inForce(t, sc, 1)
}

// renamed is a record's value under another name.
func renamed(t *testing.T, value []byte, name string) []byte {
	t.Helper()
	var e approvals.Exception
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatal(err)
	}
	e.Meta.Name = name
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// total adds up a metric over all its labels.
func total(t *testing.T, o *observer, name string) (sum float64) {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
