package replica_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// library is a store that only shows devices, made as they are read.
type library struct {
	signals.Postures
	devices, facts int
}

func (l library) EachPosture(_ context.Context, yield func(signals.Posture) error, _ func(signals.DeviceID, error)) (signals.Cursor, error) {
	attributes := signals.Attributes()
	for i := range l.devices {
		p := signals.Posture{Device: signals.DeviceID(fmt.Sprintf("device-%d", i)), Revision: 1,
			Aliases: []signals.Alias{{Kind: signals.AliasSerial, Value: fmt.Sprintf("C02%07d", i)}}}
		for j := range l.facts {
			a := attributes[j%len(attributes)]
			p.Facts = append(p.Facts, signals.Fact{Attribute: fmt.Sprint(a.Name), Value: signals.Bool(true), Source: fmt.Sprint("mdm-", j%2),
				Path: fmt.Sprint("data.attributes.", a.Name), Observed: time.Unix(int64(i), 0).UTC(), Received: time.Unix(int64(i), 0).UTC()})
		}
		if err := yield(p); err != nil {
			return "", err
		}
	}
	return "1", nil
}

func (library) WatchPostures(ctx context.Context, _ signals.Cursor, _ func(signals.Change) error) error {
	<-ctx.Done()
	return nil
}

// BenchmarkMemory reports what a replica of 100,000 devices with 20 facts each holds.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := replica.New(library{devices: 100_000, facts: 20}, replica.Options{})
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = r.Run(ctx) }() // ends with ctx
		<-r.Loaded()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "heap-MB")
		stop()
		<-done
	}
}
