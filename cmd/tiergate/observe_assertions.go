package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/assertion"
)

// assertionMetrics are those of what is signed for upstreams.
type assertionMetrics struct {
	ahead, waited prometheus.Counter
	failed        prometheus.Counter
	keys          prometheus.Gauge
	changed       prometheus.Gauge
}

func newAssertionMetrics(r *prometheus.Registry) *assertionMetrics {
	signed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_assertions_signed_total",
		Help: "Assertions signed: ahead, or for a request that waited for it."}, []string{"when"})
	m := &assertionMetrics{
		ahead: signed.WithLabelValues("ahead"), waited: signed.WithLabelValues("request"),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "tiergate_assertions_failed_total",
			Help: "Allowed requests that went on without an assertion because none could be made."}),
		keys: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_assertion_keys",
			Help: "Keys that are published for assertions."}),
		changed: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tiergate_assertion_key_since_timestamp_seconds",
			Help: "When the key that signs assertions began to."}),
	}
	r.MustRegister(signed, m.failed, m.keys, m.changed)
	return m
}

func (m *assertionMetrics) signed(waited bool) {
	if waited {
		m.waited.Inc()
	} else {
		m.ahead.Inc()
	}
}

// assertionKeys maps the callbacks of the keys that sign.
func (o *observer) assertionKeys(m *assertionMetrics) assertion.KeyEvents {
	return assertion.KeyEvents{
		Signing: func(kid string, published int) {
			m.keys.Set(float64(published))
			m.changed.SetToCurrentTime()
			o.log.Info("a key signs assertions from now on", zap.String("kid", kid), zap.Int("published", published))
		},
		Failed: func(err error) {
			o.log.Error("no new key for assertions could be made; the last one goes on", zap.Error(err))
		},
	}
}

// assertionFailed counts what could not be signed, and logs one a minute.
func (o *observer) assertionFailed(m *assertionMetrics) func(error) {
	var mu sync.Mutex
	var last time.Time
	return func(err error) {
		m.failed.Inc()
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) >= time.Minute {
			last = now
			o.log.Error("an allowed request went on without an assertion; its upstream will refuse it", zap.Error(err))
		}
	}
}
