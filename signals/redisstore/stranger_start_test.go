package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/replica"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// kept is a receiver with a checkpoint over a real Valkey; sidecars start as the test says.
type kept struct {
	*wired

	key   *signals.Sealer
	sight *Store // of the sidecars, if it is not the receiver's
	stop  func() // ends the receiver, as an operator does
}

const keptTurn = 100 * time.Millisecond // of the keeper; in the product it is 30 s

func newKept(t *testing.T) *kept {
	t.Helper()
	k := &kept{wired: &wired{live: serve(t)}, key: newKey(t)}
	k.raw = k.live.open(t, nil)
	k.receive(t, "receiver")
	t.Cleanup(func() { k.stop() })
	return k
}

// receive starts a receiver.
func (k *kept) receive(t *testing.T, name string) {
	t.Helper()
	k.store = signals.Sealed(k.raw, k.key, k.key.Checker())
	keeper := checkpoint.New(k.store, checkpoint.Options{Name: name, Every: keptTurn, Events: checkpoint.Events{
		Sealed:     func(_, _ int, _ time.Duration) { k.tell("sealed") },
		Distrusted: func(err error) { k.tell("checkpoint distrusted %v", err) },
		Withheld:   func(err error) { k.tell("withheld %v", err) },
		RolledBack: func(d signals.DeviceID, _, _ signals.Revision) { k.tell("receiver: rolled back %s", d) },
		Repaired:   func(d signals.DeviceID) { k.tell("repaired %s", d) },
		Lost: func(n int, some []checkpoint.Mark) {
			if n > 0 {
				k.tell("receiver: lost %v", some)
			}
		},
	}})
	adapter, err := standard.New([]string{hookSecret})
	if err != nil {
		t.Fatal(err)
	}
	k.receiver, err = ingest.New(keeper.Guard(), ingest.Options{Name: name,
		Sources: []ingest.Source{{Name: "mdm", Adapter: adapter, Attests: []string{"disk_encryption", "compromised", "firewall"}}},
		Events: ingest.Events{
			Distrusted:   func(what, key string, _ error) { k.tell("distrusted %s %s", what, key) },
			DeadLettered: func(_, id, reason string) { k.tell("dead %s %s", id, reason) },
		}})
	if err != nil {
		t.Fatal(err)
	}
	keeping, endKeeper := context.WithCancel(context.Background())
	receiving, endReceiver := context.WithCancel(context.Background())
	kept, received := make(chan error, 1), make(chan error, 1)
	go func() { kept <- keeper.Run(keeping) }()
	go func() { received <- k.receiver.Run(receiving) }()
	k.stop = sync.OnceFunc(func() {
		endReceiver()
		err := <-received
		endKeeper()
		if err := firstOf(err, <-kept); err != nil {
			t.Error(err)
		}
	})
	until(t, "a checkpoint, or a word on why not", func() bool { return k.heard("sealed") || k.heard("withheld") })
}

// begun is a sidecar that has just started.
type begun struct {
	checks authv3.AuthorizationClient
	copied *replica.Replica
	end    func()
}

func (k *kept) words() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.told)
}

// sidecar starts one; it need not come to be loaded.
func (k *kept) sidecar(t *testing.T) *begun {
	t.Helper()
	var server *authz.Server
	sight := cmp.Or(k.sight, k.raw)
	records := signals.Sealed(sight, nil, k.key.Checker())
	copied := replica.New(signals.CheckedPostures(sight, k.key.Checker()), replica.Options{
		OnChange:   func(p *signals.Posture) { server.PostureChanged(p) },
		OnRemove:   func(d signals.DeviceID) { server.PostureRemoved(d) },
		Resync:     300 * time.Millisecond,
		MaxAge:     time.Minute,
		Checkpoint: func(ctx context.Context) (*checkpoint.Checkpoint, error) { return checkpoint.Read(ctx, records) },
		Events: replica.Events{
			Regressed:  func(d signals.DeviceID, _, _ signals.Revision) { k.tell("regressed %s", d) },
			RolledBack: func(d signals.DeviceID, _, _ signals.Revision) { k.tell("rolled back %s", d) },
			Missing: func(n int, some []checkpoint.Mark) {
				if n > 0 {
					k.tell("missing %v", some)
				}
			},
			Checkpoint: func(_ *checkpoint.Checkpoint, late bool) {
				if late {
					k.tell("late")
				}
			},
			CheckpointFailed: func(err error) { k.tell("no start: %v", err) },
			Unchecked:        func() { k.tell("unchecked") },
		}})
	server = authz.New(authz.Options{Devices: copied, Peers: named{}, Tokens: ana{}})
	server.SetPolicy(laptopPolicy(t))
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(server.ServerOptions()...)
	server.Register(g)
	client, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = copied.Run(ctx) })
	all.Go(func() { _ = g.Serve(listener) })
	b := &begun{checks: authv3.NewAuthorizationClient(client), copied: copied, end: sync.OnceFunc(func() {
		stop()
		_ = client.Close()
		g.Stop()
		all.Wait()
	})}
	t.Cleanup(b.end)
	return b
}

// devices makes both of them known, and the alarm, and waits until the checkpoint has that.
func (k *kept) devices(t *testing.T) *stranger {
	t.Helper()
	s := &stranger{wired: k.wired, sick: "SICK", well: "WELL"}
	for _, serial := range []string{s.sick, s.well} {
		k.report(t, "first-"+serial, serial, `{"disk_encryption":true,"compromised":false,"firewall":true}`)
	}
	s.sickDevice, s.wellDevice = k.device(t, s.sick), k.device(t, s.well)
	until(t, "it is stored", func() bool { _, err := k.store.Posture(t.Context(), s.sickDevice); return err == nil })
	k.covered(t, s)
	s.healthy = s.stored(t, postures, string(s.sickDevice))
	k.report(t, "alarm", s.sick, `{"compromised":true}`)
	until(t, "the alarm", func() bool { return s.stored(t, postures, string(s.sickDevice)) != s.healthy })
	k.covered(t, s)
	return s
}

// covered waits until the checkpoint has what is stored.
func (k *kept) covered(t *testing.T, s *stranger) {
	t.Helper()
	until(t, "the checkpoint has it", func() bool {
		c, err := checkpoint.Read(t.Context(), k.store)
		if err != nil {
			return false
		}
		for _, device := range []signals.DeviceID{s.sickDevice, s.wellDevice} {
			p, err := k.store.Posture(t.Context(), device)
			if err != nil || c.Revision(device) != p.Revision {
				return false
			}
		}
		return true
	})
}

// checkpoint is what is stored of it.
func (s *stranger) checkpoint(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	sp := recordsOf(checkpoint.Kind)
	_, err := s.raw.EachRecord(t.Context(), checkpoint.Kind, func(r signals.Record) error {
		all[r.Key] = s.stored(t, sp, r.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *stranger) putCheckpoint(t *testing.T, old map[string]string) {
	t.Helper()
	for key := range s.checkpoint(t) {
		if text, was := old[key]; was {
			s.put(t, recordsOf(checkpoint.Kind), key, text)
		} else {
			s.remove(t, recordsOf(checkpoint.Kind), key)
		}
	}
}

// startAttack is what happens while no sidecar runs; down: and no receiver either. told is what the next one tells.
type startAttack struct {
	do   func(t *testing.T, s *stranger, before map[string]string)
	down bool
	told func(s *stranger) string
	// closed: nobody at all is let in.
	closed bool
}

func startAttacks() map[string]startAttack {
	back := func(t *testing.T, s *stranger) { s.put(t, postures, string(s.sickDevice), s.healthy) }
	rolledBack := func(s *stranger) string { return "rolled back " + string(s.sickDevice) }
	// A receiver that runs writes again what it wrote last.
	repaired := func(s *stranger) string { return "repaired " + string(s.sickDevice) }
	missing := func(s *stranger) string { return fmt.Sprintf("missing [%v]", checkpoint.MarkOf(s.sickDevice)) }
	is := func(text string) func(*stranger) string { return func(*stranger) string { return text } }
	forge := func(key string) func(*testing.T, *stranger, map[string]string) {
		return func(t *testing.T, s *stranger, _ map[string]string) {
			back(t, s)
			for k, text := range s.checkpoint(t) {
				if strings.HasPrefix(k, key) {
					s.put(t, recordsOf(checkpoint.Kind), k, text[:len(text)-1]+"\x00")
				}
			}
		}
	}
	return map[string]startAttack{
		"rolled back": {down: true, told: rolledBack, do: func(t *testing.T, s *stranger, _ map[string]string) { back(t, s) }},
		"removed": {down: true, told: missing, do: func(t *testing.T, s *stranger, _ map[string]string) {
			s.remove(t, postures, string(s.sickDevice))
		}},
		"rolled back beside the receiver": {told: repaired, do: func(t *testing.T, s *stranger, _ map[string]string) { back(t, s) }},
		"removed beside the receiver": {told: repaired, do: func(t *testing.T, s *stranger, _ map[string]string) {
			s.remove(t, postures, string(s.sickDevice))
		}},
		"rolled back quietly": {down: true, told: rolledBack, do: func(t *testing.T, s *stranger, _ map[string]string) {
			s.live.do(t, "SET", postures.valueKey(string(s.sickDevice)), s.healthy)
		}},
		"the checkpoint forged":        {down: true, closed: true, told: is("no start: the checkpoint is not believed"), do: forge("base/")},
		"the head forged":              {down: true, closed: true, told: is("no start: the checkpoint is not believed"), do: forge("head")},
		"the checkpoint forged beside": {told: repaired, do: forge("base/")},
		"the checkpoint removed": {down: true, closed: true, told: is("no start: the store has no checkpoint, and there was one"),
			do: func(t *testing.T, s *stranger, _ map[string]string) {
				back(t, s)
				s.putCheckpoint(t, nil)
			}},
		"the checkpoint removed beside": {told: repaired, do: func(t *testing.T, s *stranger, _ map[string]string) {
			back(t, s)
			s.putCheckpoint(t, nil)
		}},
		"the head removed": {down: true, closed: true, told: is("no start: the checkpoint is not believed"),
			do: func(t *testing.T, s *stranger, _ map[string]string) {
				back(t, s)
				s.remove(t, recordsOf(checkpoint.Kind), "head")
			}},
		"one part put back": {down: true, closed: true, told: is("no start: the checkpoint is not believed"),
			do: func(t *testing.T, s *stranger, before map[string]string) {
				back(t, s)
				head := s.stored(t, recordsOf(checkpoint.Kind), "head")
				s.putCheckpoint(t, before)
				s.put(t, recordsOf(checkpoint.Kind), "head", head)
			}},
		// The receiver that runs finds its own checkpoint gone back, and writes it anew.
		"all put back beside": {told: repaired, do: func(t *testing.T, s *stranger, before map[string]string) {
			back(t, s)
			s.putCheckpoint(t, before)
			until(t, "the receiver notices", func() bool { return s.heard("checkpoint distrusted its head has revision") })
			until(t, "and repairs it", func() bool {
				c, err := checkpoint.Read(t.Context(), s.store)
				return err == nil && c.Revision(s.sickDevice) > 0 && fmt.Sprint(c.Revision(s.sickDevice)) != strings.Fields(s.healthy)[1]
			})
		}},
	}
}

// TestAStrangerBeforeTheStart: what was put back or removed in Valkey while a sidecar did not run lets nobody in once it does,
// and is noticed.
func TestAStrangerBeforeTheStart(t *testing.T) {
	var mu sync.Mutex
	wrong, noticed := 0, 0
	attacks, running := startAttacks(), make(chan struct{}, 5)
	t.Run("attacks", func(t *testing.T) {
		for name, a := range attacks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				running <- struct{}{}
				defer func() { <-running }()
				k := newKept(t)
				k.report(t, "early", "SICK", `{"disk_encryption":true,"compromised":false}`)
				k.device(t, "SICK")
				until(t, "an early checkpoint", func() bool {
					c, err := checkpoint.Read(t.Context(), k.store)
					return err == nil && c.Devices() == 1
				})
				before := (&stranger{wired: k.wired}).checkpoint(t)
				s := k.devices(t)
				if a.down {
					k.stop()
				}
				a.do(t, s, before)
				b := k.sidecar(t)
				for deadline := time.Now().Add(time.Minute); !k.heard(a.told(s)); time.Sleep(2 * time.Millisecond) {
					if admits(t, b.checks, s.sick) {
						mu.Lock()
						wrong++
						mu.Unlock()
						t.Fatal("it was let in")
					}
					if time.Now().After(deadline) {
						t.Fatalf("nobody was told %q: %q", a.told(s), k.words())
					}
				}
				mu.Lock()
				noticed++
				mu.Unlock()
				for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
					if admits(t, b.checks, s.sick) {
						t.Fatal("it was let in, later")
					}
				}
				if !a.closed {
					until(t, "another device is let in", func() bool { return admits(t, b.checks, s.well) })
				} else if admits(t, b.checks, s.well) {
					t.Error("what could not be checked is served")
				}
			})
		}
	})
	t.Logf("%d attacks before a start, %d noticed, %d wrong allows", len(attacks), noticed, wrong)
}
