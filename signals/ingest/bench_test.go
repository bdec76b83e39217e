package ingest_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/ingest"
)

// BenchmarkDurable measures deliveries per second of 128 senders: taken is when each has its 202, applied when each stands
// in its posture. Beside it the time that one fsync of this machine takes.
func BenchmarkDurable(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) signals.Store{
		"valkey": func(b *testing.B) signals.Store { return valkey(b)() },
		"bbolt": func(b *testing.B) signals.Store {
			store, err := boltstore.Open(filepath.Join(b.TempDir(), "store.db"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = store.Close() })
			return store
		},
	} {
		b.Run(name, func(b *testing.B) { durable(b, open(b), name == "bbolt") })
	}
}

func durable(b *testing.B, store signals.Store, alone bool) {
	var done atomic.Int64
	events := ingest.Events{Applied: func(string, string, signals.DeviceID, bool, time.Duration) { done.Add(1) }}
	events.Refused = func(_ string, status int, reason string) { b.Errorf("%d: %s", status, reason) }
	r := receiver(b, store, &diary{}, func(o *ingest.Options) { o.Events, o.Alone, o.MaxInbox = events, alone, 1_000_000 })
	requests := make([]*http.Request, b.N)
	for i := range requests {
		requests[i] = request(b, fmt.Sprint(i), report(i%1000))
	}
	stop := start(b, r)
	handler := r.Handler()
	b.ResetTimer()
	began := time.Now()
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 128 {
		senders.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				w := &answered{}
				if handler.ServeHTTP(w, requests[i]); w.status != http.StatusAccepted {
					b.Errorf("delivery %d: %d", i, w.status)
					done.Add(1) // nobody applies it
				}
			}
		})
	}
	senders.Wait()
	taken := time.Since(began)
	for int(done.Load()) < b.N {
		time.Sleep(time.Millisecond)
	}
	applied := time.Since(began)
	b.StopTimer()
	stop()
	b.ReportMetric(float64(b.N)/taken.Seconds(), "taken/s")
	b.ReportMetric(float64(b.N)/applied.Seconds(), "applied/s")
	b.ReportMetric(float64(fsync(b).Microseconds()), "fsync-µs")
}

// answered is a ResponseWriter that keeps the status.
type answered struct{ status int }

func (a *answered) Header() http.Header         { return http.Header{} }
func (a *answered) Write(p []byte) (int, error) { return len(p), nil }
func (a *answered) WriteHeader(status int)      { a.status = status }

// fsync is the time of one small appended write with its fsync, the mean of 200.
func fsync(b *testing.B) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	began := time.Now()
	for range 200 {
		if _, err := f.Write(make([]byte, 512)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began) / 200
}
