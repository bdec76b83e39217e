package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/jwks"
)

// keyCounts are the metrics of keys that are fetched, by issuer.
type keyCounts struct {
	fetches *prometheus.CounterVec
	usable  *prometheus.GaugeVec
	until   *prometheus.GaugeVec
}

// newKeyCounts makes them once: issuers of logins and transmitters of Shared Signals can be in one process.
func newKeyCounts(o *observer) *keyCounts {
	if o.keyCounts != nil {
		return o.keyCounts
	}
	c := &keyCounts{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tiergate_issuer_key_fetches_total",
			Help: "Fetches of an issuer's keys by what came of them: changed, same or failed."}, []string{"issuer", "result"}),
		usable: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_issuer_keys",
			Help: "Fetched keys of an issuer that count; 0: all of its tokens are refused."}, []string{"issuer"}),
		until: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tiergate_issuer_keys_until_timestamp_seconds",
			Help: "Until when an issuer's keys count if no fetch succeeds before."}, []string{"issuer"}),
	}
	o.registry.MustRegister(c.fetches, c.usable, c.until)
	o.keyCounts = c
	return c
}

// keys maps the callbacks of one issuer's fetched keys.
func (o *observer) keys(issuer string, c *keyCounts) jwks.Events {
	log := o.log.With(zap.String("issuer", issuer))
	c.usable.WithLabelValues(issuer).Set(0) // to be seen before the first fetch ends
	return jwks.Events{
		Fetched: func(keys int, changed bool, until time.Time) {
			c.usable.WithLabelValues(issuer).Set(float64(keys))
			c.until.WithLabelValues(issuer).Set(float64(until.Unix()))
			if !changed {
				c.fetches.WithLabelValues(issuer, "same").Inc()
				log.Debug("the issuer's keys are the same", zap.Int("keys", keys), zap.Time("until", until))
				return
			}
			c.fetches.WithLabelValues(issuer, "changed").Inc()
			log.Info("the issuer's keys are in force", zap.Int("keys", keys), zap.Time("until", until))
		},
		Failed: func(err error, left, retryIn time.Duration) {
			c.fetches.WithLabelValues(issuer, "failed").Inc()
			if left == 0 {
				c.usable.WithLabelValues(issuer).Set(0)
				log.Error("the issuer's keys cannot be fetched and none are held; its tokens are refused", zap.Error(err),
					zap.Duration("retryIn", retryIn))
				return
			}
			log.Warn("the issuer's keys cannot be fetched; those that are held still count", zap.Error(err),
				zap.Duration("left", left), zap.Duration("retryIn", retryIn))
		},
		Expired: func() {
			c.usable.WithLabelValues(issuer).Set(0)
			log.Error("the issuer's keys count no more; its tokens are refused until they can be fetched")
		},
		Exposed: func(err error) {
			log.Error("the issuer publishes a private key: whoever read it can sign as the issuer. "+
				"Its tokens are refused until it publishes a set without", zap.Error(err))
		},
	}
}
