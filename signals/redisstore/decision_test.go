package redisstore

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// decider decides by a replica of a store, over gRPC.
type decider struct {
	checks authv3.AuthorizationClient
	copied *replica.Replica
}

func decides(t *testing.T, s signals.Postures) *decider {
	t.Helper()
	var server *authz.Server
	d := &decider{copied: replica.New(s, replica.Options{
		OnChange: func(p *signals.Posture) { server.PostureChanged(p) },
		OnRemove: func(id signals.DeviceID) { server.PostureRemoved(id) },
	})}
	server = authz.New(authz.Options{Devices: d.copied, Peers: named{}, Tokens: ana{}})
	server.SetPolicy(laptopPolicy(t))
	listener, g := bufconn.Listen(1<<20), grpc.NewServer(server.ServerOptions()...)
	server.Register(g)
	client, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	d.checks = authv3.NewAuthorizationClient(client)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = d.copied.Run(ctx) })
	all.Go(func() { _ = g.Serve(listener) })
	t.Cleanup(func() { stop(); _ = client.Close(); g.Stop(); all.Wait() })
	<-d.copied.Loaded()
	return d
}

func (d *decider) allows(t *testing.T, serial string) bool {
	t.Helper()
	return admits(t, d.checks, serial)
}

// laptop is a device with its facts as of an instant.
func laptop(id string, revision signals.Revision, compromised bool, seen time.Time) signals.Posture {
	fact := func(attribute string, v bool) signals.Fact {
		return signals.Fact{Attribute: attribute, Value: signals.Bool(v), Source: "mdm", Observed: seen, Received: seen}
	}
	return signals.Posture{Device: signals.DeviceID(id), Revision: revision, Aliases: []signals.Alias{serialOf(id)},
		Facts: []signals.Fact{fact("disk_encryption", true), fact("compromised", compromised)}}
}

// TestDecisionsUnderTrouble: whatever happens to the server, decisions are quick and by what was known: the healthy
// device comes in, the compromised and the unknown do not, nor one whose facts have grown too old meanwhile.
func TestDecisionsUnderTrouble(t *testing.T) {
	each := 300 * time.Millisecond
	stopped := time.Second
	if prove {
		each, stopped = 10*time.Second, time.Minute
	}
	live := serve(t)
	p := through(t, live, nil)
	says := func(reply string) func() func() {
		return func() func() { p.set(trouble{reply: []byte(reply)}); return func() { p.set(trouble{}) } }
	}
	makes := func(now trouble) func() func() {
		return func() func() { p.set(now); p.cut(); return func() { p.set(trouble{}); p.cut() } }
	}
	sets := func(command, back []any) func() func() {
		return func() func() { live.do(t, command...); p.cut(); return func() { live.do(t, back...) } }
	}
	for _, c := range []struct {
		what  string
		lasts time.Duration
		begin func() func()
	}{
		{"stopped", stopped, func() func() { live.kill(); p.cut(); return func() { live.start(t) } }},
		{"500 ms late", each, makes(trouble{delay: 500 * time.Millisecond})},
		{"one byte a second", each, makes(trouble{drip: time.Second})},
		{"accepts and hangs", each, makes(trouble{hang: true})},
		{"truncated", each, makes(trouble{truncate: 7})},
		{"LOADING", each, says("-LOADING Valkey is loading the dataset in memory\r\n")},
		{"READONLY", each, sets([]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"})},
		{"OOM", each, sets([]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"})},
		{"NOAUTH", each, func() func() {
			live.do(t, "ACL", "SETUSER", "default", "resetpass", ">sesame", "-@all", "+auth")
			p.cut()
			return func() {
				live.restart(t) // nothing of the user is kept
			}
		}},
	} {
		t.Run(c.what, func(t *testing.T) { underTrouble(t, p, live, c.lasts, c.begin) })
	}
}

func underTrouble(t *testing.T, p *proxy, live *server, lasts time.Duration, begin func() func()) {
	live.do(t, "FLUSHALL")
	s, err := New(Options{Address: p.address()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	admin := live.open(t, nil)
	now := time.Now()
	ageing := now.Add(lasts/2 - time.Hour) // its facts become too old in mid-trouble
	for _, laptop := range []signals.Posture{
		laptop("GOOD", 1, false, now), laptop("BAD", 1, true, now), laptop("OLD", 1, false, ageing),
	} {
		if err := admin.PutPosture(t.Context(), laptop, 0); err != nil {
			t.Fatal(err)
		}
	}
	d := decides(t, s)
	eventually(t, "decisions before", func() error {
		if !d.allows(t, "GOOD") || d.allows(t, "BAD") || d.allows(t, "NOBODY") {
			return fmt.Errorf("not by what is stored")
		}
		return nil
	})
	before := runtime.NumGoroutine()
	end := begin()
	var took []time.Duration
	wrong, most := 0, before
	write := time.NewTicker(50 * time.Millisecond)
	defer write.Stop()
	var writes sync.WaitGroup
	refused := 0
	for began := time.Now(); time.Since(began) < lasts; {
		asked := time.Now()
		good := d.allows(t, "GOOD")
		took = append(took, time.Since(asked))
		if !good {
			t.Fatal("what is known was forgotten")
		}
		if d.allows(t, "BAD") || d.allows(t, "NOBODY") || asked.After(ageing.Add(time.Hour)) && d.allows(t, "OLD") {
			wrong++
		}
		most = max(most, runtime.NumGoroutine())
		select {
		case <-write.C: // somebody also writes; that may fail, slowly
			writes.Go(func() { _ = s.PutPosture(t.Context(), laptop("NEW", 1, false, now), 0) })
			refused++
		default:
			time.Sleep(2 * time.Millisecond)
		}
	}
	writes.Wait()
	end()
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	fmt.Printf("    %-18s %6v: %5d decisions, p99 %v, max %v, goroutines %d -> at most %d, wrong allows %d\n",
		t.Name()[len("TestDecisionsUnderTrouble/"):], lasts, len(took), p99.Round(10*time.Microsecond),
		took[len(took)-1].Round(10*time.Microsecond), before, most, wrong)
	// How long it took is a figure, and a fault only where nothing else runs (make prove).
	// Of each write that was begun, the proxy of this very process may hold a connection that hangs.
	if wrong > 0 || prove && p99 > 100*time.Millisecond || most > before+150+refused {
		t.Error("that is too much")
	}
	healed := time.Now()
	for revision := signals.Revision(1); ; revision = 2 {
		err := admin.PutPosture(t.Context(), laptop("GOOD", revision+1, true, time.Now()), revision)
		if err == nil {
			break
		}
		if time.Since(healed) > time.Minute || revision == 2 {
			t.Fatal(err)
		}
	}
	for d.allows(t, "GOOD") {
		if time.Since(healed) > time.Minute {
			t.Fatal("the change never came: ", d.copied.Status().LastError)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
