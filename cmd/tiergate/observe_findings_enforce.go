package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiergate/tiergate/signals"
)

// enforced measures how long it takes from a fact to decisions that honour it: from when its source saw it, and from when
// the receiver was told. The postures that a process finds at its start are not counted.
func (o *observer) enforced(loaded <-chan struct{}) func(*signals.Posture) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tiergate_enforce_seconds",
		Help:    "From a fact to decisions that honour it, since its source saw it or since it was received.",
		Buckets: prometheus.ExponentialBuckets(.001, 4, 14)}, []string{"since"})
	o.registry.MustRegister(seconds)
	observed, received := seconds.WithLabelValues("observed"), seconds.WithLabelValues("received")
	return func(p *signals.Posture) {
		select {
		case <-loaded:
		default:
			return
		}
		var newest *signals.Fact
		for i := range p.Facts {
			if f := &p.Facts[i]; newest == nil || f.Received.After(newest.Received) {
				newest = f
			}
		}
		if newest == nil {
			return
		}
		now := time.Now()
		received.Observe(max(0, now.Sub(newest.Received)).Seconds())
		observed.Observe(max(0, now.Sub(newest.Observed)).Seconds())
	}
}
