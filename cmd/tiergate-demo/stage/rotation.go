package stage

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// Rotation is what came of traffic while certificates rotated.
type Rotation struct {
	Sent, Lost   int    // requests, and those that no upstream answered with 200
	First        string // what happened to the first that was lost
	Certificates int    // that the workload showed, one after the other
	Envoys       int    // that Envoy showed to it
	Took         time.Duration
	// Late is the answer to whoever kept the first connection and its certificate until that had ended.
	Late Answer
}

// RotationTTL is how long certificates last in Rotate: long enough for two renewals until the first has ended.
const RotationTTL = 3 * time.Second

// trafficEvery is the pause between two requests of one kind of client.
const trafficEvery = 15 * time.Millisecond

// Rotate gives all SVIDs of the stage three seconds to live, sends a workload's requests over HTTP/1.1 and HTTP/2, on new
// and on kept connections, until the first of its certificates has ended, and gives SVIDs their hour again.
func (s *Stage) Rotate(ctx context.Context, workload string, r Request) (rotation Rotation, err error) {
	began := time.Now()
	client, err := s.Workload(ctx, workload)
	if err != nil {
		return Rotation{}, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := s.Agent.SetTTL(RotationTTL); err != nil {
		return Rotation{}, err
	}
	defer func() { err = errors.Join(err, s.Agent.SetTTL(time.Hour)) }()
	if err := client.source.WaitUntilUpdated(ctx); err != nil {
		return Rotation{}, err
	}
	late := r
	if late.Pair, err = client.Pair(); err != nil {
		return Rotation{}, err
	}
	if answer := s.Ask(ctx, late); answer.Status != http.StatusOK {
		return Rotation{}, fmt.Errorf("before anything rotates: status %d %s %w", answer.Status, answer.Reason(), answer.Err)
	}
	// The certificate's last second counts as a whole (RFC 5280, section 4.1.2.5); the second renewal comes at RotationTTL.
	until := late.Pair.Certificate.NotAfter.Add(time.Second)
	if renewed := began.Add(RotationTTL + RotationTTL/4); until.Before(renewed) {
		until = renewed
	}
	traffic, end := context.WithDeadline(ctx, until)
	defer end()
	rotation = client.steady(ctx, traffic, r)
	rotation.Late = s.Ask(ctx, late)
	rotation.Certificates, rotation.Envoys, rotation.Took = client.Certificates(), client.Envoys(), time.Since(began)
	return rotation, ctx.Err()
}

// steady asks in four ways at once until the traffic ends; what has begun is waited for.
func (w *Workload) steady(ctx, traffic context.Context, r Request) (rotation Rotation) {
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, http1 := range []bool{true, false} {
		for _, ask := range []func(context.Context, Request) Answer{w.Ask, w.AskAnew} {
			r := r
			r.HTTP1 = http1
			running.Go(func() {
				for traffic.Err() == nil {
					answer := ask(ctx, r)
					mu.Lock()
					rotation.count(answer)
					mu.Unlock()
					time.Sleep(trafficEvery)
				}
			})
		}
	}
	running.Wait()
	return rotation
}

func (r *Rotation) count(a Answer) {
	r.Sent++
	if a.Err == nil && a.Status == http.StatusOK && a.Echo != nil {
		return
	}
	r.Lost++
	if r.First == "" {
		r.First = fmt.Sprintf("status %d %s %v", a.Status, a.Reason(), a.Err)
	}
}

// Pair is the SVID that is in force, for who wants to show it longer than that.
func (w *Workload) Pair() (*devca.Pair, error) {
	svid, err := w.source.GetX509SVID()
	if err != nil {
		return nil, err
	}
	key, ok := svid.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the agent gave a key of another kind, a %T", svid.PrivateKey)
	}
	return &devca.Pair{Certificate: svid.Certificates[0], Key: key}, nil
}
