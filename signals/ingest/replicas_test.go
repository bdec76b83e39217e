package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// severed is a store whose process can be killed: from then on no call of it reaches the server.
type severed struct {
	signals.Store
	dead atomic.Bool
}

func (s *severed) cut() error {
	if s.dead.Load() {
		return errDown
	}
	return nil
}

func (s *severed) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	if err := s.cut(); err != nil {
		return err
	}
	return s.Store.PutPosture(ctx, p, expected)
}

func (s *severed) Record(ctx context.Context, kind, key string) (signals.Record, error) {
	if err := s.cut(); err != nil {
		return signals.Record{}, err
	}
	return s.Store.Record(ctx, kind, key)
}

func (s *severed) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	if err := s.cut(); err != nil {
		return err
	}
	return s.Store.PutRecord(ctx, r, expected)
}

func (s *severed) Exchange(ctx context.Context, put signals.Record, remove string, expected signals.Revision) error {
	if err := s.cut(); err != nil {
		return err
	}
	if below, ok := s.Store.(signals.Exchanger); ok {
		return below.Exchange(ctx, put, remove, expected)
	}
	return errors.ErrUnsupported
}

func (s *severed) DeleteRecord(ctx context.Context, kind, key string, expected signals.Revision) error {
	if err := s.cut(); err != nil {
		return err
	}
	return s.Store.DeleteRecord(ctx, kind, key, expected)
}

// TestThreeReceiversOnOneValkey: deliveries (1,500; TIERGATE_SHARED) through three doors are each applied once, each receiver does its part of
// the work, and one that dies in the middle takes nothing with it.
func TestThreeReceiversOnOneValkey(t *testing.T) {
	t.Parallel()
	n := fromEnv(t, "TIERGATE_SHARED", 1500)
	open := valkey(t)
	// The receivers' clocks are a second apart.
	var applied [3]atomic.Int64
	var receivers [3]*ingest.Receiver
	var stores [3]*severed
	var stops [3]func()
	for i := range receivers {
		stores[i] = &severed{Store: open()}
		events := (&diary{}).events()
		events.Applied = func(_, _ string, _ signals.DeviceID, _ bool, _ time.Duration) { applied[i].Add(1) }
		skew := time.Duration(i-1) * time.Second
		receivers[i] = receiver(t, stores[i], &diary{}, named(fmt.Sprint("receiver-", i)), func(o *ingest.Options) {
			o.Events = events
			o.Now = func() time.Time { return time.Now().Add(skew) }
		})
		stops[i] = start(t, receivers[i])
	}
	var next, refused atomic.Int64
	var senders sync.WaitGroup
	for range 24 {
		senders.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if i == n/2 {
					stores[2].dead.Store(true) // with whatever it has taken and not applied
				}
				for door := i; ; door++ { // a sender that retries, as a load balancer spreads it
					if post(t, receivers[door%3], fmt.Sprint(i), report(i)) == http.StatusAccepted {
						break
					}
					refused.Add(1)
				}
			}
		})
	}
	senders.Wait()
	stops[2]()
	left := open()
	// What the dead one had is taken over when its lease has ended. Here it is made to end now.
	if record, err := left.Record(t.Context(), ingest.KindReceiver, "receiver-2"); err == nil {
		if err := left.DeleteRecord(t.Context(), ingest.KindReceiver, "receiver-2", record.Revision); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func() (entries int) {
		_, err := left.EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { entries++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	taken := waiting()
	end := time.Now().Add(10 * time.Minute)
	for waiting() > 0 && time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
	}
	for _, stop := range stops[:2] {
		stop()
	}
	devices, versions := 0, 0
	_, err := left.EachPosture(t.Context(), func(p signals.Posture) error {
		if len(p.Aliases) > 0 {
			devices++
			versions += len(p.Facts)
		}
		return nil
	}, func(device signals.DeviceID, err error) { t.Errorf("%s: %v", device, err) })
	if err != nil {
		t.Fatal(err)
	}
	if devices != n || versions != n || waiting() != 0 {
		t.Errorf("%d devices with %d facts of %d deliveries; %d wait", devices, versions, n, waiting())
	}
	sum := int64(0)
	for i := range applied {
		sum += applied[i].Load()
		if applied[i].Load() < int64(n)/20 {
			t.Errorf("receiver %d applied %d", i, applied[i].Load())
		}
	}
	// The dead one may have stored a posture without being able to note it: at most what its workers had in hand.
	if sum < int64(n) || sum > int64(n)+16 {
		t.Errorf("%d applications of %d deliveries", sum, n)
	}
	if _, err := left.Record(t.Context(), ingest.KindReceiver, "receiver-0"); !errors.Is(err, signals.ErrNotFound) {
		t.Errorf("the lease of a receiver that has ended: %v", err)
	}
	t.Logf("%d deliveries, applied by three receivers %d + %d + %d (the last was killed halfway; %d were left in the inbox then); "+
		"lost 0, %d tries were refused", n, applied[0].Load(), applied[1].Load(), applied[2].Load(), taken, refused.Load())
}
