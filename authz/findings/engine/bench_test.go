package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/replica"
)

const factsEach = 20 // as a device manager tells

// crowd is a store that shows so many healthy devices, and what is put on top.
type crowd struct {
	signals.Store
	devices int
	at      time.Time
}

func (c *crowd) EachPosture(
	ctx context.Context, yield func(signals.Posture) error, corrupt func(signals.DeviceID, error),
) (signals.Cursor, error) {
	for i := range c.devices {
		id := fmt.Sprintf("d%06d", i)
		facts := make([]signals.Fact, 0, factsEach)
		for _, a := range signals.Attributes()[:factsEach-2] {
			facts = append(facts, signals.Fact{Attribute: a.Name, Value: signals.Unknown, Source: "mdm", Path: "of." + a.Name,
				Observed: c.at, Received: c.at})
		}
		for attribute, v := range map[string]signals.Value{"platform": signals.Text("macos"), "disk_encryption": signals.Bool(i%50 != 0)} {
			facts = append(facts, signals.Fact{Attribute: attribute, Value: v, Source: "mdm", Path: "of." + attribute,
				Observed: c.at.Add(time.Second), Received: c.at.Add(time.Second)})
		}
		p, _ := signals.Posture{Device: signals.DeviceID(id)}.Merge(signals.Observation{
			Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: "C02" + id}}, Facts: facts})
		p.Revision = 1
		if err := yield(p); err != nil {
			return "", err
		}
	}
	return c.Store.EachPosture(ctx, func(signals.Posture) error { return nil }, corrupt)
}

// BenchmarkLook is one look at companies of which one device in 50 fails: with nothing assessed yet, as after a start or a
// new policy, and again when little has changed, as each minute.
func BenchmarkLook(b *testing.B) {
	for _, size := range []int{5_000, 100_000} {
		b.Run(fmt.Sprint(size, " devices"), func(b *testing.B) {
			raw, err := boltstore.Open(filepath.Join(b.TempDir(), "store.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = raw.Close() })
			r := newRig(b, raw, raw)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			e := New(r.options("a"))
			e.world.postures = replica.New(&crowd{raw, size, time.Now()}, replica.Options{OnChange: e.world.posture})
			e.lease.set(time.Now().Add(time.Hour))
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			for _, run := range []func(context.Context) error{e.world.postures.Run, e.world.signed.Run, e.world.observed.Run} {
				go func() { _ = run(ctx) }()
			}
			<-e.world.postures.Loaded()
			<-e.world.signed.Loaded()
			<-e.world.observed.Loaded()
			began := time.Now()
			e.look(ctx, r.policy)
			b.Logf("first look: %v, %d cases", time.Since(began).Round(time.Millisecond), len(e.own))
			r.pass(2 * time.Minute)
			began = time.Now()
			e.look(ctx, r.policy)
			b.Logf("look that opens them: %v, %d notices", time.Since(began).Round(time.Millisecond), len(r.told))
			if c := e.own[findings.IDOf("drift|device d000000|disk")]; c.kept.State != findings.Open {
				b.Fatalf("%+v", c.kept.Case)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.Logf("memory: %d B a device", (int64(after.HeapAlloc)-int64(before.HeapAlloc))/int64(size))
			b.ReportAllocs()
			for b.Loop() {
				e.look(ctx, r.policy)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/device")
		})
	}
}
