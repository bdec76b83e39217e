package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/ssf"
)

// ssfMetrics are those of Shared Signals, by stream.
type ssfMetrics struct {
	events   *prometheus.CounterVec
	degraded *prometheus.GaugeVec
	verified *prometheus.GaugeVec
}

func newSSFMetrics(o *observer) *ssfMetrics {
	m := &ssfMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_ssf_events_total",
			Help: "Security events that were taken in, by type; unknown ones are acknowledged and dropped."}, []string{"stream", "event"}),
		degraded: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_ssf_stream_degraded",
			Help: "1 if the transmitter has paused or disabled the stream."}, []string{"stream"}),
		verified: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_ssf_verified_timestamp_seconds",
			Help: "When the last verification was asked for that came back to this receiver."}, []string{"stream"}),
	}
	o.registry.MustRegister(m.events, m.degraded, m.verified)
	return m
}

// ssfStream maps the callbacks of one stream.
func (o *observer) ssfStream(name string, m *ssfMetrics) ssf.Events {
	log := o.log.With(zap.String("stream", name))
	m.degraded.WithLabelValues(name).Set(0)
	return ssf.Events{
		Heard: func(e ssf.Event) {
			if e.Kind == "" {
				m.events.WithLabelValues(name, "unknown").Inc()
				log.Warn("an event of a type that means nothing here was acknowledged and dropped", zap.String("type", e.URI),
					zap.String("jti", e.ID))
				return
			}
			m.events.WithLabelValues(name, string(e.Kind)).Inc()
			log.Info("event", zap.String("type", string(e.Kind)), zap.String("jti", e.ID), zap.Time("at", e.At))
		},
		Verified: func(asked time.Time) {
			if !asked.IsZero() {
				m.verified.WithLabelValues(name).Set(float64(asked.Unix()))
			}
		},
		Updated: func(status, reason string) {
			if status == "enabled" {
				m.degraded.WithLabelValues(name).Set(0)
				log.Info("the transmitter has enabled the stream", zap.String("reason", reason))
				return
			}
			m.degraded.WithLabelValues(name).Set(1)
			log.Error("the transmitter sends nothing more for now", zap.String("status", status), zap.String("reason", reason))
		},
	}
}

// ssfManager maps the callbacks of what keeps one stream.
func (o *observer) ssfManager(name string) ssf.ManagerEvents {
	log := o.log.With(zap.String("stream", name))
	return ssf.ManagerEvents{
		Ready: func(s ssf.Status) {
			log.Info("the stream stands", zap.String("streamID", s.StreamID), zap.String("state", s.State),
				zap.Strings("eventsDelivered", s.Delivered))
		},
		Failed: func(err error, retryIn time.Duration) {
			log.Warn("the stream cannot be kept", zap.Error(err), zap.Duration("retryIn", retryIn))
		},
		Polled: func(acknowledged, refused, left int) {
			log.Debug("polled", zap.Int("acknowledged", acknowledged), zap.Int("refused", refused), zap.Int("left", left))
		},
		Unverified: func(asked time.Time) {
			log.Error("the transmitter did not answer a verification, or another receiver got the answer", zap.Time("asked", asked))
		},
	}
}

// revoked tells what was written of users and sessions. Who it was about stands in the store and not in the log.
func (o *observer) revoked(source, id string, r revocation.Revocation) {
	o.deliveries.WithLabelValues(source, "revocation-"+string(r.Sort)).Inc()
	o.log.Info("logins are void, or a risk is known", zap.String("source", source), zap.String("id", id), zap.String("sort",
		string(r.Sort)), zap.String("key", r.Key()), zap.Time("notBefore", r.NotBefore), zap.Time("until", r.Until),
		zap.String("level", r.Level), zap.String("reason", r.Reason))
}
