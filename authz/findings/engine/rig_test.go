package engine

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/redisstore"
	"github.com/tiergate/tiergate/signals/replica"
)

// spec is the policy of the tests: one signal, which counts as drifted after a minute.
func spec() policy.Spec {
	meta := func(name, owner string) policy.Meta { return policy.Meta{Name: name, Owner: owner} }
	return policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "acme"}, Accountable: policy.Contact{Name: "Head", Contact: "head@acme.example"},
			Teams: map[string]policy.Team{
				"iam":      {Contact: "iam@acme.example", Approvers: []policy.Approver{{Issuer: "corp", User: "ana"}}},
				"endpoint": {Contact: "endpoint@acme.example", Approvers: []policy.Approver{{Issuer: "corp", User: "eve"}}},
				"secops":   {Contact: "secops@acme.example"},
			}}},
		Baselines: []policy.Baseline{{Meta: meta("laptops", "endpoint"), Platforms: []string{"macos"}, Signals: map[string]policy.Signal{
			"disk": {Expr: "device.disk_encryption", MaxAge: 26 * time.Hour, Fix: policy.Fix{Text: "Encrypt."}}}}},
		Tiers: []policy.Tier{{Meta: meta("guarded", "iam"), Identify: policy.IdentifyUserDevice, SharedDevices: true, Require: []policy.Demand{{Signal: "disk"}},
			Exceptions: &policy.ExceptionBound{MaxDuration: 14 * 24 * time.Hour, MaxRenewals: 1}}},
		Audiences: []policy.Audience{{Meta: meta("staff", "iam"), Members: []policy.Member{{Issuer: "corp", Group: "staff"}}}},
		Upstreams: []policy.Upstream{{Meta: meta("app", "iam"), Endpoints: []string{"127.0.0.1:9001"}, Plaintext: true}},
		Routes: []policy.Route{{Meta: meta("app", "iam"), Hosts: []string{"app.acme.example"}, Path: "/**", Tier: "guarded",
			Audiences: []string{"staff"}, Upstream: "app"}},
		Identities: []policy.Identity{{Meta: meta("sorter", "secops"), Type: policy.IdentityOfWorkload, RecordedIn: "kubernetes",
			SPIFFEIDs: []string{"spiffe://acme.example/sorter"}, ReviewBy: policy.Date{Time: time.Now().Add(60 * 24 * time.Hour).Truncate(24 * time.Hour)}}},
		Monitors: []policy.Monitor{{Meta: meta("all", "secops"), Watch: []string{"drift", "contested-device", "identity-unowned"},
			Severity: policy.SeverityHigh, CloseWithin: 24 * time.Hour, After: time.Minute}},
	}
}

func compile(t testing.TB, s policy.Spec) *policy.Policy {
	t.Helper()
	p, faults := policy.New(s, policy.World{Issuers: []string{"corp"}, Sources: map[string]policy.Source{
		"mdm": {Attests: []string{"platform", "disk_encryption"}}}})
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return p
}

// rig is a store, a clock that is set, and what was told.
type rig struct {
	t      testing.TB
	raw    signals.Store // as it is
	store  signals.Store // as a receiver uses it
	policy *policy.Policy
	beside bool // its engines share their copy of the postures with decisions

	mu    sync.Mutex
	ahead time.Duration
	told  []findings.Notice
	deaf  error // what telling fails with
	fails []error
	last  *Report
}

// stores opens each sort of store anew, and says how a receiver sees it.
func stores(t *testing.T, each func(t *testing.T, r *rig)) {
	for name, beside := range map[string]bool{"embedded": false, "embedded, beside decisions": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := embedded(t)
			r.beside = beside
			each(t, r)
		})
	}
	t.Run("shared and signed", func(t *testing.T) {
		t.Parallel()
		raw, err := redisstore.New(redisstore.Options{Address: valkey(t), Patience: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		sealer, checker := sealer(t)
		each(t, newRig(t, raw, signals.Sealed(raw, sealer, checker)))
	})
}

func embedded(t testing.TB) *rig {
	raw, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return newRig(t, raw, raw)
}

func newRig(t testing.TB, raw, store signals.Store) *rig {
	return &rig{t: t, raw: raw, store: store, policy: compile(t, spec())}
}

func sealer(t testing.TB) (*signals.Sealer, *signals.Checker) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signals.NewSealer(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return s, s.Checker()
}

func valkey(t testing.TB) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "v")
	program, err := filepath.Abs("../../../.tools/bin/valkey-server")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(context.Background(), program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatalf("%v; run make tools", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	eventually(t, "valkey listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return socket
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.ahead)
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ahead += d
}

// whats are what was told of, in order.
func (r *rig) whats() (all []findings.What) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.told {
		all = append(all, r.told[i].What)
	}
	return all
}

func (r *rig) options(name string) Options {
	return Options{Name: name, Postures: r.store, Observed: r.raw, Cases: r.cases(), Events: Events{
		Failed: func(err error) { r.mu.Lock(); r.fails = append(r.fails, err); r.mu.Unlock() },
		Looked: func(x *Report) { r.mu.Lock(); r.last = x; r.mu.Unlock() },
	}, Noticed: func(ctx context.Context, name string) error {
		desk := approvals.Desk{Records: r.store, Postures: r.store, Policy: func() *policy.Policy { return r.policy }, Now: r.now}
		_, err := desk.Noticed(ctx, name, approvals.Person{Way: approvals.WaySocket, Name: "tiergate"})
		return err
	}}
}

func (r *rig) cases() Cases {
	return Cases{Records: r.store, Policy: func() *policy.Policy { return r.policy }, Now: r.now,
		Tell: func(_ context.Context, notices []findings.Notice) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.deaf != nil {
				return r.deaf
			}
			r.told = append(r.told, notices...)
			return nil
		}}
}

// engine is one whose copies follow the store and which looks when the test says so; stop ends it.
func (r *rig) engine(name string) (e *Engine, stop func()) {
	r.t.Helper()
	o := r.options(name)
	if r.beside {
		o.Shared = r.shared(func() *Engine { return e })
	}
	e = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{e.world.postures.Run, e.world.signed.Run, e.world.observed.Run} {
		all.Go(func() {
			if err := run(ctx); err != nil {
				r.t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	r.t.Cleanup(stop)
	<-e.world.postures.Loaded()
	<-e.world.signed.Loaded()
	<-e.world.observed.Loaded()
	e.lease.set(time.Now().Add(1000 * time.Hour))
	return e, stop
}

// shared is what a decision service has in memory: assessments too, made before the copy shows a posture.
func (r *rig) shared(e func() *Engine) *Shared {
	var made sync.Map
	copied := replica.New(r.store, replica.Options{
		OnChange: func(p *signals.Posture) { made.Store(p.Device, r.policy.Assess(p)); e().PostureChanged(p) },
		OnRemove: func(d signals.DeviceID) { made.Delete(d); e().PostureRemoved(d) },
	})
	return &Shared{Replica: copied, Assessment: func(d signals.DeviceID) *policy.Assessment {
		a, _ := made.Load(d)
		is, _ := a.(*policy.Assessment)
		return is
	}}
}

// put writes a device's posture, told just now.
func (r *rig) put(id string, disk bool) {
	r.t.Helper()
	old, err := r.store.Posture(context.Background(), signals.DeviceID(id))
	if err != nil {
		old = signals.Posture{Device: signals.DeviceID(id)}
	}
	at := r.now()
	var facts []signals.Fact
	for attribute, v := range map[string]signals.Value{"platform": signals.Text("macos"), "disk_encryption": signals.Bool(disk)} {
		facts = append(facts, signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Observed: at, Received: at})
	}
	next, _ := old.Merge(signals.Observation{Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02" + id}}, Facts: facts})
	next.Revision = signals.NextRevision(old.Revision, time.Now())
	if err := r.store.PutPosture(context.Background(), next, old.Revision); err != nil {
		r.t.Fatal(err)
	}
}

// synced waits until an engine's copies show what the store holds.
func (r *rig) synced(e *Engine) {
	r.t.Helper()
	ctx := context.Background()
	want := map[signals.DeviceID]signals.Revision{}
	_, err := r.raw.EachPosture(ctx, func(p signals.Posture) error { want[p.Device] = p.Revision; return nil }, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "the copy of the postures is late", func() bool {
		return !slices.ContainsFunc(e.world.postures.All(), func(h replicaHeld) bool {
			return h.Corrupt == nil && h.Posture.Revision != want[h.Device]
		}) && len(e.world.postures.All()) == len(want)
	})
	for _, kind := range signedKinds {
		records := 0
		_, err := r.store.EachRecord(ctx, kind, func(x signals.Record) error {
			if len(x.Value) > 0 {
				records++
				eventually(r.t, "the copy of "+kind+" is late", func() bool {
					held, ok := e.world.signed.Get(kind, x.Key)
					return ok && held.Revision >= x.Revision
				})
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// look looks once with copies that are up to date.
func (r *rig) look(e *Engine) {
	r.t.Helper()
	r.synced(e)
	e.look(context.Background(), r.policy)
}

// only is the one case that there is.
func (r *rig) only() findings.Case {
	r.t.Helper()
	c := r.cases()
	all, err := c.List(context.Background())
	if err != nil || len(all) != 1 {
		r.t.Fatalf("%d cases: %+v, %v", len(all), all, err)
	}
	return all[0]
}
