package main

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// openSidecarStore opens the store for `serve`. All that it writes to a shared one are the proofs that were used: they
// count for minutes, and a request waits for the note. So it waits for no disk and no replica (waitAOF, waitReplicas):
// what a server forgets that crashes within the second is still remembered by the process that noted it.
func openSidecarStore(s *config.Settings) (signals.Store, error) {
	if s.Store.Redis == nil {
		return openStore(s)
	}
	sidecar, redis := *s, *s.Store.Redis
	redis.WaitAOF, redis.WaitReplicas = 0, 0
	sidecar.Store.Redis = &redis
	return openStore(&sidecar)
}

// newReplays remembers proofs in the store. A request waits for less than Envoy waits for its answer.
func newReplays(s *config.Settings, o *observer, store signals.Store) *authz.ReplayMemory {
	return authz.NewReplays(store, authz.ReplayOptions{
		Within: min(authz.DefaultReplayWithin, s.Envoy.CheckTimeout/2), Events: o.replays(),
	})
}

// replays maps the callback of the memory of proofs. An outage is said once, and so is its end.
func (o *observer) replays() authz.ReplayEvents {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_proof_checks_total",
		Help: "Proofs that count once by what came of asking for them: new, replayed, or unchecked (answered 503)."}, []string{"result"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tiergate_proof_check_seconds",
		Help:    "How long a request waited to know whether its proof is new.",
		Buckets: []float64{.00001, .0001, .0005, .001, .0025, .005, .01, .025, .05, .1}})
	o.registry.MustRegister(checks, seconds)
	for _, result := range []string{"new", "replayed", "unchecked"} {
		checks.WithLabelValues(result)
	}
	var failing atomic.Bool
	return authz.ReplayEvents{Checked: func(took time.Duration, err error) {
		seconds.Observe(took.Seconds())
		switch {
		case err == nil:
			checks.WithLabelValues("new").Inc()
			if failing.CompareAndSwap(true, false) {
				o.log.Info("DPoP proofs can be looked up again")
			}
		case errors.Is(err, authz.ErrReplayed):
			checks.WithLabelValues("replayed").Inc()
		default:
			checks.WithLabelValues("unchecked").Inc()
			if failing.CompareAndSwap(false, true) {
				o.log.Error("whether a DPoP proof was used before cannot be looked up; requests with one are answered 503", zap.Error(err))
			}
		}
	}}
}
