package main

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// newLogins remembers in the store when logins were first seen. A request waits for less than Envoy waits for its answer.
// Nil where no issuer needs it: then nothing is read or written.
func newLogins(s *config.Settings, o *observer, store signals.Store) authz.Logins {
	needed := false
	for i := range s.Identity.Issuers {
		issuer := &s.Identity.Issuers[i]
		if issuer.AuthTime == config.AuthTimeLogin {
			continue
		}
		needed = true
		o.log.Info("logins of this issuer are judged by when their session was first seen too, which the store remembers; "+
			"write authTime: login if its auth_time moves with a login alone", zap.String("issuer", issuer.Name),
			zap.String("authTime", issuer.AuthTime), zap.String("session", issuer.Claims.Session))
	}
	if !needed {
		return nil
	}
	return authz.NewLogins(store, authz.LoginOptions{Within: min(authz.DefaultReplayWithin, s.Envoy.CheckTimeout/2),
		SessionLife: s.Identity.SessionLife, Events: o.logins()})
}

// logins maps the callback of the memory of first-seen logins. An outage is said once, and so is its end.
func (o *observer) logins() authz.LoginEvents {
	looks := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_login_looks_total",
		Help: "Logins that the store was asked for, by what came of it: known, or unknown (where a tier wants to know their " +
			"age, answered 503)."}, []string{"result"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tiergate_login_look_seconds",
		Help:    "How long the store needed to tell of a login.",
		Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25}})
	o.registry.MustRegister(looks, seconds)
	known, unknown := looks.WithLabelValues("known"), looks.WithLabelValues("unknown")
	var failing atomic.Bool
	return authz.LoginEvents{Looked: func(took time.Duration, err error) {
		seconds.Observe(took.Seconds())
		if err == nil {
			known.Inc()
			if failing.CompareAndSwap(true, false) {
				o.log.Info("the age of logins can be looked up again")
			}
			return
		}
		unknown.Inc()
		if failing.CompareAndSwap(false, true) {
			o.log.Error("the age of logins cannot be looked up; where a tier wants to know it, new logins are answered 503",
				zap.Error(err))
		}
	}}
}
