package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// trafficEvery is a steady, modest rate.
const trafficEvery = 20 * time.Millisecond

// afterwards is how many more requests flow before traffic ends, so that what has just changed meets some.
const afterwards = 25

// tally counts background requests. Lost is whatever was not answered 200 by the upstream.
type tally struct {
	sent, lost int
	away       int    // of those lost, answered 503: nobody was there to decide
	first      string // what happened to the first that was lost
	wrong      string // what happened to the first that was lost and is neither
}

// background is traffic that runs.
type background struct {
	end    context.CancelFunc
	result chan tally
	sent   atomic.Int64
}

// startTraffic sends requests one after the other until stop. A request that has begun is always waited for.
func startTraffic(ctx context.Context, w world) *background {
	ticking, end := context.WithCancel(ctx)
	b := &background{end: end, result: make(chan tally, 1)}
	go func() {
		var t tally
		defer func() { b.result <- t }()
		tick := time.NewTicker(trafficEvery)
		defer tick.Stop()
		for {
			select {
			case <-ticking.Done():
				return
			case <-tick.C:
				t.send(ctx, w)
				b.sent.Add(1)
			}
		}
	}()
	return b
}

func (t *tally) send(ctx context.Context, w world) {
	request := portal.request()
	request.Path, request.HTTP1 = "/steady", t.sent%2 == 0
	answer := w.Ask(ctx, request)
	t.sent++
	if answer.Err == nil && answer.Status == http.StatusOK && answer.Echo != nil {
		return
	}
	t.lost++
	what := fmt.Sprintf("status %d %s after %v, %v: %.120q", answer.Status, answer.Reason(), answer.Took.Round(time.Millisecond),
		answer.Err, answer.Body)
	switch {
	case answer.Err == nil && answer.Status == http.StatusServiceUnavailable:
		t.away++
	case t.wrong == "":
		t.wrong = what
	}
	if t.first == "" {
		t.first = what
	}
}

// flow waits until n more requests have been answered, or until ctx ends.
func (b *background) flow(ctx context.Context, n int64) {
	for enough := b.sent.Load() + n; b.sent.Load() < enough; {
		if !pause(ctx) {
			return
		}
	}
}

func (b *background) stop() tally {
	b.end()
	return <-b.result
}
