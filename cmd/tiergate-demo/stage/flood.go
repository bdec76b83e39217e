package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Flood is what came of a flood of webhooks in which the receiver was killed.
type Flood struct {
	Laptops      []string // the serials; each was reported once by each of two sources
	Deliveries   int
	Acknowledged int // of them, with 202
	Attempts     int // all that were sent, retries included
	Kills        int
	Took         time.Duration
}

// floodSenders is how many deliveries are under way at once.
const floodSenders = 8

// floodRetry is the pause of a sender that was not told 202.
const floodRetry = 25 * time.Millisecond

// Receiver is the process that receives webhooks.
func (s *Stage) Receiver() string {
	if s.Store == StoreEmbedded {
		return "serve"
	}
	return "ingest"
}

// Flood has MDM and EDR report laptops of which nobody has heard, each by names of its own, and kills the receiver so often
// (SIGKILL) amid it. Each delivery is sent under one id until it is answered 202. The MDM says whose a laptop is, see
// FloodUser; the EDR that its disk is not encrypted. It needs Options.EDR, and returns once everything is acknowledged.
func (s *Stage) Flood(ctx context.Context, laptops, kills int) (Flood, error) {
	if s.EDR == nil {
		return Flood{}, fmt.Errorf("this stage has no source %q", EDRName)
	}
	began := time.Now()
	f := newFlood(kills, laptops)
	bodies, flood, err := s.floodBodies(laptops)
	if err != nil {
		return Flood{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var faults [floodSenders + 1]error
	all.Go(func() {
		if faults[floodSenders] = f.kill(ctx, s); faults[floodSenders] != nil {
			cancel() // the senders would wait for ever
		}
	})
	for i := range floodSenders {
		all.Go(func() {
			if faults[i] = f.send(ctx, bodies); faults[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	flood.Acknowledged, flood.Attempts = int(f.acknowledged.Load()), int(f.attempts.Load())
	flood.Kills, flood.Took = int(f.killed.Load()), time.Since(began)
	slices.Reverse(faults[:]) // what went wrong first stands first
	return flood, errors.Join(faults[:]...)
}

// FloodUser is for whom the MDM has enrolled a laptop of a flood.
func FloodUser(serial string) string { return serial + "@acme.example" }

// delivery is a body on its way from one of the sources.
type delivery struct {
	sender *Sender
	id     string
	body   []byte
}

func (s *Stage) floodBodies(laptops int) ([]delivery, Flood, error) {
	bodies, flood := make([]delivery, 0, 2*laptops), Flood{Deliveries: 2 * laptops}
	for i := range laptops {
		serial := fmt.Sprintf("C02FLEET%04d", i+1)
		mdm := Device{Serial: serial, ID: serial + "-managed", User: FloodUser(serial)}
		edr := Device{Serial: serial, ID: serial + "-agent"}
		flood.Laptops = append(flood.Laptops, serial)
		managed, err := mdm.report(time.Now(), map[string]any{"platform": "macos"})
		if err != nil {
			return nil, Flood{}, err
		}
		seen, err := edr.report(time.Now(), map[string]any{"disk_encryption": false})
		if err != nil {
			return nil, Flood{}, err
		}
		bodies = append(bodies, delivery{s.Sender, newDelivery(), managed}, delivery{s.EDR, newDelivery(), seen})
	}
	return bodies, flood, nil
}

// flooding is a flood that runs. It has one part more than there are kills, and the receiver dies amid each part but the last;
// the next part begins while it is dead. So every kill meets deliveries, however slow or fast the machine.
type flooding struct {
	part  int             // deliveries of a part; the last may be longer
	dead  []chan struct{} // each is closed when the receiver was killed
	amid  []chan struct{} // each is closed when a part is half acknowledged
	next  atomic.Int64
	kills []sync.Once

	acknowledged, attempts, killed atomic.Int64
}

func newFlood(kills, laptops int) *flooding {
	f := &flooding{part: max(2, 2*laptops/(kills+1)), kills: make([]sync.Once, kills)}
	for range kills {
		f.dead, f.amid = append(f.dead, make(chan struct{})), append(f.amid, make(chan struct{}))
	}
	return f
}

func (f *flooding) kill(ctx context.Context, s *Stage) error {
	for i := range f.dead {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.amid[i]:
		}
		if err := s.Kill(s.Receiver()); err != nil {
			return err
		}
		close(f.dead[i])
		f.killed.Add(1)
		if err := s.Restart(ctx, s.Receiver()); err != nil {
			return err
		}
	}
	return nil
}

func (f *flooding) send(ctx context.Context, bodies []delivery) error {
	for i := f.next.Add(1) - 1; i < int64(len(bodies)); i = f.next.Add(1) - 1 {
		if part := min(int(i)/f.part, len(f.dead)); part > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-f.dead[part-1]:
			}
		}
		if err := f.deliver(ctx, bodies[i]); err != nil {
			return err
		}
		acknowledged := int(f.acknowledged.Add(1))
		for k := range f.amid {
			if acknowledged >= k*f.part+f.part/2 {
				f.kills[k].Do(func() { close(f.amid[k]) })
			}
		}
	}
	return nil
}

// deliver sends until it is told 202.
func (f *flooding) deliver(ctx context.Context, d delivery) error {
	for {
		f.attempts.Add(1)
		receipt, err := d.sender.SendAs(ctx, d.id, d.body)
		switch {
		case err == nil && receipt.Status == http.StatusAccepted:
			return nil
		case err == nil && receipt.Status < http.StatusInternalServerError && receipt.Status != http.StatusTooManyRequests:
			return fmt.Errorf("the receiver answered %d to a good delivery: %s", receipt.Status, receipt.Body)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(floodRetry):
		}
	}
}
